//! The operations of a plan.
//!
//! The whole vocabulary in one place; `network` says what each accepts, `tensor` what each
//! computes. Adding one touches, in order: `wit/network.wit`, this file, `build`, `cost`, the
//! executors, the guest's import, the SDK's method, a contract test.

use serde::Serialize;

use super::{Attention, ValueId, WeightId};

/// An operation with its operands and constants.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(
    missing_docs,
    reason = "operands are named as in `wit/network.wit`, which describes them"
)]
pub enum Op {
    /// The plan's input of that number.
    Input(usize),
    /// The step's token ids.
    Tokens,
    /// Rows of a table by token id.
    Embed { tokens: ValueId, table: WeightId },
    /// `x · wᵀ + bias`.
    Linear {
        x: ValueId,
        w: WeightId,
        bias: Option<WeightId>,
    },
    /// Root-mean-square norm of each run of the weight's length.
    RmsNorm { x: ValueId, w: WeightId, eps: f32 },
    /// Mean-and-variance norm of each run of the weight's length.
    LayerNorm {
        x: ValueId,
        w: WeightId,
        bias: Option<WeightId>,
        eps: f32,
    },
    /// `a + b`.
    Add { a: ValueId, b: ValueId },
    /// `a · b`; a `b` of width 1 scales the whole row.
    Mul { a: ValueId, b: ValueId },
    /// `x · factor`.
    Scale { x: ValueId, factor: f32 },
    /// `x · sigmoid(x)`.
    Silu { x: ValueId },
    /// The Gaussian error linear unit.
    Gelu { x: ValueId, approximate: bool },
    /// `silu(gate) · up`.
    SwiGlu { gate: ValueId, up: ValueId },
    /// Over each row.
    Softmax { x: ValueId },
    /// Causal attention over everything the sequence has read.
    Attend {
        lane: usize,
        q: ValueId,
        k: ValueId,
        v: ValueId,
        how: Attention,
    },
    /// Attention among this step's rows of a sequence.
    Mix {
        q: ValueId,
        k: ValueId,
        v: ValueId,
        how: Attention,
        causal: bool,
    },
    /// A mixture of SwiGLU experts.
    Moe {
        x: ValueId,
        router: WeightId,
        gate: WeightId,
        up: WeightId,
        down: WeightId,
        top_k: usize,
        normalise: bool,
    },
    /// A sequence's rows to one.
    Pool { x: ValueId, how: Pooling },
    /// Side by side.
    Concat { parts: Vec<ValueId> },
    /// Some of each row's values.
    Slice {
        x: ValueId,
        start: usize,
        len: usize,
    },
}

/// How a sequence's rows become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Pooling {
    Mean,
    Max,
    First,
    Last,
}

impl Op {
    /// Its name in the contract.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "hidden",
            Op::Tokens => "tokens",
            Op::Embed { .. } => "embed",
            Op::Linear { .. } => "linear",
            Op::RmsNorm { .. } => "rms-norm",
            Op::LayerNorm { .. } => "layer-norm",
            Op::Add { .. } => "add",
            Op::Mul { .. } => "mul",
            Op::Scale { .. } => "scale",
            Op::Silu { .. } => "silu",
            Op::Gelu { .. } => "gelu",
            Op::SwiGlu { .. } => "swiglu",
            Op::Softmax { .. } => "softmax",
            Op::Attend { .. } => "attend",
            Op::Mix { .. } => "mix",
            Op::Moe { .. } => "moe",
            Op::Pool { .. } => "pool",
            Op::Concat { .. } => "concat",
            Op::Slice { .. } => "slice",
        }
    }

    /// Calls `see` with every value it reads; `see` may rename it.
    pub(super) fn each_value(&mut self, mut see: impl FnMut(&mut ValueId)) {
        match self {
            Op::Input(_) | Op::Tokens => {}
            Op::Embed { tokens: x, .. }
            | Op::Linear { x, .. }
            | Op::RmsNorm { x, .. }
            | Op::LayerNorm { x, .. }
            | Op::Scale { x, .. }
            | Op::Silu { x }
            | Op::Gelu { x, .. }
            | Op::Softmax { x }
            | Op::Moe { x, .. }
            | Op::Pool { x, .. }
            | Op::Slice { x, .. } => see(x),
            Op::Add { a, b } | Op::Mul { a, b } | Op::SwiGlu { gate: a, up: b } => {
                see(a);
                see(b);
            }
            Op::Attend { q, k, v, .. } | Op::Mix { q, k, v, .. } => {
                see(q);
                see(k);
                see(v);
            }
            Op::Concat { parts } => parts.iter_mut().for_each(see),
        }
    }

    /// Calls `see` with every weight it reads; `see` may rename it.
    pub(super) fn each_weight(&mut self, mut see: impl FnMut(&mut WeightId)) {
        match self {
            Op::Embed { table: w, .. } | Op::RmsNorm { w, .. } => see(w),
            Op::Linear { w, bias, .. } | Op::LayerNorm { w, bias, .. } => {
                see(w);
                if let Some(bias) = bias {
                    see(bias);
                }
            }
            Op::Moe {
                router,
                gate,
                up,
                down,
                ..
            } => {
                see(router);
                see(gate);
                see(up);
                see(down);
            }
            _ => {}
        }
    }
}

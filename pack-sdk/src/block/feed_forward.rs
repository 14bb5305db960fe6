//! The second half of a block: one SwiGLU, or a mixture of them.
//!
//! `Block` declares and applies it, inside its norm and its residual. What stays true: a row
//! costs what its active experts cost, however many there are.

use super::{BlockConfig, last};
use crate::{Init, Mixture, Result, Value, Weight, Weights};

/// What a block computes row by row: `down(silu(gate(x)) · up(x))`.
#[derive(Debug)]
pub(super) struct FeedForward {
    /// What chooses experts for a row, and how, where there are several.
    router: Option<(Weight, Mixture)>,
    gate: Weight,
    up: Weight,
    down: Weight,
}

impl FeedForward {
    pub(super) fn declare(weights: &Weights<'_>, config: &BlockConfig) -> Result<Self> {
        let (width, inner) = (config.width, config.feed_forward);
        let (start, end) = (Init::fan_in(width), last(config, inner));
        let linear = |name: &str, out: u32, into: u32, init: Init| match config.experts {
            None => weights.get(&format!("{name}.weight"), &[out, into], init),
            Some(experts) => {
                weights.get(&format!("{name}_exps.weight"), &[experts, out, into], init)
            }
        };
        let router = match config.experts {
            None => None,
            Some(experts) => {
                let router = weights.get("ffn_gate_inp.weight", &[experts, width], start)?;
                Some((router, Mixture::new(config.active)))
            }
        };
        Ok(Self {
            router,
            gate: linear("ffn_gate", inner, width, start)?,
            up: linear("ffn_up", inner, width, start)?,
            down: linear("ffn_down", width, inner, end)?,
        })
    }

    pub(super) fn apply<'n>(&self, x: &Value<'n>) -> Result<Value<'n>> {
        let Self { gate, up, down, .. } = self;
        match &self.router {
            None => {
                let up = x.linear(up)?;
                x.linear(gate)?.swiglu(&up)?.linear(down)
            }
            Some((router, how)) => x.moe(router, gate, up, down, how),
        }
    }
}

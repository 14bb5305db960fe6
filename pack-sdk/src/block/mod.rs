//! A ready transformer block, for packs that are one or want to start from one.
//!
//! Owns the arithmetic and the weight names, which are those of llama.cpp's GGUF files:
//! [`BlockConfig`] says what shape, [`Block`] is one block, [`Blocks`] a stack of them with
//! [`Adapters`] around it where asked for. It is written with nothing but this crate's public
//! face. What stays true: a fresh stack is the identity, and an imported checkpoint's
//! blocks do the arithmetic they were trained with, in the same order.

mod adapters;
mod config;
mod feed_forward;
mod stack;

pub use adapters::Adapters;
pub use config::BlockConfig;
pub use stack::Blocks;

use feed_forward::FeedForward;

use crate::{Init, Result, Value, Weight, Weights};

/// One pre-norm residual transformer block: grouped-query attention, then a SwiGLU
/// feed-forward or a mixture of them, each with its own norm and added to the residual stream.
///
/// Weights, below the name it is declared at: `attn_norm`, `attn_q`, `attn_k`, `attn_v`,
/// `attn_output`, `ffn_norm`, `ffn_gate`, `ffn_up`, `ffn_down`, each with `.weight`; `attn_q`,
/// `attn_k`, `attn_v` also with `.bias` under `qkv-bias`; `attn_q_norm` and `attn_k_norm` under
/// `qk-norm`. Under `experts`, `ffn_gate_inp`, which chooses among them, and `ffn_gate_exps`,
/// `ffn_up_exps` and `ffn_down_exps` stand where `ffn_gate`, `ffn_up` and `ffn_down` stood.
///
/// A fresh block is the identity. Under `adapters` it is not, for then the way out is.
///
/// ```no_run
/// use modularbase_pack::prelude::*;
///
/// fn load(net: &Network) -> Result<Plan> {
///     let config = BlockConfig::from_network(net)?;
///     let block = Block::declare(&net.weights().at("blk.0"), &config)?;
///     let out = block.apply("blk.0", &net.hidden()?)?;
///     net.finish(&out)
/// }
/// ```
#[derive(Debug)]
pub struct Block {
    config: BlockConfig,
    attn_norm: Weight,
    attn_q: Projection,
    attn_k: Projection,
    attn_v: Projection,
    qk_norms: Option<(Weight, Weight)>,
    attn_output: Weight,
    ffn_norm: Weight,
    ffn: FeedForward,
}

impl Block {
    /// Declares the block's weights below `weights`.
    ///
    /// # Errors
    ///
    /// When the pack's weights lack one of them, or one has another shape.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network, config: &BlockConfig) -> Result<()> {
    /// let third = Block::declare(&net.weights().at("blk").at(2), config)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn declare(weights: &Weights<'_>, config: &BlockConfig) -> Result<Self> {
        let width = config.width;
        let (q, kv) = (
            config.heads * config.head_size,
            config.kv_heads * config.head_size,
        );
        let head = [config.head_size];

        let norm = |name: &str, shape: &[u32]| weights.get(name, shape, Init::Ones);
        let projection = |name: &str, out: u32| Projection::declare(weights, name, out, config);

        Ok(Self {
            config: config.clone(),
            attn_norm: norm("attn_norm.weight", &[width])?,
            attn_q: projection("attn_q", q)?,
            attn_k: projection("attn_k", kv)?,
            attn_v: projection("attn_v", kv)?,
            qk_norms: match config.qk_norm {
                true => Some((
                    norm("attn_q_norm.weight", &head)?,
                    norm("attn_k_norm.weight", &head)?,
                )),
                false => None,
            },
            attn_output: weights.get("attn_output.weight", &[width, q], last(config, q))?,
            ffn_norm: norm("ffn_norm.weight", &[width])?,
            ffn: FeedForward::declare(weights, config)?,
        })
    }

    /// The block over `x`. `lane` names its keys and values in the host's cache: another name
    /// for each block of a plan.
    ///
    /// # Errors
    ///
    /// When `x` has another width than the block, or the plan has this lane already.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(block: &Block, x: &Value) -> Result<()> {
    /// let y = block.apply("blk.0", x)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn apply<'n>(&self, lane: &str, x: &Value<'n>) -> Result<Value<'n>> {
        let x = x.add(&self.attention(lane, x)?)?;
        x.add(&self.feed_forward(&x)?)
    }

    fn attention<'n>(&self, lane: &str, x: &Value<'n>) -> Result<Value<'n>> {
        let eps = self.config.norm_eps;
        let h = x.rms_norm(&self.attn_norm, eps)?;
        let mut q = self.attn_q.apply(&h)?;
        let mut k = self.attn_k.apply(&h)?;
        let v = self.attn_v.apply(&h)?;
        if let Some((q_norm, k_norm)) = &self.qk_norms {
            q = q.rms_norm(q_norm, eps)?;
            k = k.rms_norm(k_norm, eps)?;
        }
        q.attend(lane, &k, &v, &self.config.attention())?
            .linear(&self.attn_output)
    }

    fn feed_forward<'n>(&self, x: &Value<'n>) -> Result<Value<'n>> {
        let h = x.rms_norm(&self.ffn_norm, self.config.norm_eps)?;
        self.ffn.apply(&h)
    }
}

/// What a branch ends in: zeros make a fresh block the identity. With adapters it is `Out` that
/// starts at zero, and the blocks inside must not, or nothing could learn.
fn last(config: &BlockConfig, inputs: u32) -> Init {
    match config.adapters {
        true => Init::fan_in(inputs),
        false => Init::Zeros,
    }
}

/// A linear layer into queries, keys or values.
#[derive(Debug)]
struct Projection {
    weight: Weight,
    bias: Option<Weight>,
}

impl Projection {
    fn declare(weights: &Weights<'_>, name: &str, out: u32, config: &BlockConfig) -> Result<Self> {
        let weights = weights.at(name);
        let weight = weights.get("weight", &[out, config.width], Init::fan_in(config.width))?;
        let bias = match config.qkv_bias {
            true => Some(weights.get("bias", &[out], Init::Zeros)?),
            false => None,
        };
        Ok(Self { weight, bias })
    }

    fn apply<'n>(&self, x: &Value<'n>) -> Result<Value<'n>> {
        x.linear_bias(&self.weight, self.bias.as_ref())
    }
}

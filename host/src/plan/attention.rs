//! What an attention does, read from a call's options and checked against its operands.

use serde::Serialize;

use super::options::Options;
use super::{PlanError, Rope};

/// The settings of an `attend` or a `mix`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// The size of a query's or key's head.
    pub key_head: usize,
    /// The size of a value's head.
    pub value_head: usize,
    /// Rotary positions, if any.
    pub rope: Option<Rope>,
    /// How many rows back a row looks, itself included.
    pub window: Option<usize>,
    /// What scores are multiplied with.
    pub scale: f32,
    /// Scores become `cap · tanh(score / cap)`.
    pub softcap: Option<f32>,
}

impl Attention {
    pub(super) fn parse(
        call: &str,
        options: &mut Options<'_>,
        (q, k, v): (usize, usize, usize),
    ) -> Result<Self, PlanError> {
        let heads = options
            .count("heads")?
            .ok_or_else(|| options.missing("heads"))?;
        let kv_heads = options.count("kv-heads")?.unwrap_or(heads);
        let wrong = |text: String| Err(PlanError::Shape(format!("{call}: {text}")));
        if !heads.is_multiple_of(kv_heads) {
            return wrong(format!("{heads} heads cannot share {kv_heads} kv-heads"));
        }
        if !q.is_multiple_of(heads) {
            return wrong(format!("q has width {q}, not a multiple of {heads} heads"));
        }
        let key_head = q / heads;
        if k != key_head * kv_heads {
            let expected = key_head * kv_heads;
            return wrong(format!(
                "k has width {k}, expected {expected} ({kv_heads} kv-heads of {key_head})"
            ));
        }
        if !v.is_multiple_of(kv_heads) {
            return wrong(format!(
                "v has width {v}, not a multiple of {kv_heads} kv-heads"
            ));
        }
        let rope = Rope::parse(options, key_head)?;
        let window = options.count("window")?;
        let scale = options
            .positive("scale")?
            .unwrap_or_else(|| 1.0 / (key_head as f32).sqrt());
        let softcap = options.positive("softcap")?;
        Ok(Attention {
            heads,
            kv_heads,
            key_head,
            value_head: v / kv_heads,
            rope,
            window,
            scale,
            softcap,
        })
    }
}

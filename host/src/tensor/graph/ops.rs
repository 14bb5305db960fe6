//! What each operation computes, in candle's terms. Rows are `[rows, width]`, f32, contiguous.

use candle_core::{Result, Tensor};
use candle_nn::ops;

use super::super::Step;
use super::attention::Attending;
use super::weights::{Loaded, Matrix};
use super::{Place, moe};
use crate::plan::{Node, Op, Pooling, ValueId, WeightId};

/// A step on its way through a plan.
pub(super) struct Pass<'a> {
    pub(super) place: &'a Place,
    pub(super) weights: &'a [Loaded],
    pub(super) step: &'a Step,
    pub(super) inputs: &'a [Tensor],
    pub(super) attending: Attending<'a>,
    /// What the nodes so far gave; nothing for tokens and for what nobody reads any more.
    pub(super) values: Vec<Option<Tensor>>,
}

impl Pass<'_> {
    /// What `node` gives; nothing for tokens, which stay with the step.
    pub(super) fn eval(&mut self, node: &Node) -> Result<Option<Tensor>> {
        let out = match &node.op {
            Op::Tokens => return Ok(None),
            Op::Input(number) => match self.inputs.get(*number) {
                Some(input) => input.clone(),
                None => candle_core::bail!("input {number} is missing"),
            },
            Op::Embed { table, .. } => {
                let ids = self.step.tokens();
                self.matrix(*table)?.rows(ids, self.place.device())?
            }
            Op::Linear { x, w, bias } => {
                let y = self.matrix(*w)?.times(self.value(*x)?)?;
                match bias {
                    Some(bias) => y.broadcast_add(self.vector(*bias)?)?,
                    None => y,
                }
            }
            Op::RmsNorm { x, w, eps } => {
                let (x, w) = (self.value(*x)?, self.vector(*w)?);
                ops::rms_norm(&runs(x, w)?, w, *eps)?.reshape(x.shape())?
            }
            Op::LayerNorm { x, w, bias, eps } => {
                let (x, w) = (self.value(*x)?, self.vector(*w)?);
                let bias = match bias {
                    Some(bias) => self.vector(*bias)?.clone(),
                    None => w.zeros_like()?,
                };
                ops::layer_norm(&runs(x, w)?, w, &bias, *eps)?.reshape(x.shape())?
            }
            Op::Add { a, b } => (self.value(*a)? + self.value(*b)?)?,
            Op::Mul { a, b } => self.value(*a)?.broadcast_mul(self.value(*b)?)?,
            Op::Scale { x, factor } => self.value(*x)?.affine(f64::from(*factor), 0.0)?,
            Op::Silu { x } => self.value(*x)?.silu()?,
            Op::Gelu { x, approximate } if *approximate => self.value(*x)?.gelu()?,
            Op::Gelu { x, .. } => self.value(*x)?.gelu_erf()?,
            Op::SwiGlu { gate, up } => (self.value(*gate)?.silu()? * self.value(*up)?)?,
            Op::Softmax { x } => ops::softmax_last_dim(self.value(*x)?)?,
            Op::Attend { lane, q, k, v, how } => {
                let [q, k, v] = self.three(*q, *k, *v)?;
                self.attending.run(Some(*lane), [&q, &k, &v], how, true)?
            }
            Op::Mix {
                q,
                k,
                v,
                how,
                causal,
            } => {
                let [q, k, v] = self.three(*q, *k, *v)?;
                self.attending.run(None, [&q, &k, &v], how, *causal)?
            }
            Op::Moe {
                x,
                router,
                gate,
                up,
                down,
                top_k,
                normalise,
            } => {
                let router = self.matrix(*router)?;
                let [gate, up, down] = [
                    self.experts(*gate)?,
                    self.experts(*up)?,
                    self.experts(*down)?,
                ];
                let choice = moe::Choice {
                    top_k: *top_k,
                    normalise: *normalise,
                };
                moe::run(self.value(*x)?, router, [gate, up, down], choice)?
            }
            Op::Pool { x, how } => self.pool(self.value(*x)?, *how)?,
            Op::Concat { parts } => {
                let parts = parts.iter().map(|&x| self.value(x));
                Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 1)?
            }
            Op::Slice { x, start, len } => self.value(*x)?.narrow(1, *start, *len)?.contiguous()?,
        };
        Ok(Some(out))
    }

    pub(super) fn value(&self, id: ValueId) -> Result<&Tensor> {
        match self.values.get(id.index()) {
            Some(Some(value)) => Ok(value),
            _ => candle_core::bail!("value {} is not there", id.index()),
        }
    }

    fn three(&self, q: ValueId, k: ValueId, v: ValueId) -> Result<[Tensor; 3]> {
        let value = |id| self.value(id).cloned();
        Ok([value(q)?, value(k)?, value(v)?])
    }

    fn weight(&self, id: WeightId) -> Result<&Loaded> {
        match self.weights.get(id.index()) {
            Some(weight) => Ok(weight),
            None => candle_core::bail!("weight {} is not there", id.index()),
        }
    }

    fn vector(&self, id: WeightId) -> Result<&Tensor> {
        self.weight(id)?.vector()
    }

    fn matrix(&self, id: WeightId) -> Result<&Matrix> {
        self.weight(id)?.matrix()
    }

    fn experts(&self, id: WeightId) -> Result<&[Matrix]> {
        self.weight(id)?.experts()
    }

    /// The rows of each sequence to one.
    fn pool(&self, x: &Tensor, how: Pooling) -> Result<Tensor> {
        let spans = self.step.spans();
        if spans.len() == self.step.rows() {
            return Ok(x.clone());
        }
        let mut at = 0;
        let mut parts = Vec::with_capacity(spans.len());
        for span in spans {
            let rows = x.narrow(0, at, span.rows)?;
            parts.push(match how {
                Pooling::Mean => rows.mean_keepdim(0)?,
                Pooling::Max => rows.max_keepdim(0)?,
                Pooling::First => rows.narrow(0, 0, 1)?,
                Pooling::Last => rows.narrow(0, span.rows - 1, 1)?,
            });
            at += span.rows;
        }
        Tensor::cat(&parts, 0)
    }
}

/// `x` as rows of the length of `w`.
fn runs(x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let run = w.dims1()?;
    x.reshape((x.elem_count() / run, run))
}

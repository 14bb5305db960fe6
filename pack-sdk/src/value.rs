//! Symbolic values and the operations on them.
//!
//! An author's `load` is the caller. Every method asks the host to add one operation to the
//! network; the host checks shapes and row kinds there and then, so an error comes from the
//! line that made it. Nothing is computed before a plan runs.

use crate::bindings::lent::modularbase::pack::network as wit;
use crate::{Attention, Mixture, Pool, Result, Weight};

/// What a row will hold when the plan runs: so many numbers for each row of the step, for each
/// sequence (after [`pool`](Value::pool)), or a token id.
///
/// A value belongs to the network it was made in and is void when `load` returns, which is
/// what the lifetime says. Functions that take values and give one back name it:
///
/// ```no_run
/// use modularbase_pack::prelude::*;
///
/// fn squared<'n>(x: &Value<'n>) -> Result<Value<'n>> {
///     x.mul(x)
/// }
/// ```
///
/// Every operation returns an error when shapes or row kinds do not fit, or when the host's
/// quota for plans is spent; the words say what was found and what was expected.
#[derive(Debug)]
pub struct Value<'n> {
    net: &'n wit::Network,
    pub(crate) raw: wit::Value,
}

impl<'n> Value<'n> {
    pub(crate) fn new(net: &'n wit::Network, raw: wit::Value) -> Self {
        Self { net, raw }
    }

    fn then(&self, raw: Result<wit::Value, wit::Error>) -> Result<Self> {
        Ok(Self::new(self.net, raw?))
    }

    /// How many numbers a row has; 1 for tokens.
    ///
    /// ```no_run
    /// # fn example(x: &modularbase_pack::Value) {
    /// assert_eq!(x.width(), 64);
    /// # }
    /// ```
    pub fn width(&self) -> u32 {
        self.raw.width()
    }

    /// Rows of `table`, `[vocabulary, width]`, by token id. Ids past the table give zeros.
    ///
    /// # Errors
    ///
    /// When this value is not [`Network::tokens`](crate::Network::tokens).
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network, table: &Weight) -> Result<()> {
    /// let terms = net.tokens()?.embed(table)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn embed(&self, table: &Weight) -> Result<Self> {
        self.then(self.net.embed(&self.raw, &table.raw))
    }

    /// `x · wᵀ`, where `w` is `[out, in]`.
    ///
    /// # Errors
    ///
    /// When `w` is not as wide as this value.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value, w: &Weight) -> Result<()> {
    /// let y = x.linear(w)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn linear(&self, w: &Weight) -> Result<Self> {
        self.linear_bias(w, None)
    }

    /// `x · wᵀ + bias`, where `w` is `[out, in]` and `bias` is `[out]`. The bias may be a
    /// weight or an option of one.
    ///
    /// # Errors
    ///
    /// When `w` is not as wide as this value, or `bias` not as long as `w`.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value, w: &Weight, bias: &Weight, maybe: Option<Weight>) -> Result<()> {
    /// let y = x.linear_bias(w, bias)?;
    /// let z = x.linear_bias(w, maybe.as_ref())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn linear_bias<'w>(&self, w: &Weight, bias: impl Into<Option<&'w Weight>>) -> Result<Self> {
        let bias = bias.into().map(|bias| &bias.raw);
        self.then(self.net.linear(&self.raw, &w.raw, bias))
    }

    /// `x / sqrt(mean(x²) + eps) · w`. When `w` is shorter than a row, each run of its length
    /// is normalised by itself, which is how heads are normalised.
    ///
    /// # Errors
    ///
    /// When the length of `w` does not divide the width.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value, w: &Weight) -> Result<()> {
    /// let normed = x.rms_norm(w, 1e-5)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn rms_norm(&self, w: &Weight, eps: f32) -> Result<Self> {
        self.then(self.net.rms_norm(&self.raw, &w.raw, eps))
    }

    /// `(x - mean) / sqrt(variance + eps) · w + bias`, in runs like
    /// [`rms_norm`](Value::rms_norm).
    ///
    /// # Errors
    ///
    /// When the length of `w` does not divide the width, or `bias` has another length.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value, w: &Weight, bias: &Weight) -> Result<()> {
    /// let normed = x.layer_norm(w, bias, 1e-5)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn layer_norm<'w>(
        &self,
        w: &Weight,
        bias: impl Into<Option<&'w Weight>>,
        eps: f32,
    ) -> Result<Self> {
        let bias = bias.into().map(|bias| &bias.raw);
        self.then(self.net.layer_norm(&self.raw, &w.raw, bias, eps))
    }

    /// The sum, element by element.
    ///
    /// # Errors
    ///
    /// When the two have other widths or row kinds.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value, branch: &Value) -> Result<()> {
    /// let y = x.add(branch)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn add(&self, other: &Value<'_>) -> Result<Self> {
        self.then(self.net.add(&self.raw, &other.raw))
    }

    /// The product, element by element; an `other` of width 1 scales the whole row.
    ///
    /// # Errors
    ///
    /// When the two have other widths or row kinds.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value, gate: &Value) -> Result<()> {
    /// let y = x.mul(gate)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn mul(&self, other: &Value<'_>) -> Result<Self> {
        self.then(self.net.mul(&self.raw, &other.raw))
    }

    /// Times a constant.
    ///
    /// # Errors
    ///
    /// When `factor` is not finite.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value) -> Result<()> {
    /// let half = x.scale(0.5)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scale(&self, factor: f32) -> Result<Self> {
        self.then(self.net.scale(&self.raw, factor))
    }

    /// `x · sigmoid(x)`.
    ///
    /// # Errors
    ///
    /// When this value is tokens.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value) -> Result<()> {
    /// let y = x.silu()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn silu(&self) -> Result<Self> {
        self.then(self.net.silu(&self.raw))
    }

    /// The Gaussian error linear unit.
    ///
    /// # Errors
    ///
    /// When this value is tokens.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value) -> Result<()> {
    /// let y = x.gelu()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn gelu(&self) -> Result<Self> {
        self.then(self.net.gelu(&self.raw, false))
    }

    /// The Gaussian error linear unit in its form with `tanh`, as GPT-2 and Gemma have it.
    ///
    /// # Errors
    ///
    /// When this value is tokens.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value) -> Result<()> {
    /// let y = x.gelu_tanh()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn gelu_tanh(&self) -> Result<Self> {
        self.then(self.net.gelu(&self.raw, true))
    }

    /// `silu(self) · up`.
    ///
    /// # Errors
    ///
    /// When the two have other widths or row kinds.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value, gate: &Weight, up: &Weight) -> Result<()> {
    /// let inner = x.linear(gate)?.swiglu(&x.linear(up)?)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn swiglu(&self, up: &Value<'_>) -> Result<Self> {
        self.then(self.net.swiglu(&self.raw, &up.raw))
    }

    /// Softmax over the values of each row.
    ///
    /// # Errors
    ///
    /// When this value is tokens.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value, scores: &Weight) -> Result<()> {
    /// let shares = x.linear(scores)?.softmax()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn softmax(&self) -> Result<Self> {
        self.then(self.net.softmax(&self.raw))
    }

    /// Causal attention of these queries over everything the sequence has read so far. The host
    /// keeps keys and values in a lane that `lane` tells apart from the plan's others.
    ///
    /// # Errors
    ///
    /// When widths and heads do not fit together, an option is unknown or does not parse, or
    /// the plan has this lane already.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(q: &Value, k: &Value, v: &Value) -> Result<()> {
    /// let how = Attention::new(8).kv_heads(2).rope(Rope::Halves);
    /// let y = q.attend("blk.0", k, v, &how)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn attend(
        &self,
        lane: &str,
        k: &Value<'_>,
        v: &Value<'_>,
        how: &Attention,
    ) -> Result<Self> {
        self.then(
            self.net
                .attend(lane, &self.raw, &k.raw, &v.raw, how.options()),
        )
    }

    /// Attention of these queries over this step's rows of the same sequence; nothing is kept.
    ///
    /// # Errors
    ///
    /// When widths and heads do not fit together, or an option is unknown or does not parse.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(q: &Value, k: &Value, v: &Value) -> Result<()> {
    /// let y = q.mix(k, v, &Attention::new(8).causal(false))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn mix(&self, k: &Value<'_>, v: &Value<'_>, how: &Attention) -> Result<Self> {
        self.then(self.net.mix(&self.raw, &k.raw, &v.raw, how.options()))
    }

    /// A mixture of SwiGLU experts: `router` is `[n, width]`, `gate` and `up` are
    /// `[n, inner, width]`, `down` is `[n, width, inner]`.
    ///
    /// # Errors
    ///
    /// When the weights do not fit together, or more experts are asked for than there are.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value, weights: &Weights, n: u32, inner: u32) -> Result<()> {
    /// let (width, std) = (x.width(), Init::fan_in(x.width()));
    /// let y = x.moe(
    ///     &weights.get("ffn_gate_inp.weight", &[n, width], std)?,
    ///     &weights.get("ffn_gate_exps.weight", &[n, inner, width], std)?,
    ///     &weights.get("ffn_up_exps.weight", &[n, inner, width], std)?,
    ///     &weights.get("ffn_down_exps.weight", &[n, width, inner], Init::Zeros)?,
    ///     &Mixture::new(2),
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn moe(
        &self,
        router: &Weight,
        gate: &Weight,
        up: &Weight,
        down: &Weight,
        how: &Mixture,
    ) -> Result<Self> {
        let how = how.options();
        self.then(
            self.net
                .moe(&self.raw, &router.raw, &gate.raw, &up.raw, &down.raw, how),
        )
    }

    /// This step's rows of a sequence to one pooled row.
    ///
    /// # Errors
    ///
    /// When the rows are pooled already.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value) -> Result<()> {
    /// let turn = x.pool(Pool::Mean)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn pool(&self, how: Pool) -> Result<Self> {
        self.then(self.net.pool(&self.raw, how.name()))
    }

    /// This row and the others side by side: the widths add up.
    ///
    /// # Errors
    ///
    /// When the row kinds differ.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value, terms: &Value) -> Result<()> {
    /// let wide = x.concat(&[terms])?;
    /// assert_eq!(wide.width(), x.width() + terms.width());
    /// # Ok(())
    /// # }
    /// ```
    pub fn concat(&self, others: &[&Value<'_>]) -> Result<Self> {
        let mut parts = vec![&self.raw];
        parts.extend(others.iter().map(|other| &other.raw));
        self.then(self.net.concat(&parts))
    }

    /// The values `start .. start + len` of each row.
    ///
    /// # Errors
    ///
    /// When the row is shorter.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(x: &Value) -> Result<()> {
    /// let first_half = x.slice(0, x.width() / 2)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn slice(&self, start: u32, len: u32) -> Result<Self> {
        self.then(self.net.slice(&self.raw, start, len))
    }
}

//! Typed settings of the operations that have some, and what the contract calls them.
//!
//! `Value`'s methods are the callers. The contract takes lists of names and texts, so that a
//! later host may know more of them; authors get builders that cannot misspell one. What fits
//! together is the host's to judge.

use std::str::FromStr;

use crate::{Error, Result};

/// Names and texts, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options(Vec<(String, String)>);

impl Options {
    fn set(&mut self, name: &str, value: impl ToString) {
        let value = value.to_string();
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

/// How [`attend`](crate::Value::attend) and [`mix`](crate::Value::mix) attend.
///
/// ```
/// use modularbase_pack::{Attention, Rope};
///
/// let how = Attention::new(32).kv_heads(8).rope(Rope::Halves).rope_base(500_000.0);
/// assert_eq!(how.options()[0], ("heads".to_owned(), "32".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention(Options);

impl Attention {
    /// Attention with this many query heads, and as many of keys and values.
    ///
    /// ```
    /// # use modularbase_pack::Attention;
    /// assert_eq!(Attention::new(4).options().len(), 1);
    /// ```
    #[must_use]
    pub fn new(heads: u32) -> Self {
        Self(Options::default()).set("heads", heads)
    }

    /// Fewer heads of keys and values: each serves `heads / kv_heads` query heads.
    ///
    /// ```
    /// # use modularbase_pack::Attention;
    /// let grouped = Attention::new(32).kv_heads(8);
    /// ```
    #[must_use]
    pub fn kv_heads(self, kv_heads: u32) -> Self {
        self.set("kv-heads", kv_heads)
    }

    /// How queries and keys are turned by their position. Without it they are not.
    ///
    /// ```
    /// # use modularbase_pack::{Attention, Rope};
    /// let how = Attention::new(4).rope(Rope::Pairs);
    /// ```
    #[must_use]
    pub fn rope(self, rope: Rope) -> Self {
        self.set("rope", rope.name())
    }

    /// The base of the rotation's frequencies; 10000 unless said otherwise.
    ///
    /// ```
    /// # use modularbase_pack::{Attention, Rope};
    /// let how = Attention::new(4).rope(Rope::Halves).rope_base(500_000.0);
    /// ```
    #[must_use]
    pub fn rope_base(self, base: f32) -> Self {
        self.set("rope-base", base)
    }

    /// How many values of each head are turned; all of them unless said otherwise.
    ///
    /// ```
    /// # use modularbase_pack::{Attention, Rope};
    /// let how = Attention::new(4).rope(Rope::Halves).rope_dim(32);
    /// ```
    #[must_use]
    pub fn rope_dim(self, dim: u32) -> Self {
        self.set("rope-dim", dim)
    }

    /// How the rotation is stretched past the context it was trained for.
    ///
    /// ```
    /// # use modularbase_pack::{Attention, Rope, RopeScaling};
    /// let how = Attention::new(4).rope(Rope::Halves).rope_scaling(RopeScaling::llama3(8.0, 8192));
    /// ```
    #[must_use]
    pub fn rope_scaling(self, scaling: RopeScaling) -> Self {
        match scaling {
            RopeScaling::None => self.set("rope-scaling", "none"),
            RopeScaling::Linear { factor } => self
                .set("rope-scaling", "linear")
                .set("rope-factor", factor),
            RopeScaling::Llama3 {
                factor,
                original_context,
                low_freq_factor,
                high_freq_factor,
            } => self
                .set("rope-scaling", "llama3")
                .set("rope-factor", factor)
                .set("rope-original-context", original_context)
                .set("rope-low-freq-factor", low_freq_factor)
                .set("rope-high-freq-factor", high_freq_factor),
            RopeScaling::Yarn {
                factor,
                original_context,
                beta_fast,
                beta_slow,
                attention,
            } => {
                let how = self
                    .set("rope-scaling", "yarn")
                    .set("rope-factor", factor)
                    .set("rope-original-context", original_context)
                    .set("rope-beta-fast", beta_fast)
                    .set("rope-beta-slow", beta_slow);
                match attention {
                    Some(attention) => how.set("rope-attention-factor", attention),
                    None => how,
                }
            }
        }
    }

    /// How many rows back a row attends, itself included; all of them unless said otherwise.
    ///
    /// ```
    /// # use modularbase_pack::Attention;
    /// let how = Attention::new(4).window(1024);
    /// ```
    #[must_use]
    pub fn window(self, rows: u32) -> Self {
        self.set("window", rows)
    }

    /// What scores are multiplied with; one over the root of the head's size unless said
    /// otherwise.
    ///
    /// ```
    /// # use modularbase_pack::Attention;
    /// let how = Attention::new(4).scale(0.0625);
    /// ```
    #[must_use]
    pub fn scale(self, scale: f32) -> Self {
        self.set("scale", scale)
    }

    /// Keeps scores within plus and minus `cap`, as Gemma 2 does: `cap · tanh(score / cap)`.
    ///
    /// ```
    /// # use modularbase_pack::Attention;
    /// let how = Attention::new(4).softcap(50.0);
    /// ```
    #[must_use]
    pub fn softcap(self, cap: f32) -> Self {
        self.set("softcap", cap)
    }

    /// Whether rows attend only to those before them; for [`mix`](crate::Value::mix) alone, and
    /// true unless said otherwise.
    ///
    /// ```
    /// # use modularbase_pack::Attention;
    /// let how = Attention::new(4).causal(false);
    /// ```
    #[must_use]
    pub fn causal(self, causal: bool) -> Self {
        self.set("causal", causal)
    }

    /// The same as the contract's list of names and texts.
    ///
    /// ```
    /// # use modularbase_pack::Attention;
    /// let how = Attention::new(4).window(64);
    /// assert_eq!(how.options()[1], ("window".to_owned(), "64".to_owned()));
    /// ```
    pub fn options(&self) -> &[(String, String)] {
        &self.0.0
    }

    fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.0.set(name, value);
        self
    }
}

/// How queries and keys are turned by their position.
///
/// ```
/// use modularbase_pack::Rope;
///
/// assert_eq!("halves".parse(), Ok(Rope::Halves));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rope {
    /// Not at all.
    None,
    /// Value `i` with value `i + dim / 2`, as Hugging Face stores queries and keys.
    #[default]
    Halves,
    /// Value `2i` with value `2i + 1`, as GGUF's `llama` stores them.
    Pairs,
}

impl Rope {
    /// What the contract calls it.
    ///
    /// ```
    /// # use modularbase_pack::Rope;
    /// assert_eq!(Rope::Pairs.name(), "pairs");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Halves => "halves",
            Self::Pairs => "pairs",
        }
    }
}

impl FromStr for Rope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Self::None),
            "halves" => Ok(Self::Halves),
            "pairs" => Ok(Self::Pairs),
            _ => Err("expected `none`, `halves` or `pairs`".into()),
        }
    }
}

/// How rotary positions are stretched past the context they were trained for.
///
/// ```
/// use modularbase_pack::RopeScaling;
///
/// assert_eq!(RopeScaling::linear(2.0), RopeScaling::Linear { factor: 2.0 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    None,
    /// All positions divided by `factor`.
    Linear {
        /// How many times longer the context becomes.
        factor: f32,
    },
    /// Low frequencies divided by `factor`, high ones kept, as Llama 3.1 does.
    Llama3 {
        /// How many times longer the context becomes.
        factor: f32,
        /// The context it was trained for.
        original_context: u32,
        /// Waves longer than the context over this are stretched.
        low_freq_factor: f32,
        /// Waves shorter than the context over this are kept.
        high_freq_factor: f32,
    },
    /// Stretched by frequency with a ramp between, as YaRN does.
    Yarn {
        /// How many times longer the context becomes.
        factor: f32,
        /// The context it was trained for.
        original_context: u32,
        /// Frequencies with more turns than this in the context are kept.
        beta_fast: f32,
        /// Frequencies with fewer turns than this in the context are stretched.
        beta_slow: f32,
        /// What queries and keys are multiplied with; the host's formula where there is none.
        attention: Option<f32>,
    },
}

impl RopeScaling {
    /// All positions divided by `factor`.
    ///
    /// ```
    /// # use modularbase_pack::RopeScaling;
    /// let scaling = RopeScaling::linear(4.0);
    /// ```
    #[must_use]
    pub fn linear(factor: f32) -> Self {
        Self::Linear { factor }
    }

    /// Llama 3.1's, with its own frequency factors of 1 and 4.
    ///
    /// ```
    /// # use modularbase_pack::RopeScaling;
    /// let scaling = RopeScaling::llama3(8.0, 8192);
    /// ```
    #[must_use]
    pub fn llama3(factor: f32, original_context: u32) -> Self {
        let (low_freq_factor, high_freq_factor) = (1.0, 4.0);
        Self::Llama3 {
            factor,
            original_context,
            low_freq_factor,
            high_freq_factor,
        }
    }

    /// YaRN's, with its own betas of 32 and 1.
    ///
    /// ```
    /// # use modularbase_pack::RopeScaling;
    /// let scaling = RopeScaling::yarn(4.0, 32_768);
    /// ```
    #[must_use]
    pub fn yarn(factor: f32, original_context: u32) -> Self {
        let (beta_fast, beta_slow, attention) = (32.0, 1.0, None);
        Self::Yarn {
            factor,
            original_context,
            beta_fast,
            beta_slow,
            attention,
        }
    }
}

/// How [`moe`](crate::Value::moe) chooses among its experts.
///
/// ```
/// use modularbase_pack::Mixture;
///
/// let how = Mixture::new(2).normalise(false);
/// assert_eq!(how.options().len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixture(Options);

impl Mixture {
    /// Each row goes to the `top_k` experts with the highest scores.
    ///
    /// ```
    /// # use modularbase_pack::Mixture;
    /// let how = Mixture::new(2);
    /// ```
    #[must_use]
    pub fn new(top_k: u32) -> Self {
        let mut options = Options::default();
        options.set("top-k", top_k);
        Self(options)
    }

    /// Whether the chosen gates are made to sum to 1, which they are unless said otherwise.
    ///
    /// ```
    /// # use modularbase_pack::Mixture;
    /// let how = Mixture::new(2).normalise(false);
    /// ```
    #[must_use]
    pub fn normalise(mut self, normalise: bool) -> Self {
        self.0.set("normalise", normalise);
        self
    }

    /// The same as the contract's list of names and texts.
    ///
    /// ```
    /// # use modularbase_pack::Mixture;
    /// assert_eq!(Mixture::new(2).options(), [("top-k".to_owned(), "2".to_owned())]);
    /// ```
    pub fn options(&self) -> &[(String, String)] {
        &self.0.0
    }
}

/// How [`pool`](crate::Value::pool) makes one row of many.
///
/// ```
/// use modularbase_pack::Pool;
///
/// assert_eq!(Pool::Last.name(), "last");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pool {
    /// The mean of the rows.
    Mean,
    /// The largest of each value.
    Max,
    /// The first row.
    First,
    /// The last row.
    Last,
}

impl Pool {
    /// What the contract calls it.
    ///
    /// ```
    /// # use modularbase_pack::Pool;
    /// assert_eq!(Pool::Mean.name(), "mean");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(options: &[(String, String)]) -> String {
        let pairs: Vec<String> = options.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join(" ")
    }

    #[test]
    fn the_last_word_on_an_option_counts() {
        let how = Attention::new(4).window(64).window(128);
        assert_eq!(text(how.options()), "heads=4 window=128");
    }

    #[test]
    fn scalings_are_written_as_the_contract_names_them() {
        let how = Attention::new(4).rope_scaling(RopeScaling::llama3(8.0, 8192));
        assert_eq!(
            text(how.options()),
            "heads=4 rope-scaling=llama3 rope-factor=8 rope-original-context=8192 \
             rope-low-freq-factor=1 rope-high-freq-factor=4"
        );
        let how = Attention::new(4).rope_scaling(RopeScaling::yarn(4.0, 32_768));
        assert_eq!(
            text(how.options()),
            "heads=4 rope-scaling=yarn rope-factor=4 rope-original-context=32768 \
             rope-beta-fast=32 rope-beta-slow=1"
        );
    }

    #[test]
    fn numbers_come_back_as_the_same_bits() {
        for base in [10_000.0_f32, 1.0 / 3.0, 1e-9, f32::MAX] {
            let how = Attention::new(1).rope_base(base);
            let (_, text) = &how.options()[1];
            assert_eq!(text.parse(), Ok(base));
        }
    }
}

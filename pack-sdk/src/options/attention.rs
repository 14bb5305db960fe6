//! How attention attends: heads, positions, window.

use super::Options;
use crate::{Rope, RopeScaling};

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

//! Rotary positions: how queries and keys are turned, and how that is stretched.

use std::str::FromStr;

use crate::{Error, Result};

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

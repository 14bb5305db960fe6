//! Rotary positions: which frequencies a rope turns with.
//!
//! The formulas of the scalings are those that Llama 3 and YaRN checkpoints were trained
//! with; `tensor` turns pairs of values by `position · frequency`.

use serde::Serialize;

use super::PlanError;
use super::options::Options;

/// Which values of a head form a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Layout {
    /// `i` with `i + dim / 2`, as Hugging Face stores q and k.
    Halves,
    /// `2i` with `2i + 1`, as GGUF's llama stores them.
    Pairs,
}

/// How frequencies are stretched for contexts longer than those trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the fields are named as checkpoints name them")]
pub enum Scaling {
    None,
    Linear {
        factor: f32,
    },
    Llama3 {
        factor: f32,
        low_freq_factor: f32,
        high_freq_factor: f32,
        original_context: usize,
    },
    Yarn {
        factor: f32,
        beta_fast: f32,
        beta_slow: f32,
        original_context: usize,
        attention_factor: f32,
    },
}

/// A rotary position embedding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rope {
    /// Which values turn together.
    pub layout: Layout,
    /// The base of the geometric series of wavelengths.
    pub base: f32,
    /// How many of a head's values turn; the rest pass.
    pub dim: usize,
    /// How frequencies are stretched.
    pub scaling: Scaling,
}

impl Rope {
    pub(super) fn parse(options: &mut Options<'_>, head: usize) -> Result<Option<Self>, PlanError> {
        let layout = match options.text("rope") {
            None | Some("none") => None,
            Some("halves") => Some(Layout::Halves),
            Some("pairs") => Some(Layout::Pairs),
            Some(other) => return Err(options.wrong("rope", other, "none, halves or pairs")),
        };
        let base = options.positive("rope-base")?.unwrap_or(10_000.0);
        let dim = options.count("rope-dim")?.unwrap_or(head);
        let scaling = Scaling::parse(options)?;
        let Some(layout) = layout else {
            return Ok(None);
        };
        if dim > head || !dim.is_multiple_of(2) {
            let expected = format!("an even number up to the head's size, {head}");
            return Err(options.wrong("rope-dim", &dim.to_string(), &expected));
        }
        Ok(Some(Rope {
            layout,
            base,
            dim,
            scaling,
        }))
    }

    /// The angle per position of each of the `dim / 2` pairs.
    pub fn frequencies(&self) -> Vec<f32> {
        let (base, dim) = (f64::from(self.base), self.dim as f64);
        let plain = (0..self.dim / 2).map(|i| base.powf(-2.0 * i as f64 / dim));
        match self.scaling {
            Scaling::None => plain.map(|f| f as f32).collect(),
            Scaling::Linear { factor } => plain.map(|f| (f / f64::from(factor)) as f32).collect(),
            Scaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context,
            } => {
                let (low, high) = (f64::from(low_freq_factor), f64::from(high_freq_factor));
                plain
                    .map(|f| {
                        let turns = original_context as f64 * f / std::f64::consts::TAU;
                        let slow = f / f64::from(factor);
                        if turns < low {
                            slow as f32
                        } else if turns > high {
                            f as f32
                        } else {
                            let smooth = (turns - low) / (high - low);
                            ((1.0 - smooth) * slow + smooth * f) as f32
                        }
                    })
                    .collect()
            }
            Scaling::Yarn {
                factor,
                beta_fast,
                beta_slow,
                original_context,
                ..
            } => {
                // The pair that turns `turns` times over the original context.
                let pair = |turns: f32| {
                    let context = original_context as f64;
                    let ratio = context / (f64::from(turns) * std::f64::consts::TAU);
                    dim * ratio.ln() / (2.0 * base.ln())
                };
                let low = pair(beta_fast).floor().max(0.0);
                let mut high = pair(beta_slow).ceil().min(dim - 1.0);
                if low == high {
                    high += 0.001;
                }
                plain
                    .enumerate()
                    .map(|(i, f)| {
                        let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                        (f / f64::from(factor) * ramp + f * (1.0 - ramp)) as f32
                    })
                    .collect()
            }
        }
    }

    /// What turned pairs are multiplied with.
    pub fn magnitude(&self) -> f32 {
        match self.scaling {
            Scaling::Yarn {
                attention_factor, ..
            } => attention_factor,
            _ => 1.0,
        }
    }
}

impl Scaling {
    fn parse(options: &mut Options<'_>) -> Result<Self, PlanError> {
        let kind = options.text("rope-scaling").unwrap_or("none");
        let factor = options.positive("rope-factor")?;
        let context = options.count("rope-original-context")?;
        let low = options.positive("rope-low-freq-factor")?;
        let high = options.positive("rope-high-freq-factor")?;
        let fast = options.positive("rope-beta-fast")?;
        let slow = options.positive("rope-beta-slow")?;
        let attention = options.positive("rope-attention-factor")?;
        let need = |found: Option<f32>| found.ok_or_else(|| options.missing("rope-factor"));
        let need_context = || context.ok_or_else(|| options.missing("rope-original-context"));
        match kind {
            "none" => Ok(Scaling::None),
            "linear" => Ok(Scaling::Linear {
                factor: need(factor)?,
            }),
            "llama3" => {
                let (low, high) = (low.unwrap_or(1.0), high.unwrap_or(4.0));
                if high <= low {
                    let expected = format!("more than `rope-low-freq-factor`, {low}");
                    return Err(options.wrong(
                        "rope-high-freq-factor",
                        &high.to_string(),
                        &expected,
                    ));
                }
                Ok(Scaling::Llama3 {
                    factor: need(factor)?,
                    low_freq_factor: low,
                    high_freq_factor: high,
                    original_context: need_context()?,
                })
            }
            "yarn" => {
                let factor = need(factor)?;
                let learned = if factor > 1.0 {
                    0.1 * factor.ln() + 1.0
                } else {
                    1.0
                };
                Ok(Scaling::Yarn {
                    factor,
                    beta_fast: fast.unwrap_or(32.0),
                    beta_slow: slow.unwrap_or(1.0),
                    original_context: need_context()?,
                    attention_factor: attention.unwrap_or(learned),
                })
            }
            other => Err(options.wrong("rope-scaling", other, "none, linear, llama3 or yarn")),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(base: f32, dim: usize, scaling: Scaling) -> Rope {
        Rope {
            layout: Layout::Halves,
            base,
            dim,
            scaling,
        }
    }

    fn check(rope: Rope, expected: &[f64]) {
        let found = rope.frequencies();
        assert_eq!(found.len(), rope.dim / 2);
        for (found, expected) in found.iter().zip(expected) {
            let apart = (f64::from(*found) - expected).abs() / expected;
            assert!(apart < 1e-6, "{found}, expected {expected}");
        }
    }

    // What `transformers` 5.23 computes for these checkpoints: its formulas, in double precision.

    #[test]
    fn yarn_turns_as_transformers_does() {
        let scaling = Scaling::Yarn {
            factor: 4.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_context: 128,
            attention_factor: 1.138_629_4,
        };
        let expected = [
            1.0,
            0.237_170_824_512_628_5,
            0.05,
            0.007_905_694_150_420_948,
            0.0025,
            0.000_790_569_415_042_094_8,
            0.000_25,
            7.905_694_150_420_948e-05,
        ];
        check(rope(10_000.0, 16, scaling), &expected);
    }

    #[test]
    fn llama3_turns_as_transformers_does() {
        let scaling = Scaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 256,
        };
        let expected = [
            1.0,
            0.193_922_744_748_685_76,
            0.010_538_232_746_455_323,
            0.000_911_583_092_152_138_9,
            0.000_176_776_695_296_636_88,
            3.428_102_195_952_591e-05,
            6.647_869_871_181_235e-06,
            1.289_173_172_151_557_4e-06,
        ];
        check(rope(500_000.0, 16, scaling), &expected);
    }

    #[test]
    fn linear_slows_every_pair_alike() {
        let scaling = Scaling::Linear { factor: 2.0 };
        check(rope(10_000.0, 8, scaling), &[0.5, 0.05, 0.005, 0.0005]);
        check(rope(10_000.0, 4, Scaling::None), &[1.0, 0.01]);
    }
}

//! What `[model]` in `pack.toml` may say about the router.
//!
//! Read once, by `load`. What stays true: settings that were read give finite scores.

use modularbase_pack::{Error, Network, Result};

/// The router's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How far apart scores lie: a pack that fits better by this much scores e times as much.
    pub temperature: f64,
    /// The fit below which no pack is chosen.
    pub threshold: f64,
    /// What a keyword in the text adds to a fit.
    pub keyword_bonus: f64,
    /// The most that all keywords together add.
    pub keyword_cap: f64,
    /// A second pack is chosen when it fits worse than the first by less than this.
    pub mix_margin: f64,
    /// How many packs are named besides the chosen.
    pub runners_up: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            threshold: 0.35,
            keyword_bonus: 0.1,
            keyword_cap: 0.3,
            mix_margin: 0.02,
            runners_up: 2,
        }
    }
}

impl Settings {
    /// What the pack's configuration says, and the defaults for the rest.
    pub fn from_network(net: &Network<'_>) -> Result<Self> {
        let default = Self::default();
        let settings = Self {
            temperature: net.config_or("temperature", default.temperature)?,
            threshold: net.config_or("threshold", default.threshold)?,
            keyword_bonus: net.config_or("keyword-bonus", default.keyword_bonus)?,
            keyword_cap: net.config_or("keyword-cap", default.keyword_cap)?,
            mix_margin: net.config_or("mix-margin", default.mix_margin)?,
            runners_up: net.config_or("runners-up", default.runners_up)?,
        };
        settings.checked()
    }

    fn checked(self) -> Result<Self> {
        let within = |key: &str, value: f64, least: f64, most: f64| {
            // Not a number is within nothing.
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::Other(format!(
                "`[model]`: `{key}` is {value}, expected a number from {least} to {most}"
            )))
        };
        within("temperature", self.temperature, 0.001, 100.0)?;
        within("threshold", self.threshold, 0.0, 1.0)?;
        within("keyword-bonus", self.keyword_bonus, 0.0, 1.0)?;
        within("keyword-cap", self.keyword_cap, 0.0, 1.0)?;
        within("mix-margin", self.mix_margin, 0.0, 1.0)?;
        Ok(self)
    }

    /// What so many keywords add to a fit.
    pub fn bonus(&self, keywords: usize) -> f64 {
        (keywords as f64 * self.keyword_bonus).min(self.keyword_cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_fit_to_use_and_keywords_alone_choose_nothing() {
        let default = Settings::default();
        assert_eq!(default.checked(), Ok(default));
        assert!(default.bonus(usize::MAX) < default.threshold);
    }

    #[test]
    fn keywords_add_up_to_the_cap() {
        let settings = Settings {
            keyword_bonus: 0.125,
            keyword_cap: 0.25,
            ..Settings::default()
        };
        let bonus = [0, 1, 2, 3, 1000].map(|found| settings.bonus(found));
        assert_eq!(bonus, [0.0, 0.125, 0.25, 0.25, 0.25]);
    }

    #[test]
    fn what_would_give_no_sound_score_is_refused_by_key() {
        let refused = |settings: Settings| {
            let refused = settings.checked().map_err(|error| error.to_string());
            refused.expect_err("it is not sound")
        };
        let default = Settings::default();
        let cold = refused(Settings {
            temperature: 0.0,
            ..default
        });
        let words = "`[model]`: `temperature` is 0, expected a number from 0.001 to 100";
        assert_eq!(cold, words);
        let odd = [f64::NAN, f64::INFINITY, -0.5, 1.5];
        for value in odd {
            let wrong = [
                (
                    "threshold",
                    Settings {
                        threshold: value,
                        ..default
                    },
                ),
                (
                    "keyword-bonus",
                    Settings {
                        keyword_bonus: value,
                        ..default
                    },
                ),
                (
                    "keyword-cap",
                    Settings {
                        keyword_cap: value,
                        ..default
                    },
                ),
                (
                    "mix-margin",
                    Settings {
                        mix_margin: value,
                        ..default
                    },
                ),
            ];
            for (key, settings) in wrong {
                let words = format!("`[model]`: `{key}` is {value}, expected a number from 0 to 1");
                assert_eq!(refused(settings), words);
            }
        }
    }
}

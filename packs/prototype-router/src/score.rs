//! How near candidates are to a turn, and which of them it goes to.
//!
//! `route` is the caller. Arithmetic is in 64 bits, where squares of 32-bit floats do not
//! overflow. What stays true: a fit is finite and not negative, whatever a signature holds; an
//! answer depends on the candidates' fits and ids, not on their order.

use std::cmp::Ordering;

use crate::settings::Settings;

/// Signatures of a candidate that are looked at: more of them would hit more by chance.
const MOST_SIGNATURES: usize = 16;

/// A turn's pooled state, as a direction.
pub struct Turn {
    /// Of length 1; none when the state has no direction.
    unit: Option<Vec<f64>>,
}

/// How well a candidate fits a turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    pub id: String,
    /// Its similarity and what its keywords add.
    pub fit: f64,
}

/// Where a turn goes: ids, with scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decided {
    pub chosen: Vec<(String, f32)>,
    pub runners_up: Vec<(String, f32)>,
}

impl Turn {
    pub fn new(pooled: &[f32]) -> Self {
        let unit = length(pooled).map(|length| {
            let numbers = pooled.iter().map(|&x| f64::from(x) / length);
            numbers.collect()
        });
        Self { unit }
    }

    /// The best cosine between the turn and a signature, from 0 to 1. A signature without a
    /// direction (zeros, something not finite) or of another width counts for nothing.
    pub fn similarity(&self, signatures: &[Vec<f32>]) -> f64 {
        let Some(unit) = &self.unit else { return 0.0 };
        let cosine = |signature: &Vec<f32>| {
            let fits = signature.len() == unit.len();
            let length = length(signature).filter(|_| fits)?;
            let products = signature.iter().zip(unit).map(|(&x, u)| f64::from(x) * u);
            Some(products.sum::<f64>() / length)
        };
        let looked_at = signatures.iter().take(MOST_SIGNATURES);
        looked_at.filter_map(cosine).fold(0.0, f64::max).min(1.0)
    }
}

/// The length of a vector, if it is one that can be divided by.
fn length(vector: &[f32]) -> Option<f64> {
    let square: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    (square.is_finite() && square > 0.0).then(|| square.sqrt())
}

/// The best fit, if it is good enough; a second one that is nearly as good, for a turn that is
/// about both; and the next few, which may be worth loading. Nothing at all when the best is not
/// good enough: the turn is general chat's.
pub fn decide(mut fits: Vec<Fit>, settings: &Settings) -> Decided {
    fits.retain(|it| it.fit > 0.0);
    fits.sort_by(best_first);
    let Some(best) = fits.first().map(|it| it.fit) else {
        return Decided::default();
    };
    if best < settings.threshold {
        return Decided::default();
    }
    let mixed = fits.get(1).is_some_and(|second| {
        second.fit >= settings.threshold && best - second.fit < settings.mix_margin
    });
    let chosen = 1 + usize::from(mixed);
    // The softmax, in the order of the fits: sums differ with the order of their parts.
    let share = |it: &Fit| ((it.fit - best) / settings.temperature).exp();
    let all: f64 = fits.iter().map(share).sum();
    let mut scored: Vec<(String, f32)> = fits
        .into_iter()
        .map(|it| ((share(&it) / all) as f32, it.id))
        .map(|(score, id)| (id, score))
        .collect();
    let mut runners_up = scored.split_off(chosen);
    runners_up.truncate(settings.runners_up as usize);
    Decided {
        chosen: scored,
        runners_up,
    }
}

/// Of equal fits the lower id comes first.
fn best_first(a: &Fit, b: &Fit) -> Ordering {
    b.fit.total_cmp(&a.fit).then_with(|| a.id.cmp(&b.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(fits: &[(&str, f64)]) -> Decided {
        let fit = |(id, fit): &(&str, f64)| Fit {
            id: (*id).to_owned(),
            fit: *fit,
        };
        decide(fits.iter().map(fit).collect(), &Settings::default())
    }

    fn ids(named: &[(String, f32)]) -> Vec<&str> {
        named.iter().map(|(id, _)| id.as_str()).collect()
    }

    #[test]
    fn a_similarity_is_the_best_cosine_and_never_below_zero() {
        let turn = Turn::new(&[3.0, 4.0]);
        assert_eq!(turn.similarity(&[]), 0.0);
        assert!((turn.similarity(&[vec![1.0, 0.0]]) - 0.6).abs() < 1e-12);
        assert!((turn.similarity(&[vec![1.0, 0.0], vec![0.0, 2.0]]) - 0.8).abs() < 1e-12);
        assert_eq!(turn.similarity(&[vec![-3.0, -4.0]]), 0.0);
    }

    #[test]
    fn length_counts_for_nothing() {
        let turn = Turn::new(&[1e-30, 1e-30]);
        for size in [f32::MIN_POSITIVE, 1.0, f32::MAX] {
            let found = turn.similarity(&[vec![size, size]]);
            assert!(
                (found - 1.0).abs() < 1e-12 && found <= 1.0,
                "{size}: {found}"
            );
        }
    }

    #[test]
    fn what_has_no_direction_or_another_width_is_similar_to_nothing() {
        let odd = [
            vec![0.0, 0.0],
            vec![f32::NAN, 1.0],
            vec![f32::INFINITY, 1.0],
            vec![1.0],
            vec![1.0, 1.0, 1.0],
            vec![],
        ];
        let turn = Turn::new(&[1.0, 1.0]);
        assert_eq!(turn.similarity(&odd), 0.0);
        for pooled in &odd {
            let turn = Turn::new(pooled);
            assert_eq!(turn.similarity(&[vec![1.0, 1.0]]), 0.0);
        }
        assert_eq!(Turn::new(&[]).similarity(&[vec![]]), 0.0);
    }

    #[test]
    fn signatures_past_the_most_are_not_looked_at() {
        let mut signatures = vec![vec![0.0, 1.0]; MOST_SIGNATURES];
        signatures.push(vec![1.0, 0.0]);
        assert_eq!(Turn::new(&[1.0, 0.0]).similarity(&signatures), 0.0);
    }

    #[test]
    fn one_pack_is_chosen_unless_a_second_is_nearly_as_good() {
        let one = decided(&[("a", 0.9), ("b", 0.8), ("c", 0.2), ("d", 0.1)]);
        assert_eq!(ids(&one.chosen), ["a"]);
        assert_eq!(ids(&one.runners_up), ["b", "c"]);
        let two = decided(&[("a", 0.9), ("b", 0.89), ("c", 0.889), ("d", 0.0)]);
        assert_eq!(ids(&two.chosen), ["a", "b"]);
        assert_eq!(ids(&two.runners_up), ["c"]);
    }

    #[test]
    fn what_is_not_good_enough_names_nobody() {
        let best = Settings::default().threshold;
        assert_eq!(ids(&decided(&[("a", best)]).chosen), ["a"]);
        assert_eq!(
            decided(&[("a", best - 1e-9), ("b", 0.1)]),
            Decided::default()
        );
        // The second is near enough to the first, and below the threshold.
        let two = decided(&[("a", best), ("b", best - 1e-9)]);
        assert_eq!(
            (ids(&two.chosen), ids(&two.runners_up)),
            (vec!["a"], vec!["b"])
        );
        assert_eq!(decided(&[]), Decided::default());
    }

    #[test]
    fn scores_are_the_softmax_of_all_fits() {
        let found = decided(&[("a", 0.5), ("b", 0.4), ("c", 0.3)]);
        let all = 1.0 + (-1.0f64).exp() + (-2.0f64).exp();
        let scores = found.chosen.iter().chain(&found.runners_up);
        for ((_, score), expected) in scores.zip([1.0, (-1.0f64).exp(), (-2.0f64).exp()]) {
            assert!((f64::from(*score) - expected / all).abs() < 1e-7);
        }
    }

    #[test]
    fn equal_fits_go_by_id_in_any_order() {
        let expected = decided(&[("a", 0.7), ("b", 0.7), ("c", 0.7), ("d", 0.4)]);
        assert_eq!(ids(&expected.chosen), ["a", "b"]);
        let turned = decided(&[("d", 0.4), ("c", 0.7), ("b", 0.7), ("a", 0.7)]);
        assert_eq!(turned, expected);
    }
}

//! A mixture of experts: each row goes through the few that its router scores highest.
//!
//! The host chooses, for which it waits for the scores; then each chosen expert runs once, over
//! the rows that chose it. What stays true: an expert that no row chose is not touched.

use candle_core::{Result, Tensor};
use candle_nn::ops::softmax_last_dim;

use super::weights::Matrix;

/// How experts are chosen.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    /// How many for each row.
    pub(super) top_k: usize,
    /// Whether the chosen gates sum to 1.
    pub(super) normalise: bool,
}

/// The rows that chose an expert, and their gates.
#[derive(Clone, Default)]
struct Chosen {
    rows: Vec<u32>,
    gates: Vec<f32>,
}

/// `sum over chosen e of gate_e · down_e(silu(gate_e x) · up_e x)`.
pub(super) fn run(
    x: &Tensor,
    router: &Matrix,
    [gate, up, down]: [&[Matrix]; 3],
    choice: Choice,
) -> Result<Tensor> {
    let scores = softmax_last_dim(&router.times(x)?)?.to_vec2::<f32>()?;
    let mut out = x.zeros_like()?;
    let experts = gate.iter().zip(up).zip(down);
    for (chosen, ((gate, up), down)) in choice.of(&scores, gate.len()).into_iter().zip(experts) {
        if chosen.rows.is_empty() {
            continue;
        }
        let count = chosen.rows.len();
        let rows = Tensor::from_vec(chosen.rows, count, x.device())?;
        let gates = Tensor::from_vec(chosen.gates, (count, 1), x.device())?;
        let x = x.index_select(&rows, 0)?;
        let inner = (gate.times(&x)?.silu()? * up.times(&x)?)?;
        let y = down.times(&inner)?.broadcast_mul(&gates)?;
        out = out.index_add(&rows, &y, 0)?;
    }
    Ok(out)
}

impl Choice {
    /// Which rows each expert gets. Of equal scores the first expert's wins.
    fn of(self, scores: &[Vec<f32>], experts: usize) -> Vec<Chosen> {
        let mut all = vec![Chosen::default(); experts];
        for (row, scores) in (0u32..).zip(scores) {
            let mut order: Vec<(usize, f32)> = scores.iter().copied().enumerate().collect();
            order.sort_by(|(i, a), (j, b)| b.total_cmp(a).then(i.cmp(j)));
            order.truncate(self.top_k);
            let sum: f32 = order.iter().map(|(_, score)| score).sum();
            let whole = if self.normalise { sum } else { 1.0 };
            for (expert, score) in order {
                if let Some(chosen) = all.get_mut(expert) {
                    chosen.rows.push(row);
                    chosen.gates.push(score / whole);
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_scores_are_chosen_and_ties_go_to_the_first() {
        let choice = Choice {
            top_k: 2,
            normalise: true,
        };
        let chosen = choice.of(&[vec![0.2, 0.4, 0.2, 0.2], vec![0.1, 0.1, 0.2, 0.6]], 4);
        let rows: Vec<_> = chosen.iter().map(|c| c.rows.clone()).collect();
        assert_eq!(rows, [vec![0], vec![0], vec![1], vec![1]]);
        let gates: Vec<_> = chosen.iter().flat_map(|c| c.gates.clone()).collect();
        for (gate, expected) in gates.iter().zip([1.0 / 3.0, 2.0 / 3.0, 0.25, 0.75]) {
            assert!((gate - expected).abs() < 1e-6, "{gate} is not {expected}");
        }
    }
}

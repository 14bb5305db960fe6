//! A mixture of experts: each row through its chosen few.
//!
//! Rows are gathered for each expert in turn, so that an expert's weights are read once for all
//! its rows; a row's results are added in the order of the experts, whoever else chose them.

use super::level::Level;
use super::matrix::{Matrix, Operand};
use super::quant::Rows;
use super::rowwise::{add_scaled, softmax, swiglu};
use super::team::Hands;

/// The weights of a mixture.
pub(super) struct Experts<'a> {
    pub router: &'a Matrix,
    pub gate: &'a Matrix,
    pub up: &'a Matrix,
    pub down: &'a Matrix,
    pub top_k: usize,
    pub normalise: bool,
}

/// Room for the rows of one expert.
#[derive(Debug, Default)]
pub(super) struct Room {
    numbers: Vec<f32>,
}

impl Experts<'_> {
    /// `out = Σ score · down(swiglu(gate(x), up(x)))`; how many rows went through experts.
    pub fn mix(
        &self,
        level: Level,
        hands: Hands,
        x: &[f32],
        room: &mut Room,
        quantised: &mut Rows,
        out: &mut [f32],
    ) -> usize {
        let width = self.router.width();
        let count = self.router.rows();
        let inner = self.down.width();
        let rows = x.len() / width;
        let len = count + rows * (count + 2 * width + 3 * inner);
        if room.numbers.len() < len {
            room.numbers.resize(len, 0.0);
        }
        let (shares, rest) = room.numbers.split_at_mut(count);
        let (scores, rest) = rest.split_at_mut(rows * count);
        multiply(self.router, level, hands, x, quantised, 0..count, scores);
        for scores in scores.chunks_exact_mut(count) {
            self.choose(level, scores, shares);
        }
        out.fill(0.0);
        let mut passed = 0;
        for expert in 0..count {
            let chosen = |row: &usize| scores[row * count + expert] != 0.0;
            let rows: Vec<usize> = (0..rows).filter(chosen).collect();
            if rows.is_empty() {
                continue;
            }
            passed += rows.len();
            let (into, rest) = rest.split_at_mut(rows.len() * width);
            let (result, rest) = rest.split_at_mut(rows.len() * width);
            let (gate, rest) = rest.split_at_mut(rows.len() * inner);
            let (up, rest) = rest.split_at_mut(rows.len() * inner);
            let gated = &mut rest[..rows.len() * inner];
            for (into, &row) in into.chunks_exact_mut(width).zip(&rows) {
                into.copy_from_slice(&x[row * width..][..width]);
            }
            let inside = expert * inner..(expert + 1) * inner;
            multiply(
                self.gate,
                level,
                hands,
                into,
                quantised,
                inside.clone(),
                gate,
            );
            multiply(self.up, level, hands, into, quantised, inside, up);
            swiglu(level, gate, up, gated);
            let outside = expert * width..(expert + 1) * width;
            multiply(self.down, level, hands, gated, quantised, outside, result);
            for (result, &row) in result.chunks_exact(width).zip(&rows) {
                let score = scores[row * count + expert];
                add_scaled(level, result, score, &mut out[row * width..][..width]);
            }
        }
        passed
    }

    /// Scores to shares of the chosen experts, the others' to zero. Of equal scores the lower
    /// expert's counts first.
    fn choose(&self, level: Level, scores: &mut [f32], shares: &mut [f32]) {
        softmax(level, scores, shares);
        let mut order: Vec<usize> = (0..shares.len()).collect();
        order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
        order.truncate(self.top_k);
        order.sort_unstable();
        let all: f32 = if self.normalise {
            order.iter().map(|&expert| shares[expert]).sum()
        } else {
            1.0
        };
        scores.fill(0.0);
        for expert in order {
            scores[expert] = shares[expert] / all;
        }
    }
}

fn multiply(
    matrix: &Matrix,
    level: Level,
    hands: Hands,
    x: &[f32],
    quantised: &mut Rows,
    range: std::ops::Range<usize>,
    out: &mut [f32],
) {
    if matrix.is_quantised() {
        quantised.fill(level, hands, x, matrix.width());
    }
    let x = Operand {
        plain: x,
        quantised,
    };
    matrix.multiply(level, hands, x, range, out);
}

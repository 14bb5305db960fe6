//! Rotary positions: turning queries and keys.
//!
//! An angle is the 32-bit product of a position and a frequency, as checkpoints were trained
//! with; a row's angles depend on its position alone.

use crate::plan::{Attention, Layout, Rope};

use super::team::Hands;

/// The cosines and sines of a step's rows.
#[derive(Debug, Default)]
pub(super) struct Angles {
    /// For each row the cosines of its pairs, then the sines.
    numbers: Vec<f32>,
}

impl Angles {
    /// Bytes for each row of a step.
    pub fn bytes(rope: &Rope) -> u64 {
        4 * rope.dim as u64
    }

    /// Takes the angles of rows at `positions`.
    pub fn fill(&mut self, rope: &Rope, frequencies: &[f32], hands: Hands, positions: &[usize]) {
        let len = positions.len() * rope.dim;
        if self.numbers.len() < len {
            self.numbers.resize(len, 0.0);
        }
        let magnitude = rope.magnitude();
        let pairs = rope.dim / 2;
        // A cosine and a sine cost some twenty multiplications each.
        hands.rows(
            &mut self.numbers[..len],
            rope.dim,
            20 * rope.dim,
            |at, row| {
                let (cosines, sines) = row.split_at_mut(pairs);
                let position = positions[at] as f32;
                for ((cosine, sine), frequency) in cosines.iter_mut().zip(sines).zip(frequencies) {
                    let angle = position * frequency;
                    *cosine = angle.cos() * magnitude;
                    *sine = angle.sin() * magnitude;
                }
            },
        );
    }

    /// Turns the heads of every row of `x` into `out`.
    pub fn turn(
        &self,
        how: &Attention,
        rope: &Rope,
        hands: Hands,
        x: &[f32],
        out: &mut [f32],
        width: usize,
    ) {
        let pairs = rope.dim / 2;
        hands.rows(out, width, 2 * width, |at, out| {
            let x = &x[at * width..][..width];
            let (cosines, sines) = self.numbers[at * rope.dim..][..rope.dim].split_at(pairs);
            for (x, out) in x
                .chunks_exact(how.key_head)
                .zip(out.chunks_exact_mut(how.key_head))
            {
                match rope.layout {
                    Layout::Halves => {
                        let (a, b) = x[..rope.dim].split_at(pairs);
                        let (out_a, out_b) = out[..rope.dim].split_at_mut(pairs);
                        for i in 0..pairs {
                            out_a[i] = a[i] * cosines[i] - b[i] * sines[i];
                            out_b[i] = b[i] * cosines[i] + a[i] * sines[i];
                        }
                    }
                    Layout::Pairs => {
                        let turned = x[..rope.dim].as_chunks::<2>().0.iter();
                        let into = out[..rope.dim].as_chunks_mut::<2>().0.iter_mut();
                        for (i, ([a, b], out)) in turned.zip(into).enumerate() {
                            out[0] = a * cosines[i] - b * sines[i];
                            out[1] = b * cosines[i] + a * sines[i];
                        }
                    }
                }
                out[rope.dim..].copy_from_slice(&x[rope.dim..]);
            }
        });
    }
}

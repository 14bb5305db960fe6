//! Sums of products with quantised weights, read where they are mapped.
//!
//! A row of numbers is quantised once, to 8 bits and a scale for each 32 of them ([`Rows`]).
//! A weight's block gives 32 small whole numbers at a time with their scales ([`Format`]); the
//! products of whole numbers are exact, and are added up scaled, block after block. What stays
//! true: a sum's order is the row's alone, so any number of rows gives the same bits, and a row
//! that is not finite gives sums that are not.
//!
//! Candle's kernels for the same types sum in other orders for other numbers of rows, or one
//! number at a time (`Q4_1`, `Q5_0`, `Q5_1`); these share one loop.

mod format;
mod kernel;
#[cfg(target_arch = "x86_64")]
mod vector;

pub(super) use format::{Format, Plain, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
pub(super) use kernel::products;

use rayon::prelude::*;

use super::level::{Level, for_each_level};
use super::team::Hands;

/// How many numbers share a scale.
pub(super) const GROUP: usize = 32;

/// Rows quantised to 8 bits.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: usize,
    groups: usize,
    numbers: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<f32>,
}

impl Rows {
    /// Bytes of one row of `width` numbers.
    pub fn bytes(width: usize) -> u64 {
        let (width, groups) = (width as u64, width.div_ceil(GROUP) as u64);
        width + 8 * groups
    }

    /// Takes rows of `width` numbers, a multiple of [`GROUP`], in place of those it held.
    pub fn fill(&mut self, level: Level, hands: Hands, x: &[f32], width: usize) {
        self.groups = width / GROUP;
        self.rows = x.len() / width;
        if self.numbers.len() < x.len() {
            self.numbers.resize(x.len(), 0);
            self.scales.resize(x.len() / GROUP, 0.0);
            self.sums.resize(x.len() / GROUP, 0.0);
        }
        let groups = self.groups;
        let hands = hands.for_work(4 * x.len());
        if hands.count() == 1 {
            quantise(
                level,
                x,
                &mut self.numbers,
                &mut self.scales,
                &mut self.sums,
            );
        } else {
            x.par_chunks(width)
                .zip(self.numbers.par_chunks_mut(width))
                .zip(self.scales.par_chunks_mut(groups))
                .zip(self.sums.par_chunks_mut(groups))
                .for_each(|(((x, numbers), scales), sums)| {
                    quantise(level, x, numbers, scales, sums);
                });
        }
    }
}

for_each_level! {
    /// Each group's whole numbers, its scale, and the sum of its numbers.
    fn quantise(x: &[f32], numbers: &mut [i8], scales: &mut [f32], sums: &mut [f32]) {
        // Adding this rounds to a whole number, which is then found in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        let (groups, _) = x.as_chunks::<GROUP>();
        let (numbers, _) = numbers.as_chunks_mut::<GROUP>();
        for (((x, numbers), scale), sum) in groups.iter().zip(numbers).zip(scales).zip(sums) {
            let mut most = [0.0f32; 8];
            // Zero, unless something is not finite.
            let mut poison = [0.0f32; 8];
            for eight in x.as_chunks::<8>().0 {
                for ((most, poison), &x) in most.iter_mut().zip(&mut poison).zip(eight) {
                    *most = if x.abs() > *most { x.abs() } else { *most };
                    *poison += x * 0.0;
                }
            }
            let most = most.iter().fold(0.0f32, |most, &x| if x > most { x } else { most });
            let poison: f32 = poison.iter().sum();
            let up = if most > 0.0 { 127.0 / most } else { 0.0 };
            let mut total = 0i32;
            for (number, &x) in numbers.iter_mut().zip(x) {
                let bits = (x * up + ROUND).to_bits() as i32;
                *number = bits.wrapping_sub(ROUND.to_bits() as i32) as i8;
                total += i32::from(*number);
            }
            *scale = most / 127.0 + poison;
            *sum = *scale * total as f32;
        }
    }
}

#[cfg(test)]
mod tests;

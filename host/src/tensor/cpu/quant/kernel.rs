//! The loop over blocks, once for each level.
//!
//! A block of a weight is unpacked once for a tile of rows. Each (row, weight) pair has its own
//! accumulator of eight lanes: for every group, the products' sums of four neighbours each are
//! exact, and are added scaled.

use super::super::level::{Level, Set};
use super::super::view::{View, Window};
use super::{Format, GROUP, Rows};

#[cfg(target_arch = "x86_64")]
use super::super::dense::add_lanes;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// `out[r][c] = x[first + r] · w[c]`, for as many rows as `out` has.
///
/// # Panics
/// When the operands' sizes do not go together.
pub fn products<F: Format>(
    level: Level,
    x: &Rows,
    first: usize,
    w: View<'_, F::Block>,
    mut out: Window<'_>,
) {
    let (rows, columns) = (out.rows(), out.width());
    assert_eq!(x.groups, w.width() * F::GROUPS);
    assert!(first + rows <= x.rows && w.rows() == columns);
    let task = Task::<F> {
        blocks: w.width(),
        groups: x.groups,
        numbers: &x.numbers[first * x.groups * GROUP..],
        scales: &x.scales[first * x.groups..],
        sums: &x.sums[first * x.groups..],
        w: w.as_ptr(),
        w_stride: w.stride(),
        out: out.as_mut_ptr(),
        out_stride: out.stride(),
    };
    // SAFETY: the operands hold the rows and columns that the task is asked for, by the checks
    // above, and a level is only made on a processor that has its instructions.
    unsafe {
        match level.set() {
            Set::Portable => task.portable(rows, columns),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => task.avx2(rows, columns),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => task.avx512(rows, columns),
        }
    }
}

/// The operands as a kernel wants them.
struct Task<'a, F: Format> {
    blocks: usize,
    groups: usize,
    numbers: &'a [i8],
    scales: &'a [f32],
    sums: &'a [f32],
    w: *const F::Block,
    w_stride: usize,
    out: *mut f32,
    out_stride: usize,
}

/// Covers rows and columns with tiles; a weight's block is unpacked once for a tile's rows.
macro_rules! cover {
    ($task:ident, $tile:ident, $rows:ident, $columns:ident) => {
        let mut row = 0;
        while row < $rows {
            let tall = $rows - row >= 4;
            let mut column = 0;
            while column < $columns {
                let wide = $columns - column >= 4;
                // SAFETY: the tile lies within the rows and columns that the caller vouches for.
                unsafe {
                    match (tall, wide) {
                        (true, true) => $task.$tile::<4, 4>(row, column),
                        (true, false) => $task.$tile::<4, 1>(row, column),
                        (false, true) => $task.$tile::<1, 4>(row, column),
                        (false, false) => $task.$tile::<1, 1>(row, column),
                    }
                }
                column += if wide { 4 } else { 1 };
            }
            row += if tall { 4 } else { 1 };
        }
    };
}

/// A tile for processors with 256-bit vectors; `$dot` adds up groups of four products.
macro_rules! tile {
    ($name:ident, $features:literal, $dot:ident) => {
        /// # Safety
        /// The tile lies within the operands.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name<const R: usize, const C: usize>(&self, row: usize, column: usize) {
            // SAFETY: blocks, rows and columns lie within the operands, by the caller's word.
            unsafe {
                let width = self.groups * GROUP;
                let numbers = self.numbers.as_ptr().add(row * width);
                let scales = self.scales.as_ptr().add(row * self.groups);
                let sums = self.sums.as_ptr().add(row * self.groups);
                let w = self.w.add(column * self.w_stride);
                let mut totals = [[_mm256_setzero_ps(); C]; R];
                for at in 0..self.blocks {
                    for c in 0..C {
                        let block = &*w.add(c * self.w_stride + at);
                        let of = F::scales(block);
                        for group in 0..F::GROUPS {
                            let q = F::vector(block, group);
                            let size = _mm256_abs_epi8(q);
                            let [low, high] = of.halves[group];
                            let scale = _mm256_set_m128(_mm_set1_ps(high), _mm_set1_ps(low));
                            let g = at * F::GROUPS + group;
                            for r in 0..R {
                                let x = numbers.add(r * width + g * GROUP);
                                let x = _mm256_loadu_si256(x.cast());
                                let dot = $dot(size, _mm256_sign_epi8(x, q));
                                let dot = _mm256_cvtepi32_ps(dot);
                                let both = _mm256_set1_ps(*scales.add(r * self.groups + g));
                                let both = _mm256_mul_ps(scale, both);
                                totals[r][c] = _mm256_fmadd_ps(dot, both, totals[r][c]);
                                if F::OFFSETS {
                                    let sum = _mm_load_ss(sums.add(r * self.groups + g));
                                    let sum = _mm256_zextps128_ps256(sum);
                                    let offset = _mm256_set1_ps(of.offsets[group]);
                                    totals[r][c] = _mm256_fmadd_ps(sum, offset, totals[r][c]);
                                }
                            }
                        }
                    }
                }
                for r in 0..R {
                    for c in 0..C {
                        let out = self.out.add((row + r) * self.out_stride + column + c);
                        *out = add_lanes(totals[r][c]);
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn dot_pairs(size: __m256i, x: __m256i) -> __m256i {
    _mm256_madd_epi16(_mm256_maddubs_epi16(size, x), _mm256_set1_epi16(1))
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512vl,avx512vnni")]
fn dot_fours(size: __m256i, x: __m256i) -> __m256i {
    _mm256_dpbusd_epi32(_mm256_setzero_si256(), size, x)
}

impl<F: Format> Task<'_, F> {
    /// # Safety
    /// The operands have these many rows and columns.
    unsafe fn portable(&self, rows: usize, columns: usize) {
        cover!(self, portable_tile, rows, columns);
    }

    /// # Safety
    /// The operands have these many rows and columns.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn avx2(&self, rows: usize, columns: usize) {
        cover!(self, avx2_tile, rows, columns);
    }

    /// # Safety
    /// The operands have these many rows and columns.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl,avx512vnni")]
    unsafe fn avx512(&self, rows: usize, columns: usize) {
        cover!(self, avx512_tile, rows, columns);
    }

    tile!(avx2_tile, "avx2,fma,f16c", dot_pairs);
    tile!(
        avx512_tile,
        "avx2,fma,f16c,avx512f,avx512vl,avx512vnni",
        dot_fours
    );

    /// # Safety
    /// The tile lies within the operands.
    unsafe fn portable_tile<const R: usize, const C: usize>(&self, row: usize, column: usize) {
        let width = self.groups * GROUP;
        let mut totals = [[0.0f32; C]; R];
        for at in 0..self.blocks {
            for c in 0..C {
                // SAFETY: blocks and columns lie within the weight, by the caller's word.
                let block = unsafe { &*self.w.add((column + c) * self.w_stride + at) };
                let of = F::scales(block);
                for group in 0..F::GROUPS {
                    let q = F::numbers(block, group);
                    let [low, high] = of.halves[group];
                    let g = at * F::GROUPS + group;
                    for (r, totals) in totals.iter_mut().enumerate() {
                        let x = &self.numbers[(row + r) * width + g * GROUP..][..GROUP];
                        let dot = |from: usize| {
                            let pairs = q[from..from + 16].iter().zip(&x[from..from + 16]);
                            let dot: i32 = pairs.map(|(&q, &x)| i32::from(q) * i32::from(x)).sum();
                            dot as f32
                        };
                        let at = (row + r) * self.groups + g;
                        let scale = self.scales[at];
                        totals[c] += dot(0) * (low * scale) + dot(16) * (high * scale);
                        if F::OFFSETS {
                            totals[c] += of.offsets[group] * self.sums[at];
                        }
                    }
                }
            }
        }
        for (r, totals) in totals.iter().enumerate() {
            for (c, total) in totals.iter().enumerate() {
                // SAFETY: the tile lies within the rows and columns, by the caller's word.
                unsafe { *self.out.add((row + r) * self.out_stride + column + c) = *total };
            }
        }
    }
}

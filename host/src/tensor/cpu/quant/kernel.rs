//! The loop over blocks, once for each level.
//!
//! A block of a weight is unpacked once for a tile of rows. Each (row, weight) pair has its own
//! accumulator of eight lanes: for every group, the products' sums of four neighbours each are
//! exact, and are added scaled.

#![allow(
    clippy::needless_range_loop,
    reason = "a tile's rows and columns index several operands at once"
)]

use super::super::level::{Level, Set};
use super::super::view::{View, Window};
#[cfg(target_arch = "x86_64")]
use super::vector::Native;
use super::{Format, GROUP, Plain, Rows};

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

    /// # Safety
    /// The tile lies within the operands.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn avx2_tile<const R: usize, const C: usize>(&self, row: usize, column: usize) {
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
                    let of = F::scales::<Native>(block);
                    for group in 0..F::GROUPS {
                        let q = F::vector(block, group);
                        let q = _mm256_sub_epi8(q, _mm256_set1_epi8(F::BIAS as i8));
                        let size = _mm256_abs_epi8(q);
                        let [low, high] = of.halves[group];
                        let scale = match F::HALVES {
                            true => _mm256_set_m128(_mm_set1_ps(high), _mm_set1_ps(low)),
                            false => _mm256_set1_ps(low),
                        };
                        let g = at * F::GROUPS + group;
                        for r in 0..R {
                            let x = numbers.add(r * width + g * GROUP);
                            let x = _mm256_sign_epi8(_mm256_loadu_si256(x.cast()), q);
                            // Two products fit 16 bits: 128 times 127 is the largest.
                            let dot = _mm256_maddubs_epi16(size, x);
                            let dot = _mm256_madd_epi16(dot, _mm256_set1_epi16(1));
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

    /// Two groups at a time, one in each half of a vector. The numbers are taken with their
    /// bias, and the bias times the row's numbers is taken off before they are added: both are
    /// exact.
    ///
    /// # Safety
    /// The tile lies within the operands.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl,avx512vnni")]
    unsafe fn avx512_tile<const R: usize, const C: usize>(&self, row: usize, column: usize) {
        // SAFETY: blocks, rows and columns lie within the operands, by the caller's word.
        unsafe {
            let width = self.groups * GROUP;
            let numbers = self.numbers.as_ptr().add(row * width);
            let scales = self.scales.as_ptr().add(row * self.groups);
            let sums = self.sums.as_ptr().add(row * self.groups);
            let w = self.w.add(column * self.w_stride);
            let bias = _mm512_set1_epi8(F::BIAS as i8);
            let by_group = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
            let by_half = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
            let mut totals = [[_mm512_setzero_ps(); C]; R];
            // Where there is one group in a block, a pair of groups is of two blocks, and the
            // last pair may lack its second.
            macro_rules! pair {
                ($g:expr, $both:literal, $unpack:expr) => {
                    let g = $g;
                    let mut xs = [_mm512_setzero_si512(); R];
                    let mut bases = [_mm512_setzero_si512(); R];
                    let mut x_scales = [_mm512_setzero_ps(); R];
                    for r in 0..R {
                        let x = numbers.add(r * width + g * GROUP);
                        let scale = scales.add(r * self.groups + g);
                        let scale = if $both {
                            xs[r] = _mm512_loadu_si512(x.cast());
                            _mm_castpd_ps(_mm_load_sd(scale.cast()))
                        } else {
                            let x = _mm256_loadu_si256(x.cast());
                            xs[r] = _mm512_zextsi256_si512(x);
                            _mm_load_ss(scale)
                        };
                        let scale = _mm512_castps128_ps512(scale);
                        x_scales[r] = _mm512_permutexvar_ps(by_group, scale);
                        if F::BIAS != 0 {
                            let over = _mm512_dpbusd_epi32(_mm512_setzero_si512(), bias, xs[r]);
                            bases[r] = _mm512_sub_epi32(_mm512_setzero_si512(), over);
                        }
                    }
                    for c in 0..C {
                        let (q, scale): (__m512i, __m512) = $unpack(c);
                        for r in 0..R {
                            let dot = _mm512_dpbusd_epi32(bases[r], q, xs[r]);
                            let dot = _mm512_cvtepi32_ps(dot);
                            let both = _mm512_mul_ps(scale, x_scales[r]);
                            totals[r][c] = _mm512_fmadd_ps(dot, both, totals[r][c]);
                        }
                    }
                };
            }
            if F::GROUPS == 1 {
                for pair in 0..self.blocks / 2 {
                    let mut offsets = [_mm_setzero_ps(); C];
                    pair!(2 * pair, true, |c: usize| {
                        let first = w.add(c * self.w_stride + 2 * pair);
                        let (a, b) = (&*first, &*first.add(1));
                        let (of_a, of_b) = (F::scales::<Native>(a), F::scales::<Native>(b));
                        let q = _mm512_castsi256_si512(F::vector(a, 0));
                        let q = _mm512_inserti64x4::<1>(q, F::vector(b, 0));
                        let scale = _mm_set_ps(0.0, 0.0, of_b.halves[0][0], of_a.halves[0][0]);
                        let scale = _mm512_castps128_ps512(scale);
                        offsets[c] = _mm_set_ps(0.0, 0.0, of_b.offsets[0], of_a.offsets[0]);
                        (q, _mm512_permutexvar_ps(by_group, scale))
                    });
                    if F::OFFSETS {
                        for r in 0..R {
                            let sums = sums.add(r * self.groups + 2 * pair);
                            let sums = _mm_castpd_ps(_mm_load_sd(sums.cast()));
                            for c in 0..C {
                                let more = _mm512_zextps128_ps512(_mm_mul_ps(sums, offsets[c]));
                                totals[r][c] = _mm512_add_ps(totals[r][c], more);
                            }
                        }
                    }
                }
                if self.blocks % 2 == 1 {
                    let last = self.blocks - 1;
                    let mut offsets = [_mm_setzero_ps(); C];
                    pair!(last, false, |c: usize| {
                        let block = &*w.add(c * self.w_stride + last);
                        let of = F::scales::<Native>(block);
                        offsets[c] = _mm_set_ss(of.offsets[0]);
                        (
                            _mm512_zextsi256_si512(F::vector(block, 0)),
                            _mm512_set1_ps(of.halves[0][0]),
                        )
                    });
                    if F::OFFSETS {
                        for r in 0..R {
                            let sums = _mm_load_ss(sums.add(r * self.groups + last));
                            for c in 0..C {
                                let more = _mm512_zextps128_ps512(_mm_mul_ps(sums, offsets[c]));
                                totals[r][c] = _mm512_add_ps(totals[r][c], more);
                            }
                        }
                    }
                }
            } else {
                for at in 0..self.blocks {
                    let of: [_; C] = std::array::from_fn(|c| {
                        F::scales::<Native>(&*w.add(c * self.w_stride + at))
                    });
                    // Written out, so that each group's shifts are constants.
                    macro_rules! of_block {
                        ($($pair:literal)*) => { $(
                            pair!(at * F::GROUPS + 2 * $pair, true, |c: usize| {
                                let block = &*w.add(c * self.w_stride + at);
                                let q = _mm512_castsi256_si512(F::vector(block, 2 * $pair));
                                let q = _mm512_inserti64x4::<1>(q, F::vector(block, 2 * $pair + 1));
                                let scale = of[c].halves.as_ptr().add(2 * $pair);
                                let scale = _mm512_castps128_ps512(_mm_loadu_ps(scale.cast()));
                                (q, _mm512_permutexvar_ps(by_half, scale))
                            });
                        )* };
                    }
                    const { assert!(F::GROUPS == 1 || F::GROUPS == 8) };
                    of_block!(0 1 2 3);
                    if F::OFFSETS {
                        for r in 0..R {
                            let sums = sums.add(r * self.groups + at * F::GROUPS);
                            let sums = _mm256_loadu_ps(sums);
                            for c in 0..C {
                                let offsets = _mm256_loadu_ps(of[c].offsets.as_ptr());
                                let more = _mm256_mul_ps(sums, offsets);
                                let more = _mm512_zextps256_ps512(more);
                                totals[r][c] = _mm512_add_ps(totals[r][c], more);
                            }
                        }
                    }
                }
            }
            for r in 0..R {
                for c in 0..C {
                    let out = self.out.add((row + r) * self.out_stride + column + c);
                    let low = _mm512_castps512_ps256(totals[r][c]);
                    let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(totals[r][c]));
                    *out = add_lanes(_mm256_add_ps(low, _mm256_castpd_ps(high)));
                }
            }
        }
    }

    /// # Safety
    /// The tile lies within the operands.
    unsafe fn portable_tile<const R: usize, const C: usize>(&self, row: usize, column: usize) {
        let width = self.groups * GROUP;
        let mut totals = [[0.0f32; C]; R];
        for at in 0..self.blocks {
            for c in 0..C {
                // SAFETY: blocks and columns lie within the weight, by the caller's word.
                let block = unsafe { &*self.w.add((column + c) * self.w_stride + at) };
                let of = F::scales::<Plain>(block);
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

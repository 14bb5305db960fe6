//! Sums of products of 32-bit floats with weights that are floats: `F32`, `F16`, `BF16`.
//!
//! Linear layers and attention's scores call it. What stays true: a sum runs over the row in
//! steps of one vector, into the lanes of one accumulator, which are then added in a fixed
//! tree. How many rows and weights are computed side by side changes the speed and no bit.

#![allow(
    clippy::needless_range_loop,
    reason = "a tile's rows and columns index several operands at once"
)]

use half::{bf16, f16};

use super::level::{Level, Set};
use super::view::{View, Window};

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// A float as weights are stored.
pub(super) trait Dense: Copy + Send + Sync {
    const ZERO: Self;

    fn get(self) -> f32;

    /// # Safety
    /// Eight of them can be read at `at`.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load8(at: *const Self) -> __m256;

    /// # Safety
    /// Sixteen of them can be read at `at`.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load16(at: *const Self) -> __m512;
}

impl Dense for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn get(self) -> f32 {
        self
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load8(at: *const Self) -> __m256 {
        // SAFETY: the caller's; kernels of a level call it.
        unsafe { _mm256_loadu_ps(at) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load16(at: *const Self) -> __m512 {
        // SAFETY: the caller's; kernels of a level call it.
        unsafe { _mm512_loadu_ps(at) }
    }
}

impl Dense for f16 {
    const ZERO: Self = f16::ZERO;

    #[inline(always)]
    fn get(self) -> f32 {
        half_to_float(self.to_bits())
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load8(at: *const Self) -> __m256 {
        // SAFETY: the caller's; kernels of a level call it.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(at.cast())) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load16(at: *const Self) -> __m512 {
        // SAFETY: the caller's; kernels of a level call it.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
    }
}

impl Dense for bf16 {
    const ZERO: Self = bf16::ZERO;

    #[inline(always)]
    fn get(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load8(at: *const Self) -> __m256 {
        // SAFETY: the caller's; kernels of a level call it.
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load16(at: *const Self) -> __m512 {
        // SAFETY: the caller's; kernels of a level call it.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }
}

/// A half-precision number's value, without a branch on the processor or a table.
#[inline(always)]
pub(super) fn half_to_float(bits: u16) -> f32 {
    let bits = u32::from(bits);
    let sign = (bits & 0x8000) << 16;
    // The exponent is 112 too small, for the smallest numbers too: one product mends both.
    let small = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(239 << 23);
    let not_finite = if bits & 0x7c00 == 0x7c00 {
        255 << 23
    } else {
        0
    };
    f32::from_bits(small.to_bits() | sign | not_finite)
}

/// `out[r][c] = x[r] · w[c]`.
///
/// # Panics
/// When the operands' sizes do not go together.
pub(super) fn products<W: Dense>(
    level: Level,
    x: View<'_, f32>,
    w: View<'_, W>,
    mut out: Window<'_>,
) {
    assert_eq!(x.width(), w.width());
    assert_eq!((x.rows(), w.rows()), (out.rows(), out.width()));
    let task = Task {
        len: x.width(),
        x: x.as_ptr(),
        x_stride: x.stride(),
        w: w.as_ptr(),
        w_stride: w.stride(),
        out: out.as_mut_ptr(),
        out_stride: out.stride(),
    };
    let (rows, columns) = (x.rows(), w.rows());
    // SAFETY: the views hold the rows and columns that the task is asked for, and a level is
    // only made on a processor that has its instructions.
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
struct Task<W> {
    len: usize,
    x: *const f32,
    x_stride: usize,
    w: *const W,
    w_stride: usize,
    out: *mut f32,
    out_stride: usize,
}

/// Covers rows and columns with tiles: many rows share a load of the weights, and a single row
/// keeps enough sums under way to hide the processor's latency.
macro_rules! cover {
    ($task:ident, $tile:ident, $rows:ident, $columns:ident, $many:literal) => {
        let mut row = 0;
        while row < $rows {
            let tall = $rows - row >= $many;
            let mut column = 0;
            while column < $columns {
                let left = $columns - column;
                // SAFETY: the tile lies within the rows and columns that the caller vouches for.
                unsafe {
                    column += match (tall, left) {
                        (true, 4..) => $task.$tile::<$many, 4>(row, column),
                        (true, _) => $task.$tile::<$many, 1>(row, column),
                        (false, 8..) => $task.$tile::<1, 8>(row, column),
                        (false, 4..) => $task.$tile::<1, 4>(row, column),
                        (false, _) => $task.$tile::<1, 1>(row, column),
                    };
                }
            }
            row += if tall { $many } else { 1 };
        }
    };
}

impl<W: Dense> Task<W> {
    /// # Safety
    /// The operands have these many rows and columns.
    unsafe fn portable(&self, rows: usize, columns: usize) {
        cover!(self, portable_tile, rows, columns, 2);
    }

    /// # Safety
    /// The operands have these many rows and columns.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn avx2(&self, rows: usize, columns: usize) {
        cover!(self, avx2_tile, rows, columns, 2);
    }

    /// # Safety
    /// The operands have these many rows and columns.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
    unsafe fn avx512(&self, rows: usize, columns: usize) {
        cover!(self, avx512_tile, rows, columns, 4);
    }

    /// # Safety
    /// The tile lies within the operands.
    unsafe fn portable_tile<const R: usize, const C: usize>(
        &self,
        row: usize,
        column: usize,
    ) -> usize {
        const LANES: usize = 8;
        for r in row..row + R {
            for c in column..column + C {
                // SAFETY: rows and columns lie within the operands, by the caller's word.
                unsafe {
                    let x = std::slice::from_raw_parts(self.x.add(r * self.x_stride), self.len);
                    let w = std::slice::from_raw_parts(self.w.add(c * self.w_stride), self.len);
                    let mut sums = [0.0f32; LANES];
                    let (xs, x_end) = x.as_chunks::<LANES>();
                    let (ws, w_end) = w.as_chunks::<LANES>();
                    for (x, w) in xs.iter().zip(ws) {
                        for (sum, (x, w)) in sums.iter_mut().zip(x.iter().zip(w)) {
                            *sum += x * w.get();
                        }
                    }
                    for (sum, (x, w)) in sums.iter_mut().zip(x_end.iter().zip(w_end)) {
                        *sum += x * w.get();
                    }
                    let [a, b, c4, d, e, f, g, h] = sums;
                    *self.out.add(r * self.out_stride + c) =
                        ((a + e) + (c4 + g)) + ((b + f) + (d + h));
                }
            }
        }
        C
    }

    /// # Safety
    /// The tile lies within the operands.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn avx2_tile<const R: usize, const C: usize>(&self, row: usize, column: usize) -> usize {
        const LANES: usize = 8;
        // SAFETY: every load is within a row of the operands, by the caller's word; the last,
        // partial vectors are read from copies.
        unsafe {
            let x = self.x.add(row * self.x_stride);
            let w = self.w.add(column * self.w_stride);
            let mut sums = [[_mm256_setzero_ps(); C]; R];
            let whole = self.len - self.len % LANES;
            let mut at = 0;
            while at < whole {
                let mut xs = [_mm256_setzero_ps(); R];
                for r in 0..R {
                    xs[r] = _mm256_loadu_ps(x.add(r * self.x_stride + at));
                }
                for c in 0..C {
                    let w = W::load8(w.add(c * self.w_stride + at));
                    for r in 0..R {
                        sums[r][c] = _mm256_fmadd_ps(xs[r], w, sums[r][c]);
                    }
                }
                at += LANES;
            }
            if whole < self.len {
                for c in 0..C {
                    let w = padded::<W, LANES>(w.add(c * self.w_stride + whole), self.len - whole);
                    let w = W::load8(w.as_ptr());
                    for r in 0..R {
                        let x = x.add(r * self.x_stride + whole);
                        let x = padded::<f32, LANES>(x, self.len - whole);
                        let x = _mm256_loadu_ps(x.as_ptr());
                        sums[r][c] = _mm256_fmadd_ps(x, w, sums[r][c]);
                    }
                }
            }
            for r in 0..R {
                for c in 0..C {
                    let out = self.out.add((row + r) * self.out_stride + column + c);
                    *out = add_lanes(sums[r][c]);
                }
            }
        }
        C
    }

    /// # Safety
    /// The tile lies within the operands.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl")]
    unsafe fn avx512_tile<const R: usize, const C: usize>(
        &self,
        row: usize,
        column: usize,
    ) -> usize {
        const LANES: usize = 16;
        // SAFETY: every load is within a row of the operands, by the caller's word; the last,
        // partial vectors are read from copies.
        unsafe {
            let x = self.x.add(row * self.x_stride);
            let w = self.w.add(column * self.w_stride);
            let mut sums = [[_mm512_setzero_ps(); C]; R];
            let whole = self.len - self.len % LANES;
            let mut at = 0;
            while at < whole {
                let mut xs = [_mm512_setzero_ps(); R];
                for r in 0..R {
                    xs[r] = _mm512_loadu_ps(x.add(r * self.x_stride + at));
                }
                for c in 0..C {
                    let w = W::load16(w.add(c * self.w_stride + at));
                    for r in 0..R {
                        sums[r][c] = _mm512_fmadd_ps(xs[r], w, sums[r][c]);
                    }
                }
                at += LANES;
            }
            if whole < self.len {
                for c in 0..C {
                    let w = padded::<W, LANES>(w.add(c * self.w_stride + whole), self.len - whole);
                    let w = W::load16(w.as_ptr());
                    for r in 0..R {
                        let x = x.add(r * self.x_stride + whole);
                        let x = padded::<f32, LANES>(x, self.len - whole);
                        let x = _mm512_loadu_ps(x.as_ptr());
                        sums[r][c] = _mm512_fmadd_ps(x, w, sums[r][c]);
                    }
                }
            }
            for r in 0..R {
                for c in 0..C {
                    let out = self.out.add((row + r) * self.out_stride + column + c);
                    let low = _mm512_castps512_ps256(sums[r][c]);
                    let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(sums[r][c]));
                    *out = add_lanes(_mm256_add_ps(low, _mm256_castpd_ps(high)));
                }
            }
        }
        C
    }
}

/// A partial vector, filled up with zeros.
///
/// # Safety
/// `count` items can be read at `at`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn padded<T: Dense, const LANES: usize>(at: *const T, count: usize) -> [T; LANES] {
    let mut all = [T::ZERO; LANES];
    for (i, item) in all.iter_mut().enumerate().take(count) {
        // SAFETY: `i` is below `count`.
        *item = unsafe { *at.add(i) };
    }
    all
}

/// The sum of eight lanes, in a fixed tree.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn add_lanes(x: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_converted_as_the_library_does_it() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (half_to_float(bits), f16::from_bits(bits).to_f32());
            assert!(
                ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()),
                "{bits:#x}: {ours} and {theirs}"
            );
        }
    }

    fn check<W: Dense>(make: impl Fn(f32) -> W) {
        for len in [1, 7, 16, 61, 64, 200] {
            let (rows, columns) = (7, 13);
            let wave = |n: usize| ((n * 37 + 11) % 101) as f32 / 101.0 - 0.5;
            let x: Vec<f32> = (0..rows * len).map(wave).collect();
            let w: Vec<W> = (0..columns * len).map(|n| make(wave(3 * n))).collect();
            for level in Level::all() {
                let mut out = vec![f32::NAN; rows * columns];
                let (x, w) = (View::whole(&x, len), View::whole(&w, len));
                products(level, x, w, Window::new(&mut out, columns));
                for (at, &found) in out.iter().enumerate() {
                    let (r, c) = (at / columns, at % columns);
                    let mut alone = [0.0];
                    products(
                        level,
                        x.part(r..r + 1),
                        w.part(c..c + 1),
                        Window::new(&mut alone, 1),
                    );
                    assert_eq!(found.to_bits(), alone[0].to_bits(), "{level:?} {len}");
                    let exact: f64 = (0..len)
                        .map(|i| {
                            let w = make(wave(3 * (c * len + i))).get();
                            f64::from(wave(r * len + i)) * f64::from(w)
                        })
                        .sum();
                    assert!((f64::from(found) - exact).abs() < 1e-5, "{level:?} {len}");
                }
            }
        }
    }

    #[test]
    fn sums_are_right_and_do_not_depend_on_their_neighbours() {
        check(|x| x);
        check(f16::from_f32);
        check(bf16::from_f32);
    }
}

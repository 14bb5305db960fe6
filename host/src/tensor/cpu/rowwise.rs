//! Operations on one row or one number at a time: norms, gates, softmax.
//!
//! Sums run in sixteen lanes, each over every sixteenth number, which are then added in a
//! fixed tree; the exponential is a polynomial in plain arithmetic. So the bits are the row's
//! alone, and the compiler can widen every loop.

use super::level::for_each_level;

const LANES: usize = 16;

/// The sum of `of(x)` over a row, in lanes.
#[inline(always)]
fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += of(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += of(x);
    }
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The largest number of a row, those that are not numbers left out.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    let keep = |lane: &mut f32, x: f32| *lane = if x > *lane { x } else { *lane };
    for chunk in whole {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            keep(lane, x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        keep(lane, x);
    }
    lanes
        .iter()
        .fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}

/// `e^x`, within two units in the last place; what is not a number stays so.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x > 88.5 { 88.5 } else { x };
    let clamped = if clamped < -87.0 { -87.0 } else { clamped };
    // x = n ln 2 + r, with ln 2 in two parts so that r is exact to the last bits.
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * 0.693_359_4;
    let r = r - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    // 2^n in two factors: 2^128 does not fit one.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    let y = p * power(half) * power(n.wrapping_sub(half));
    let y = if x < -87.0 { 0.0 } else { y };
    if x > 88.5 { f32::INFINITY } else { y }
}

for_each_level! {
    /// `out = x / rms(x) · w`, for each run of `w`'s length.
    fn rms_norm(x: &[f32], w: &[f32], eps: f32, out: &mut [f32]) {
        for (x, out) in x.chunks_exact(w.len()).zip(out.chunks_exact_mut(w.len())) {
            let mean = sum(x, |x| x * x) / w.len() as f32;
            let scale = 1.0 / (mean + eps).sqrt();
            for ((out, &x), &w) in out.iter_mut().zip(x).zip(w) {
                *out = x * scale * w;
            }
        }
    }
}

for_each_level! {
    /// `out = (x - mean) / deviation · w + bias`, for each run of `w`'s length.
    fn layer_norm(x: &[f32], w: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut [f32]) {
        for (x, out) in x.chunks_exact(w.len()).zip(out.chunks_exact_mut(w.len())) {
            let mean = sum(x, |x| x) / w.len() as f32;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / w.len() as f32;
            let scale = 1.0 / (variance + eps).sqrt();
            for ((out, &x), &w) in out.iter_mut().zip(x).zip(w) {
                *out = (x - mean) * scale * w;
            }
            if let Some(bias) = bias {
                for (out, &bias) in out.iter_mut().zip(bias) {
                    *out += bias;
                }
            }
        }
    }
}

for_each_level! {
    fn softmax(x: &[f32], out: &mut [f32]) {
        let most = largest(x);
        exponentials(x, most, out);
        let scale = 1.0 / sum(out, |x| x);
        for out in out {
            *out *= scale;
        }
    }
}

#[inline(always)]
fn exponentials(x: &[f32], most: f32, out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = exp(x - most);
    }
}

for_each_level! {
    fn silu(x: &[f32], out: &mut [f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = x / (1.0 + exp(-x));
        }
    }
}

for_each_level! {
    fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate / (1.0 + exp(-gate)) * up;
        }
    }
}

/// The Gaussian error linear unit, or its approximation by a hyperbolic tangent.
pub(super) fn gelu(x: &[f32], approximate: bool, out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = if approximate {
            let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        } else {
            let x = f64::from(x);
            let erf = candle_core::cpu::erf::erf_f64(x * std::f64::consts::FRAC_1_SQRT_2);
            (0.5 * x * (1.0 + erf)) as f32
        };
    }
}

for_each_level! {
    fn add(a: &[f32], b: &[f32], out: &mut [f32]) {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *out = a + b;
        }
    }
}

for_each_level! {
    fn mul(a: &[f32], b: &[f32], out: &mut [f32]) {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *out = a * b;
        }
    }
}

for_each_level! {
    fn scale(x: &[f32], factor: f32, out: &mut [f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = x * factor;
        }
    }
}

for_each_level! {
    /// `out += x · factor`.
    fn add_scaled(x: &[f32], factor: f32, out: &mut [f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out += x * factor;
        }
    }
}

for_each_level! {
    /// `scores` of a block's keys to their weights `e^(score - most)`, and the weights' sum.
    /// `most` is the largest score so far, this block's included.
    fn weigh(scores: &mut [f32], most: f32) -> f32 {
        for score in scores.iter_mut() {
            *score = exp(*score - most);
        }
        sum(scores, |x| x)
    }
}

for_each_level! {
    /// The largest of `before` and the scores.
    fn most(scores: &[f32], before: f32) -> f32 {
        let most = largest(scores);
        if most > before { most } else { before }
    }
}

for_each_level! {
    /// `out = out · keep + Σ weights[j] · values[j]`; the rows of values are `stride` apart.
    fn gather(weights: &[f32], values: &[f32], stride: usize, keep: f32, out: &mut [f32]) {
        const WIDE: usize = 64;
        let mut at = 0;
        let (wide, rest) = out.as_chunks_mut::<WIDE>();
        for out in wide {
            let mut sums = out.map(|x| x * keep);
            for (j, &weight) in weights.iter().enumerate() {
                let row = &values[j * stride + at..][..WIDE];
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum = if FUSED { weight.mul_add(value, *sum) } else { *sum + weight * value };
                }
            }
            *out = sums;
            at += WIDE;
        }
        let (narrow, rest) = rest.as_chunks_mut::<LANES>();
        for out in narrow {
            let mut sums = out.map(|x| x * keep);
            for (j, &weight) in weights.iter().enumerate() {
                let row = &values[j * stride + at..][..LANES];
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum = if FUSED { weight.mul_add(value, *sum) } else { *sum + weight * value };
                }
            }
            *out = sums;
            at += LANES;
        }
        for out in rest {
            let mut sum = *out * keep;
            for (j, &weight) in weights.iter().enumerate() {
                let value = values[j * stride + at];
                sum = if FUSED { weight.mul_add(value, sum) } else { sum + weight * value };
            }
            *out = sum;
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::level::Level;
    use super::*;

    #[test]
    fn the_exponential_is_right_over_its_whole_range() {
        for n in -870_000..=885_000 {
            let x = n as f32 / 10_000.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2.5e-7, "{x}: {} and {exact}", exp(x));
        }
        assert_eq!((exp(0.0), exp(-88.0), exp(89.0)), (1.0, 0.0, f32::INFINITY));
        assert_eq!(
            (exp(f32::NEG_INFINITY), exp(f32::INFINITY)),
            (0.0, f32::INFINITY)
        );
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn levels_agree_and_are_right() {
        let wave = |n: usize| ((n * 37 + 11) % 101) as f32 / 25.0 - 2.0;
        let x: Vec<f32> = (0..150).map(wave).collect();
        let w: Vec<f32> = (0..75).map(|n| wave(n + 5)).collect();
        let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let close = |found: &[f32], expected: &dyn Fn(usize) -> f64| {
            for (i, &found) in found.iter().enumerate() {
                let expected = expected(i);
                let far = (f64::from(found) - expected).abs() / expected.abs().max(1.0);
                assert!(far < 2e-6, "{i}: {found} and {expected}");
            }
        };
        for level in Level::all() {
            let mut out = vec![0.0; 150];
            rms_norm(level, &x, &w, 1e-5, &mut out);
            close(&out, &|i| {
                let run = &wide[i / 75 * 75..][..75];
                let mean = run.iter().map(|x| x * x).sum::<f64>() / 75.0;
                wide[i] / (mean + 1e-5).sqrt() * f64::from(w[i % 75])
            });
            layer_norm(level, &x, &w, Some(&x[..75]), 1e-5, &mut out);
            close(&out, &|i| {
                let run = &wide[i / 75 * 75..][..75];
                let mean = run.iter().sum::<f64>() / 75.0;
                let variance = run.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 75.0;
                let w = f64::from(w[i % 75]);
                (wide[i] - mean) / (variance + 1e-5).sqrt() * w + wide[i % 75]
            });
            softmax(level, &x, &mut out);
            let all: f64 = wide.iter().map(|x| x.exp()).sum();
            close(&out, &|i| wide[i].exp() / all);
            silu(level, &x, &mut out);
            close(&out, &|i| wide[i] / (1.0 + (-wide[i]).exp()));
            let mut gated = [0.0; 75];
            swiglu(level, &x[..75], &w, &mut gated);
            close(&gated, &|i| {
                wide[i] / (1.0 + (-wide[i]).exp()) * f64::from(w[i])
            });
            let values: Vec<f32> = (0..5 * 100).map(wave).collect();
            let mut gathered = vec![1.0; 91];
            gather(level, &x[..5], &values[3..], 100, 0.5, &mut gathered);
            close(&gathered, &|i| {
                let rows = (0..5).map(|j| wide[j] * f64::from(values[3 + j * 100 + i]));
                0.5 + rows.sum::<f64>()
            });
        }
    }

    #[test]
    fn gelu_is_that_of_its_definition() {
        // From the definition, with 40 digits: x Φ(x), and the tanh form.
        let x = [-3.0, -0.5, 0.0, 0.1, 1.0, 4.0];
        let exact = [
            -0.004_049_694,
            -0.154_268_77,
            0.0,
            0.053_982_784,
            0.841_344_7,
            3.999_873_3,
        ];
        let tanh = [
            -0.003_637_392,
            -0.154_286,
            0.0,
            0.053_982_73,
            0.841_192,
            3.999_93,
        ];
        for (approximate, expected) in [(false, exact), (true, tanh)] {
            let mut out = [0.0; 6];
            gelu(&x, approximate, &mut out);
            for (found, expected) in out.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
            }
        }
    }
}

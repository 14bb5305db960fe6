use candle_core::quantized::k_quants::{
    BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0, GgmlType,
};

use super::super::view::{View, Window};
use super::*;

/// `numbers` as candle quantises them: bytes, and the values that they stand for.
fn candle<T: GgmlType>(numbers: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let mut blocks = vec![T::zeros(); numbers.len() / T::BLCK_SIZE];
    T::from_float(numbers, &mut blocks);
    let mut values = vec![0.0; numbers.len()];
    T::to_float(&blocks, &mut values);
    let size = std::mem::size_of_val(blocks.as_slice());
    // SAFETY: blocks are plain bytes without padding.
    let bytes = unsafe { std::slice::from_raw_parts(blocks.as_ptr().cast::<u8>(), size) };
    (bytes.to_vec(), values)
}

fn blocks<F: Format>(bytes: &[u8]) -> &[F::Block] {
    let count = bytes.len() / std::mem::size_of::<F::Block>();
    // SAFETY: a block is an array of bytes.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), count) }
}

fn wave(n: usize) -> f32 {
    ((n * 7919 + 13) % 1009) as f32 / 504.5 - 1.0
}

fn check<T: GgmlType, F: Format>() {
    let (rows, columns, width) = (6, 7, 768);
    let w: Vec<f32> = (0..columns * width)
        .map(|n| wave(n) * wave(n / 61))
        .collect();
    let (bytes, values) = candle::<T>(&w);
    let w = blocks::<F>(&bytes);
    for (at, &value) in values.iter().enumerate() {
        let (block, group) = (at / (32 * F::GROUPS), at / 32 % F::GROUPS);
        let of = F::scales::<format::Plain>(&w[block]);
        let q = F::numbers(&w[block], group)[at % 32];
        let ours = of.halves[group][at % 32 / 16] * f32::from(q) + of.offsets[group];
        assert!((ours - value).abs() <= 1e-6, "{at}: {ours} and {value}");
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            let vector = unsafe { F::vector(&w[block], group) };
            // SAFETY: both are 32 bytes without a meaning of their own.
            let vector: [u8; 32] = unsafe { std::mem::transmute(vector) };
            let vector = vector.map(|number| number.wrapping_sub(F::BIAS) as i8);
            assert_eq!(vector, F::numbers(&w[block], group));
        }
    }
    let x: Vec<f32> = (0..rows * width).map(|n| wave(n * 3 + 1) * 5.0).collect();
    let w = View::whole(w, w.len() / columns);
    for level in Level::all() {
        let mut quantised = Rows::default();
        quantised.fill(level, Hands::ONE, &x, width);
        let mut out = vec![f32::NAN; rows * columns];
        products::<F>(level, &quantised, 0, w, Window::new(&mut out, columns));
        for (at, &found) in out.iter().enumerate() {
            let (r, c) = (at / columns, at % columns);
            let mut alone = Rows::default();
            alone.fill(level, Hands::ONE, &x[r * width..][..width], width);
            let mut single = [0.0];
            products::<F>(
                level,
                &alone,
                0,
                w.part(c..c + 1),
                Window::new(&mut single, 1),
            );
            assert_eq!(found.to_bits(), single[0].to_bits(), "{level:?}");
            let exact: f64 = (0..width)
                .map(|i| f64::from(x[r * width + i]) * f64::from(values[c * width + i]))
                .sum();
            let size: f64 = (0..width)
                .map(|i| (f64::from(x[r * width + i]) * f64::from(values[c * width + i])).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(
                (f64::from(found) - exact).abs() < 0.03 * size,
                "{level:?}: {found}, expected {exact}"
            );
        }
    }
}

#[test]
fn q8_0() {
    check::<BlockQ8_0, Q8_0>();
}

#[test]
fn q4_0_and_q4_1() {
    check::<BlockQ4_0, Q4_0>();
    check::<BlockQ4_1, Q4_1>();
}

#[test]
fn q5_0_and_q5_1() {
    check::<BlockQ5_0, Q5_0>();
    check::<BlockQ5_1, Q5_1>();
}

#[test]
fn q4_k_q5_k_and_q6_k() {
    check::<BlockQ4K, Q4K>();
    check::<BlockQ5K, Q5K>();
    check::<BlockQ6K, Q6K>();
}

#[test]
fn what_is_not_finite_does_not_vanish_in_quantisation() {
    for level in Level::all() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = vec![1.0; 64];
            x[37] = bad;
            let mut rows = Rows::default();
            rows.fill(level, Hands::ONE, &x, 64);
            let (bytes, _) = candle::<BlockQ8_0>(&[0.5; 64]);
            let mut out = [0.0];
            let w = View::whole(blocks::<Q8_0>(&bytes), 2);
            products::<Q8_0>(level, &rows, 0, w, Window::new(&mut out, 1));
            assert!(!out[0].is_finite(), "{level:?} {bad}");
        }
    }
}

#[test]
fn zeros_stay_zero() {
    for level in Level::all() {
        let mut rows = Rows::default();
        rows.fill(level, Hands::ONE, &[0.0; 32], 32);
        let (bytes, _) = candle::<BlockQ4_1>(&(0..32).map(wave).collect::<Vec<_>>());
        let mut out = [1.0];
        let w = View::whole(blocks::<Q4_1>(&bytes), 1);
        products::<Q4_1>(level, &rows, 0, w, Window::new(&mut out, 1));
        assert_eq!(out, [0.0]);
    }
}

//! Numbers into the bytes of a weight, and plain floats back.
//!
//! The pack builder calls it, a run of rows at a time. Blocks stand for themselves, so a weight
//! that is quantised in pieces has the bytes of one that is quantised whole.

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QTensor};
use half::{bf16, f16};

use crate::plan::WeightType;

/// The bytes that stand for `numbers` as `kind`; nothing when they do not fill whole blocks.
pub fn quantize(kind: WeightType, numbers: &[f32]) -> Option<Vec<u8>> {
    if numbers.is_empty() || !numbers.len().is_multiple_of(kind.block_len()) {
        return None;
    }
    let row = candle_core::Tensor::from_slice(numbers, numbers.len(), &Device::Cpu).ok()?;
    let blocks = QTensor::quantize(&row, ggml(kind)).ok()?;
    Some(blocks.data().ok()?.into_owned())
}

/// The numbers that `bytes` stand for, when `kind` stores each of them by itself.
pub fn floats(kind: WeightType, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match kind {
        WeightType::F32 => {
            let (numbers, _) = bytes.as_chunks();
            numbers.iter().map(|it| f32::from_le_bytes(*it)).collect()
        }
        WeightType::F16 => {
            let (numbers, _) = bytes.as_chunks();
            let number = |it: &[u8; 2]| f16::from_le_bytes(*it).to_f32();
            numbers.iter().map(number).collect()
        }
        WeightType::Bf16 => {
            let (numbers, _) = bytes.as_chunks();
            let number = |it: &[u8; 2]| bf16::from_le_bytes(*it).to_f32();
            numbers.iter().map(number).collect()
        }
        _ => return None,
    })
}

fn ggml(kind: WeightType) -> GgmlDType {
    match kind {
        WeightType::F32 => GgmlDType::F32,
        WeightType::F16 => GgmlDType::F16,
        WeightType::Bf16 => GgmlDType::BF16,
        WeightType::Q4_0 => GgmlDType::Q4_0,
        WeightType::Q4_1 => GgmlDType::Q4_1,
        WeightType::Q5_0 => GgmlDType::Q5_0,
        WeightType::Q5_1 => GgmlDType::Q5_1,
        WeightType::Q8_0 => GgmlDType::Q8_0,
        WeightType::Q4K => GgmlDType::Q4K,
        WeightType::Q5K => GgmlDType::Q5K,
        WeightType::Q6K => GgmlDType::Q6K,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_bytes_of_the_whole() {
        let numbers: Vec<f32> = (0..1024).map(|i| (i as f32 * 0.37).sin()).collect();
        for kind in WeightType::ALL {
            let whole = quantize(kind, &numbers).expect("whole blocks");
            let pieces = numbers.chunks(256).map(|piece| quantize(kind, piece));
            let pieces: Vec<u8> = pieces.flat_map(|it| it.expect("whole blocks")).collect();
            assert_eq!(kind.bytes(1024), Some(whole.len() as u64), "{kind}");
            assert_eq!(whole, pieces, "{kind}");
        }
    }

    #[test]
    fn parts_of_blocks_are_no_weight() {
        assert_eq!(quantize(WeightType::Q8_0, &[1.0; 33]), None);
        assert_eq!(quantize(WeightType::Q4K, &[1.0; 32]), None);
        assert_eq!(quantize(WeightType::F32, &[]), None);
    }

    #[test]
    fn plain_floats_come_back() {
        for kind in [WeightType::F32, WeightType::F16, WeightType::Bf16] {
            let bytes = quantize(kind, &[1.5, -2.0, 0.0]).expect("any number of floats");
            assert_eq!(floats(kind, &bytes), Some(vec![1.5, -2.0, 0.0]), "{kind}");
        }
        assert_eq!(floats(WeightType::Q8_0, &[0; 34]), None);
    }
}

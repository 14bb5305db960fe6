//! Weights on the device.
//!
//! What is chosen, and why:
//!
//! - **Quantised** weights stay as they are stored, as candle's `QTensor`. On CUDA the blocks are
//!   copied straight from the mapped file. The products are candle's kernels, which round the
//!   rows to 8 bits in blocks, as llama.cpp does. On CUDA up to eight rows take another kernel
//!   than more do, which keeps the blocks' scales in 16 bits.
//! - **F16 and BF16** matrices stay as they are stored, so that the ledger's bytes are the
//!   file's, and are widened to f32 when they are used, in slabs of at most [`SLAB_BYTES`].
//!   Multiplying in 16 bits would be faster and would round rows and results to 8 or 11 bits: an
//!   imported checkpoint would be approximated, and other batch shapes would differ by more
//!   than 1e-3.
//! - **F32** matrices are f32.
//! - **Vectors** (norms, biases) are f32, whatever they were.
//! - **Experts** of a mixture are one matrix each, cut from the stack before it is copied, so
//!   that a step touches the chosen ones alone.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module, Result, Tensor};

use super::super::{TensorError, WeightData, Weights};
use crate::plan::{Weight, WeightType};

/// How many bytes of a widened weight exist at a time.
pub(super) const SLAB_BYTES: usize = 64 << 20;

/// What candle appends to a quantised weight on CUDA, in numbers of the weight's type.
const CUDA_PADDING: u64 = 512;

/// One weight of a plan.
pub(super) enum Loaded {
    Vector(Tensor),
    Matrix(Matrix),
    Experts(Vec<Matrix>),
}

/// A matrix as a linear layer has it, `[out, in]`.
pub(super) enum Matrix {
    Dense(Tensor),
    Quantised(Arc<QTensor>),
}

/// The weight that `wanted` describes, checked.
pub(super) fn find(
    weights: &dyn Weights,
    wanted: &Weight,
) -> std::result::Result<WeightData, TensorError> {
    let expected = format!("{} {:?}", wanted.kind, wanted.shape);
    let wrong = |found: String| TensorError::Weight {
        name: wanted.name.clone(),
        found,
        expected: expected.clone(),
    };
    let data = weights
        .weight(&wanted.name)
        .ok_or_else(|| wrong("missing".into()))?;
    if data.kind != wanted.kind || data.shape != wanted.shape {
        return Err(wrong(format!("{data:?}")));
    }
    // A matrix is multiplied row by row, so its blocks must not run over a row's end.
    let row = data.shape.last().copied().unwrap_or(0);
    if !row.is_multiple_of(data.kind.block_len()) {
        let found = format!("{data:?}, whose rows are not whole blocks");
        return Err(wrong(found));
    }
    Ok(data)
}

/// How many bytes `weight` takes on `device`.
pub(super) fn bytes_on(device: &Device, weight: &Weight) -> u64 {
    match (weight.shape.as_slice(), quantised(weight.kind)) {
        ([_], _) => weight.elements().saturating_mul(4),
        (shape, Some(_)) if device.is_cuda() => {
            let pieces = match shape {
                [experts, _, _] => *experts as u64,
                _ => 1,
            };
            let padding = weight.kind.bytes(CUDA_PADDING).unwrap_or(0);
            weight.bytes().saturating_add(pieces * padding)
        }
        _ => weight.bytes(),
    }
}

/// How many bytes of f32 a use of `weight` needs for a moment.
pub(super) fn widened_bytes(weight: &Weight) -> u64 {
    let numbers = match (weight.kind, weight.shape.as_slice()) {
        (WeightType::F16 | WeightType::Bf16, [out, into] | [_, out, into]) => out * into,
        _ => 0,
    };
    (4 * numbers as u64).min(SLAB_BYTES as u64)
}

impl Loaded {
    /// Copies a weight to the device.
    pub(super) fn copy(data: &WeightData, device: &Device) -> Result<Self> {
        match *data.shape.as_slice() {
            [_] => {
                let vector = dense(data.bytes(), data.kind, &data.shape, device)?;
                Ok(Self::Vector(vector.to_dtype(DType::F32)?))
            }
            [out, into] => {
                Matrix::copy(data.bytes(), data.kind, (out, into), device).map(Self::Matrix)
            }
            [experts, out, into] => data
                .bytes()
                .chunks_exact((data.bytes().len() / experts.max(1)).max(1))
                .map(|bytes| Matrix::copy(bytes, data.kind, (out, into), device))
                .collect::<Result<Vec<_>>>()
                .map(Self::Experts),
            _ => candle_core::bail!("a weight of {:?} is of no use", data.shape),
        }
    }

    pub(super) fn vector(&self) -> Result<&Tensor> {
        match self {
            Self::Vector(vector) => Ok(vector),
            _ => candle_core::bail!("a weight is not a vector"),
        }
    }

    pub(super) fn matrix(&self) -> Result<&Matrix> {
        match self {
            Self::Matrix(matrix) => Ok(matrix),
            _ => candle_core::bail!("a weight is not a matrix"),
        }
    }

    pub(super) fn experts(&self) -> Result<&[Matrix]> {
        match self {
            Self::Experts(experts) => Ok(experts),
            _ => candle_core::bail!("a weight is not a stack of experts"),
        }
    }
}

impl Matrix {
    fn copy(
        bytes: &[u8],
        kind: WeightType,
        shape: (usize, usize),
        device: &Device,
    ) -> Result<Self> {
        let Some(kind) = quantised(kind) else {
            return dense(bytes, kind, &[shape.0, shape.1], device).map(Self::Dense);
        };
        let storage = QStorage::from_data(Cow::Borrowed(&aligned(bytes)), device, kind)?;
        Ok(Self::Quantised(Arc::new(QTensor::new(storage, shape)?)))
    }

    /// `x · selfᵀ`.
    pub(super) fn times(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Quantised(w) => QMatMul::QTensor(w.clone()).forward(x),
            Self::Dense(w) if w.dtype() == DType::F32 => x.matmul(&w.t()?),
            Self::Dense(w) => {
                let (out, into) = w.dims2()?;
                let slab = (SLAB_BYTES / 4 / into.max(1)).clamp(1, out);
                if slab == out {
                    return x.matmul(&w.to_dtype(DType::F32)?.t()?);
                }
                let all = Tensor::zeros((x.dim(0)?, out), DType::F32, x.device())?;
                for first in (0..out).step_by(slab) {
                    let part = w.narrow(0, first, slab.min(out - first))?;
                    let part = x.matmul(&part.to_dtype(DType::F32)?.t()?)?;
                    all.slice_set(&part, 1, first)?;
                }
                Ok(all)
            }
        }
    }

    /// The rows of these numbers, as f32. Numbers past the table give zeros.
    pub(super) fn rows(&self, ids: &[u32], device: &Device) -> Result<Tensor> {
        let table = match self {
            Self::Dense(w) => w.dim(0)?,
            Self::Quantised(w) => w.shape().dims2()?.0,
        };
        let inside = |id: u32| (id as usize) < table;
        let known: Vec<u32> = ids
            .iter()
            .map(|&id| if inside(id) { id } else { 0 })
            .collect();
        let known = Tensor::new(known, device)?;
        let rows = match self {
            Self::Dense(w) => w.index_select(&known, 0)?.to_dtype(DType::F32)?,
            Self::Quantised(w) => w.embedding(&known)?,
        };
        if ids.iter().all(|&id| inside(id)) {
            return Ok(rows);
        }
        let there: Vec<u8> = ids.iter().map(|&id| u8::from(inside(id))).collect();
        let there = Tensor::from_vec(there, (ids.len(), 1), device)?.broadcast_as(rows.shape())?;
        there.where_cond(&rows, &rows.zeros_like()?)
    }
}

/// candle's name for a quantised type; nothing for plain floats.
fn quantised(kind: WeightType) -> Option<GgmlDType> {
    match kind {
        WeightType::F32 | WeightType::F16 | WeightType::Bf16 => None,
        WeightType::Q4_0 => Some(GgmlDType::Q4_0),
        WeightType::Q4_1 => Some(GgmlDType::Q4_1),
        WeightType::Q5_0 => Some(GgmlDType::Q5_0),
        WeightType::Q5_1 => Some(GgmlDType::Q5_1),
        WeightType::Q8_0 => Some(GgmlDType::Q8_0),
        WeightType::Q4K => Some(GgmlDType::Q4K),
        WeightType::Q5K => Some(GgmlDType::Q5K),
        WeightType::Q6K => Some(GgmlDType::Q6K),
    }
}

fn dense(bytes: &[u8], kind: WeightType, shape: &[usize], device: &Device) -> Result<Tensor> {
    let kind = match kind {
        WeightType::F32 => DType::F32,
        WeightType::F16 => DType::F16,
        WeightType::Bf16 => DType::BF16,
        other => candle_core::bail!("a weight of {other} is quantised"),
    };
    Tensor::from_raw_buffer(bytes, kind, shape, device)
}

/// The bytes where candle may read them as blocks, which it does only from even addresses.
/// Those of a mapped file are even; others are copied, and the allocator's are.
fn aligned(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.as_ptr().align_offset(2) == 0 {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(bytes.to_vec())
}

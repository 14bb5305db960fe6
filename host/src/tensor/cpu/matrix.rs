//! A weight of rows, used where it is mapped.
//!
//! What stays true: its bytes are never copied; a product of a row and a weight's row is
//! computed alone, whatever stands beside either.

use std::ops::Range;
use std::sync::OnceLock;

use half::{bf16, f16};

use crate::plan::{Weight, WeightType};
use crate::tensor::{TensorError, WeightData};

use super::dense::{self, Dense};
use super::level::Level;
use super::quant::{self, Format, GROUP, Plain, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Rows};
use super::team::Hands;
use super::view::{View, Window};

/// A weight as rows of `width` numbers; of a stack, the rows of all its matrices.
#[derive(Debug)]
pub(super) struct Matrix {
    data: WeightData,
    rows: usize,
    width: usize,
}

/// What a matrix is multiplied with: plain rows, and the same quantised when the matrix is.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    pub plain: &'a [f32],
    pub quantised: &'a Rows,
}

/// Outputs that a thread takes at once are at most this many bytes of weights, which stay in
/// its cache while all rows pass.
const PIECE_BYTES: usize = 256 << 10;
/// Rows that a thread takes at once.
const PIECE_ROWS: usize = 256;

/// Calls `$run` with the type that holds the numbers of a `$kind`.
macro_rules! by_type {
    ($kind:expr, $dense:ident, $quantised:ident, $args:tt) => {
        match $kind {
            WeightType::F32 => $dense::<f32> $args,
            WeightType::F16 => $dense::<f16> $args,
            WeightType::Bf16 => $dense::<bf16> $args,
            WeightType::Q4_0 => $quantised::<Q4_0> $args,
            WeightType::Q4_1 => $quantised::<Q4_1> $args,
            WeightType::Q5_0 => $quantised::<Q5_0> $args,
            WeightType::Q5_1 => $quantised::<Q5_1> $args,
            WeightType::Q8_0 => $quantised::<Q8_0> $args,
            WeightType::Q4K => $quantised::<Q4K> $args,
            WeightType::Q5K => $quantised::<Q5K> $args,
            WeightType::Q6K => $quantised::<Q6K> $args,
        }
    };
}

/// Checks that `found` is the weight `wanted`.
pub(super) fn check(wanted: &Weight, found: &WeightData) -> Result<(), TensorError> {
    if found.kind != wanted.kind || found.shape != wanted.shape {
        return Err(TensorError::Weight {
            name: wanted.name.clone(),
            found: format!("{found:?}"),
            expected: format!("{} {:?}", wanted.kind, wanted.shape),
        });
    }
    let size = match wanted.kind {
        WeightType::F32 => 4,
        WeightType::F16 | WeightType::Bf16 => 2,
        _ => 1,
    };
    let address = found.bytes().as_ptr().addr();
    if !address.is_multiple_of(size) {
        return Err(TensorError::Weight {
            name: wanted.name.clone(),
            found: format!("{found:?} at an address that {size} does not divide"),
            expected: "one that it divides, to be used where it is mapped".into(),
        });
    }
    Ok(())
}

impl Matrix {
    /// The weight `wanted`, of two dimensions or more, as `data` holds it.
    pub fn open(wanted: &Weight, data: WeightData) -> Result<Self, TensorError> {
        check(wanted, &data)?;
        let width = wanted.shape.last().copied().unwrap_or(1);
        let block = wanted.kind.block_len();
        if !width.is_multiple_of(block) {
            return Err(TensorError::Weight {
                name: wanted.name.clone(),
                found: format!("{data:?}"),
                expected: format!("rows of whole blocks of {block}"),
            });
        }
        let rows = wanted.shape.iter().product::<usize>() / width;
        Ok(Self { data, rows, width })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether its operand must be quantised, too.
    pub fn is_quantised(&self) -> bool {
        is_quantised(self.data.kind)
    }

    /// Writes one of its rows as numbers; with a row that it does not have, zeros.
    pub fn read(&self, row: usize, out: &mut [f32]) {
        if row < self.rows {
            by_type!(self.data.kind, read_dense, read_quantised, (self, row, out));
        } else {
            out.fill(0.0);
        }
    }

    /// `out = x · wᵀ` for the rows `range` of the matrix.
    pub fn multiply(
        &self,
        level: Level,
        hands: Hands,
        x: Operand<'_>,
        range: Range<usize>,
        out: &mut [f32],
    ) {
        let columns = range.len();
        let rows = out.len() / columns.max(1);
        let work = rows * columns * self.width;
        let hands = hands.for_work(work);
        let row_bytes = self.width / self.data.kind.block_len() * self.data.kind.block_bytes();
        let most = (PIECE_BYTES / row_bytes.max(1)).max(8);
        // Four pieces for each hand, so that one that was interrupted does not hold up the rest.
        let wide = if hands.count() == 1 {
            most
        } else {
            columns.div_ceil(4 * hands.count()).clamp(8, most)
        };
        let wide = wide.next_multiple_of(8);
        let across = columns.div_ceil(wide);
        let out = Window::new(out, columns);
        hands.each(across * rows.div_ceil(PIECE_ROWS), |piece| {
            let (down, across) = (piece / across * PIECE_ROWS, piece % across * wide);
            let rows = down..(down + PIECE_ROWS).min(rows);
            let columns = across..(across + wide).min(columns);
            // SAFETY: each piece has its own rows and columns, and nothing else uses `out`.
            let out = unsafe { out.part(rows.clone(), columns.clone()) };
            let columns = range.start + columns.start..range.start + columns.end;
            by_type!(
                self.data.kind,
                multiply_dense,
                multiply_quantised,
                (self, level, x, rows, columns, out)
            );
        });
    }

    /// All its numbers, when they are of type `T`.
    fn items<T: Copy>(&self, per_row: usize) -> View<'_, T> {
        let bytes = self.data.bytes();
        // SAFETY: `T` is a float or an array of bytes, for which every pattern of bits is valid.
        let (before, items, _) = unsafe { bytes.align_to::<T>() };
        assert!(
            before.is_empty(),
            "its address was checked when it was opened"
        );
        View::new(items, self.rows, per_row, per_row)
    }
}

/// Whether weights of this type are multiplied with quantised rows.
pub(super) fn is_quantised(kind: WeightType) -> bool {
    kind.block_len() > 1
}

/// A weight's row of `F`'s blocks.
fn blocks<F: Format>(matrix: &Matrix) -> View<'_, F::Block> {
    matrix.items::<F::Block>(matrix.width / (GROUP * F::GROUPS))
}

fn multiply_dense<T: Dense>(
    matrix: &Matrix,
    level: Level,
    x: Operand<'_>,
    rows: Range<usize>,
    columns: Range<usize>,
    out: Window<'_>,
) {
    let x = View::whole(x.plain, matrix.width).part(rows);
    let w = matrix.items::<T>(matrix.width).part(columns);
    dense::products(level, x, w, out);
}

fn multiply_quantised<F: Format>(
    matrix: &Matrix,
    level: Level,
    x: Operand<'_>,
    rows: Range<usize>,
    columns: Range<usize>,
    out: Window<'_>,
) {
    let w = blocks::<F>(matrix).part(columns);
    quant::products::<F>(level, x.quantised, rows.start, w, out);
}

fn read_dense<T: Dense>(matrix: &Matrix, row: usize, out: &mut [f32]) {
    let items = matrix.items::<T>(matrix.width);
    for (out, item) in out.iter_mut().zip(items.row(row)) {
        *out = item.get();
    }
}

fn read_quantised<F: Format>(matrix: &Matrix, row: usize, out: &mut [f32]) {
    let blocks = blocks::<F>(matrix);
    let out = out.chunks_exact_mut(GROUP * F::GROUPS);
    for (out, block) in out.zip(blocks.row(row)) {
        let scales = F::scales::<Plain>(block);
        for (group, out) in out.chunks_exact_mut(GROUP).enumerate() {
            let numbers = F::numbers(block, group);
            let [low, high] = scales.halves[group];
            for (i, (out, number)) in out.iter_mut().zip(numbers).enumerate() {
                let scale = if i < GROUP / 2 { low } else { high };
                *out = scale * f32::from(number) + scales.offsets[group];
            }
        }
    }
}

/// A norm's weight or a bias: few numbers that are read often, converted when they are first read,
/// so that loading touches none of them.
#[derive(Debug)]
pub(super) struct Vector {
    kind: WeightType,
    data: WeightData,
    numbers: OnceLock<Vec<f32>>,
}

impl Vector {
    pub(super) fn open(wanted: &Weight, data: WeightData) -> Result<Self, TensorError> {
        check(wanted, &data)?;
        match wanted.kind {
            kind @ (WeightType::F32 | WeightType::F16 | WeightType::Bf16) => Ok(Self {
                kind,
                data,
                numbers: OnceLock::new(),
            }),
            other => Err(TensorError::Weight {
                name: wanted.name.clone(),
                found: format!("{other} {:?}", wanted.shape),
                expected: "F32, F16 or BF16".into(),
            }),
        }
    }

    pub(super) fn numbers(&self) -> &[f32] {
        self.numbers.get_or_init(|| {
            let bytes = self.data.bytes();
            let halves = || bytes.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b));
            match self.kind {
                WeightType::F16 => halves().map(|b| f16::from_bits(b).get()).collect(),
                WeightType::Bf16 => halves().map(|b| bf16::from_bits(b).get()).collect(),
                _ => {
                    let words = bytes.as_chunks().0.iter();
                    words.map(|b| f32::from_le_bytes(*b)).collect()
                }
            }
        })
    }
}

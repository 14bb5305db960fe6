//! The types a weight may have. Owns their names, their GGUF numbers and their block sizes.
//!
//! GGUF knows about thirty; these are the ones that the executors compute with. Everything else is
//! refused by the reader, by name and number.

use std::fmt;
use std::str::FromStr;

/// How the numbers of a tensor are stored: plain floats, or blocks of quantised ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    non_camel_case_types,
    reason = "the names that GGUF people write: `Q4_0`, `Q4_K`"
)]
pub enum WeightType {
    /// 32-bit floats.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// 4 bits and a scale for 32 elements.
    Q4_0,
    /// 4 bits, a scale and a minimum for 32 elements.
    Q4_1,
    /// 5 bits and a scale for 32 elements.
    Q5_0,
    /// 5 bits, a scale and a minimum for 32 elements.
    Q5_1,
    /// 8 bits and a scale for 32 elements.
    Q8_0,
    /// 4 bits in blocks of 256 with quantised scales.
    Q4K,
    /// 5 bits in blocks of 256 with quantised scales.
    Q5K,
    /// 6 bits in blocks of 256 with quantised scales.
    Q6K,
}

impl WeightType {
    /// Every type, in order.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// One row of the table below: name, GGUF number, elements of a block, bytes of a block.
    const fn row(self) -> (&'static str, u32, usize, usize) {
        match self {
            Self::F32 => ("F32", 0, 1, 4),
            Self::F16 => ("F16", 1, 1, 2),
            Self::Bf16 => ("BF16", 30, 1, 2),
            Self::Q4_0 => ("Q4_0", 2, 32, 18),
            Self::Q4_1 => ("Q4_1", 3, 32, 20),
            Self::Q5_0 => ("Q5_0", 6, 32, 22),
            Self::Q5_1 => ("Q5_1", 7, 32, 24),
            Self::Q8_0 => ("Q8_0", 8, 32, 34),
            Self::Q4K => ("Q4_K", 12, 256, 144),
            Self::Q5K => ("Q5_K", 13, 256, 176),
            Self::Q6K => ("Q6_K", 14, 256, 210),
        }
    }

    /// The name that GGUF people write: `Q8_0`, `Q4_K`, `BF16`.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Elements that are stored together.
    pub const fn block_len(self) -> usize {
        self.row().2
    }

    /// Bytes of one such block.
    pub const fn block_bytes(self) -> usize {
        self.row().3
    }

    /// Bytes of `elements` elements; nothing when they do not fill whole blocks or overflow.
    pub const fn bytes(self, elements: u64) -> Option<u64> {
        let block = self.block_len() as u64;
        if !elements.is_multiple_of(block) {
            return None;
        }
        (elements / block).checked_mul(self.block_bytes() as u64)
    }

    /// The number that stands for this type in a GGUF file.
    pub const fn gguf_id(self) -> u32 {
        self.row().1
    }

    /// The type that a number in a GGUF file stands for, if it is one of ours.
    pub fn from_gguf_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.gguf_id() == id)
    }
}

impl fmt::Display for WeightType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for WeightType {
    type Err = WeightTypeError;

    fn from_str(text: &str) -> Result<Self, WeightTypeError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| WeightTypeError {
                found: crate::quote::quote(text),
            })
    }
}

/// A text that names no weight type of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("weight type is {found}, expected one of {}", names())]
#[non_exhaustive]
pub struct WeightTypeError {
    /// The text, escaped.
    pub found: Box<str>,
}

fn names() -> String {
    WeightType::ALL.map(|kind| format!("`{kind}`")).join(", ")
}

/// What GGUF calls a number that is not one of ours, so that a refusal can name it.
pub(super) const fn foreign_name(id: u32) -> Option<&'static str> {
    Some(match id {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_come_back() {
        for kind in WeightType::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(kind.name().to_lowercase().parse(), Ok(kind));
            assert_eq!(WeightType::from_gguf_id(kind.gguf_id()), Some(kind));
            assert_eq!(foreign_name(kind.gguf_id()), None);
        }
        assert_eq!(WeightType::from_gguf_id(10), None);
        assert_eq!(foreign_name(10), Some("Q2_K"));
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let error = "Q9_9".parse::<WeightType>().unwrap_err().to_string();
        assert!(
            error.contains("`Q9_9`") && error.contains("`Q4_K`"),
            "{error}"
        );
    }

    #[test]
    fn bytes_count_whole_blocks_only() {
        assert_eq!(WeightType::F32.bytes(3), Some(12));
        assert_eq!(WeightType::Q8_0.bytes(64), Some(68));
        assert_eq!(WeightType::Q8_0.bytes(33), None);
        assert_eq!(WeightType::Q6K.bytes(512), Some(420));
        assert_eq!(WeightType::F32.bytes(u64::MAX), None);
    }
}

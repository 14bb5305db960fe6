//! Safetensors: the weights files that most training tools write. Owns the parsed header; the
//! weights stay where they are.
//!
//! The host reads the weights that an author brings here. A thin wrapper: the crate
//! `safetensors` knows the format, this says in which file and in which part of it something is
//! wrong, and which of our types a tensor is stored as.
//!
//! ```text
//! header length u64 | header: JSON of names, types, shapes and offsets | tensor data
//! ```
//!
//! What stays true of a parsed file: every tensor's range lies inside it, with exactly the bytes
//! its shape needs; the ranges cover the data without gap or overlap; names are unique.

use std::ops::Range;

use ::safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::quote::{escaped, quote};
use crate::{Hint, WeightType};

/// How a file may begin: with the length of its header, then the header's brace.
const BRACE_AT: usize = 8;

/// A parsed safetensors header.
#[derive(Debug, Clone)]
pub struct Safetensors {
    tensors: Vec<SafetensorsInfo>,
}

/// Where a tensor lies and how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SafetensorsInfo {
    /// The tensor's name, unique in its file.
    pub name: String,
    /// Row-major: outermost dimension first.
    pub shape: Vec<usize>,
    /// How its numbers are stored, or what the format calls that, when no weight of ours is.
    pub kind: Result<WeightType, String>,
    /// Its bytes inside the file.
    pub range: Range<usize>,
}

impl Safetensors {
    /// Whether a file begins as these do. Nothing but a header's length and a brace tells them
    /// from other files.
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.get(BRACE_AT) == Some(&b'{')
    }

    /// Reads the header of a file that is in memory, or mapped; `name` stands in messages.
    ///
    /// # Errors
    ///
    /// When the bytes are no sound safetensors file.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, SafetensorsError> {
        let unsound = |error| SafetensorsError::new(name, error);
        let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(unsound)?;
        // The format wants it, and the crate lets blanks stand before it.
        if !Self::begins(bytes) {
            return Err(SafetensorsError {
                file: name.into(),
                place: "header".into(),
                reason: "begins with a blank, expected `{`".into(),
            });
        }
        let data = BRACE_AT + header;
        let mut tensors: Vec<_> = metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| SafetensorsInfo {
                name,
                shape: info.shape.clone(),
                kind: weight_type(info.dtype),
                range: data + info.data_offsets.0..data + info.data_offsets.1,
            })
            .collect();
        tensors.sort_by(|a, b| (a.range.start, &a.name).cmp(&(b.range.start, &b.name)));
        Ok(Self { tensors })
    }

    /// The tensors, in the file's order.
    pub fn tensors(&self) -> &[SafetensorsInfo] {
        &self.tensors
    }
}

fn weight_type(dtype: Dtype) -> Result<WeightType, String> {
    match dtype {
        Dtype::F32 => Ok(WeightType::F32),
        Dtype::F16 => Ok(WeightType::F16),
        Dtype::BF16 => Ok(WeightType::Bf16),
        other => Err(other.to_string()),
    }
}

/// Why a file is not taken as safetensors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {place}: {reason}")]
#[non_exhaustive]
pub struct SafetensorsError {
    /// The file, as the caller named it.
    pub file: Box<str>,
    /// What was being read.
    pub place: Box<str>,
    /// What is wrong with it.
    pub reason: Box<str>,
}

impl SafetensorsError {
    fn new(file: &str, error: SafeTensorError) -> Self {
        use SafeTensorError as Error;
        let (place, reason) = match &error {
            Error::InvalidOffset(tensor) => (
                format!("tensor {}", quote(tensor)),
                "its offsets leave a gap, overlap or run backwards".to_owned(),
            ),
            Error::TensorInvalidInfo => (
                "header".to_owned(),
                "a tensor's shape and type do not need the bytes between its offsets".to_owned(),
            ),
            Error::MetadataIncompleteBuffer => (
                "data".to_owned(),
                "the tensors end elsewhere than the file".to_owned(),
            ),
            // What a header holds is repeated by the JSON parser.
            other => ("header".to_owned(), escaped(&other.to_string())),
        };
        Self {
            file: file.into(),
            place: place.into(),
            reason: reason.into(),
        }
    }

    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<Hint> {
        Some(Hint::new("the file may be a download that was cut short"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend(header.as_bytes());
        out.resize(out.len() + data, 7);
        out
    }

    const TWO: &str = r#"{"b":{"dtype":"I8","shape":[3],"data_offsets":[8,11]},
        "a":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]}}"#;

    fn refusal(bytes: &[u8]) -> String {
        let text = Safetensors::parse(bytes, "x").unwrap_err().to_string();
        assert!(text.starts_with("x: "), "{text}");
        assert!(!text.contains(char::is_control), "{text:?}");
        text
    }

    #[test]
    fn tensors_lie_where_the_file_says() {
        let bytes = file(TWO, 11);
        assert!(Safetensors::begins(&bytes));
        let read = Safetensors::parse(&bytes, "x").unwrap();
        let [a, b] = read.tensors() else {
            panic!("two tensors");
        };
        assert_eq!((&*a.name, &*a.shape), ("a", &[2, 2][..]));
        assert_eq!(a.kind, Ok(WeightType::F16));
        assert_eq!(bytes[a.range.clone()], [7; 8]);
        assert_eq!(b.kind, Err("I8".to_owned()));
        assert_eq!(b.range, bytes.len() - 3..bytes.len());
    }

    #[test]
    fn a_file_cut_or_changed_anywhere_is_refused_or_sound() {
        let bytes = file(TWO, 11);
        for at in 0..bytes.len() {
            refusal(&bytes[..at]);
            for value in [0, 1, 0x1b, 0x7f, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x20] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                match Safetensors::parse(&damaged, "x") {
                    Ok(read) => {
                        for tensor in read.tensors() {
                            assert!(damaged.get(tensor.range.clone()).is_some());
                        }
                    }
                    Err(_) => drop(refusal(&damaged)),
                }
            }
        }
    }

    #[test]
    fn a_header_begins_with_its_brace() {
        for blank in [" {}", "\n{}", "\t\t{}  "] {
            let refused = refusal(&file(blank, 0));
            assert_eq!(refused, "x: header: begins with a blank, expected `{`");
        }
        assert!(Safetensors::parse(&file("{}  ", 0), "x").is_ok());
    }

    #[test]
    fn what_is_wrong_has_a_place_and_does_nothing_to_a_terminal() {
        let hostile = r#"{"a\u001b[2J":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
        let refused = refusal(&file(hostile, 8));
        assert!(refused.contains("x: tensor `a\\u{1b}[2J`: "), "{refused}");
        let hostile = "{\"a\":{\"dtype\":\"\u{202e}F32\"}}";
        let refused = refusal(&file(hostile, 0));
        assert!(refused.contains("x: header: "), "{refused}");
        assert!(refused.contains("\\u{202e}F32"), "{refused}");
        assert!(refusal(&file(TWO, 10)).starts_with("x: data: "));
    }
}

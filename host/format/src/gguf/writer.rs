//! The writer: metadata, then tensors, in the order they were given.
//!
//! Converters, the trainer and the pack builder call it. It writes version 3 with an alignment of
//! 64, so that the data can be used straight from a mapped file, and refuses whatever the reader
//! would refuse. Tensor data may come from a callback: a big file never is in memory as a whole.

use std::collections::HashSet;
use std::io::{self, Write};

use super::value::{Value, ValueKind};
use super::{
    ALIGNMENT_KEY, Array, DEPTH_LIMIT, GgufWriteError, KEY_LIMIT, KEYS_LIMIT, NAME_LIMIT,
    TENSORS_LIMIT, TEXT_LIMIT, VALUES_LIMIT, WeightType, align_up, shape_bytes,
};
use crate::quote::quote;

/// Where tensors begin: at multiples of this. A cache line, and what wide loads like.
const ALIGNMENT: u64 = 64;

/// A callback that writes a tensor's bytes.
type Fill<'a> = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + 'a>;

/// A GGUF file to be written.
///
/// ```
/// use modularbase_format::{Gguf, GgufWriter, WeightType};
///
/// let mut writer = GgufWriter::new();
/// writer.metadata("general.name", "tiny")?;
/// writer.tensor("scale", &[2], WeightType::F32, &[0; 8])?;
/// let mut bytes = Vec::new();
/// writer.write_to(&mut bytes)?;
///
/// let gguf = Gguf::parse(&bytes, "tiny.gguf").expect("what was written");
/// assert_eq!(gguf.tensors()[0].shape, [2]);
/// # Ok::<(), modularbase_format::GgufWriteError>(())
/// ```
#[derive(Default)]
pub struct GgufWriter<'a> {
    metadata: Vec<(String, Value)>,
    tensors: Vec<Pending<'a>>,
    keys: HashSet<String>,
    names: HashSet<String>,
    /// Values in all arrays so far.
    values: u64,
}

struct Pending<'a> {
    name: String,
    shape: Vec<u64>,
    kind: WeightType,
    bytes: u64,
    fill: Fill<'a>,
}

impl<'a> GgufWriter<'a> {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key. `general.alignment` is the writer's own.
    ///
    /// # Errors
    ///
    /// When the key is empty, too long, there already, or the value nests arrays too deeply.
    pub fn metadata(
        &mut self,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<&mut Self, GgufWriteError> {
        let (key, value) = (key.into(), value.into());
        let place = || format!("key {}", quote(&key));
        check_length(place, key.len(), KEY_LIMIT)?;
        if key == ALIGNMENT_KEY {
            return Err(unsound(place(), "key", "given", "left to the writer"));
        }
        check_limit(
            place,
            "number of keys",
            self.keys.len() as u64 + 2,
            KEYS_LIMIT,
        )?;
        check_limit(
            place,
            "depth of arrays",
            depth(&value) as u64,
            DEPTH_LIMIT as u64,
        )?;
        check_limit(
            place,
            "longest text",
            longest_text(&value),
            TEXT_LIMIT as u64,
        )?;
        let values = self.values + values(&value);
        check_limit(place, "number of values in arrays", values, VALUES_LIMIT)?;
        if !self.keys.insert(key.clone()) {
            return Err(GgufWriteError::Duplicate {
                place: place().into(),
            });
        }
        self.values = values;
        self.metadata.push((key, value));
        Ok(self)
    }

    /// Adds a tensor; `shape` is row-major, `bytes` is its data.
    ///
    /// # Errors
    ///
    /// When name or shape are not what a GGUF file can hold, or `bytes` has another length than
    /// the shape needs.
    pub fn tensor(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        kind: WeightType,
        bytes: &'a [u8],
    ) -> Result<&mut Self, GgufWriteError> {
        let name = name.into();
        let needed = self.check_tensor(&name, shape, kind)?;
        if bytes.len() as u64 != needed {
            let place = format!("tensor {}", quote(&name));
            let found = format!("{} bytes", bytes.len());
            return Err(unsound(place, "data", found, format!("{needed} bytes")));
        }
        self.tensor_from(name, shape, kind, move |out| out.write_all(bytes))
    }

    /// Adds a tensor whose data `fill` writes when its turn comes: exactly as many bytes as the
    /// shape needs.
    ///
    /// # Errors
    ///
    /// When name or shape are not what a GGUF file can hold.
    pub fn tensor_from(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        kind: WeightType,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()> + 'a,
    ) -> Result<&mut Self, GgufWriteError> {
        let name = name.into();
        let bytes = self.check_tensor(&name, shape, kind)?;
        self.names.insert(name.clone());
        self.tensors.push(Pending {
            name,
            shape: shape.iter().map(|dim| *dim as u64).collect(),
            kind,
            bytes,
            fill: Box::new(fill),
        });
        Ok(self)
    }

    /// The bytes that the tensor takes, if it may be added.
    fn check_tensor(
        &self,
        name: &str,
        shape: &[usize],
        kind: WeightType,
    ) -> Result<u64, GgufWriteError> {
        let place = || format!("tensor {}", quote(name));
        check_length(place, name.len(), NAME_LIMIT)?;
        check_limit(
            place,
            "number of tensors",
            self.names.len() as u64 + 1,
            TENSORS_LIMIT,
        )?;
        if self.names.contains(name) {
            return Err(GgufWriteError::Duplicate {
                place: place().into(),
            });
        }
        let shape: Vec<u64> = shape.iter().map(|dim| *dim as u64).collect();
        shape_bytes(kind, &shape)
            .map_err(|fault| unsound(place(), fault.what, fault.found, fault.expected))
    }

    /// The length of the whole file.
    pub fn size(&self) -> u64 {
        let header = self.header().len() as u64;
        self.tensors.iter().fold(header, |size, tensor| {
            size.saturating_add(padded(tensor.bytes))
        })
    }

    /// Writes the file and returns its length.
    ///
    /// # Errors
    ///
    /// When `out` or a callback fails, or a callback writes more or less than its tensor needs.
    pub fn write_to(self, mut out: impl Write) -> Result<u64, GgufWriteError> {
        let io = |place: String| {
            move |source| GgufWriteError::Io {
                place: place.into(),
                source,
            }
        };
        let header = self.header();
        out.write_all(&header).map_err(io("header".to_string()))?;
        let mut size = header.len() as u64;
        for tensor in self.tensors {
            let place = format!("tensor {}", quote(&tensor.name));
            let mut exact = Exact {
                out: &mut out,
                left: tensor.bytes,
                needed: tensor.bytes,
            };
            (tensor.fill)(&mut exact).map_err(io(place.clone()))?;
            if exact.left != 0 {
                let found = format!("{} bytes", tensor.bytes - exact.left);
                let expected = format!("{} bytes", tensor.bytes);
                return Err(unsound(place, "data", found, expected));
            }
            let padding = padded(tensor.bytes) - tensor.bytes;
            out.write_all(&vec![0; padding as usize])
                .map_err(io(place))?;
            size += padded(tensor.bytes);
        }
        out.flush().map_err(io("end of file".to_string()))?;
        Ok(size)
    }

    /// Everything before the data, with its padding.
    fn header(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64 + 1).to_le_bytes());
        put_entry(&mut out, ALIGNMENT_KEY, &Value::U32(ALIGNMENT as u32));
        for (key, value) in &self.metadata {
            put_entry(&mut out, key, value);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            put_text(&mut out, &tensor.name);
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            for dim in tensor.shape.iter().rev() {
                out.extend(dim.to_le_bytes());
            }
            out.extend(tensor.kind.gguf_id().to_le_bytes());
            out.extend(u64::to_le_bytes(offset));
            offset = offset.saturating_add(padded(tensor.bytes));
        }
        out.resize(padded(out.len() as u64) as usize, 0);
        out
    }
}

/// Lets at most `left` more of `needed` bytes through.
struct Exact<W> {
    out: W,
    left: u64,
    needed: u64,
}

impl<W: Write> Write for Exact<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            let text = format!("data is longer than the {} bytes expected", self.needed);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let written = self.out.write(bytes)?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn padded(length: u64) -> u64 {
    align_up(length, ALIGNMENT).unwrap_or(u64::MAX)
}

fn put_entry(out: &mut Vec<u8>, key: &str, value: &Value) {
    put_text(out, key);
    out.extend((value.kind() as u32).to_le_bytes());
    put_value(out, value);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(n) => out.push(*n),
        Value::I8(n) => out.extend(n.to_le_bytes()),
        Value::U16(n) => out.extend(n.to_le_bytes()),
        Value::I16(n) => out.extend(n.to_le_bytes()),
        Value::U32(n) => out.extend(n.to_le_bytes()),
        Value::I32(n) => out.extend(n.to_le_bytes()),
        Value::F32(n) => out.extend(n.to_le_bytes()),
        Value::Bool(truth) => out.push((*truth).into()),
        Value::String(text) => put_text(out, text),
        Value::U64(n) => out.extend(n.to_le_bytes()),
        Value::I64(n) => out.extend(n.to_le_bytes()),
        Value::F64(n) => out.extend(n.to_le_bytes()),
        Value::Array(array) => {
            out.extend((array.kind() as u32).to_le_bytes());
            out.extend((array.len() as u64).to_le_bytes());
            for value in array {
                put_value(out, value);
            }
        }
    }
}

/// How many arrays stand inside each other; none in a scalar.
fn depth(value: &Value) -> usize {
    let inside = |array: &Array| match array.kind() {
        ValueKind::Array => array.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    };
    value.as_array().map_or(0, |array| 1 + inside(array))
}

/// Values in an array and in the arrays inside it, as the reader counts them.
fn values(value: &Value) -> u64 {
    value.as_array().map_or(0, |array| {
        array.iter().map(values).sum::<u64>() + array.len() as u64
    })
}

fn longest_text(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(array) => array.iter().map(longest_text).max().unwrap_or(0),
        _ => 0,
    }
}

fn check_limit(
    place: impl Fn() -> String,
    what: &'static str,
    found: u64,
    limit: u64,
) -> Result<(), GgufWriteError> {
    if found <= limit {
        return Ok(());
    }
    Err(unsound(place(), what, found, format!("at most {limit}")))
}

fn check_length(
    place: impl Fn() -> String,
    length: usize,
    limit: usize,
) -> Result<(), GgufWriteError> {
    if (1..=limit).contains(&length) {
        return Ok(());
    }
    let expected = format!("1 to {limit} bytes");
    Err(unsound(place(), "length of the name", length, expected))
}

fn unsound(
    place: String,
    what: &'static str,
    found: impl ToString,
    expected: impl Into<Box<str>>,
) -> GgufWriteError {
    GgufWriteError::Unsound {
        place: place.into(),
        what,
        found: found.to_string().into(),
        expected: expected.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gguf;

    #[test]
    fn what_was_written_is_read_again() {
        let mut writer = GgufWriter::new();
        writer.metadata("a", 1u8).unwrap();
        writer.metadata("b", vec!["x", "y"]).unwrap();
        writer
            .tensor("t", &[2, 32], WeightType::Q8_0, &[7; 68])
            .unwrap();
        writer
            .tensor_from("u", &[3], WeightType::F16, |out| out.write_all(&[9; 6]))
            .unwrap();
        let size = writer.size();
        let mut bytes = Vec::new();
        assert_eq!(writer.write_to(&mut bytes).unwrap(), size);
        assert_eq!(bytes.len() as u64, size);

        let gguf = Gguf::parse(&bytes, "x").unwrap();
        assert_eq!(gguf.alignment() as u64, ALIGNMENT);
        assert_eq!(gguf.get("b"), Some(&Value::from(vec!["x", "y"])));
        let tensor = gguf.tensor("t").unwrap();
        assert_eq!((&*tensor.shape, tensor.elements()), (&[2, 32][..], 64));
        assert_eq!(bytes[tensor.range.clone()], [7; 68]);
        let tensor = gguf.tensor("u").unwrap();
        assert_eq!(tensor.range.start % 64, 0);
        assert_eq!(bytes[tensor.range.clone()], [9; 6]);
    }

    #[test]
    fn what_the_reader_refuses_is_not_written() {
        let mut writer = GgufWriter::new();
        let mut deep = Value::from(vec![0u8]);
        for _ in 0..DEPTH_LIMIT {
            deep = Value::Array(Array::new(ValueKind::Array, vec![deep]).unwrap());
        }
        assert!(writer.metadata("deep", deep).is_err());
        assert!(writer.metadata("", 1u8).is_err());
        assert!(writer.metadata(ALIGNMENT_KEY, 32u32).is_err());
        assert!(writer.metadata("k", 1u8).is_ok());
        assert!(writer.metadata("k", 1u8).is_err());
        let mut tensor = |name: &str, shape: &[usize], kind, bytes| {
            writer.tensor(name, shape, kind, bytes).map(drop)
        };
        assert!(tensor("t", &[], WeightType::F32, &[]).is_err());
        assert!(tensor("t", &[0], WeightType::F32, &[]).is_err());
        assert!(tensor("t", &[2], WeightType::F32, &[0; 7]).is_err());
        assert!(tensor("t", &[8, 4], WeightType::Q8_0, &[0; 34]).is_err());
        assert!(tensor(&"n".repeat(256), &[1], WeightType::F32, &[0; 4]).is_err());
        assert!(tensor("t", &[1], WeightType::F32, &[0; 4]).is_ok());
        assert!(tensor("t", &[1], WeightType::F32, &[0; 4]).is_err());
    }

    #[test]
    fn a_callback_writes_exactly_what_its_tensor_needs() {
        let write = |count: usize| {
            let mut writer = GgufWriter::new();
            writer
                .tensor_from("t", &[2], WeightType::F32, move |out| {
                    (0..count).try_for_each(|_| out.write_all(&[1]))
                })
                .unwrap();
            writer
                .write_to(Vec::new())
                .map_err(|error| error.to_string())
        };
        assert!(write(8).is_ok());
        assert_eq!(
            write(7).unwrap_err(),
            "tensor `t`: data is 7 bytes, expected 8 bytes"
        );
        assert_eq!(
            write(9).unwrap_err(),
            "tensor `t`: data is longer than the 8 bytes expected"
        );
    }
}

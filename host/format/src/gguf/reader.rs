//! The reader: bytes in, [`Gguf`] out. Owns the position in the file and the order of the checks.
//!
//! Called by [`Gguf::parse`] only. Every length is held against what is left before it is used,
//! so what is allocated stays within a small multiple of the file's own size.

use std::collections::HashMap;

use super::value::{Array, Value, ValueKind};
use super::{
    ALIGNMENT_KEY, DEPTH_LIMIT, DIMS_LIMIT, Gguf, GgufError, KEY_LIMIT, NAME_LIMIT, ShapeFault,
    TensorInfo, WeightType, align_up, shape_bytes,
};
use crate::quote::quote;

/// Metadata keys in one file; real ones have fewer than a hundred.
const KEYS_LIMIT: u64 = 1 << 16;

/// Tensors in one file; the largest known models have some thousands.
const TENSORS_LIMIT: u64 = 1 << 18;

/// Values in all arrays of a file together. A vocabulary of 256K tokens takes about a million; a
/// value takes more in memory than in the file, so the file's length alone is no bound.
const VALUES_LIMIT: u64 = 1 << 22;

/// The longest text: embedded tokenizers run to some ten megabytes.
const TEXT_LIMIT: usize = 256 << 20;

/// The widest alignment: a huge page would be a mistake.
const ALIGNMENT_LIMIT: u32 = 1 << 16;

/// The alignment of a file that does not name one.
const DEFAULT_ALIGNMENT: usize = 32;

/// The fewest bytes of a metadata entry: an empty string, a kind, one byte.
const LEAST_KEY_BYTES: u64 = 8 + 4 + 1;

/// The fewest bytes of a tensor entry: an empty string, dims, one dim, type, offset.
const LEAST_TENSOR_BYTES: u64 = 8 + 4 + 8 + 4 + 8;

pub(super) fn parse(bytes: &[u8], file: &str) -> Result<Gguf, GgufError> {
    let mut cursor = Cursor {
        bytes,
        at: 0,
        file,
        place: Place::Header,
        values_left: VALUES_LIMIT,
    };
    let version = cursor.magic_and_version()?;
    let tensor_count = cursor.count("tensor count", TENSORS_LIMIT, LEAST_TENSOR_BYTES)?;
    let key_count = cursor.count("key count", KEYS_LIMIT, LEAST_KEY_BYTES)?;

    let mut gguf = Gguf {
        version,
        alignment: DEFAULT_ALIGNMENT,
        metadata: Vec::with_capacity(key_count),
        tensors: Vec::with_capacity(tensor_count),
        by_key: HashMap::with_capacity(key_count),
        by_name: HashMap::with_capacity(tensor_count),
    };
    for index in 0..key_count {
        let (key, value) = cursor.entry()?;
        if key == ALIGNMENT_KEY {
            gguf.alignment = cursor.alignment(&value)?;
        }
        if gguf.by_key.insert(key.clone(), index).is_some() {
            return Err(cursor.duplicate());
        }
        gguf.metadata.push((key, value));
    }
    let mut offsets = Vec::with_capacity(tensor_count);
    for index in 0..tensor_count {
        let (info, offset) = cursor.tensor(gguf.alignment)?;
        if gguf.by_name.insert(info.name.clone(), index).is_some() {
            return Err(cursor.duplicate());
        }
        gguf.tensors.push(info);
        offsets.push(offset);
    }
    cursor.place_tensors(&mut gguf, &offsets)?;
    Ok(gguf)
}

/// What is being read, for messages; spelled out only when there is something to say.
#[derive(Clone, Copy)]
enum Place<'a> {
    Header,
    KeyName,
    Key(&'a str),
    TensorName,
    Tensor(&'a str),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::KeyName => f.write_str("key name"),
            Self::Key(key) => write!(f, "key {}", quote(key)),
            Self::TensorName => f.write_str("tensor name"),
            Self::Tensor(name) => write!(f, "tensor {}", quote(name)),
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    file: &'a str,
    place: Place<'a>,
    values_left: u64,
}

impl<'a> Cursor<'a> {
    fn magic_and_version(&mut self) -> Result<u32, GgufError> {
        let magic = self.bytes.get(..4).unwrap_or(self.bytes);
        if magic != b"GGUF" {
            return Err(GgufError::Magic {
                file: self.file.to_string(),
                found: format!("`{}`", magic.escape_ascii()),
            });
        }
        self.at = 4;
        match self.u32()? {
            version @ (2 | 3) => Ok(version),
            // A small number whose bytes stand the other way round.
            version if version != 0 && version & 0xffff == 0 => Err(GgufError::BigEndian {
                file: self.file.to_string(),
            }),
            found => Err(GgufError::Version {
                file: self.file.to_string(),
                found,
            }),
        }
    }

    /// A count that is within `limit` and whose entries could fit into the rest of the file.
    fn count(
        &mut self,
        what: &'static str,
        limit: u64,
        least_bytes: u64,
    ) -> Result<usize, GgufError> {
        let offset = self.at;
        let count = self.u64()?;
        if count > limit {
            return Err(self.unsound(what, offset, count, format!("at most {limit}")));
        }
        self.need(count.saturating_mul(least_bytes))?;
        usize::try_from(count).map_err(|_| self.unsound(what, offset, count, "a smaller count"))
    }

    fn entry(&mut self) -> Result<(String, Value), GgufError> {
        self.place = Place::KeyName;
        let key = self.text(KEY_LIMIT)?;
        if key.is_empty() {
            return Err(self.unsound("length", self.at, 0, "at least 1"));
        }
        self.place = Place::Key(key);
        let kind = self.kind()?;
        let value = self.value(kind, 0)?;
        Ok((key.to_string(), value))
    }

    fn kind(&mut self) -> Result<ValueKind, GgufError> {
        let offset = self.at;
        let id = self.u32()?;
        ValueKind::from_gguf_id(id).ok_or_else(|| self.unsound("kind", offset, id, "0 to 12"))
    }

    fn value(&mut self, kind: ValueKind, depth: usize) -> Result<Value, GgufError> {
        Ok(match kind {
            ValueKind::U8 => Value::U8(u8::from_le_bytes(self.array()?)),
            ValueKind::I8 => Value::I8(i8::from_le_bytes(self.array()?)),
            ValueKind::U16 => Value::U16(u16::from_le_bytes(self.array()?)),
            ValueKind::I16 => Value::I16(i16::from_le_bytes(self.array()?)),
            ValueKind::U32 => Value::U32(self.u32()?),
            ValueKind::I32 => Value::I32(i32::from_le_bytes(self.array()?)),
            ValueKind::F32 => Value::F32(f32::from_le_bytes(self.array()?)),
            ValueKind::U64 => Value::U64(self.u64()?),
            ValueKind::I64 => Value::I64(i64::from_le_bytes(self.array()?)),
            ValueKind::F64 => Value::F64(f64::from_le_bytes(self.array()?)),
            ValueKind::Bool => Value::Bool(self.truth()?),
            ValueKind::String => Value::String(self.text(TEXT_LIMIT)?.to_string()),
            ValueKind::Array => Value::Array(self.values(depth + 1)?),
        })
    }

    fn truth(&mut self) -> Result<bool, GgufError> {
        let offset = self.at;
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [byte] => Err(self.unsound("boolean", offset, byte, "0 or 1")),
        }
    }

    fn values(&mut self, depth: usize) -> Result<Array, GgufError> {
        if depth > DEPTH_LIMIT {
            let expected = format!("at most {DEPTH_LIMIT}");
            return Err(self.unsound("depth of arrays", self.at, depth, expected));
        }
        let kind = self.kind()?;
        let count = self.count("array length", self.values_left, kind.least_bytes())?;
        self.values_left -= count as u64;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(self.value(kind, depth)?);
        }
        let offset = self.at;
        Array::new(kind, values)
            .ok_or_else(|| self.unsound("array", offset, "mixed", "values of one kind"))
    }

    /// The file's alignment, once its key has been read.
    fn alignment(&self, value: &Value) -> Result<usize, GgufError> {
        match value {
            Value::U32(n) if n.is_power_of_two() && (8..=ALIGNMENT_LIMIT).contains(n) => {
                Ok(*n as usize)
            }
            other => {
                let found = match other.as_u64() {
                    Some(n) => format!("{n} ({:?})", other.kind()),
                    None => format!("of kind {:?}", other.kind()),
                };
                let expected = format!("a power of two from 8 to {ALIGNMENT_LIMIT} (U32)");
                Err(self.unsound("value", self.at, found, expected))
            }
        }
    }

    /// A tensor entry, its range not yet placed, and its offset in the data.
    fn tensor(&mut self, alignment: usize) -> Result<(TensorInfo, u64), GgufError> {
        self.place = Place::TensorName;
        let name = self.text(NAME_LIMIT)?;
        if name.is_empty() {
            return Err(self.unsound("length", self.at, 0, "at least 1"));
        }
        self.place = Place::Tensor(name);
        let offset = self.at;
        let dims = self.u32()?;
        if dims == 0 || dims as usize > DIMS_LIMIT {
            return Err(self.unsound("number of dimensions", offset, dims, "1 to 4"));
        }
        let mut shape = Vec::with_capacity(DIMS_LIMIT);
        for _ in 0..dims {
            shape.push(self.u64()?);
        }
        shape.reverse();
        let number = self.u32()?;
        let kind = WeightType::from_gguf_id(number).ok_or_else(|| GgufError::UnknownType {
            file: self.file.to_string(),
            tensor: quote(name),
            number,
        })?;
        let unsound =
            |fault: ShapeFault| self.unsound(fault.what, offset, fault.found, fault.expected);
        let bytes = shape_bytes(kind, &shape).map_err(unsound)?;
        let too_large = || self.unsound("size", offset, bytes, "what this machine can address");
        let length = usize::try_from(bytes).map_err(|_| too_large())?;
        let shape = shape
            .iter()
            .map(|dim| usize::try_from(*dim))
            .collect::<Result<_, _>>()
            .map_err(|_| too_large())?;

        let offset = self.at;
        let data_offset = self.u64()?;
        if !data_offset.is_multiple_of(alignment as u64) {
            let expected = format!("a multiple of {alignment}");
            return Err(self.unsound("data offset", offset, data_offset, expected));
        }
        let info = TensorInfo {
            name: name.to_string(),
            shape,
            kind,
            range: 0..length,
        };
        Ok((info, data_offset))
    }

    /// Puts every tensor where its offset says, now that the start of the data is known.
    fn place_tensors(&mut self, gguf: &mut Gguf, offsets: &[u64]) -> Result<(), GgufError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let file = || self.file.to_string();
        let data = align_up(self.at as u64, gguf.alignment as u64);
        for (info, offset) in gguf.tensors.iter_mut().zip(offsets) {
            let length = info.range.end;
            let start = data.and_then(|data| data.checked_add(*offset));
            let start = start.and_then(|start| usize::try_from(start).ok());
            let range = start.and_then(|start| Some(start..start.checked_add(length)?));
            match range {
                Some(range) if range.end <= self.bytes.len() => info.range = range,
                _ => {
                    let start = start.unwrap_or(usize::MAX);
                    return Err(GgufError::Truncated {
                        file: file(),
                        place: Place::Tensor(&info.name).to_string(),
                        offset: start,
                        left: self.bytes.len().saturating_sub(start),
                        needed: length as u64,
                    });
                }
            }
        }
        let mut in_order: Vec<&TensorInfo> = gguf.tensors.iter().collect();
        in_order.sort_by_key(|info| info.range.start);
        for pair in in_order.windows(2) {
            if let [first, second] = pair
                && second.range.start < first.range.end
            {
                return Err(GgufError::Overlap {
                    file: file(),
                    tensor: quote(&second.name),
                    other: quote(&first.name),
                    offset: second.range.start,
                });
            }
        }
        Ok(())
    }

    fn text(&mut self, limit: usize) -> Result<&'a str, GgufError> {
        let offset = self.at;
        let length = self.u64()?;
        if length > limit as u64 {
            let expected = format!("at most {limit}");
            return Err(self.unsound("length", offset, length, expected));
        }
        self.need(length)?;
        let bytes = self.take(length as usize)?;
        std::str::from_utf8(bytes).map_err(|error| {
            let at = offset + 8 + error.valid_up_to();
            self.unsound("text", at, "not UTF-8", "UTF-8")
        })
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| self.truncated(N as u64))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], GgufError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest
            .get(..count)
            .ok_or_else(|| self.truncated(count as u64))?;
        self.at += count;
        Ok(taken)
    }

    fn need(&self, count: u64) -> Result<(), GgufError> {
        if count > (self.bytes.len() - self.at) as u64 {
            return Err(self.truncated(count));
        }
        Ok(())
    }

    fn truncated(&self, needed: u64) -> GgufError {
        GgufError::Truncated {
            file: self.file.to_string(),
            place: self.place.to_string(),
            offset: self.at,
            left: self.bytes.len().saturating_sub(self.at),
            needed,
        }
    }

    fn duplicate(&self) -> GgufError {
        GgufError::Duplicate {
            file: self.file.to_string(),
            place: self.place.to_string(),
            offset: self.at,
        }
    }

    fn unsound(
        &self,
        what: &'static str,
        offset: usize,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> GgufError {
        GgufError::Unsound {
            file: self.file.to_string(),
            place: self.place.to_string(),
            what,
            offset,
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}

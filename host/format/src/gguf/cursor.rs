//! A position in a GGUF file: numbers, texts, values and counts, each checked before it is taken.
//!
//! Called by the reader. Owns the rule that nothing is allocated by a count which could not be true
//! of the bytes that are left, and the place that errors name.

use super::value::{Array, Value, ValueKind};
use super::{DEPTH_LIMIT, GgufError, TEXT_LIMIT};
use crate::quote::quote;

/// What is being read, for messages; spelled out only when there is something to say.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
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

pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) file: &'a str,
    pub(super) place: Place<'a>,
    /// Values in arrays that may still come, in this file and in those that are read with it.
    values_left: &'a mut u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], file: &'a str, values_left: &'a mut u64) -> Self {
        Self {
            bytes,
            at: 0,
            file,
            place: Place::Header,
            values_left,
        }
    }

    /// A count that is within `limit` and whose entries could fit into the rest of the file.
    pub(super) fn count(
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

    pub(super) fn kind(&mut self) -> Result<ValueKind, GgufError> {
        let offset = self.at;
        let id = self.u32()?;
        ValueKind::from_gguf_id(id).ok_or_else(|| self.unsound("kind", offset, id, "0 to 12"))
    }

    pub(super) fn value(&mut self, kind: ValueKind, depth: usize) -> Result<Value, GgufError> {
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
        let count = self.count("array length", *self.values_left, kind.least_bytes())?;
        *self.values_left -= count as u64;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(self.value(kind, depth)?);
        }
        let offset = self.at;
        Array::new(kind, values)
            .ok_or_else(|| self.unsound("array", offset, "mixed", "values of one kind"))
    }

    pub(super) fn text(&mut self, limit: usize) -> Result<&'a str, GgufError> {
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

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| self.truncated(N as u64))
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], GgufError> {
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
            file: self.file.into(),
            place: self.place.to_string().into(),
            offset: self.at,
            left: self.bytes.len().saturating_sub(self.at),
            needed,
        }
    }

    pub(super) fn duplicate(&self) -> GgufError {
        GgufError::Duplicate {
            file: self.file.into(),
            place: self.place.to_string().into(),
            offset: self.at,
        }
    }

    pub(super) fn unsound(
        &self,
        what: &'static str,
        offset: usize,
        found: impl ToString,
        expected: impl Into<Box<str>>,
    ) -> GgufError {
        GgufError::Unsound {
            file: self.file.into(),
            place: self.place.to_string().into(),
            what,
            offset,
            found: found.to_string().into(),
            expected: expected.into(),
        }
    }
}

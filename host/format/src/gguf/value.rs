//! Metadata values. Owns the twelve scalar and string kinds of GGUF, and arrays of one kind.
//!
//! The reader makes them, the writer takes them, and base file and importers ask them questions.
//! An [`Array`] remembers its kind even when it is empty, so that what is read can be written back.

/// The kind of a metadata value, with GGUF's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum ValueKind {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    String = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
}

impl ValueKind {
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    pub(super) fn from_gguf_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == id)
    }

    /// The fewest bytes that a value of this kind takes in a file.
    pub(super) const fn least_bytes(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::String => 8,
            Self::Array => 12,
        }
    }
}

/// One metadata value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl Value {
    /// The kind of this value.
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::U8(_) => ValueKind::U8,
            Self::I8(_) => ValueKind::I8,
            Self::U16(_) => ValueKind::U16,
            Self::I16(_) => ValueKind::I16,
            Self::U32(_) => ValueKind::U32,
            Self::I32(_) => ValueKind::I32,
            Self::F32(_) => ValueKind::F32,
            Self::Bool(_) => ValueKind::Bool,
            Self::String(_) => ValueKind::String,
            Self::Array(_) => ValueKind::Array,
            Self::U64(_) => ValueKind::U64,
            Self::I64(_) => ValueKind::I64,
            Self::F64(_) => ValueKind::F64,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number of any integer that is not negative: writers disagree about the width.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U8(n) => Some(n.into()),
            Self::U16(n) => Some(n.into()),
            Self::U32(n) => Some(n.into()),
            Self::U64(n) => Some(n),
            _ => self.as_i64().and_then(|n| n.try_into().ok()),
        }
    }

    /// The number of any integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::I8(n) => Some(n.into()),
            Self::I16(n) => Some(n.into()),
            Self::I32(n) => Some(n.into()),
            Self::I64(n) => Some(n),
            Self::U8(n) => Some(n.into()),
            Self::U16(n) => Some(n.into()),
            Self::U32(n) => Some(n.into()),
            Self::U64(n) => n.try_into().ok(),
            _ => None,
        }
    }

    /// The array, if this is one.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }
}

/// An array whose values are all of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    kind: ValueKind,
    values: Vec<Value>,
}

impl Array {
    /// An array of `values`, unless one of them is of another kind.
    pub fn new(kind: ValueKind, values: Vec<Value>) -> Option<Self> {
        values
            .iter()
            .all(|value| value.kind() == kind)
            .then_some(Self { kind, values })
    }

    /// The kind of every value in it.
    pub fn kind(&self) -> ValueKind {
        self.kind
    }

    /// Walks over the values.
    pub fn iter(&self) -> std::slice::Iter<'_, Value> {
        self.values.iter()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl<'a> IntoIterator for &'a Array {
    type Item = &'a Value;
    type IntoIter = std::slice::Iter<'a, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

macro_rules! from {
    ($($native:ty => $kind:ident),* $(,)?) => {$(
        impl From<$native> for Value {
            fn from(value: $native) -> Self {
                Self::$kind(value.into())
            }
        }

        impl From<Vec<$native>> for Value {
            fn from(values: Vec<$native>) -> Self {
                Self::Array(Array {
                    kind: ValueKind::$kind,
                    values: values.into_iter().map(Value::from).collect(),
                })
            }
        }
    )*};
}

from! {
    u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, f32 => F32,
    bool => Bool, &str => String, String => String, Array => Array, u64 => U64, i64 => I64,
    f64 => F64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_asked_for_whatever_their_width() {
        assert_eq!(Value::from(7u8).as_u64(), Some(7));
        assert_eq!(Value::from(7i32).as_u64(), Some(7));
        assert_eq!(Value::from(-7i32).as_u64(), None);
        assert_eq!(Value::from(-7i8).as_i64(), Some(-7));
        assert_eq!(Value::from(u64::MAX).as_i64(), None);
        assert_eq!(Value::from(7f32).as_u64(), None);
    }

    #[test]
    fn an_array_is_of_one_kind() {
        assert!(Array::new(ValueKind::U8, vec![Value::U8(1), Value::I8(1)]).is_none());
        let empty = Value::from(Vec::<f32>::new());
        assert_eq!(empty.as_array().unwrap().kind(), ValueKind::F32);
    }
}

//! The reader: bytes in, [`Gguf`] out. Owns the order of a file's parts and the rules about tensors.
//!
//! Called by [`Gguf::parse`] only. What is allocated stays within a small multiple of the file's
//! own size (the cursor sees to it), and no tensor is placed before all of it is known to be there.

use std::collections::HashMap;

use super::cursor::{Cursor, Place};
use super::value::Value;
use super::{
    ALIGNMENT_KEY, DIMS_LIMIT, Gguf, GgufError, KEY_LIMIT, KEYS_LIMIT, NAME_LIMIT, ShapeFault,
    TENSORS_LIMIT, TensorInfo, WeightType, align_up, shape_bytes,
};
use crate::quote::quote;

/// The widest alignment: a huge page would be a mistake.
const ALIGNMENT_LIMIT: u32 = 1 << 16;

/// The alignment of a file that does not name one.
const DEFAULT_ALIGNMENT: usize = 32;

/// The fewest bytes of a metadata entry: an empty string, a kind, one byte.
const LEAST_KEY_BYTES: u64 = 8 + 4 + 1;

/// The fewest bytes of a tensor entry: an empty string, dims, one dim, type, offset.
const LEAST_TENSOR_BYTES: u64 = 8 + 4 + 8 + 4 + 8;

pub(super) fn parse(bytes: &[u8], file: &str, values_left: &mut u64) -> Result<Gguf, GgufError> {
    let mut cursor = Cursor::new(bytes, file, values_left);
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

impl<'a> Cursor<'a> {
    fn magic_and_version(&mut self) -> Result<u32, GgufError> {
        let magic = self.bytes.get(..4).unwrap_or(self.bytes);
        if magic != b"GGUF" {
            return Err(GgufError::Magic {
                file: self.file.into(),
                found: format!("`{}`", magic.escape_ascii()).into(),
            });
        }
        self.at = 4;
        match self.u32()? {
            version @ (2 | 3) => Ok(version),
            // A small number whose bytes stand the other way round.
            version if version != 0 && version & 0xffff == 0 => Err(GgufError::BigEndian {
                file: self.file.into(),
            }),
            found => Err(GgufError::Version {
                file: self.file.into(),
                found,
            }),
        }
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
            file: self.file.into(),
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
        let file = || self.file.into();
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
                        place: Place::Tensor(&info.name).to_string().into(),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version 3 file of these entries, with `data` bytes of data.
    fn file(keys: &[Vec<u8>], tensors: &[Vec<u8>], data: usize) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((tensors.len() as u64).to_le_bytes());
        out.extend((keys.len() as u64).to_le_bytes());
        out.extend(keys.concat());
        out.extend(tensors.concat());
        out.resize(out.len().next_multiple_of(32) + data, 0);
        out
    }

    fn text(text: &str) -> Vec<u8> {
        let mut out = (text.len() as u64).to_le_bytes().to_vec();
        out.extend(text.as_bytes());
        out
    }

    fn key(name: &str, kind: u32, value: &[u8]) -> Vec<u8> {
        [&*text(name), &kind.to_le_bytes(), value].concat()
    }

    /// A tensor entry with the dimensions as the file has them, innermost first.
    fn tensor(name: &str, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
        let mut out = text(name);
        out.extend((dims.len() as u32).to_le_bytes());
        for dim in dims {
            out.extend(dim.to_le_bytes());
        }
        out.extend(kind.to_le_bytes());
        out.extend(offset.to_le_bytes());
        out
    }

    fn parse(bytes: &[u8], file: &str) -> Result<Gguf, GgufError> {
        Gguf::parse(bytes, file)
    }

    fn refusal(bytes: &[u8]) -> String {
        parse(bytes, "x.gguf").unwrap_err().to_string()
    }

    #[test]
    fn tensors_lie_where_the_file_says() {
        let bytes = file(
            &[key("a.b", 4, &[7, 0, 0, 0])],
            &[tensor("late", &[32, 2], 8, 32), tensor("early", &[3], 0, 0)],
            32 + 68,
        );
        let gguf = parse(&bytes, "x.gguf").unwrap();
        assert_eq!((gguf.version(), gguf.alignment()), (3, 32));
        assert_eq!(gguf.get("a.b").and_then(Value::as_u64), Some(7));
        let late = gguf.tensor("late").unwrap();
        assert_eq!(late.shape, [2, 32]);
        assert_eq!(late.kind, WeightType::Q8_0);
        assert_eq!(late.range, bytes.len() - 68..bytes.len());
        let early = gguf.tensor("early").unwrap();
        assert_eq!(early.range.len(), 12);
        assert_eq!(early.range.start + 32, late.range.start);
        assert_eq!(gguf.tensors()[0].name, "late");
    }

    #[test]
    fn what_is_not_gguf_2_or_3_is_refused_in_words() {
        assert_eq!(
            refusal(b"PK\x03\x04rest"),
            "x.gguf: file begins with `PK\\x03\\x04`, expected `GGUF`"
        );
        assert!(refusal(b"").contains("expected `GGUF`"));
        assert!(refusal(b"GGUF\0\0\0\x03").contains("big-endian"));
        assert!(refusal(b"GGUF\x01\0\0\0").contains("version is 1, expected 2 or 3"));
        assert!(refusal(b"GGUF\x04\0\0\0").contains("version is 4"));
    }

    #[test]
    fn counts_are_held_against_what_is_left() {
        for counts in [[u64::MAX, 0], [0, u64::MAX], [1 << 17, 0], [0, 1 << 15]] {
            let mut bytes = b"GGUF\x03\0\0\0".to_vec();
            bytes.extend(counts.map(u64::to_le_bytes).concat());
            assert!(parse(&bytes, "x").is_err(), "{counts:?}");
        }
        // An array of 2^20 strings in 12 bytes.
        let array = [&8u32.to_le_bytes()[..], &(1u64 << 20).to_le_bytes()].concat();
        let refused = refusal(&file(&[key("k", 9, &array)], &[], 0));
        assert!(
            refused.contains("key `k`") && refused.contains("8388608"),
            "{refused}"
        );
        // A text longer than the file.
        let long = (1u64 << 27).to_le_bytes();
        assert!(refusal(&file(&[key("k", 8, &long)], &[], 0)).contains("134217728"));
    }

    #[test]
    fn arrays_nest_so_deep_and_no_deeper() {
        let nested = |depth: usize| {
            let mut array = [&0u32.to_le_bytes()[..], &0u64.to_le_bytes()].concat();
            for _ in 1..depth {
                array = [&9u32.to_le_bytes()[..], &1u64.to_le_bytes(), &array].concat();
            }
            file(&[key("k", 9, &array)], &[], 0)
        };
        assert!(parse(&nested(4), "x").is_ok());
        assert!(refusal(&nested(5)).contains("depth of arrays is 5"));
        assert!(refusal(&nested(5_000)).contains("depth of arrays is 5"));
    }

    #[test]
    fn an_unknown_type_is_named_with_its_tensor() {
        let refused = refusal(&file(&[], &[tensor("up", &[256], 10, 0)], 84));
        assert!(
            refused.contains("tensor `up` is of type 10 (`Q2_K`)"),
            "{refused}"
        );
        let refused = refusal(&file(&[], &[tensor("up", &[256], 77, 0)], 84));
        assert!(
            refused.contains("is of type 77, expected one of `F32`"),
            "{refused}"
        );
    }

    #[test]
    fn impossible_shapes_are_refused() {
        for (dims, kind, words) in [
            (&[][..], 0, "number of dimensions is 0"),
            (&[1; 5][..], 0, "number of dimensions is 5"),
            (&[4, 0][..], 0, "no zeros"),
            (&[33][..], 8, "row length is 33"),
            (&[1 << 32, 1 << 32][..], 0, "fewer than 2^63 bytes"),
            (&[1 << 62][..], 0, "fewer than 2^63 bytes"),
            (&[1 << 40][..], 0, "bytes are left"),
        ] {
            let refused = refusal(&file(&[], &[tensor("t", dims, kind, 0)], 64));
            assert!(refused.contains(words), "{dims:?}: {refused}");
            assert!(refused.contains("tensor `t`"), "{refused}");
        }
    }

    #[test]
    fn tensors_that_lie_wrong_are_refused() {
        let at = |offset| vec![tensor("a", &[16], 0, 0), tensor("b", &[16], 0, offset)];
        assert!(parse(&file(&[], &at(64), 128), "x").is_ok());
        assert!(refusal(&file(&[], &at(8), 128)).contains("multiple of 32"));
        assert!(refusal(&file(&[], &at(32), 128)).contains("inside tensor `a`"));
        assert!(refusal(&file(&[], &at(64), 127)).contains("63 bytes are left"));
        assert!(refusal(&file(&[], &at(u64::MAX - 31), 128)).contains("tensor `b`"));
    }

    #[test]
    fn names_stand_once() {
        let twice = [key("k", 0, &[1]), key("k", 0, &[2])];
        assert!(refusal(&file(&twice, &[], 0)).contains("key `k` appears again"));
        let twice = [tensor("t", &[1], 0, 0), tensor("t", &[1], 0, 32)];
        assert!(refusal(&file(&[], &twice, 64)).contains("tensor `t` appears again"));
        assert!(refusal(&file(&[key("", 0, &[1])], &[], 0)).contains("length is 0"));
        assert!(refusal(&file(&[], &[tensor("", &[1], 0, 0)], 4)).contains("length is 0"));
        let long = "n".repeat(NAME_LIMIT + 1);
        assert!(refusal(&file(&[], &[tensor(&long, &[1], 0, 0)], 4)).contains("at most 255"));
    }

    #[test]
    fn an_odd_alignment_is_refused() {
        for n in [0u32, 1, 4, 48, 1 << 17] {
            let refused = refusal(&file(&[key(ALIGNMENT_KEY, 4, &n.to_le_bytes())], &[], 0));
            assert!(refused.contains("power of two"), "{refused}");
        }
        let text = file(&[key(ALIGNMENT_KEY, 8, &text("64"))], &[], 0);
        assert!(refusal(&text).contains("of kind String"));
        let sound = file(&[key(ALIGNMENT_KEY, 4, &64u32.to_le_bytes())], &[], 0);
        assert_eq!(parse(&sound, "x").unwrap().alignment(), 64);
    }

    #[test]
    fn values_must_be_what_their_kind_says() {
        assert!(refusal(&file(&[key("k", 7, &[2])], &[], 0)).contains("0 or 1"));
        assert!(refusal(&file(&[key("k", 13, &[0])], &[], 0)).contains("kind is 13"));
        let latin = [&1u64.to_le_bytes()[..], &[0xe9]].concat();
        assert!(refusal(&file(&[key("k", 8, &latin)], &[], 0)).contains("not UTF-8"));
    }
}

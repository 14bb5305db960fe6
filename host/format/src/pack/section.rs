//! The top level of a WebAssembly component: sections, one after the other.
//!
//! Owns the walk over them, for the pack's reader and writer. It knows only custom sections by
//! name; what the others hold is wasmtime's to judge. Lengths must be written in the fewest bytes,
//! so that one pack has one spelling.
//!
//! ```text
//! 00 61 73 6d  0d 00 01 00                     "\0asm", version 13, layer 1: a component
//! id u8 | length LEB128 u32 | payload          times any
//! 00    | length LEB128 u32 | name length LEB128 u32 | name | data      a custom section
//! ```

use std::ops::Range;

use crate::quote::quote;

/// What every component begins with.
pub(super) const PREAMBLE: [u8; 8] = [0x00, b'a', b's', b'm', 0x0d, 0x00, 0x01, 0x00];

/// What sections of ours are named after.
pub(super) const PREFIX: &str = "modularbase:";
pub(super) const MANIFEST: &str = "modularbase:manifest";
pub(super) const PADDING: &str = "modularbase:padding";
pub(super) const WEIGHTS: &str = "modularbase:weights";
pub(super) const SIGNATURE: &str = "modularbase:signature";

/// A section at the top level.
pub(super) struct Section<'a> {
    /// The whole of it, from its id on.
    pub(super) range: Range<usize>,
    /// Name and data of a custom section.
    pub(super) custom: Option<(&'a str, Range<usize>)>,
}

impl<'a> Section<'a> {
    /// Name and data, if the section is one of ours, known or not.
    pub(super) fn ours(&self) -> Option<(&'a str, Range<usize>)> {
        self.custom
            .clone()
            .filter(|(name, _)| name.starts_with(PREFIX))
    }
}

/// What is wrong with the file, before anybody adds its path.
pub(super) enum Fault {
    NotAComponent {
        found: Box<str>,
    },
    Section {
        offset: usize,
        what: &'static str,
        found: Box<str>,
        expected: Box<str>,
    },
}

/// Every section of a component, in order; stops after the first fault.
pub(super) fn sections(bytes: &[u8]) -> Result<Sections<'_>, Fault> {
    if bytes.starts_with(&PREAMBLE) {
        return Ok(Sections {
            bytes,
            at: PREAMBLE.len(),
        });
    }
    let head = bytes.get(..PREAMBLE.len()).unwrap_or(bytes);
    let found = match head {
        [0, b'a', b's', b'm', 1, 0, 0, 0] => "a core module".to_string(),
        [] => "nothing".to_string(),
        head => format!("`{}`", head.escape_ascii()),
    };
    Err(Fault::NotAComponent {
        found: found.into(),
    })
}

pub(super) struct Sections<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Sections<'a> {
    type Item = Result<Section<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let section = self.section();
        self.at = match &section {
            Ok(section) => section.range.end,
            Err(_) => self.bytes.len(),
        };
        Some(section)
    }
}

impl<'a> Sections<'a> {
    fn section(&self) -> Result<Section<'a>, Fault> {
        let offset = self.at;
        let fault = |what, found: &str, expected: &str| Fault::Section {
            offset,
            what,
            found: found.into(),
            expected: expected.into(),
        };
        let rest = self.bytes.get(offset + 1..).unwrap_or_default();
        let (length, used) = leb128(rest).map_err(|found| fault("length", found, LEB128))?;
        let start = offset + 1 + used;
        let left = self.bytes.len() - start;
        if length as usize > left {
            let expected = format!("at most the {left} bytes that are left");
            return Err(fault("length", &length.to_string(), &expected));
        }
        let range = offset..start + length as usize;
        if self.bytes.get(offset) != Some(&0) {
            return Ok(Section {
                range,
                custom: None,
            });
        }
        let payload = self.bytes.get(start..range.end).unwrap_or_default();
        let (name_length, used) =
            leb128(payload).map_err(|found| fault("length of the name", found, LEB128))?;
        let name_end = used.saturating_add(name_length as usize);
        let Some(name) = payload.get(used..name_end) else {
            let found = name_length.to_string();
            return Err(fault(
                "length of the name",
                &found,
                "a name inside the section",
            ));
        };
        let name = std::str::from_utf8(name)
            .map_err(|_| fault("name", &quote(&String::from_utf8_lossy(name)), "UTF-8"))?;
        let data = start + name_end..range.end;
        Ok(Section {
            range,
            custom: Some((name, data)),
        })
    }
}

const LEB128: &str = "a u32 as LEB128 in the fewest bytes";

/// A u32 and the bytes it took, or what stands there instead.
fn leb128(bytes: &[u8]) -> Result<(u32, usize), &'static str> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if index > 0 && *byte == 0 {
                return Err("overlong");
            }
            let value = u32::try_from(value).map_err(|_| "more than 32 bits")?;
            return Ok((value, index + 1));
        }
    }
    match bytes.len() {
        0..5 => Err("cut off"),
        _ => Err("more than 32 bits"),
    }
}

/// Writes a u32 in the fewest bytes.
fn put_leb128(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The most data that a custom section of this name can hold.
pub(super) fn data_limit(name: &str) -> u64 {
    u64::from(u32::MAX) - 1 - name.len() as u64
}

/// The head of a custom section, up to its data; its name is one of ours, its data no longer than
/// [`data_limit`].
pub(super) fn head(name: &str, data: u32) -> Vec<u8> {
    let mut inner = Vec::new();
    put_leb128(&mut inner, name.len() as u32);
    inner.extend(name.as_bytes());
    let mut out = vec![0];
    put_leb128(&mut out, data.saturating_add(inner.len() as u32));
    out.extend(inner);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 1 << 28, u32::MAX] {
            let mut bytes = Vec::new();
            put_leb128(&mut bytes, value);
            assert_eq!(leb128(&bytes), Ok((value, bytes.len())));
        }
        assert_eq!(leb128(&[0x80, 0x00]), Err("overlong"));
        assert_eq!(
            leb128(&[0xff, 0xff, 0xff, 0xff, 0x1f]),
            Err("more than 32 bits")
        );
        assert_eq!(leb128(&[0xff; 9]), Err("more than 32 bits"));
        assert_eq!(leb128(&[0x80, 0x80]), Err("cut off"));
        assert_eq!(leb128(&[]), Err("cut off"));
    }
}

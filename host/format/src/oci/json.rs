//! Objects of a JSON document, read one key at a time.
//!
//! `Index::parse` and its siblings ask here for each key by name and type; what is wrong becomes an
//! error that knows the way to its key. What nobody asks for stays the text that it was, and goes
//! back into the document as such.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{OciError, Other};
use crate::quote::{escaped, quote};

/// How deep objects and lists may lie in each other: as deep as most tools read them.
const DEPTH_LIMIT: usize = 128;

/// One object and the way to it.
pub(super) struct Object<'t> {
    file: &'t str,
    /// Empty for the document itself.
    path: String,
    entries: BTreeMap<String, &'t RawValue>,
}

impl<'t> Object<'t> {
    /// The object that a whole document is.
    pub(super) fn document(bytes: &'t [u8], file: &'t str, limit: usize) -> Result<Self, OciError> {
        if bytes.len() > limit {
            return Err(OciError::TooLong {
                file: file.into(),
                found: bytes.len(),
                limit,
            });
        }
        let syntax = |line, column, detail: &str| OciError::Syntax {
            file: file.into(),
            line,
            column,
            detail: escaped(detail).into(),
        };
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let (line, column) = place(bytes, error.valid_up_to());
            syntax(line, column, "text is not UTF-8")
        })?;
        if let Some(offset) = too_deep(bytes) {
            let (line, column) = place(bytes, offset);
            let detail = format!("nesting is deeper than {DEPTH_LIMIT}");
            return Err(syntax(line, column, &detail));
        }
        let whole: &RawValue = serde_json::from_str(text).map_err(|error| {
            let said = error.to_string();
            let detail = said.split(" at line ").next().unwrap_or_default();
            syntax(error.line(), error.column(), detail)
        })?;
        Value {
            file,
            path: String::new(),
            raw: whole,
        }
        .object()
    }

    /// The value of a key, which is then no longer among those that nobody asked for.
    pub(super) fn take(&mut self, key: &str) -> Option<Value<'t>> {
        let raw = self.entries.remove(key)?;
        Some(Value {
            file: self.file,
            path: self.path_to(key),
            raw,
        })
    }

    pub(super) fn need(&mut self, key: &'static str) -> Result<Value<'t>, OciError> {
        self.take(key).ok_or_else(|| OciError::MissingKey {
            file: self.file.into(),
            key: quote(&self.path_to(key)),
        })
    }

    /// Every key that was not taken.
    pub(super) fn other(self) -> Other {
        let keep = |(key, raw): (String, &RawValue)| (key, raw.to_owned());
        Other(self.entries.into_iter().map(keep).collect())
    }

    /// Every key with its value.
    fn values(self) -> impl Iterator<Item = (String, Value<'t>)> {
        let (file, path) = (self.file, self.path);
        self.entries.into_iter().map(move |(key, raw)| {
            let path = join(&path, &key);
            (key, Value { file, path, raw })
        })
    }

    fn path_to(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_string(),
        path => format!("{path}.{key}"),
    }
}

/// One value and the way to it.
pub(super) struct Value<'t> {
    file: &'t str,
    path: String,
    raw: &'t RawValue,
}

impl<'t> Value<'t> {
    pub(super) fn string(&self) -> Result<String, OciError> {
        if self.kind() != "a string" {
            return Err(self.wrong_type("a string"));
        }
        // Only escapes are left to be judged: half of a surrogate pair, for one.
        serde_json::from_str(self.raw.get())
            .map_err(|_| self.bad("a string with an escape that means nothing", "plain text"))
    }

    /// A whole number that is not negative.
    pub(super) fn number(&self) -> Result<u64, OciError> {
        if self.kind() != "a number" {
            return Err(self.wrong_type("a number"));
        }
        let text = self.raw.get();
        text.parse()
            .map_err(|_| self.bad(quote(text), "a whole number of at most 64 bits"))
    }

    /// A string that `read` understands.
    pub(super) fn parsed<T>(
        &self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, OciError> {
        let text = self.string()?;
        read(&text).ok_or_else(|| self.bad(quote(&text), expected))
    }

    /// An object of strings.
    pub(super) fn strings(&self) -> Result<BTreeMap<String, String>, OciError> {
        self.object()?
            .values()
            .map(|(key, value)| Ok((key, value.string()?)))
            .collect()
    }

    pub(super) fn object(&self) -> Result<Object<'t>, OciError> {
        if self.kind() != "an object" {
            return Err(self.wrong_type("an object"));
        }
        let mut fault = None;
        let keys = Keys {
            of: self,
            fault: &mut fault,
        };
        let read = serde_json::Deserializer::from_str(self.raw.get()).deserialize_map(keys);
        self.read(read, fault).map(|entries| Object {
            file: self.file,
            path: self.path.clone(),
            entries,
        })
    }

    /// Every item of a list through `read`; the first refusal ends it.
    pub(super) fn list<T>(
        &self,
        read: impl Fn(Value<'t>) -> Result<T, OciError>,
    ) -> Result<Vec<T>, OciError> {
        match self.kind() {
            "a list" => {}
            // What tools in Go write for a list that they never began.
            "null" => return Ok(Vec::new()),
            _ => return Err(self.wrong_type("a list")),
        }
        let mut fault = None;
        let items = Items {
            of: self,
            read,
            fault: &mut fault,
        };
        let read = serde_json::Deserializer::from_str(self.raw.get()).deserialize_seq(items);
        self.read(read, fault)
    }

    /// What was read; or our own fault, or else the parser's.
    fn read<T>(
        &self,
        read: Result<T, serde_json::Error>,
        fault: Option<OciError>,
    ) -> Result<T, OciError> {
        read.map_err(|error| {
            fault.unwrap_or_else(|| {
                let said = error.to_string();
                let found = said.split(" at line ").next().unwrap_or_default();
                self.bad(escaped(found), "sound JSON")
            })
        })
    }

    /// The type of the value; its text begins without white space, and is sound.
    fn kind(&self) -> &'static str {
        match self.raw.get().as_bytes().first() {
            Some(b'"') => "a string",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        }
    }

    fn wrong_type(&self, expected: &'static str) -> OciError {
        if self.path.is_empty() {
            return OciError::Syntax {
                file: self.file.into(),
                line: 1,
                column: 1,
                detail: format!("document is {}, expected {expected}", self.kind()).into(),
            };
        }
        OciError::WrongType {
            file: self.file.into(),
            key: quote(&self.path),
            found: self.kind(),
            expected,
        }
    }

    pub(super) fn bad(
        &self,
        found: impl Into<Box<str>>,
        expected: impl Into<Box<str>>,
    ) -> OciError {
        OciError::BadValue {
            file: self.file.into(),
            key: quote(&self.path),
            found: found.into(),
            expected: expected.into(),
        }
    }
}

/// Reads an object's keys, each of them once.
struct Keys<'v, 't> {
    of: &'v Value<'t>,
    fault: &'v mut Option<OciError>,
}

impl<'t> Visitor<'t> for Keys<'_, 't> {
    type Value = BTreeMap<String, &'t RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            if entries.contains_key(&key) {
                *self.fault = Some(OciError::Duplicate {
                    file: self.of.file.into(),
                    key: quote(&join(&self.of.path, &key)),
                });
                return Err(A::Error::custom("duplicate"));
            }
            entries.insert(key, value);
        }
        Ok(entries)
    }
}

/// Reads a list's items.
struct Items<'v, 't, F> {
    of: &'v Value<'t>,
    read: F,
    fault: &'v mut Option<OciError>,
}

impl<'t, T, F: Fn(Value<'t>) -> Result<T, OciError>> Visitor<'t> for Items<'_, 't, F> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(raw) = seq.next_element::<&RawValue>()? {
            let value = Value {
                file: self.of.file,
                path: format!("{}[{}]", self.of.path, items.len()),
                raw,
            };
            match (self.read)(value) {
                Ok(item) => items.push(item),
                Err(fault) => {
                    *self.fault = Some(fault);
                    return Err(A::Error::custom("refused"));
                }
            }
        }
        Ok(items)
    }
}

/// Where nesting passes the limit. Brackets count outside of strings only.
fn too_deep(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    for (offset, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > DEPTH_LIMIT {
                    return Some(offset);
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Line, and column in bytes, of an offset; both from 1.
fn place(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n');
    (line, offset - start.map_or(0, |at| at + 1) + 1)
}

//! Tables and fields of a manifest with their places in the text.
//!
//! `Manifest::parse` asks here for each key by name and type; what is wrong becomes an error that
//! knows its line and column. A table with known keys refuses every other one before anything
//! else is read, so that a misspelt key is never reported as a missing one.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ManifestError;
use crate::Hint;
use crate::quote::quote;

/// The longest string value in bytes, where a key does not allow more.
const STRING_LIMIT: usize = 1024;

/// The text of a manifest, for turning byte offsets into lines and columns.
#[derive(Clone, Copy)]
pub(super) struct Text<'t> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
}

impl Text<'_> {
    /// Line and column, both from 1; the column counts characters.
    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

/// One table: the manifest itself, or a `[table]` of it.
pub(super) struct Table<'t> {
    text: Text<'t>,
    /// Dotted path; empty for the manifest itself.
    path: String,
    span: Range<usize>,
    entries: &'t DeTable<'t>,
}

impl<'t> Table<'t> {
    pub(super) fn root(text: Text<'t>, entries: &'t Spanned<DeTable<'t>>) -> Self {
        Self {
            text,
            path: String::new(),
            span: 0..0,
            entries: entries.get_ref(),
        }
    }

    /// Refuses every key that is not in `known`; `root` helps those who put a key too far down.
    pub(super) fn refuse_unknown(
        &self,
        known: &[&str],
        root: &[&str],
    ) -> Result<(), ManifestError> {
        let unknown = self
            .entries
            .keys()
            .filter(|key| !known.contains(&&**key.get_ref()))
            .min_by_key(|key| key.span().start);
        let Some(key) = unknown else { return Ok(()) };
        let (line, column) = self.text.place(key.span().start);
        Err(ManifestError::UnknownKey {
            file: self.text.file.into(),
            line,
            column,
            key: quote(key.get_ref()),
            table: self.path.as_str().into(),
            hint: advise(key.get_ref(), known, root),
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<Field<'t>> {
        self.entries
            .get_key_value(key)
            .map(|(key, value)| self.field(key.get_ref(), value))
    }

    pub(super) fn need(&self, key: &'static str) -> Result<Field<'t>, ManifestError> {
        self.get(key).ok_or_else(|| {
            let (line, column) = self.text.place(self.span.start);
            ManifestError::MissingKey {
                file: self.text.file.into(),
                line,
                column,
                key,
                table: self.path.as_str().into(),
            }
        })
    }

    /// Every key with its field, in order of the keys.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'t str, Field<'t>)> {
        self.entries.iter().map(|(key, value)| {
            let key: &'t str = key.get_ref();
            (key, self.field(key, value))
        })
    }

    fn field(&self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Field<'t> {
        let path = match &*self.path {
            "" => key.to_string(),
            table => format!("{table}.{key}"),
        };
        Field {
            text: self.text,
            path,
            value,
        }
    }
}

fn advise(key: &str, known: &[&str], root: &[&str]) -> Hint {
    if root.contains(&key) && !known.contains(&key) {
        return Hint::new(format!("`{key}` stands above the first `[table]`"));
    }
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(key, known), *known))
        .min();
    match nearest {
        Some((distance, nearest)) if distance <= 2.max(nearest.len() / 3) => {
            Hint::new(format!("did you mean `{nearest}`?"))
        }
        _ => {
            let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
            Hint::new(format!("the keys here are {}", known.join(", ")))
        }
    }
}

/// One value and the key it stands under.
pub(super) struct Field<'t> {
    text: Text<'t>,
    path: String,
    value: &'t Spanned<DeValue<'t>>,
}

impl<'t> Field<'t> {
    /// A text of one line.
    pub(super) fn line(&self) -> Result<String, ManifestError> {
        let text = self.str()?;
        if text.chars().any(char::is_control) {
            return Err(self.bad(quote(text), "one line of plain text"));
        }
        self.limited(text, STRING_LIMIT)
    }

    /// A text that may have line breaks and tabs.
    pub(super) fn prose(&self) -> Result<String, ManifestError> {
        let text = self.str()?;
        let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if text.chars().any(odd) {
            return Err(self.bad(quote(text), "plain text"));
        }
        self.limited(text, 4 * STRING_LIMIT)
    }

    fn limited(&self, text: &str, limit: usize) -> Result<String, ManifestError> {
        if text.trim().is_empty() {
            return Err(self.bad("empty", "some text"));
        }
        if text.len() > limit {
            let found = format!("{} bytes long", text.len());
            return Err(self.bad(found, format!("at most {limit}")));
        }
        Ok(text.to_string())
    }

    /// A text that `read` understands.
    pub(super) fn parsed<T>(
        &self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ManifestError> {
        let text = self.str()?;
        read(text).ok_or_else(|| self.bad(quote(text), expected))
    }

    pub(super) fn str(&self) -> Result<&'t str, ManifestError> {
        self.value
            .get_ref()
            .as_str()
            .ok_or_else(|| self.wrong_type("a string"))
    }

    pub(super) fn bool(&self) -> Result<bool, ManifestError> {
        self.value
            .get_ref()
            .as_bool()
            .ok_or_else(|| self.wrong_type("a boolean"))
    }

    pub(super) fn integer(&self) -> Result<i64, ManifestError> {
        let number = self
            .value
            .get_ref()
            .as_integer()
            .ok_or_else(|| self.wrong_type("an integer"))?;
        // The parser takes underscores and prefixes away, but not the sign.
        i64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| self.bad(quote(number.as_str()), "a 64-bit integer"))
    }

    pub(super) fn list(&self) -> Result<Vec<Field<'t>>, ManifestError> {
        let values = self
            .value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.wrong_type("a list"))?;
        let field = |value| Field {
            text: self.text,
            path: self.path.clone(),
            value,
        };
        Ok(values.iter().map(field).collect())
    }

    /// A list in which nothing stands twice.
    pub(super) fn distinct<T: PartialEq>(
        &self,
        read: impl Fn(&Field<'t>) -> Result<T, ManifestError>,
    ) -> Result<Vec<T>, ManifestError> {
        let mut items = Vec::new();
        for field in self.list()? {
            let item = read(&field)?;
            if items.contains(&item) {
                return Err(field.bad("a list with an item twice", "each once"));
            }
            items.push(item);
        }
        Ok(items)
    }

    pub(super) fn table(&self) -> Result<Table<'t>, ManifestError> {
        let entries = self
            .value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.wrong_type("a table"))?;
        Ok(Table {
            text: self.text,
            path: self.path.clone(),
            span: self.value.span(),
            entries,
        })
    }

    pub(super) fn value(&self) -> &'t DeValue<'t> {
        self.value.get_ref()
    }

    pub(super) fn wrong_type(&self, expected: &'static str) -> ManifestError {
        let (line, column) = self.place();
        ManifestError::WrongType {
            file: self.text.file.into(),
            line,
            column,
            key: quote(&self.path),
            found: match self.value.get_ref() {
                DeValue::String(_) => "a string",
                DeValue::Integer(_) => "an integer",
                DeValue::Float(_) => "a float",
                DeValue::Boolean(_) => "a boolean",
                DeValue::Datetime(_) => "a date",
                DeValue::Array(_) => "a list",
                DeValue::Table(_) => "a table",
            },
            expected,
        }
    }

    pub(super) fn bad(
        &self,
        found: impl Into<Box<str>>,
        expected: impl Into<Box<str>>,
    ) -> ManifestError {
        let (line, column) = self.place();
        ManifestError::BadValue {
            file: self.text.file.into(),
            line,
            column,
            key: quote(&self.path),
            found: found.into(),
            expected: expected.into(),
        }
    }

    pub(super) fn reserved(&self) -> ManifestError {
        let (line, column) = self.place();
        ManifestError::Reserved {
            file: self.text.file.into(),
            line,
            column,
            key: quote(&self.path),
        }
    }

    fn place(&self) -> (usize, usize) {
        self.text.place(self.value.span().start)
    }
}

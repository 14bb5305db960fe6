//! `[model]`: hyper-parameters that the author chooses and the pack's code asks for by name.
//!
//! Owns how each is written as text, because that is how the contract hands it over: a float keeps
//! its point or exponent, a list is joined with `,`, and so no text in a list may hold one. Its keys
//! are as tame as its values, because they stand in listings and in the weights' metadata.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::DeValue;

use super::ManifestError;
use super::table::Field;

/// What the host answers itself when a pack asks for it: the variant that is loaded.
const RESERVED: &str = "variant";

/// The longest name of a hyper-parameter, in bytes.
const KEY_LIMIT: usize = 128;

/// A hyper-parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelValue {
    /// A text of one line.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// Values that are no lists themselves.
    List(Vec<ModelValue>),
}

impl fmt::Display for ModelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(n) => write!(f, "{n}"),
            Self::Float(n) => write!(f, "{n:?}"),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        f.write_str(",")?;
                    }
                    value.fmt(f)?;
                }
                Ok(())
            }
        }
    }
}

pub(super) fn read(
    field: Option<Field<'_>>,
) -> Result<BTreeMap<String, ModelValue>, ManifestError> {
    let mut model = BTreeMap::new();
    let Some(field) = field else {
        return Ok(model);
    };
    for (key, field) in field.table()?.fields() {
        check_key(key, &field)?;
        let value = match field.value() {
            DeValue::Array(_) => {
                let items = field.list()?;
                let items = items.iter().map(item).collect::<Result<_, _>>()?;
                ModelValue::List(items)
            }
            _ => scalar(
                &field,
                "a string, integer, float, boolean, or a list of those",
            )?,
        };
        model.insert(key.to_string(), value);
    }
    Ok(model)
}

fn check_key(key: &str, field: &Field<'_>) -> Result<(), ManifestError> {
    if key == RESERVED {
        return Err(field.reserved());
    }
    if key.trim().is_empty() {
        return Err(field.bad("an empty name", "some text"));
    }
    if key.chars().any(char::is_control) {
        return Err(field.bad("a name with control characters", "one line of plain text"));
    }
    if key.len() > KEY_LIMIT {
        let found = format!("a name of {} bytes", key.len());
        return Err(field.bad(found, format!("at most {KEY_LIMIT}")));
    }
    Ok(())
}

fn item(field: &Field<'_>) -> Result<ModelValue, ManifestError> {
    let value = scalar(field, "a string, integer, float or boolean")?;
    if matches!(&value, ModelValue::Text(text) if text.contains(',')) {
        let found = "a list with a `,` in one of its strings";
        return Err(field.bad(found, "none, because lists are joined with it"));
    }
    Ok(value)
}

fn scalar(field: &Field<'_>, expected: &'static str) -> Result<ModelValue, ManifestError> {
    match field.value() {
        DeValue::String(_) => field.line().map(ModelValue::Text),
        DeValue::Integer(_) => field.integer().map(ModelValue::Integer),
        DeValue::Boolean(truth) => Ok(ModelValue::Boolean(*truth)),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .map(ModelValue::Float)
            .ok_or_else(|| field.bad(number.as_str(), "a finite number")),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            Err(field.wrong_type(expected))
        }
    }
}

//! Configuration text into typed values, with errors that name the key and the text.
//!
//! `Network` calls it with the host's configuration, `BlockConfig` with any lookup, so that
//! reading a configuration can be tested without a host.

use std::fmt::Display;
use std::str::FromStr;

use crate::{Error, Result};

/// Where configuration text comes from.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The value of `key`, if there is one.
pub(crate) fn read<T: FromStr<Err: Display>>(lookup: Lookup<'_>, key: &str) -> Result<Option<T>> {
    let Some(text) = lookup(key) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(value) => Ok(Some(value)),
        Err(why) => {
            let why = match expected::<T>() {
                Some(expected) => format!(", expected {expected}"),
                None => format!(": {why}"),
            };
            Err(Error::Other(format!("`[model]`: `{key}` is `{text}`{why}")))
        }
    }
}

/// What a `T` is written as, for the types whose own errors speak of parsing, not of values.
fn expected<T>() -> Option<&'static str> {
    match std::any::type_name::<T>() {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "i128"
        | "isize" => Some("a whole number"),
        "f32" | "f64" => Some("a number"),
        "bool" => Some("true or false"),
        _ => None,
    }
}

/// The value of `key`, which must be there.
pub(crate) fn require<T: FromStr<Err: Display>>(lookup: Lookup<'_>, key: &str) -> Result<T> {
    read(lookup, key)?.ok_or_else(|| Error::Other(format!("configuration `{key}` is missing")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(key: &str) -> Option<String> {
        (key == "heads").then(|| "four".to_owned())
    }

    #[test]
    fn a_value_that_does_not_parse_is_named_with_its_key_and_text() {
        let error = require::<u32>(&lookup, "heads").map_err(|error| error.to_string());
        let expected = "`[model]`: `heads` is `four`, expected a whole number";
        assert_eq!(error, Err(expected.to_owned()));
    }

    #[test]
    fn a_type_says_what_was_expected_or_why_not() {
        fn why<T: FromStr<Err: Display>>() -> Option<String> {
            Some(require::<T>(&lookup, "heads").err()?.to_string())
        }
        let said = |rest: &str| Some(format!("`[model]`: `heads` is `four`{rest}"));
        assert_eq!(why::<i64>(), said(", expected a whole number"));
        assert_eq!(why::<f32>(), said(", expected a number"));
        assert_eq!(why::<bool>(), said(", expected true or false"));
        assert_eq!(why::<char>(), said(": too many characters in string"));
    }

    #[test]
    fn a_value_that_is_not_there_is_none_or_named() {
        assert_eq!(read::<u32>(&lookup, "layers"), Ok(None));
        let error = require::<u32>(&lookup, "layers").map_err(|error| error.to_string());
        assert_eq!(error, Err("configuration `layers` is missing".to_owned()));
    }
}

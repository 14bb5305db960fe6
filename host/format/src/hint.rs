//! A hint: what to try next. It owns one sentence.
//!
//! The errors of this crate hand it out beside their message, never inside it; whoever prints an
//! error prints its hint last.

use std::fmt;

/// One sentence about how to go on, separate from the message of the error it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(String);

impl Hint {
    /// A hint of these words: lower case, no full stop.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

//! Why a pack's call was refused, on both sides of the border.
//!
//! Owns [`Error`] and [`Result`]; everything in this crate returns them. The cases are those
//! of the contract's `tensors.error`, one to one, so that nothing is lost when a host's words
//! come in or a pack's go out.

use std::fmt;

use crate::bindings::lent::modularbase::pack::tensors as wit;

/// What went wrong, in words for whoever runs the host.
///
/// The host's own refusals arrive as one of the first four cases. A pack that has something to
/// say itself says it with [`Error::other`].
///
/// ```
/// use modularbase_pack::Error;
///
/// let error = Error::other("`heads` is 0, expected at least 1");
/// assert_eq!(error.to_string(), "`heads` is 0, expected at least 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Widths, row kinds or options do not fit together.
    Shape(String),
    /// A weight is missing, or has another shape or type.
    Weight(String),
    /// A quota is spent.
    Limit(String),
    /// The call is not possible now.
    State(String),
    /// Anything else.
    Other(String),
}

/// What every call of this crate that may be refused returns.
///
/// ```
/// fn positive(count: u32) -> modularbase_pack::Result<u32> {
///     if count == 0 {
///         return Err("`count` is 0, expected at least 1".into());
///     }
///     Ok(count)
/// }
/// assert!(positive(0).is_err());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error in the pack's own words: lower case, subject first, names in backticks.
    ///
    /// ```
    /// # use modularbase_pack::Error;
    /// let error = Error::other(format!("`layers` is {}, expected at most 8", 12));
    /// assert!(matches!(error, Error::Other(_)));
    /// ```
    pub fn other(words: impl Into<String>) -> Self {
        Self::Other(words.into())
    }

    /// The words alone, as `Display` prints them.
    ///
    /// ```
    /// # use modularbase_pack::Error;
    /// assert_eq!(Error::Limit("quota spent".into()).words(), "quota spent");
    /// ```
    pub fn words(&self) -> &str {
        match self {
            Self::Shape(words)
            | Self::Weight(words)
            | Self::Limit(words)
            | Self::State(words)
            | Self::Other(words) => words,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(words: String) -> Self {
        Self::Other(words)
    }
}

impl From<&str> for Error {
    fn from(words: &str) -> Self {
        Self::Other(words.to_owned())
    }
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Shape(words) => Self::Shape(words),
            wit::Error::Weight(words) => Self::Weight(words),
            wit::Error::Limit(words) => Self::Limit(words),
            wit::Error::State(words) => Self::State(words),
            wit::Error::Other(words) => Self::Other(words),
        }
    }
}

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Shape(words) => Self::Shape(words),
            Error::Weight(words) => Self::Weight(words),
            Error::Limit(words) => Self::Limit(words),
            Error::State(words) => Self::State(words),
            Error::Other(words) => Self::Other(words),
        }
    }
}

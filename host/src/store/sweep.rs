//! What nothing refers to, and its removal.

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// How many files.
    pub files: usize,
    /// How many bytes they took.
    pub bytes: u64,
}

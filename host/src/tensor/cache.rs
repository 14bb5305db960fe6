//! What the CPU executor needs of a cache, and one in memory.
//!
//! Keys and values lie in blocks of 64 rows, one row after the other, all heads side by side.
//! Attention reads whole blocks in order, so that a row's bits do not depend on how the rows
//! before it arrived.

use std::collections::HashMap;

use super::{Grant, Ledger, TensorError};

/// How many rows a block has.
pub const BLOCK_ROWS: usize = 64;

/// The rows of a block that are there.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Keys, a row after the other.
    pub keys: &'a [f32],
    /// Values, a row after the other.
    pub values: &'a [f32],
}

/// Lanes of sequences: a row of blocks for each sequence and lane.
pub trait Cache: Send {
    /// How many rows lane `lane` of `sequence` holds.
    fn rows(&self, sequence: u64, lane: usize) -> usize;

    /// Appends whole rows to a lane.
    ///
    /// # Errors
    /// When memory is not granted. The lane is as it was then.
    fn append(
        &mut self,
        sequence: u64,
        lane: usize,
        keys: &[f32],
        values: &[f32],
    ) -> Result<(), TensorError>;

    /// The block of that number, with the rows it holds so far.
    fn block(&self, sequence: u64, lane: usize, number: usize) -> Option<Block<'_>>;

    /// Cuts every lane of `sequence` back to `rows`; with 0 the sequence is forgotten.
    fn truncate(&mut self, sequence: u64, rows: usize);
}

/// A cache in memory, in full precision.
#[derive(Debug)]
pub struct MemoryCache {
    /// Key and value width of each lane.
    widths: Vec<(usize, usize)>,
    sequences: HashMap<u64, Vec<Vec<Stored>>>,
    grant: Grant,
}

#[derive(Debug)]
struct Stored {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl MemoryCache {
    /// An empty cache of lanes with these key and value widths; `ledger` grants its blocks to
    /// `kv`.
    ///
    /// # Errors
    /// Never: nothing is asked for before the first row.
    pub fn new(widths: Vec<(usize, usize)>, ledger: &Ledger) -> Result<Self, TensorError> {
        Ok(Self {
            widths,
            sequences: HashMap::new(),
            grant: ledger.grant("kv", 0)?,
        })
    }
}

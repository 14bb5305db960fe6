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

/// A block: room for [`BLOCK_ROWS`] rows, granted and allocated whole.
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

    fn lane(&self, sequence: u64, lane: usize) -> &[Stored] {
        let lanes = self.sequences.get(&sequence);
        lanes
            .and_then(|lanes| lanes.get(lane))
            .map_or(&[], Vec::as_slice)
    }
}

/// Bytes of a block of a lane with these widths.
fn block_bytes((key, value): (usize, usize)) -> u64 {
    4 * BLOCK_ROWS as u64 * (key as u64 + value as u64)
}

impl Cache for MemoryCache {
    fn rows(&self, sequence: u64, lane: usize) -> usize {
        let (Some((last, full)), Some(&(width, _))) = (
            self.lane(sequence, lane).split_last(),
            self.widths.get(lane),
        ) else {
            return 0;
        };
        full.len() * BLOCK_ROWS + last.keys.len() / width.max(1)
    }

    fn append(
        &mut self,
        sequence: u64,
        lane: usize,
        keys: &[f32],
        values: &[f32],
    ) -> Result<(), TensorError> {
        let Some(&(key, value)) = self.widths.get(lane) else {
            let lanes = self.widths.len();
            return Err(TensorError::Step(format!(
                "cache: lane {lane} is not among its {lanes} lanes"
            )));
        };
        let new = keys.len() / key.max(1);
        if (new * key, new * value) != (keys.len(), values.len()) {
            return Err(TensorError::Step(format!(
                "cache: {} and {} numbers are not whole rows of {key} and {value}",
                keys.len(),
                values.len()
            )));
        }
        let held = self.rows(sequence, lane);
        let more = (held + new).div_ceil(BLOCK_ROWS) - held.div_ceil(BLOCK_ROWS);
        self.grant.grow(more as u64 * block_bytes((key, value)))?;
        let lanes = self.sequences.entry(sequence).or_default();
        if lanes.len() <= lane {
            lanes.resize_with(lane + 1, Vec::new);
        }
        let Some(blocks) = lanes.get_mut(lane) else {
            return Ok(());
        };
        for (k, v) in keys.chunks_exact(key).zip(values.chunks_exact(value)) {
            let full = blocks
                .last()
                .is_none_or(|block| block.keys.len() == BLOCK_ROWS * key);
            if full {
                blocks.push(Stored {
                    keys: Vec::with_capacity(BLOCK_ROWS * key),
                    values: Vec::with_capacity(BLOCK_ROWS * value),
                });
            }
            if let Some(block) = blocks.last_mut() {
                block.keys.extend_from_slice(k);
                block.values.extend_from_slice(v);
            }
        }
        Ok(())
    }

    fn block(&self, sequence: u64, lane: usize, number: usize) -> Option<Block<'_>> {
        let Stored { keys, values } = self.lane(sequence, lane).get(number)?;
        Some(Block { keys, values })
    }

    fn truncate(&mut self, sequence: u64, rows: usize) {
        let Some(lanes) = self.sequences.get_mut(&sequence) else {
            return;
        };
        for (blocks, &(key, value)) in lanes.iter_mut().zip(&self.widths) {
            let kept = rows.div_ceil(BLOCK_ROWS).min(blocks.len());
            let gone = blocks.drain(kept..).count();
            self.grant.shrink(gone as u64 * block_bytes((key, value)));
            let open = rows.saturating_sub(kept.saturating_sub(1) * BLOCK_ROWS);
            if let Some(last) = blocks.last_mut() {
                last.keys.truncate(open * key);
                last.values.truncate(open * value);
            }
        }
        if rows == 0 {
            self.sequences.remove(&sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(from: usize, to: usize, width: usize) -> Vec<f32> {
        (from * width..to * width).map(|n| n as f32).collect()
    }

    #[test]
    fn rows_come_back_however_they_arrived() {
        let ledger = Ledger::new(1 << 20);
        let mut cache = MemoryCache::new(vec![(2, 3)], &ledger).expect("it is empty");
        for (from, to) in [(0, 1), (1, 63), (63, 130), (130, 131)] {
            cache
                .append(7, 0, &rows(from, to, 2), &rows(from, to, 3))
                .expect("there is room");
            assert_eq!(cache.rows(7, 0), to);
        }
        assert_eq!(ledger.owners(), [("kv".to_owned(), 3 * 64 * 5 * 4)]);
        let keys: Vec<f32> = (0..3)
            .flat_map(|n| cache.block(7, 0, n).expect("it is there").keys.to_vec())
            .collect();
        assert_eq!(keys, rows(0, 131, 2));
        let open = cache.block(7, 0, 2).expect("it is there");
        assert_eq!(open.values, rows(128, 131, 3));
        assert!(cache.block(7, 0, 3).is_none() && cache.block(8, 0, 0).is_none());
    }

    #[test]
    fn cutting_back_gives_blocks_back() {
        let ledger = Ledger::new(1 << 20);
        let mut cache = MemoryCache::new(vec![(1, 1), (2, 2)], &ledger).expect("it is empty");
        for lane in 0..2 {
            let new = rows(0, 129, lane + 1);
            cache.append(1, lane, &new, &new).expect("there is room");
        }
        let all = ledger.free();
        for (to, blocks) in [(500, 3), (129, 3), (128, 2), (65, 2), (64, 1), (3, 1)] {
            cache.truncate(1, to);
            assert_eq!(cache.rows(1, 1), to.min(129));
            assert_eq!(ledger.free() - all, (3 - blocks) * 64 * 4 * (2 + 4));
        }
        cache.truncate(1, 0);
        assert_eq!((cache.rows(1, 0), ledger.free()), (0, 1 << 20));
    }

    #[test]
    fn a_refused_append_changes_nothing() {
        let ledger = Ledger::new(2 * 64 * 8);
        let mut cache = MemoryCache::new(vec![(1, 1)], &ledger).expect("it is empty");
        let new = rows(0, 128, 1);
        cache.append(1, 0, &new, &new).expect("it fits");
        cache
            .append(2, 0, &[1.0], &[1.0])
            .expect_err("the budget is spent");
        assert_eq!((cache.rows(1, 0), cache.rows(2, 0)), (128, 0));
        cache
            .append(1, 1, &[1.0], &[1.0])
            .expect_err("there is one lane");
        cache
            .append(1, 0, &[1.0], &[])
            .expect_err("a value is missing");
        cache.truncate(1, 64);
        cache
            .append(2, 0, &[1.0], &[1.0])
            .expect("a block was given back");
    }
}

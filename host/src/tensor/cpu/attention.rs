//! Attention over blocks of 64 keys, in order.
//!
//! A row looks at whole blocks, from the block of the first key it sees to that of the last;
//! its softmax is kept up block by block. Which keys stand in a block is a matter of their
//! positions alone, so a row's bits depend neither on how its sequence arrived nor on what else
//! is in the step.

use std::ops::Range;

use crate::plan::Attention;
use crate::tensor::cache::{BLOCK_ROWS, Block};

use super::dense::products;
use super::level::Level;
use super::rowwise::{gather, most, weigh};
use super::team::Hands;
use super::view::{View, Window};

/// Query rows that share a pass over the blocks.
const TILE: usize = 16;
/// Heads of a group that share a pass over a block.
const HEADS: usize = 8;

/// Rows of one sequence and the blocks they look at.
pub(super) struct Reading<'a> {
    /// The step's row of the first.
    pub row: usize,
    /// How many rows.
    pub rows: usize,
    /// Where the first stands among the keys.
    pub place: usize,
    /// Whether a row sees the keys after it, too.
    pub both_ways: bool,
    /// The number of the first block.
    pub first: usize,
    /// The blocks.
    pub blocks: Vec<Block<'a>>,
}

impl Reading<'_> {
    /// The keys that a row sees.
    fn seen(&self, how: &Attention, row: usize) -> Range<usize> {
        let place = self.place + row;
        let end = if self.both_ways {
            self.place + self.rows
        } else {
            place + 1
        };
        first_seen(how, place)..end
    }
}

/// The first key that a row at `place` sees.
pub(super) fn first_seen(how: &Attention, place: usize) -> usize {
    how.window
        .map_or(0, |window| (place + 1).saturating_sub(window))
}

/// Attention of all readings' rows, into the same rows of `out`.
pub(super) fn attend(
    level: Level,
    hands: Hands,
    how: &Attention,
    q: &[f32],
    readings: &[Reading<'_>],
    out: &mut [f32],
) {
    let group = how.heads / how.kv_heads;
    let parts = group.div_ceil(HEADS);
    let mut pieces = Vec::new();
    let mut work = 0usize;
    for reading in readings {
        let keys = BLOCK_ROWS * reading.blocks.len();
        let row = keys.saturating_mul(how.heads * how.key_head);
        work = work.saturating_add(row.saturating_mul(reading.rows));
        for row in (0..reading.rows).step_by(TILE) {
            let rows = row..(row + TILE).min(reading.rows);
            for part in 0..how.kv_heads * parts {
                let (kv_head, part) = (part / parts, part % parts);
                let heads = part * HEADS..(part * HEADS + HEADS).min(group);
                pieces.push((reading, rows.clone(), kv_head, heads));
            }
        }
    }
    let out = Window::new(out, how.heads * how.value_head);
    hands.for_work(work).each(pieces.len(), |at| {
        let (reading, rows, kv_head, heads) = &pieces[at];
        let first = kv_head * group + heads.start;
        let columns = first * how.value_head..(first + heads.len()) * how.value_head;
        // SAFETY: each piece has its own rows and heads, and nothing else uses `out`.
        let out = unsafe { out.part(reading.row + rows.start..reading.row + rows.end, columns) };
        let piece = Piece {
            level,
            how,
            q,
            reading,
            rows: rows.clone(),
            kv_head: *kv_head,
            heads: first..first + heads.len(),
        };
        piece.attend(out);
    });
}

/// Some rows of one sequence, and some heads that share a key and value head.
struct Piece<'a> {
    level: Level,
    how: &'a Attention,
    q: &'a [f32],
    reading: &'a Reading<'a>,
    rows: Range<usize>,
    kv_head: usize,
    heads: Range<usize>,
}

impl Piece<'_> {
    fn attend(&self, mut out: Window<'_>) {
        let (how, reading) = (self.how, self.reading);
        let heads = self.heads.len();
        let mut largest = [f32::NEG_INFINITY; TILE * HEADS];
        let mut totals = [0.0f32; TILE * HEADS];
        for row in 0..self.rows.len() {
            out.row(row).fill(0.0);
        }
        let key_width = how.kv_heads * how.key_head;
        let value_width = how.kv_heads * how.value_head;
        let mut scores = [0.0f32; BLOCK_ROWS * HEADS];
        for (at, block) in reading.blocks.iter().enumerate() {
            let start = (reading.first + at) * BLOCK_ROWS;
            let held = block.keys.len() / key_width;
            for (at, row) in self.rows.clone().enumerate() {
                let seen = reading.seen(how, row);
                let from = seen.start.max(start);
                let to = seen.end.min(start + held);
                if from >= to {
                    continue;
                }
                let (from, count) = (from - start, to - from);
                let keys = &block.keys[from * key_width + self.kv_head * how.key_head..];
                let keys = View::new(keys, count, how.key_head, key_width);
                let q_width = how.heads * how.key_head;
                let q = (reading.row + row) * q_width + self.heads.start * how.key_head;
                let q = View::new(&self.q[q..], heads, how.key_head, how.key_head);
                let scores = &mut scores[..heads * count];
                products(self.level, q, keys, Window::new(scores, count));
                for (head, scores) in scores.chunks_exact_mut(count).enumerate() {
                    self.scale(scores);
                    let state = at * HEADS + head;
                    let before = largest[state];
                    let now = most(self.level, scores, before);
                    // Nothing was gathered before the first block; and where every score is
                    // below all numbers, the difference is not a number and shows in the result.
                    let keep = if before == f32::NEG_INFINITY && totals[state] == 0.0 {
                        0.0
                    } else {
                        super::rowwise::exp(before - now)
                    };
                    largest[state] = now;
                    totals[state] = totals[state] * keep + weigh(self.level, scores, now);
                    let values =
                        &block.values[from * value_width + self.kv_head * how.value_head..];
                    let out = &mut out.row(at)[head * how.value_head..][..how.value_head];
                    gather(self.level, scores, values, value_width, keep, out);
                }
            }
        }
        for row in 0..self.rows.len() {
            let out = out.row(row).chunks_exact_mut(how.value_head);
            for (out, total) in out.zip(&totals[row * HEADS..]) {
                for out in out {
                    *out /= total;
                }
            }
        }
    }

    fn scale(&self, scores: &mut [f32]) {
        for score in scores.iter_mut() {
            *score *= self.how.scale;
        }
        if let Some(cap) = self.how.softcap {
            for score in scores.iter_mut() {
                *score = cap * (*score / cap).tanh();
            }
        }
    }
}

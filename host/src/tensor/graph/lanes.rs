//! Keys and values on the device, a lane for each sequence and attention.
//!
//! A lane is one tensor of keys, `[kv heads, room, head]`, and one of values; room grows in
//! blocks of 64 rows. Rows are written past the end first and counted when the step has
//! succeeded: what is past the count is never read, so a step that fails leaves nothing to undo.
//! What stays true: `kv` holds in the ledger at least what the tensors take.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};

use super::super::{BLOCK_ROWS, Grant, Ledger, Span, TensorError};
use super::Place;
use crate::plan::{Attention, Op, Plan};

/// The lanes of one program.
pub(super) struct Lanes {
    heads: Vec<Heads>,
    sequences: HashMap<u64, Sequence>,
    grant: Grant,
}

/// What a row of a lane is.
#[derive(Clone, Copy)]
struct Heads {
    count: usize,
    key: usize,
    value: usize,
}

#[derive(Default)]
struct Sequence {
    rows: usize,
    lanes: Vec<Lane>,
}

struct Lane {
    keys: Tensor,
    values: Tensor,
}

impl Heads {
    fn bytes(self, rows: usize) -> u64 {
        let row = self.count as u64 * (self.key + self.value) as u64 * 4;
        row.saturating_mul(rows as u64)
    }
}

impl Lane {
    fn new(heads: Heads, room: usize, device: &Device) -> Result<Self> {
        let zeros = |head| Tensor::zeros((heads.count, room, head), DType::F32, device);
        Ok(Self {
            keys: zeros(heads.key)?,
            values: zeros(heads.value)?,
        })
    }

    /// How many rows it has room for.
    fn room(&self) -> usize {
        self.keys.dims().get(1).copied().unwrap_or(0)
    }

    /// The same rows, as far as they fit, in a lane of another size.
    fn resized(&self, heads: Heads, room: usize, device: &Device) -> Result<Self> {
        if room < self.room() {
            let cut = |x: &Tensor| x.narrow(1, 0, room)?.contiguous();
            return Ok(Self {
                keys: cut(&self.keys)?,
                values: cut(&self.values)?,
            });
        }
        let larger = Self::new(heads, room, device)?;
        larger.keys.slice_set(&self.keys, 1, 0)?;
        larger.values.slice_set(&self.values, 1, 0)?;
        Ok(larger)
    }
}

/// Whole blocks for `rows`.
fn room_for(rows: usize) -> usize {
    rows.div_ceil(BLOCK_ROWS).saturating_mul(BLOCK_ROWS)
}

impl Lanes {
    /// No sequence yet, for the attentions of `plan`.
    pub(super) fn new(plan: &Plan, ledger: &Ledger) -> std::result::Result<Self, TensorError> {
        let heads = plan.nodes().iter().filter_map(|node| match node.op {
            Op::Attend {
                how:
                    Attention {
                        kv_heads: count,
                        key_head: key,
                        value_head: value,
                        ..
                    },
                ..
            } => Some(Heads { count, key, value }),
            _ => None,
        });
        Ok(Self {
            heads: heads.collect(),
            sequences: HashMap::new(),
            grant: ledger.grant("kv", 0)?,
        })
    }

    /// How many rows the lanes of `sequence` hold.
    pub(super) fn rows(&self, sequence: u64) -> usize {
        self.sequences.get(&sequence).map_or(0, |found| found.rows)
    }

    /// Makes room for the rows of `spans`. When it fails, no row is lost.
    pub(super) fn reserve(
        &mut self,
        spans: &[Span],
        place: &Place,
    ) -> std::result::Result<(), TensorError> {
        if self.heads.is_empty() {
            return Ok(());
        }
        let mut growing = Vec::new();
        let (mut more, mut moving) = (0u64, 0u64);
        for span in spans {
            let room = room_for(span.start.saturating_add(span.rows));
            let lanes = self
                .sequences
                .get(&span.sequence)
                .map(|s| s.lanes.as_slice());
            let mut grows = false;
            for (i, heads) in self.heads.iter().enumerate() {
                let now = lanes.and_then(|lanes| lanes.get(i)).map_or(0, Lane::room);
                if now < room {
                    more = more.saturating_add(heads.bytes(room) - heads.bytes(now));
                    moving = moving.max(heads.bytes(now));
                    grows = true;
                }
            }
            if grows {
                growing.push((span.sequence, room));
            }
        }
        // While a lane moves, its old rows are still there.
        self.grant.grow(more.saturating_add(moving))?;
        let done = growing
            .into_iter()
            .try_for_each(|(sequence, room)| self.grow(sequence, room, place.device()));
        self.settle();
        done.map_err(|error| place.fail(error))
    }

    fn grow(&mut self, sequence: u64, room: usize, device: &Device) -> Result<()> {
        let Sequence { lanes, .. } = self.sequences.entry(sequence).or_default();
        for (i, &heads) in self.heads.iter().enumerate() {
            match lanes.get_mut(i) {
                None => lanes.push(Lane::new(heads, room, device)?),
                Some(lane) if lane.room() < room => *lane = lane.resized(heads, room, device)?,
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Writes rows (heads first) at row `start` and gives the lane's keys and values, with all
    /// the room behind them. They count only after [`Lanes::commit`].
    pub(super) fn write(
        &self,
        span: &Span,
        lane: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let found = self.sequences.get(&span.sequence);
        let Some(lane) = found.and_then(|found| found.lanes.get(lane)) else {
            candle_core::bail!("sequence {} has no lane {lane}", span.sequence)
        };
        lane.keys.slice_set(keys, 1, span.start)?;
        lane.values.slice_set(values, 1, span.start)?;
        Ok((lane.keys.clone(), lane.values.clone()))
    }

    /// Counts the rows of a step that succeeded.
    pub(super) fn commit(&mut self, spans: &[Span]) {
        for span in spans {
            if let Some(sequence) = self.sequences.get_mut(&span.sequence) {
                sequence.rows = span.start + span.rows;
            }
        }
    }

    /// Forgets the sequences that a failed step was the first of.
    pub(super) fn forget_empty(&mut self) {
        self.sequences.retain(|_, sequence| sequence.rows > 0);
        self.settle();
    }

    /// Cuts a sequence back. Room goes back to the ledger when half of it or more is idle; a
    /// rollback by a few rows keeps it.
    pub(super) fn truncate(&mut self, sequence: u64, rows: usize, device: &Device) {
        let Some(found) = self.sequences.get_mut(&sequence) else {
            return;
        };
        found.rows = found.rows.min(rows);
        if found.rows == 0 {
            self.sequences.remove(&sequence);
            self.settle();
            return;
        }
        let room = room_for(found.rows);
        for (lane, &heads) in found.lanes.iter_mut().zip(&self.heads) {
            // Without the memory to copy what stays, the lane keeps its room.
            if lane.room() >= 2 * room
                && self.grant.grow(heads.bytes(room)).is_ok()
                && let Ok(smaller) = lane.resized(heads, room, device)
            {
                self.grant.shrink(heads.bytes(lane.room()));
                *lane = smaller;
            }
        }
        self.settle();
    }

    /// Gives back what is granted and not taken.
    fn settle(&mut self) {
        let lanes = |s: &Sequence| -> u64 {
            let pairs = s.lanes.iter().zip(&self.heads);
            pairs.map(|(lane, heads)| heads.bytes(lane.room())).sum()
        };
        let taken: u64 = self.sequences.values().map(lanes).sum();
        self.grant.shrink(self.grant.bytes().saturating_sub(taken));
    }
}

//! Attention over a ragged batch, and the rotary turns before it.
//!
//! Sequence by sequence, since each has its own lane; the query heads that share a key head are
//! rows of one matrix, so keys are not repeated. Long prompts go in chunks of rows, so that the
//! scores at a time stay within [`SCORE_BYTES`]. Angles are made on the host in f64, once for
//! all attentions of a step that turn alike.

use std::collections::HashMap;

use candle_core::{Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::rotary_emb::{rope, rope_i};

use super::super::{Span, Step};
use super::Place;
use super::lanes::Lanes;
use crate::plan::{Attention, Layout, Rope};

/// How many bytes of scores exist at a time, at least one row's.
pub(super) const SCORE_BYTES: usize = 64 << 20;

/// What the attentions of one step share.
pub(super) struct Attending<'a> {
    place: &'a Place,
    lanes: &'a Lanes,
    step: &'a Step,
    /// Cosines and sines of each row, `[rows, 1, dim / 2]`.
    turns: Vec<(Rope, Tensor, Tensor)>,
    masks: HashMap<Sight, Tensor>,
}

/// What some rows see of some keys. Rows and keys count from the first key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Sight {
    first_row: usize,
    rows: usize,
    keys: usize,
    causal: bool,
    window: Option<usize>,
}

/// Keys and values of one sequence, heads first, and how many of them are there.
struct Read {
    keys: Tensor,
    values: Tensor,
    len: usize,
}

/// How many query rows at a time make scores of [`SCORE_BYTES`] over `keys`.
pub(super) fn chunk_rows(heads: usize, keys: usize) -> usize {
    (SCORE_BYTES / (4 * heads * keys).max(1)).max(1)
}

impl<'a> Attending<'a> {
    pub(super) fn new(place: &'a Place, lanes: &'a Lanes, step: &'a Step) -> Self {
        Self {
            place,
            lanes,
            step,
            turns: Vec::new(),
            masks: HashMap::new(),
        }
    }

    /// Over a lane when there is one, else among the rows of the step.
    pub(super) fn run(
        &mut self,
        lane: Option<usize>,
        [q, k, v]: [&Tensor; 3],
        how: &Attention,
        causal: bool,
    ) -> Result<Tensor> {
        let (q, k) = match &how.rope {
            None => (q.clone(), k.clone()),
            Some(turn) => (
                self.turn(q, how.heads, turn)?,
                self.turn(k, how.kv_heads, turn)?,
            ),
        };
        // The cap divides scores before `tanh`; queries are smaller than scores.
        let q = q.affine(f64::from(how.scale / how.softcap.unwrap_or(1.0)), 0.0)?;
        let mut at = 0;
        let mut out = Vec::with_capacity(self.step.spans().len());
        for span in self.step.spans() {
            let keys = heads_first(&k.narrow(0, at, span.rows)?, how.kv_heads)?;
            let values = heads_first(&v.narrow(0, at, span.rows)?, how.kv_heads)?;
            let read = self.read(lane, span, keys, values)?;
            out.push(self.look(&q.narrow(0, at, span.rows)?, &read, how, causal)?);
            at += span.rows;
        }
        joined(out)
    }

    fn read(&self, lane: Option<usize>, span: &Span, keys: Tensor, values: Tensor) -> Result<Read> {
        let Some(lane) = lane else {
            let len = span.rows;
            return Ok(Read { keys, values, len });
        };
        let (keys, values) = self.lanes.write(span, lane, &keys, &values)?;
        let len = span.start + span.rows;
        Ok(Read { keys, values, len })
    }

    /// The rows of one sequence, which are the last of what is read.
    fn look(&mut self, q: &Tensor, read: &Read, how: &Attention, causal: bool) -> Result<Tensor> {
        let all = q.dim(0)?;
        let chunk = chunk_rows(how.heads, read.len).min(all);
        let mut out = Vec::new();
        for first in (0..all).step_by(chunk) {
            let rows = chunk.min(all - first);
            let at = read.len - all + first;
            out.push(self.chunk(&q.narrow(0, first, rows)?, at, read, how, causal)?);
        }
        joined(out)
    }

    /// Some rows of a sequence, the first of them at row `at` of what is read.
    fn chunk(
        &mut self,
        q: &Tensor,
        at: usize,
        read: &Read,
        how: &Attention,
        causal: bool,
    ) -> Result<Tensor> {
        let rows = q.dim(0)?;
        let (heads, shared) = (how.kv_heads, how.heads / how.kv_heads);
        let q = q
            .reshape((rows, heads, shared, how.key_head))?
            .permute((1, 2, 0, 3))?
            .contiguous()?
            .reshape((heads, shared * rows, how.key_head))?;
        // Keys that no row of the chunk sees are left out on both sides; for a single row that
        // is all the masking there is.
        let from = how
            .window
            .map_or(0, |window| (at + 1).saturating_sub(window));
        let to = if causal { at + rows } else { read.len };
        let len = to - from;
        let keys = read.keys.narrow(1, from, len)?;
        let values = read.values.narrow(1, from, len)?;

        let mut scores = q.matmul(&keys.transpose(1, 2)?)?;
        if let Some(cap) = how.softcap {
            scores = scores.tanh()?.affine(f64::from(cap), 0.0)?;
        }
        if rows > 1 && (causal || how.window.is_some()) {
            let mask = self.mask(Sight {
                first_row: at - from,
                rows,
                keys: len,
                causal,
                window: how.window,
            })?;
            scores = scores
                .reshape((heads * shared, rows, len))?
                .broadcast_add(&mask)?
                .reshape((heads, shared * rows, len))?;
        }
        softmax_last_dim(&scores)?
            .matmul(&values)?
            .reshape((heads, shared, rows, how.value_head))?
            .permute((2, 0, 1, 3))?
            .contiguous()?
            .reshape((rows, how.heads * how.value_head))
    }

    /// Zeros where a row sees a key and minus infinity elsewhere. A row sees itself, so no row
    /// is all infinities.
    fn mask(&mut self, sight: Sight) -> Result<Tensor> {
        if let Some(mask) = self.masks.get(&sight) {
            return Ok(mask.clone());
        }
        let mut mask = vec![0f32; sight.rows * sight.keys];
        for (i, row) in mask.chunks_exact_mut(sight.keys).enumerate() {
            let at = sight.first_row + i;
            for (key, seen) in row.iter_mut().enumerate() {
                let ahead = sight.causal && key > at;
                let behind = sight.window.is_some_and(|window| key + window <= at);
                if ahead || behind {
                    *seen = f32::NEG_INFINITY;
                }
            }
        }
        let mask = Tensor::from_vec(mask, (sight.rows, sight.keys), self.place.device())?;
        self.masks.insert(sight, mask.clone());
        Ok(mask)
    }

    /// Turns the heads of every row by its position.
    fn turn(&mut self, x: &Tensor, heads: usize, how: &Rope) -> Result<Tensor> {
        let (cos, sin) = self.angles(how)?;
        let (rows, width) = x.dims2()?;
        let head = width / heads;
        // A row is a batch of its own, because each has its own angle.
        let turned = |x: &Tensor| match how.layout {
            Layout::Halves => rope(x, &cos, &sin),
            Layout::Pairs => rope_i(x, &cos, &sin),
        };
        let x = x.reshape((rows, heads, 1, head))?;
        if how.dim == head {
            return turned(&x)?.reshape((rows, width));
        }
        let part = turned(&x.narrow(3, 0, how.dim)?.contiguous()?)?;
        let rest = x.narrow(3, how.dim, head - how.dim)?;
        Tensor::cat(&[&part, &rest], 3)?.reshape((rows, width))
    }

    fn angles(&mut self, how: &Rope) -> Result<(Tensor, Tensor)> {
        if let Some((_, cos, sin)) = self.turns.iter().find(|(turn, ..)| turn == how) {
            return Ok((cos.clone(), sin.clone()));
        }
        let (frequencies, magnitude) = (how.frequencies(), f64::from(how.magnitude()));
        let positions = self.step.spans().iter().flat_map(|span| {
            let start = span.start;
            (0..span.rows).map(move |row| start.saturating_add(row) as f64)
        });
        let (cos, sin): (Vec<f32>, Vec<f32>) = positions
            .flat_map(|at| frequencies.iter().map(move |&f| at * f64::from(f)))
            .map(|angle| {
                (
                    (magnitude * angle.cos()) as f32,
                    (magnitude * angle.sin()) as f32,
                )
            })
            .unzip();
        let shape = (self.step.rows(), 1, how.dim / 2);
        let cos = Tensor::from_vec(cos, shape, self.place.device())?;
        let sin = Tensor::from_vec(sin, shape, self.place.device())?;
        self.turns.push((*how, cos.clone(), sin.clone()));
        Ok((cos, sin))
    }
}

/// `[rows, heads · head]` as `[heads, rows, head]`, in this order in memory.
fn heads_first(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (rows, width) = x.dims2()?;
    x.reshape((rows, heads, width / heads))?
        .transpose(0, 1)?
        .contiguous()
}

/// Rows under rows.
fn joined(mut parts: Vec<Tensor>) -> Result<Tensor> {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => Ok(only),
        (_, Some(last)) => {
            parts.push(last);
            Tensor::cat(&parts, 0)
        }
        (_, None) => candle_core::bail!("a step has no rows"),
    }
}

//! One run of a plan: each operation over the step's rows.
//!
//! Whatever indexes here was settled by the plan's own checks: operands come before their
//! operation and have the widths that it was built with.

use crate::plan::{Attention, Node, Op, Plan, Pooling, ValueId, WeightId};
use crate::tensor::cache::{BLOCK_ROWS, Block};
use crate::tensor::{Cache, Span, Step, TensorError};

use super::attention::{Reading, attend, first_seen};
use super::layout::{Layout, Place};
use super::level::Level;
use super::matrix::{Matrix, Operand};
use super::moe::{Experts, Room};
use super::program::Loaded;
use super::quant::Rows;
use super::rope::Angles;
use super::rowwise;
use super::team::Hands;

/// Numbers that a thread takes at once in operations on single numbers.
const PIECE: usize = 1 << 13;

/// The memory of a run, kept between runs.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    slots: Vec<Vec<f32>>,
    quantised: Rows,
    /// The value whose rows `quantised` holds.
    quantised_of: Option<ValueId>,
    angles: Vec<Angles>,
    turned_q: Vec<f32>,
    turned_k: Vec<f32>,
    experts: Room,
}

/// A run under way.
pub(super) struct Run<'a> {
    pub level: Level,
    pub hands: Hands,
    pub plan: &'a Plan,
    pub layout: &'a Layout,
    pub weights: &'a [Loaded],
    pub step: &'a Step,
    pub inputs: &'a [&'a [f32]],
    pub scratch: &'a mut Scratch,
    /// How many rows went through experts of a mixture.
    pub passed: usize,
}

impl Run<'_> {
    /// Runs every operation, with lanes in `cache`; the output's numbers.
    pub fn all(&mut self, cache: &mut dyn Cache) -> Result<Vec<f32>, TensorError> {
        let rows = self.step.rows();
        self.scratch.quantised_of = None;
        let slots = &mut self.scratch.slots;
        slots.resize_with(self.layout.slots.len(), Vec::new);
        for (slot, width) in slots.iter_mut().zip(&self.layout.slots) {
            if slot.len() < rows * width {
                slot.resize(rows * width, 0.0);
            }
        }
        self.fill_angles();
        for (at, node) in self.plan.nodes().iter().enumerate() {
            let Place::Slot(slot) = self.layout.places[at] else {
                continue;
            };
            let len = self.rows_of(node) * node.width;
            let mut out = std::mem::take(&mut self.scratch.slots[slot]);
            let result = self.node(node, cache, &mut out[..len]);
            self.scratch.slots[slot] = out;
            result?;
        }
        Ok(self.value(self.plan.output()).to_vec())
    }

    fn rows_of(&self, node: &Node) -> usize {
        self.step.rows_of(node.rows)
    }

    fn fill_angles(&mut self) {
        if self.layout.ropes.is_empty() {
            return;
        }
        let positions: Vec<usize> = self
            .step
            .spans()
            .iter()
            .flat_map(|span| span.start..span.start + span.rows)
            .collect();
        let angles = &mut self.scratch.angles;
        angles.resize_with(self.layout.ropes.len(), Angles::default);
        for (angles, (rope, frequencies)) in angles.iter_mut().zip(&self.layout.ropes) {
            angles.fill(rope, frequencies, self.hands, &positions);
        }
    }

    /// The numbers of a value that was computed before.
    fn value(&self, id: ValueId) -> &[f32] {
        let node = &self.plan.nodes()[id.index()];
        let len = self.rows_of(node) * node.width;
        match self.layout.places[id.index()] {
            Place::Input(number) => &self.inputs[number][..len],
            Place::Slot(slot) => &self.scratch.slots[slot][..len],
            Place::Tokens => &[],
        }
    }

    fn width(&self, id: ValueId) -> usize {
        self.plan.nodes()[id.index()].width
    }

    fn matrix(&self, id: WeightId) -> &Matrix {
        match &self.weights[id.index()] {
            Loaded::Matrix(matrix) => matrix,
            Loaded::Vector(_) => unreachable!("weights of one dimension are norms and biases"),
        }
    }

    fn vector(&self, id: WeightId) -> &[f32] {
        match &self.weights[id.index()] {
            Loaded::Vector(vector) => vector.numbers(),
            Loaded::Matrix(_) => unreachable!("norms and biases have one dimension"),
        }
    }

    fn node(
        &mut self,
        node: &Node,
        cache: &mut dyn Cache,
        out: &mut [f32],
    ) -> Result<(), TensorError> {
        let (level, hands, width) = (self.level, self.hands, node.width);
        match &node.op {
            Op::Input(_) | Op::Tokens => {}
            Op::Embed { table, .. } => {
                let table = self.matrix(*table);
                let tokens = self.step.tokens();
                hands.rows(out, width, width, |at, out| {
                    table.read(tokens[at] as usize, out);
                });
            }
            Op::Linear { x, w, bias } => self.linear(*x, *w, *bias, out),
            Op::RmsNorm { x, w, eps } => {
                let (x, w) = (self.value(*x), self.vector(*w));
                hands.rows(out, width, 2 * width, |at, out| {
                    rowwise::rms_norm(level, &x[at * width..][..width], w, *eps, out);
                });
            }
            Op::LayerNorm { x, w, bias, eps } => {
                let (x, w) = (self.value(*x), self.vector(*w));
                let bias = bias.map(|bias| self.vector(bias));
                hands.rows(out, width, 3 * width, |at, out| {
                    let x = &x[at * width..][..width];
                    rowwise::layer_norm(level, x, w, bias, *eps, out);
                });
            }
            Op::Add { a, b } => self.pairs(*a, *b, 1, out, rowwise::add),
            Op::Mul { a, b } if self.width(*b) == width => {
                self.pairs(*a, *b, 1, out, rowwise::mul);
            }
            Op::Mul { a, b } => {
                let (a, b) = (self.value(*a), self.value(*b));
                hands.rows(out, width, width, |at, out| {
                    rowwise::scale(level, &a[at * width..][..width], b[at], out);
                });
            }
            Op::Scale { x, factor } => self.singles(*x, 1, out, |level, x, out| {
                rowwise::scale(level, x, *factor, out);
            }),
            Op::Silu { x } => self.singles(*x, 4, out, rowwise::silu),
            Op::Gelu { x, approximate } => self.singles(*x, 20, out, |_, x, out| {
                rowwise::gelu(x, *approximate, out);
            }),
            Op::SwiGlu { gate, up } => self.pairs(*gate, *up, 4, out, rowwise::swiglu),
            Op::Softmax { x } => {
                let x = self.value(*x);
                hands.rows(out, width, 4 * width, |at, out| {
                    rowwise::softmax(level, &x[at * width..][..width], out);
                });
            }
            Op::Attend { lane, q, k, v, how } => {
                self.attend(cache, *lane, [*q, *k, *v], how, out)?;
            }
            Op::Mix {
                q,
                k,
                v,
                how,
                causal,
            } => self.mix([*q, *k, *v], how, *causal, out),
            Op::Moe {
                x,
                router,
                gate,
                up,
                down,
                top_k,
                normalise,
            } => {
                let mut room = std::mem::take(&mut self.scratch.experts);
                let mut quantised = self.take_quantised();
                let experts = Experts {
                    router: self.matrix(*router),
                    gate: self.matrix(*gate),
                    up: self.matrix(*up),
                    down: self.matrix(*down),
                    top_k: *top_k,
                    normalise: *normalise,
                };
                let x = self.value(*x);
                self.passed += experts.mix(level, hands, x, &mut room, &mut quantised, out);
                self.scratch.experts = room;
                self.scratch.quantised = quantised;
            }
            Op::Pool { x, how } => self.pool(*x, *how, out),
            Op::Concat { parts } => {
                let mut at = 0;
                for &part in parts {
                    let (x, len) = (self.value(part), self.width(part));
                    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(len)) {
                        out[at..at + len].copy_from_slice(x);
                    }
                    at += len;
                }
            }
            Op::Slice { x, start, len } => {
                let rows = self.value(*x).chunks_exact(self.width(*x));
                for (out, x) in out.chunks_exact_mut(width).zip(rows) {
                    out.copy_from_slice(&x[*start..start + len]);
                }
            }
        }
        Ok(())
    }

    /// An operation on single numbers that costs about `cost` multiplications.
    fn singles(
        &self,
        x: ValueId,
        cost: usize,
        out: &mut [f32],
        op: impl Fn(Level, &[f32], &mut [f32]) + Sync + Send,
    ) {
        self.pairs(x, x, cost, out, |level, x, _, out| op(level, x, out));
    }

    /// An operation on pairs of numbers that costs about `cost` multiplications.
    fn pairs(
        &self,
        a: ValueId,
        b: ValueId,
        cost: usize,
        out: &mut [f32],
        op: impl Fn(Level, &[f32], &[f32], &mut [f32]) + Sync + Send,
    ) {
        let (level, a, b) = (self.level, self.value(a), self.value(b));
        let whole = out.len() / PIECE * PIECE;
        let (pieces, rest) = out.split_at_mut(whole);
        self.hands.rows(pieces, PIECE, cost * PIECE, |at, out| {
            let range = at * PIECE..(at + 1) * PIECE;
            op(level, &a[range.clone()], &b[range], out);
        });
        if !rest.is_empty() {
            op(level, &a[whole..], &b[whole..], rest);
        }
    }

    fn take_quantised(&mut self) -> Rows {
        self.scratch.quantised_of = None;
        std::mem::take(&mut self.scratch.quantised)
    }

    fn linear(&mut self, x: ValueId, w: WeightId, bias: Option<WeightId>, out: &mut [f32]) {
        // Layers that read the same value share its quantised rows.
        if self.matrix(w).is_quantised() && self.scratch.quantised_of != Some(x) {
            let mut quantised = self.take_quantised();
            quantised.fill(self.level, self.hands, self.value(x), self.width(x));
            self.scratch.quantised = quantised;
            self.scratch.quantised_of = Some(x);
        }
        let w = self.matrix(w);
        let x = Operand {
            plain: self.value(x),
            quantised: &self.scratch.quantised,
        };
        w.multiply(self.level, self.hands, x, 0..w.rows(), out);
        if let Some(bias) = bias {
            let bias = self.vector(bias);
            for out in out.chunks_exact_mut(bias.len()) {
                for (out, bias) in out.iter_mut().zip(bias) {
                    *out += bias;
                }
            }
        }
    }

    /// Turned queries and keys, when the attention has a rope.
    fn turn(&mut self, [q, k]: [ValueId; 2], how: &Attention) -> Option<[Vec<f32>; 2]> {
        let rope = how.rope?;
        let at = self.layout.ropes.iter().position(|(r, _)| *r == rope)?;
        let mut turned_q = std::mem::take(&mut self.scratch.turned_q);
        let mut turned_k = std::mem::take(&mut self.scratch.turned_k);
        for (x, turned) in [(q, &mut turned_q), (k, &mut turned_k)] {
            let x_numbers = self.value(x);
            if turned.len() < x_numbers.len() {
                turned.resize(x_numbers.len(), 0.0);
            }
            let turned = &mut turned[..x_numbers.len()];
            let angles = &self.scratch.angles[at];
            angles.turn(how, &rope, self.hands, x_numbers, turned, self.width(x));
        }
        Some([turned_q, turned_k])
    }

    fn attend(
        &mut self,
        cache: &mut dyn Cache,
        lane: usize,
        [q, k, v]: [ValueId; 3],
        how: &Attention,
        out: &mut [f32],
    ) -> Result<(), TensorError> {
        let turned = self.turn([q, k], how);
        let (key_width, value_width) = (self.width(k), self.width(v));
        let (queries, keys) = match &turned {
            Some([q, k]) => (q.as_slice(), k.as_slice()),
            None => (self.value(q), self.value(k)),
        };
        let values = self.value(v);
        let mut row = 0;
        for &Span { sequence, rows, .. } in self.step.spans() {
            let keys = &keys[row * key_width..][..rows * key_width];
            let values = &values[row * value_width..][..rows * value_width];
            cache.append(sequence, lane, keys, values)?;
            row += rows;
        }
        let mut readings = Vec::with_capacity(self.step.spans().len());
        let mut row = 0;
        for span in self.step.spans() {
            let first = first_seen(how, span.start) / BLOCK_ROWS;
            let end = (span.start + span.rows).div_ceil(BLOCK_ROWS);
            let blocks = (first..end).map(|number| {
                let found = cache.block(span.sequence, lane, number);
                found.ok_or_else(|| {
                    TensorError::Step(format!(
                        "cache: block {number} of sequence {} in lane {lane} is missing",
                        span.sequence
                    ))
                })
            });
            readings.push(Reading {
                row,
                rows: span.rows,
                place: span.start,
                both_ways: false,
                first,
                blocks: blocks.collect::<Result<_, _>>()?,
            });
            row += span.rows;
        }
        attend(self.level, self.hands, how, queries, &readings, out);
        self.give_back(turned);
        Ok(())
    }

    fn mix(&mut self, [q, k, v]: [ValueId; 3], how: &Attention, causal: bool, out: &mut [f32]) {
        let turned = self.turn([q, k], how);
        let (queries, keys) = match &turned {
            Some([q, k]) => (q.as_slice(), k.as_slice()),
            None => (self.value(q), self.value(k)),
        };
        let (key_width, value_width) = (self.width(k), self.width(v));
        let mut row = 0;
        let readings: Vec<Reading<'_>> = self
            .step
            .spans()
            .iter()
            .map(|span| {
                let keys =
                    keys[row * key_width..][..span.rows * key_width].chunks(BLOCK_ROWS * key_width);
                let values = self.value(v)[row * value_width..][..span.rows * value_width]
                    .chunks(BLOCK_ROWS * value_width);
                let blocks = keys.zip(values);
                let reading = Reading {
                    row,
                    rows: span.rows,
                    place: 0,
                    both_ways: !causal,
                    first: 0,
                    blocks: blocks
                        .map(|(keys, values)| Block { keys, values })
                        .collect(),
                };
                row += span.rows;
                reading
            })
            .collect();
        attend(self.level, self.hands, how, queries, &readings, out);
        self.give_back(turned);
    }

    fn give_back(&mut self, turned: Option<[Vec<f32>; 2]>) {
        if let Some([q, k]) = turned {
            self.scratch.turned_q = q;
            self.scratch.turned_k = k;
        }
    }

    fn pool(&self, x: ValueId, how: Pooling, out: &mut [f32]) {
        let (width, mut rest) = (self.width(x), self.value(x));
        for (span, out) in self.step.spans().iter().zip(out.chunks_exact_mut(width)) {
            let (rows, after) = rest.split_at(span.rows * width);
            rest = after;
            let last = rows.len() - width;
            match how {
                Pooling::First => out.copy_from_slice(&rows[..width]),
                Pooling::Last => out.copy_from_slice(&rows[last..]),
                Pooling::Mean => {
                    out.fill(0.0);
                    for row in rows.chunks_exact(width) {
                        rowwise::add_scaled(self.level, row, 1.0, out);
                    }
                    for out in out {
                        *out /= span.rows as f32;
                    }
                }
                Pooling::Max => {
                    out.copy_from_slice(&rows[..width]);
                    for row in rows.chunks_exact(width) {
                        for (out, &x) in out.iter_mut().zip(row) {
                            if x > *out || x.is_nan() {
                                *out = x;
                            }
                        }
                    }
                }
            }
        }
    }
}

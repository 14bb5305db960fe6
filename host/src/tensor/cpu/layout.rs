//! Where a plan's values lie while it runs.
//!
//! Values whose lives do not overlap share a slot; which, is settled when the plan is loaded,
//! so that a step allocates nothing between its operations and its memory is known before it
//! runs.

use crate::plan::{Op, Plan, Rope, ValueId, WeightType};

use super::matrix::is_quantised;
use super::quant::Rows;
use super::rope::Angles;

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is an input of that number.
    Input(usize),
    /// It is the step's token ids.
    Tokens,
    /// In the slot of that number.
    Slot(usize),
}

/// The places of all values, and what else a step needs.
#[derive(Debug)]
pub(super) struct Layout {
    /// Of each node's value.
    pub places: Vec<Place>,
    /// The widest value of each slot.
    pub slots: Vec<usize>,
    /// The ropes that differ, with their frequencies.
    pub ropes: Vec<(Rope, Vec<f32>)>,
    /// Bytes of scratch for each row of a step.
    pub row_bytes: u64,
}

impl Layout {
    pub fn of(plan: &Plan) -> Self {
        let mut layout = Layout {
            places: Vec::with_capacity(plan.nodes().len()),
            slots: Vec::new(),
            ropes: Vec::new(),
            row_bytes: 0,
        };
        let mut free: Vec<usize> = Vec::new();
        let mut dying: Vec<Vec<usize>> = vec![Vec::new(); plan.nodes().len() + 1];
        for (at, node) in plan.nodes().iter().enumerate() {
            let place = match node.op {
                Op::Input(number) => Place::Input(number),
                Op::Tokens => Place::Tokens,
                _ => {
                    let slot = layout.take(&mut free, node.width);
                    if let Some(list) = dying.get_mut(plan.last_use(ValueId(at))) {
                        list.push(slot);
                    }
                    Place::Slot(slot)
                }
            };
            layout.places.push(place);
            // An operation's operands live until it has written its result.
            free.append(&mut dying[at]);
        }
        let values: u64 = layout.slots.iter().map(|&width| 4 * width as u64).sum();
        // Each kind of room is kept until the run ends, at the size of its largest user.
        let mut rooms = [0u64; 3];
        for node in plan.nodes() {
            for (room, needed) in rooms.iter_mut().zip(beside(plan, &node.op)) {
                *room = needed.max(*room);
            }
        }
        let beside: u64 = rooms.iter().sum();
        let angles: u64 = layout.ropes(plan);
        // The output leaves as a copy, so that its slot stays.
        let output = 4 * plan.output_node().width as u64;
        layout.row_bytes = values.max(plan.cost().activation_bytes) + output + beside + angles;
        layout
    }

    /// A free slot for a value: the smallest that is wide enough, else the widest, else a new one.
    fn take(&mut self, free: &mut Vec<usize>, width: usize) -> usize {
        let best = (0..free.len()).min_by_key(|&at| {
            let held = self.slots[free[at]];
            (
                held < width,
                if held < width {
                    usize::MAX - held
                } else {
                    held
                },
            )
        });
        match best {
            Some(at) => {
                let slot = free.swap_remove(at);
                self.slots[slot] = self.slots[slot].max(width);
                slot
            }
            None => {
                self.slots.push(width);
                self.slots.len() - 1
            }
        }
    }

    /// The frequencies of the plan's ropes; the bytes of their angles for each row.
    fn ropes(&mut self, plan: &Plan) -> u64 {
        let ropes = plan.ropes().into_iter();
        self.ropes = ropes.map(|rope| (rope, rope.frequencies())).collect();
        self.ropes.iter().map(|(rope, _)| Angles::bytes(rope)).sum()
    }
}

/// Bytes for each row that an operation needs beside its operands and its result: quantised
/// rows, turned queries and keys, room for experts.
fn beside(plan: &Plan, op: &Op) -> [u64; 3] {
    let weight = |id: crate::plan::WeightId| &plan.weights()[id.index()];
    let rows = |kind: WeightType, width: usize| match is_quantised(kind) {
        true => Rows::bytes(width),
        false => 0,
    };
    match op {
        Op::Linear { w, .. } => {
            let w = weight(*w);
            [rows(w.kind, w.shape.last().copied().unwrap_or(0)), 0, 0]
        }
        Op::Attend { how, .. } | Op::Mix { how, .. } if how.rope.is_some() => {
            let turned = 4 * ((how.heads + how.kv_heads) * how.key_head) as u64;
            [0, turned, 0]
        }
        Op::Moe {
            router,
            gate,
            up,
            down,
            ..
        } => {
            let [router, gate, up, down] = [*router, *gate, *up, *down].map(weight);
            let [_, inner, width] =
                <[usize; 3]>::try_from(gate.shape.as_slice()).unwrap_or_default();
            let quantised = [
                rows(router.kind, width),
                rows(gate.kind, width),
                rows(up.kind, width),
                rows(down.kind, inner),
            ];
            let experts = router.shape.first().copied().unwrap_or(0);
            // The scores and shares; a row in and out of an expert; three rows inside.
            let plain = 4 * (2 * experts + 2 * width + 3 * inner) as u64;
            [quantised.into_iter().max().unwrap_or(0), 0, plain]
        }
        _ => [0; 3],
    }
}

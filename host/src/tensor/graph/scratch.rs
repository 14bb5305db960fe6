//! How many bytes a step needs for a while, beside weights and lanes.
//!
//! The plan knows what its values take; the rest is what this executor makes on the way: scores
//! and masks of attention, widened weights, the copies that an operation hands to the next. An
//! upper bound, granted before a step and given back after it.

use super::super::{Span, Step};
use super::attention::chunk_rows;
use super::weights::widened_bytes;
use crate::plan::{Attention, Op, Plan, Weight};

/// An upper bound of what a step of `plan` allocates.
pub(super) fn bytes(plan: &Plan, step: &Step) -> u64 {
    let rows = step.rows() as u64;
    let weight = |w: crate::plan::WeightId| plan.weights().get(w.index());
    let widened = |w| weight(w).map_or(0, widened_bytes);
    let on_the_way = plan.nodes().iter().map(|node| {
        // Most operations make one more value of their width before they are done.
        let copies = 2 * 4 * rows * node.width as u64;
        copies
            + match &node.op {
                Op::Linear { x, w, .. } => {
                    let into = plan.nodes().get(x.index()).map_or(0, |node| node.width);
                    widened(*w).max(rows * rounded_row(into))
                }
                Op::Attend { how, .. } => attention(how, step, true),
                Op::Mix { how, .. } => attention(how, step, false),
                Op::Moe { gate, up, down, .. } => {
                    let inner = weight(*gate).and_then(|w: &Weight| w.shape.get(1)).copied();
                    let inner = inner.unwrap_or(0);
                    // The gate before and after its activation, the way up, and their product.
                    let each = 4 * (4 * inner + 2 * node.width) as u64;
                    let rounded = rounded_row(inner.max(node.width));
                    rows * (each + rounded) + widened(*gate).max(widened(*up)).max(widened(*down))
                }
                _ => 0,
            }
    });
    let values = plan.cost().activation_bytes.saturating_mul(rows);
    values
        .saturating_add(on_the_way.max().unwrap_or(0))
        .saturating_add(masks(plan, step))
}

/// Bytes of a row that a quantised product rounds to 8 bits: blocks of 32 numbers and two halves,
/// whole runs of 512, as candle's CUDA kernels want it.
fn rounded_row(width: usize) -> u64 {
    (width.next_multiple_of(512) / 32 * 36) as u64
}

/// Turned queries and keys, keys and values heads first, and the scores of one chunk as they
/// are, masked and as shares.
fn attention(how: &Attention, step: &Step, reads_back: bool) -> u64 {
    let keys = 2 * how.kv_heads * how.key_head + how.kv_heads * how.value_head;
    let row = 3 * how.heads * how.key_head + keys + how.heads * how.value_head;
    let scores = step.spans().iter().map(|span| {
        let keys = keys_of(span, reads_back);
        let rows = chunk_rows(how.heads, keys).min(span.rows);
        (how.heads * rows) as u64 * keys as u64
    });
    4 * (step.rows() * row) as u64 + 3 * 4 * scores.max().unwrap_or(0)
}

/// How many keys the rows of a span may see.
fn keys_of(span: &Span, reads_back: bool) -> usize {
    let before = if reads_back { span.start } else { 0 };
    before.saturating_add(span.rows)
}

/// Masks are kept until the step is over: one number for each row and key, for each way of
/// looking.
fn masks(plan: &Plan, step: &Step) -> u64 {
    let mut ways: Vec<(Option<usize>, bool, bool)> = Vec::new();
    for node in plan.nodes() {
        let way = match &node.op {
            Op::Attend { how, .. } => (how.window, true, true),
            Op::Mix { how, causal, .. } => (how.window, *causal, false),
            _ => continue,
        };
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    let spans = || step.spans().iter().filter(|span| span.rows > 1);
    let numbers = ways.iter().flat_map(|&(_, _, reads_back)| {
        spans().map(move |span| span.rows as u64 * keys_of(span, reads_back) as u64)
    });
    4 * numbers.sum::<u64>()
}

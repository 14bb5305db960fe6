//! What a plan costs, known before it computes anything.

use serde::Serialize;

use super::{Node, Op, RowKind, Weight};

/// Bytes and operations of a plan. Multiplications and additions count one each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Bytes of all weights, as stored.
    pub weight_bytes: u64,
    /// The most bytes of values alive at once, for each row of a step.
    pub activation_bytes: u64,
    /// Operations for each row of a step, attention's scores left out.
    pub operations: u64,
    /// Operations for each row of a step and each earlier row it attends to.
    pub attention_operations: u64,
    /// Bytes that each row leaves in the lanes.
    pub lane_bytes: u64,
}

impl Weight {
    /// How many numbers it holds.
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }

    /// Its size as stored.
    pub fn bytes(&self) -> u64 {
        self.kind.bytes(self.elements()).unwrap_or(u64::MAX)
    }
}

impl Cost {
    pub(super) fn of(nodes: &[Node], weights: &[Weight], last_use: &[usize]) -> Cost {
        let weight_bytes = weights
            .iter()
            .map(Weight::bytes)
            .fold(0, u64::saturating_add);
        let mut cost = Cost {
            weight_bytes,
            ..Cost::default()
        };
        let size = |id: super::WeightId| weights.get(id.0).map_or(0, Weight::elements);
        let mut alive = 0u64;
        let mut dying = vec![0u64; nodes.len() + 1];
        for (i, node) in nodes.iter().enumerate() {
            let width = node.width as u64;
            let bytes = match node.rows {
                RowKind::Tokens => 0,
                RowKind::Step | RowKind::Pooled => width * 4,
            };
            alive += bytes;
            cost.activation_bytes = cost.activation_bytes.max(alive);
            let end = last_use.get(i).copied().unwrap_or(nodes.len());
            dying[end.min(nodes.len())] += bytes;
            alive -= dying[i];
            cost.operations += match &node.op {
                Op::Input(_) | Op::Tokens => 0,
                Op::Linear { w, .. } => 2 * size(*w),
                Op::Moe {
                    router,
                    gate,
                    up,
                    down,
                    top_k,
                    ..
                } => {
                    let experts = weights
                        .get(router.0)
                        .and_then(|w| w.shape.first())
                        .map_or(1, |&n| n as u64);
                    let one = (size(*gate) + size(*up) + size(*down)) / experts.max(1);
                    2 * size(*router) + 2 * one * *top_k as u64
                }
                Op::Attend { how, .. } | Op::Mix { how, .. } => {
                    let per_head = 2 * (how.key_head + how.value_head) as u64;
                    cost.attention_operations += how.heads as u64 * per_head;
                    how.rope.map_or(0, |rope| {
                        3 * (how.heads + how.kv_heads) as u64 * rope.dim as u64
                    })
                }
                Op::RmsNorm { .. } | Op::Softmax { .. } => 4 * width,
                Op::LayerNorm { .. } => 6 * width,
                Op::Silu { .. } | Op::SwiGlu { .. } | Op::Gelu { .. } => 5 * width,
                Op::Add { .. } | Op::Mul { .. } | Op::Scale { .. } | Op::Pool { .. } => width,
                // Moving a number is work, too.
                Op::Embed { .. } | Op::Concat { .. } | Op::Slice { .. } => width,
            };
        }
        cost
    }
}

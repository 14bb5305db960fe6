//! A pack's network, described: operations in order, their shapes, their cost.
//!
//! Owns the form of a network and every rule about it. [`Network`] builds plans, a call at a
//! time, and refuses in words what does not type-check; the executors of `tensor` run them.
//! Pure data: nothing here allocates a tensor or knows a device. What stays true: a node's
//! operands come before it, every node leads to the output, every weight is used.

mod attention;
mod build;
mod cost;
mod network;
mod op;
mod options;
mod rope;
#[cfg(test)]
mod tests;

pub use attention::Attention;
pub use cost::Cost;
pub use network::{Catalog, Network, Quota};
pub use op::{Op, Pooling};
pub use rope::{Layout, Rope, Scaling};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub use modularbase_format::gguf::WeightType;

/// A value of a network: the index of the node that computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ValueId(pub(crate) usize);

/// A weight of a network: its index among the network's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct WeightId(pub(crate) usize);

impl ValueId {
    /// Its place among [`Plan::nodes`].
    pub fn index(self) -> usize {
        self.0
    }
}

impl WeightId {
    /// Its place among [`Plan::weights`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// What a row of a value stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RowKind {
    /// One row of the step.
    Step,
    /// One sequence of the step.
    Pooled,
    /// A row's token id, good for `embed` alone.
    Tokens,
}

impl std::fmt::Display for RowKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RowKind::Step => "step rows",
            RowKind::Pooled => "pooled rows",
            RowKind::Tokens => "tokens",
        })
    }
}

/// What a weight holds before it is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// Normally distributed around zero with this standard deviation.
    Normal(f32),
}

/// A weight of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weight {
    /// The tensor's name in the pack's GGUF.
    pub name: String,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// How its numbers are stored; `F32` while it is only declared.
    #[serde(serialize_with = "by_name")]
    pub kind: WeightType,
    /// What it starts from.
    #[serde(skip)]
    pub init: Init,
}

fn by_name<S: serde::Serializer>(kind: &WeightType, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(kind)
}

/// One operation and what comes out of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// What a row of the result stands for.
    pub rows: RowKind,
    /// How many numbers a row of the result has.
    pub width: usize,
}

/// Where a plan's attention keeps its keys and values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// The name that the pack gave it.
    pub name: String,
    /// How many numbers a key has, all heads together.
    pub key_width: usize,
    /// How many numbers a value has, all heads together.
    pub value_width: usize,
}

/// A checked network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    inputs: Vec<RowKind>,
    nodes: Vec<Node>,
    weights: Vec<Weight>,
    lanes: Vec<Lane>,
    output: ValueId,
    width: usize,
    #[serde(skip)]
    last_use: Vec<usize>,
    #[serde(skip)]
    cost: Cost,
}

impl Plan {
    /// What its inputs are, in the order in which a step passes them: rows of the base's width.
    pub fn inputs(&self) -> &[RowKind] {
        &self.inputs
    }

    /// The width of its inputs: the base's.
    pub fn input_width(&self) -> usize {
        self.width
    }

    /// Its operations in the order in which they run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The names of weights that decide what is computed: which experts a row goes to.
    pub fn deciding(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter_map(|node| match node.op {
            Op::Moe { router, .. } => Some(self.weights[router.0].name.as_str()),
            _ => None,
        })
    }

    /// Its weights.
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// The lanes that its attentions keep; a plan with lanes is stateful.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Whether a step of it leaves keys and values behind.
    pub fn is_stateful(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// The ropes that its attentions turn with, each once.
    pub fn ropes(&self) -> Vec<Rope> {
        let mut ropes = Vec::new();
        for node in &self.nodes {
            if let Op::Attend { how, .. } | Op::Mix { how, .. } = &node.op
                && let Some(rope) = how.rope
                && !ropes.contains(&rope)
            {
                ropes.push(rope);
            }
        }
        ropes
    }

    /// The value it gives.
    pub fn output(&self) -> ValueId {
        self.output
    }

    /// The node that computes the output.
    pub fn output_node(&self) -> &Node {
        &self.nodes[self.output.0]
    }

    /// The last node that reads value `id`; the output is read by no node and outlives all.
    pub fn last_use(&self, id: ValueId) -> usize {
        self.last_use[id.0]
    }

    /// What it costs.
    pub fn cost(&self) -> &Cost {
        &self.cost
    }

    /// What the plan computes, as a digest: the same for the same operations over weights of
    /// the same names, shapes and types, whatever the weights hold.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"modularbase plan v1\n");
        let form = serde_json::to_vec(self).expect("a plan holds only names and finite numbers");
        hash.update(form);
        hash.finalize().into()
    }
}

/// Why a network is refused. The words name what was found and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Widths, row kinds or options do not fit together.
    #[error("{0}")]
    Shape(String),
    /// A weight is missing, or has another shape or type.
    #[error("{0}")]
    Weight(String),
    /// A quota is spent.
    #[error("{0}")]
    Limit(String),
    /// The call is not possible now.
    #[error("{0}")]
    State(String),
}

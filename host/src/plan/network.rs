//! A network under construction: its weights, its quotas, its values so far.
//!
//! The guest's import and native experts call it while they load. `build` holds the
//! operations. Three modes share one description: weights not there yet are *declared*, weights
//! of a file are *checked* against it; training reads the same declarations.

use std::collections::BTreeMap;

use super::options::clip;
use super::{Init, Node, Op, Plan, PlanError, RowKind, ValueId, Weight, WeightId, WeightType};

/// What is known of a pack's weights while its network is described.
#[derive(Clone, Debug, Default)]
pub enum Catalog {
    /// Nothing yet: what is declared is taken down, as `F32`.
    #[default]
    Declare,
    /// These, by name: what is declared must be among them.
    Given(BTreeMap<String, (WeightType, Vec<usize>)>),
}

/// How large a network may be.
#[derive(Clone, Debug)]
pub struct Quota {
    /// Operations, those that no plan uses included; and once more those of all closed plans
    /// together, where two plans share some.
    pub operations: usize,
    /// Weights.
    pub weights: usize,
    /// Bytes of all declared weights.
    pub weight_bytes: u64,
    /// Bytes of values alive at once, for each row.
    pub activation_bytes: u64,
    /// What a step may compute for each row, attention's scores left out.
    pub row_operations: u64,
    /// What a step may compute for each row and each earlier row it attends to.
    pub attention_operations: u64,
    /// Ropes that differ.
    pub ropes: usize,
    /// Numbers in a row.
    pub width: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            operations: 16_384,
            weights: 16_384,
            weight_bytes: 64 << 30,
            activation_bytes: 64 << 20,
            // A pack of eight billion parameters, all of them used.
            row_operations: 1 << 34,
            // A hundred layers of attention over rows of 16384 numbers, and some.
            attention_operations: 1 << 23,
            ropes: 16,
            width: 1 << 20,
        }
    }
}

impl Quota {
    /// Refuses a plan that costs more than this.
    pub(super) fn holds(&self, plan: &Plan) -> Result<(), PlanError> {
        let cost = plan.cost();
        let table = [
            (
                cost.activation_bytes,
                self.activation_bytes,
                "bytes for each row",
            ),
            (
                cost.operations,
                self.row_operations,
                "operations for each row",
            ),
            (
                cost.attention_operations,
                self.attention_operations,
                "operations of attention for each row and each earlier one",
            ),
            (plan.ropes().len() as u64, self.ropes as u64, "ropes"),
        ];
        for (found, most, what) in table {
            if found > most {
                return Err(PlanError::Limit(format!(
                    "finish: the plan needs {found} {what}, the quota is {most}"
                )));
            }
        }
        Ok(())
    }
}

/// The longest name of a weight or a lane.
const NAME_BYTES: usize = 128;

/// A network under construction.
#[derive(Debug)]
pub struct Network {
    pub(super) width: usize,
    pub(super) quota: Quota,
    catalog: Catalog,
    pub(super) nodes: Vec<Node>,
    pub(super) weights: Vec<Weight>,
    names: BTreeMap<String, WeightId>,
    weight_bytes: u64,
    pub(super) inputs: usize,
    pub(super) lanes: Vec<String>,
    pub(super) stateful: bool,
    /// Operations of the plans closed so far.
    pub(super) closed: usize,
}

impl Network {
    /// A network over hidden rows of `width` numbers.
    pub fn new(width: usize, catalog: Catalog, quota: Quota) -> Self {
        Self {
            width,
            quota,
            catalog,
            nodes: Vec::new(),
            weights: Vec::new(),
            names: BTreeMap::new(),
            weight_bytes: 0,
            inputs: 0,
            lanes: Vec::new(),
            stateful: false,
            closed: 0,
        }
    }

    /// The width of the base's hidden rows.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Every weight declared so far, in order.
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// Declares a weight. The same name with the same shape gives the same weight.
    ///
    /// # Errors
    /// When the name is not among the pack's weights or has another shape there, when it was
    /// declared with another shape, and past the quota.
    pub fn weight(
        &mut self,
        name: &str,
        shape: &[usize],
        init: Init,
    ) -> Result<WeightId, PlanError> {
        let named = checked_name(name, "weight")?;
        if shape.is_empty() || shape.len() > 4 {
            let found = shape.len();
            return Err(PlanError::Weight(format!(
                "weight `{named}` has {found} dimensions, expected 1 to 4"
            )));
        }
        let elements = shape
            .iter()
            .try_fold(1u64, |all, &n| all.checked_mul(n as u64))
            .filter(|&n| n > 0 && n <= 1 << 40);
        let Some(elements) = elements else {
            return Err(PlanError::Weight(format!(
                "weight `{named}` is {shape:?}, expected 1 to 2^40 numbers"
            )));
        };
        if let Init::Normal(deviation) = init
            && !(deviation.is_finite() && deviation >= 0.0)
        {
            return Err(PlanError::Weight(format!(
                "weight `{named}` starts with deviation {deviation}, expected a finite one of at least zero"
            )));
        }
        if let Some(&id) = self.names.get(name) {
            let before = &self.weight_of(id).shape;
            if before != shape {
                return Err(PlanError::Weight(format!(
                    "weight `{named}` is declared as {shape:?} and was declared as {before:?}"
                )));
            }
            return Ok(id);
        }
        let kind = match &self.catalog {
            Catalog::Declare => WeightType::F32,
            Catalog::Given(given) => match given.get(name) {
                None => {
                    return Err(PlanError::Weight(format!(
                        "weight `{named}` is not among the pack's {} weights",
                        given.len()
                    )));
                }
                Some((_, found)) if found != shape => {
                    return Err(PlanError::Weight(format!(
                        "weight `{named}` is {found:?}, expected {shape:?}"
                    )));
                }
                Some((kind, _)) => *kind,
            },
        };
        let bytes = kind.bytes(elements).unwrap_or(u64::MAX);
        self.weight_bytes = self.weight_bytes.saturating_add(bytes);
        if self.weight_bytes > self.quota.weight_bytes {
            return Err(PlanError::Limit(format!(
                "weights take {} bytes with `{named}`, the quota is {}",
                self.weight_bytes, self.quota.weight_bytes
            )));
        }
        if self.weights.len() >= self.quota.weights {
            return Err(PlanError::Limit(format!(
                "weight `{named}` is past the quota of {} weights",
                self.quota.weights
            )));
        }
        let id = WeightId(self.weights.len());
        self.weights.push(Weight {
            name: name.to_owned(),
            shape: shape.to_vec(),
            kind,
            init,
        });
        self.names.insert(name.to_owned(), id);
        Ok(id)
    }

    /// A value's width.
    ///
    /// # Panics
    /// When `id` is another network's.
    pub fn width_of(&self, id: ValueId) -> usize {
        self.node(id).width
    }

    /// A weight's declaration.
    ///
    /// # Panics
    /// When `id` is another network's.
    pub fn weight_of(&self, id: WeightId) -> &Weight {
        &self.weights[id.0]
    }

    pub(super) fn node(&self, id: ValueId) -> &Node {
        &self.nodes[id.0]
    }

    /// Takes an operation into the network, charging the quota.
    pub(super) fn push(
        &mut self,
        op: Op,
        rows: RowKind,
        width: usize,
    ) -> Result<ValueId, PlanError> {
        let name = op.name();
        if self.nodes.len() >= self.quota.operations {
            return Err(PlanError::Limit(format!(
                "{name}: the quota of {} operations is spent",
                self.quota.operations
            )));
        }
        if width == 0 || width > self.quota.width {
            return Err(PlanError::Shape(format!(
                "{name}: the result has width {width}, expected 1 to {}",
                self.quota.width
            )));
        }
        self.nodes.push(Node { op, rows, width });
        Ok(ValueId(self.nodes.len() - 1))
    }
}

/// A name as it may stand in a message, when it may be one at all.
pub(super) fn checked_name(name: &str, what: &str) -> Result<String, PlanError> {
    let shown = clip(name);
    if name.is_empty() || name.len() > NAME_BYTES {
        return Err(PlanError::Weight(format!(
            "{what} `{shown}` has a name of {} bytes, expected 1 to {NAME_BYTES}",
            name.len()
        )));
    }
    if name.chars().any(char::is_control) {
        return Err(PlanError::Weight(format!(
            "{what} `{shown}` has control characters in its name"
        )));
    }
    Ok(shown)
}

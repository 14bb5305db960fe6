//! What a pack's builder measured: digests and cost of its plans, as keys of its GGUF.
//!
//! The builder writes them, `inspect` reads them, so that a pack's cost can be shown without
//! running it. They are the builder's word: a host measures again when it loads the pack.
//!
//! ```text
//! modularbase.plan.expert.digest                  one hex digest for each plan
//! modularbase.plan.expert.weight-bytes            and the other fields of a cost
//! modularbase.plan.expert.variant.NAME.digest     the same of a variant
//! modularbase.plan.router.digest                  the same of a router
//! ```

use std::collections::BTreeMap;

use modularbase_format::gguf::{GgufWriteError, GgufWriter};
use modularbase_format::{Manifest, PackFile, Role};
use serde::Serialize;

use super::Description;
use crate::plan::Cost;

const PREFIX: &str = "modularbase.plan";

/// Digests and cost of one role's plans, in one variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Measured {
    /// `expert` or `router`.
    pub role: String,
    /// The variant, where it is one.
    pub variant: Option<String>,
    /// The plans' digests, in the order in which they were closed.
    pub digests: Vec<String>,
    /// What all of them cost together.
    pub cost: Cost,
}

/// Sums up what a role described.
pub(super) fn measure(description: &Description, variant: Option<&str>) -> Measured {
    let mut cost = Cost::default();
    let mut weights = BTreeMap::new();
    for plan in &description.plans {
        let one = plan.cost();
        cost.operations += one.operations;
        cost.attention_operations += one.attention_operations;
        cost.lane_bytes += one.lane_bytes;
        // Plans run one after the other.
        cost.activation_bytes = cost.activation_bytes.max(one.activation_bytes);
        // A weight that two plans use is there once.
        weights.extend(plan.weights().iter().map(|it| (&it.name, it.bytes())));
    }
    cost.weight_bytes = weights.values().sum();
    let hex = |digest: [u8; 32]| modularbase_format::Digest::from_bytes(digest).to_string();
    Measured {
        role: description.role.to_string(),
        variant: variant.map(str::to_owned),
        digests: description
            .plans
            .iter()
            .map(|it| hex(it.digest()))
            .collect(),
        cost,
    }
}

fn prefix(role: &str, variant: Option<&str>) -> String {
    match variant {
        None => format!("{PREFIX}.{role}"),
        Some(name) => format!("{PREFIX}.{role}.variant.{name}"),
    }
}

impl Measured {
    pub(super) fn write(&self, gguf: &mut GgufWriter<'_>) -> Result<(), GgufWriteError> {
        let prefix = prefix(&self.role, self.variant.as_deref());
        let key = |name: &str| format!("{prefix}.{name}");
        gguf.metadata(key("digest"), self.digests.clone())?;
        for (name, number) in numbers(self.cost) {
            gguf.metadata(key(name), number)?;
        }
        Ok(())
    }

    /// What the builder of a pack wrote into it; nothing of a pack that another tool made.
    pub(super) fn read(file: &PackFile) -> Vec<Self> {
        let mut found = Vec::new();
        for role in &file.manifest().roles {
            for variant in variants(file.manifest()) {
                found.extend(Self::read_one(file, *role, variant));
            }
        }
        found
    }

    fn read_one(file: &PackFile, role: Role, variant: Option<&str>) -> Option<Self> {
        let role = role.to_string();
        let prefix = prefix(&role, variant);
        let value = |name: &str| file.metadata(&format!("{prefix}.{name}"));
        let number = |name: &str| value(name)?.as_u64();
        let digests = value("digest")?.as_array()?;
        Some(Self {
            role,
            variant: variant.map(str::to_owned),
            digests: digests
                .iter()
                .map(|it| it.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
            cost: Cost {
                weight_bytes: number("weight-bytes")?,
                activation_bytes: number("activation-bytes")?,
                operations: number("operations")?,
                attention_operations: number("attention-operations")?,
                lane_bytes: number("lane-bytes")?,
            },
        })
    }
}

/// The roles as they are, and each variant of them.
pub(super) fn variants(manifest: &Manifest) -> impl Iterator<Item = Option<&str>> {
    std::iter::once(None).chain(manifest.variants.iter().map(|name| Some(name.as_str())))
}

fn numbers(cost: Cost) -> [(&'static str, u64); 5] {
    [
        ("weight-bytes", cost.weight_bytes),
        ("activation-bytes", cost.activation_bytes),
        ("operations", cost.operations),
        ("attention-operations", cost.attention_operations),
        ("lane-bytes", cost.lane_bytes),
    ]
}

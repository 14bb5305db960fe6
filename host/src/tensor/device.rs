//! Which device there is, and how a plan gets onto it.

use std::sync::Arc;

use super::{Ledger, Program, TensorError, Weights};
use crate::plan::Plan;

/// A device that runs plans. Clones share it.
#[derive(Clone)]
pub struct Device {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Cpu,
}

impl Device {
    /// The processor: row-invariant, weights used where they are mapped.
    pub fn cpu() -> Self {
        Self { kind: Kind::Cpu }
    }

    /// Puts a plan over its weights onto the device. The ledger grants the weights to `owner`,
    /// lanes to `kv` and values to `scratch`.
    ///
    /// # Errors
    /// When a weight is missing or another, or memory is not granted.
    pub fn load(
        &self,
        _plan: &Arc<Plan>,
        _weights: &dyn Weights,
        _ledger: &Ledger,
        _owner: &str,
    ) -> Result<Box<dyn Program>, TensorError> {
        match self.kind {
            Kind::Cpu => todo!(),
        }
    }
}

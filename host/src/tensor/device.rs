//! Which device there is, and how a plan gets onto it.

use std::sync::Arc;

use super::cpu::Cpu;
use super::{Cache, Ledger, MemoryCache, Program, TensorError, Weights};
use crate::plan::Plan;

/// A device that runs plans. Clones share it.
#[derive(Clone)]
pub struct Device {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Cpu(Arc<Cpu>),
}

impl Device {
    /// The processor: row-invariant, weights used where they are mapped.
    pub fn cpu() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self::cpu_with_threads(threads)
    }

    /// The processor, of which `threads` are used. They change the speed and no bit.
    pub fn cpu_with_threads(threads: usize) -> Self {
        Self {
            kind: Kind::Cpu(Arc::new(Cpu::new(threads))),
        }
    }

    /// Puts a plan over its weights onto the device. The ledger grants the weights to `owner`,
    /// lanes to `kv` and values to `scratch`.
    ///
    /// # Errors
    /// When a weight is missing or another, or memory is not granted.
    pub fn load(
        &self,
        plan: &Arc<Plan>,
        weights: &dyn Weights,
        ledger: &Ledger,
        owner: &str,
    ) -> Result<Box<dyn Program>, TensorError> {
        let widths = plan.lanes().iter();
        let widths = widths.map(|lane| (lane.key_width, lane.value_width));
        let cache = Box::new(MemoryCache::new(widths.collect(), ledger)?);
        self.load_over(plan, weights, ledger, owner, cache)
    }

    /// Like [`Device::load`], with lanes in a cache of the caller's, which has them granted.
    ///
    /// # Errors
    /// As [`Device::load`].
    pub fn load_over(
        &self,
        plan: &Arc<Plan>,
        weights: &dyn Weights,
        ledger: &Ledger,
        owner: &str,
        cache: Box<dyn Cache>,
    ) -> Result<Box<dyn Program>, TensorError> {
        match &self.kind {
            Kind::Cpu(cpu) => cpu.load(plan, weights, ledger, owner, cache),
        }
    }
}

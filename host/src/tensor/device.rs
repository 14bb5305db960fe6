//! Which device there is, and how a plan gets onto it.

use std::sync::Arc;

use super::cpu::Cpu;
use super::graph::Place;
use super::{Ledger, MemoryCache, Program, TensorError, Weights};
use crate::plan::Plan;

/// A device that runs plans. Clones share it.
#[derive(Clone)]
pub struct Device {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Cpu(Arc<Cpu>),
    Graph(Place),
}

/// Bytes of a device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What is free now.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

impl Device {
    /// The processor: row-invariant, weights used where they are mapped.
    pub fn cpu() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            kind: Kind::Cpu(Arc::new(Cpu::new(threads))),
        }
    }

    /// The CUDA device of that number. Tensors of two devices made by two calls mix only by way
    /// of the host, even when the number is the same: clone one.
    ///
    /// # Errors
    /// When this program was built without CUDA, when a library is missing, when there is no
    /// such device.
    pub fn cuda(index: usize) -> Result<Self, TensorError> {
        let kind = Kind::Graph(Place::cuda(index)?);
        Ok(Self { kind })
    }

    /// The processor, through the executor that CUDA devices use: for testing it without one.
    #[cfg(test)]
    pub(super) fn cpu_as_graph() -> Self {
        let kind = Kind::Graph(Place::cpu());
        Self { kind }
    }

    /// The first CUDA device where there is one, else the processor.
    pub fn best() -> Self {
        Self::cuda(0).unwrap_or_else(|reason| {
            tracing::debug!("using the cpu: {reason}");
            Self::cpu()
        })
    }

    /// Its name in messages: `cpu`, `cuda:0 NVIDIA H200`.
    pub fn name(&self) -> &str {
        match &self.kind {
            Kind::Cpu(_) => "cpu",
            Kind::Graph(place) => place.name(),
        }
    }

    /// Its memory, where it can say. A processor's is the machine's, less what a control group
    /// keeps from us.
    pub fn memory(&self) -> Option<Memory> {
        match &self.kind {
            Kind::Cpu(_) => Memory::of_the_machine(),
            Kind::Graph(place) => place.memory(),
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
        match &self.kind {
            Kind::Cpu(cpu) => {
                let widths = plan.lanes().iter();
                let widths = widths.map(|lane| (lane.key_width, lane.value_width));
                let cache = Box::new(MemoryCache::new(widths.collect(), ledger)?);
                cpu.load(plan, weights, ledger, owner, cache)
            }
            Kind::Graph(place) => place.load(plan, weights, ledger, owner),
        }
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Device").field(&self.name()).finish()
    }
}

impl Memory {
    /// The machine's memory, as Linux tells it; nothing on other systems.
    pub(super) fn of_the_machine() -> Option<Self> {
        let machine = std::fs::read_to_string("/proc/meminfo").ok()?;
        let total = meminfo(&machine, "MemTotal:")?;
        let free = meminfo(&machine, "MemAvailable:")?;
        let all = Self { free, total };
        let read = |file| std::fs::read_to_string(format!("/sys/fs/cgroup/memory.{file}")).ok();
        let number = |file| read(file)?.trim().parse::<u64>().ok();
        match (number("max"), number("current")) {
            (Some(most), Some(held)) => {
                // Cached files count as held until somebody wants the memory; mapped weights
                // are such files.
                let stat = read("stat").unwrap_or_default();
                let cached = stat
                    .lines()
                    .find_map(|line| line.strip_prefix("inactive_file "));
                let cached = cached.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
                Some(all.within(most, held.saturating_sub(cached)))
            }
            // No control group, or one without a limit, which reads `max`.
            _ => Some(all),
        }
    }

    /// The part of it that a group limited to `most` bytes has, of which it holds `held`.
    fn within(self, most: u64, held: u64) -> Self {
        Self {
            free: self.free.min(most.saturating_sub(held)),
            total: self.total.min(most),
        }
    }
}

/// A line of `/proc/meminfo`, in bytes.
fn meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_cuda_says_so() {
        if cfg!(feature = "cuda") {
            return;
        }
        let error = Device::cuda(3).expect_err("it was not built in");
        assert_eq!(
            error.to_string(),
            "device cuda:3: this program was built without CUDA (cargo feature `cuda`)"
        );
        assert_eq!(Device::best().name(), "cpu");
    }

    #[test]
    fn the_machines_memory_is_read_in_bytes_and_limited_by_the_group() {
        let text = "MemTotal:       16000 kB\nMemFree: 1 kB\nMemAvailable:    8000 kB\n";
        assert_eq!(meminfo(text, "MemTotal:"), Some(16_384_000));
        assert_eq!(meminfo(text, "MemAvailable:"), Some(8_192_000));
        assert_eq!(meminfo(text, "SwapTotal:"), None);
        let all = Memory {
            free: 80,
            total: 160,
        };
        let (free, total) = (30, 100);
        assert_eq!(all.within(100, 70), Memory { free, total });
    }
}

//! Weights in place: bytes of a mapped file, never copied on a CPU.

use std::ops::Range;
use std::sync::Arc;

use crate::plan::WeightType;

/// The numbers of one weight, somewhere in memory that stays.
#[derive(Clone)]
pub struct WeightData {
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub kind: WeightType,
    memory: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

/// Where a plan's weights come from: a pack, a base, a test.
pub trait Weights: Send + Sync {
    /// The weight of that name.
    fn weight(&self, name: &str) -> Option<WeightData>;
}

impl WeightData {
    /// The weight at `range` of `memory`, or nothing when the range is not its size.
    pub fn new(
        kind: WeightType,
        shape: Vec<usize>,
        memory: Arc<dyn AsRef<[u8]> + Send + Sync>,
        range: Range<usize>,
    ) -> Option<Self> {
        let elements = shape
            .iter()
            .try_fold(1u64, |all, &n| all.checked_mul(n as u64))?;
        let held = (*memory).as_ref().get(range.clone())?.len();
        (kind.bytes(elements)? == held as u64).then_some(Self {
            shape,
            kind,
            memory,
            range,
        })
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        let memory = (*self.memory).as_ref();
        memory.get(self.range.clone()).unwrap_or_default()
    }
}

impl std::fmt::Debug for WeightData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.kind, self.shape)
    }
}

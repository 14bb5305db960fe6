//! The device's door: tensors, weights in place, the ledger, and the executors of plans.
//!
//! Only this module names candle. A [`Device`] loads a [`Plan`] over [`Weights`] into a
//! [`Program`]; a program runs a [`Step`] over rows. What stays true: weights, lanes and a
//! step's scratch are granted by the [`Ledger`] before they are allocated; on the CPU a row's bits
//! do not depend on the other rows of its step.

mod cache;
mod cpu;
mod device;
mod graph;
mod ledger;
mod quantize;
mod step;
mod weights;

pub use cache::{BLOCK_ROWS, Block, Cache, MemoryCache};
pub use device::{Device, Memory};
pub use ledger::{Grant, Ledger, LedgerError};
pub use quantize::{floats, quantize};
pub use step::{Span, Step, StepError};
pub use weights::{WeightData, Weights};

use std::sync::Arc;

use crate::plan::Plan;

/// Rows of 32-bit floats. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Tensor {
    rows: usize,
    width: usize,
    data: Data,
}

/// Where a tensor's numbers are.
#[derive(Clone, Debug)]
enum Data {
    Host(Arc<Vec<f32>>),
    Device(candle_core::Tensor),
}

/// Words for a step that passes another number of inputs than its plan has. A plan keeps the
/// inputs that its output uses, no others.
fn miscounted(call: &str, found: usize, expected: usize) -> String {
    let are = if found == 1 { "input is" } else { "inputs are" };
    format!(
        "{call}: {found} {are} given, expected {expected}: each call of `hidden` or `pooled` \
         that the output uses declares one"
    )
}

/// Why a plan was not loaded or a step not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The weights are not those of the plan.
    #[error("weight `{name}` is {found}, expected {expected}")]
    Weight {
        /// The weight's name.
        name: String,
        /// What the source holds.
        found: String,
        /// What the plan wants.
        expected: String,
    },
    /// The inputs, the step or the lanes do not fit the plan.
    #[error("{0}")]
    Step(String),
    /// The ledger did not grant the bytes.
    #[error(transparent)]
    Memory(#[from] LedgerError),
    /// The device failed.
    #[error("device {device}: {reason}")]
    Device {
        /// Which device.
        device: String,
        /// What it said.
        reason: String,
    },
}

/// A plan on a device, with its weights and its lanes.
///
/// Lanes live where the program runs: each sequence has one for each attention, and reads on
/// from where it stands.
pub trait Program: Send {
    /// The plan it runs.
    fn plan(&self) -> &Arc<Plan>;

    /// Runs the plan over the rows of `step`. Each span starts at the row where the lanes of
    /// its sequence end; afterwards they hold the span's rows too. When it fails, the lanes are
    /// as they were.
    ///
    /// # Errors
    /// When inputs or spans do not fit, when memory is not granted, when the device fails.
    fn run(&mut self, step: &Step, inputs: &[&Tensor]) -> Result<Tensor, TensorError>;

    /// How many rows the lanes of `sequence` hold.
    fn rows(&self, sequence: u64) -> usize;

    /// Cuts the lanes of `sequence` back to `rows`; with 0 the sequence is forgotten.
    fn truncate(&mut self, sequence: u64, rows: usize);
}

impl Tensor {
    /// A tensor of `rows.len() / width` rows in host memory.
    ///
    /// # Panics
    /// When the numbers are not whole rows.
    pub fn new(width: usize, numbers: Vec<f32>) -> Self {
        assert!(
            width > 0 && numbers.len().is_multiple_of(width),
            "a tensor holds whole rows"
        );
        Self {
            rows: numbers.len() / width,
            width,
            data: Data::Host(Arc::new(numbers)),
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many numbers a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Its numbers, row after row.
    ///
    /// # Errors
    /// When it is on a device that fails.
    pub fn to_vec(&self) -> Result<Vec<f32>, TensorError> {
        match &self.data {
            Data::Host(numbers) => Ok(numbers.to_vec()),
            Data::Device(tensor) => graph::to_vec(tensor),
        }
    }

    /// Whether every number is finite.
    ///
    /// # Errors
    /// When it is on a device that fails.
    pub fn is_finite(&self) -> Result<bool, TensorError> {
        match &self.data {
            // A sum of absolutes is finite unless something in it is not, or it overflows, in
            // which case the slow look decides.
            Data::Host(numbers) => Ok(numbers.iter().map(|x| x.abs()).sum::<f32>().is_finite()
                || numbers.iter().all(|x| x.is_finite())),
            Data::Device(tensor) => graph::is_finite(tensor),
        }
    }
}

//! The processor as a device: plans over weights that stay where they are mapped.
//!
//! [`Cpu::load`] checks a plan's weights and makes a [`Program`] of it. What stays true:
//!
//! - **row-invariant**: a row's bits depend on the row, the weights and what its sequence has
//!   read, and on nothing else: not on the other rows of the step, not on threads, and not on how
//!   the sequence was cut into steps, unless the plan asks for it with `mix` or `pool`. Every kernel computes a (row, output) pair alone, in an
//!   order fixed by the pair's length;
//! - weights, lanes and scratch are granted by the ledger before they are allocated;
//! - a run that fails leaves the lanes as they were.
//!
//! | file | question |
//! |---|---|
//! | `program` | what does a run check, grant and undo? |
//! | `run` | what does each operation compute? |
//! | `layout` | where does a value lie? |
//! | `team` | which thread does what? |
//! | `matrix`, `dense`, `quant` | how is a weight multiplied? |
//! | `attention`, `rope`, `moe`, `rowwise` | the other kernels |
//! | `level`, `view` | what do kernels stand on? |

mod attention;
mod dense;
mod layout;
mod level;
mod matrix;
mod moe;
mod program;
mod quant;
mod rope;
mod rowwise;
mod run;
mod team;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use level::Level;
use team::Team;

use super::{Cache, Ledger, Program, TensorError, Weights};
use crate::plan::Plan;

/// A processor: its instructions and its threads.
pub(super) struct Cpu {
    level: Level,
    team: Team,
}

impl Cpu {
    /// The processor, of which `threads` are used.
    pub fn new(threads: usize) -> Self {
        Self {
            level: Level::best(),
            team: Team::new(threads),
        }
    }

    /// Makes a program of a plan over its weights and lanes.
    pub fn load(
        self: &Arc<Self>,
        plan: &Arc<Plan>,
        weights: &dyn Weights,
        ledger: &Ledger,
        owner: &str,
        cache: Box<dyn Cache>,
    ) -> Result<Box<dyn Program>, TensorError> {
        let program = program::CpuProgram::new(self, plan, weights, ledger, owner, cache)?;
        Ok(Box::new(program))
    }
}

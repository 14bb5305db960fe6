//! A plan loaded on the processor: what a run checks, grants and undoes.

use std::sync::Arc;

use crate::plan::Plan;
use crate::tensor::{
    Cache, Data, Grant, Ledger, Program, Span, Step, Tensor, TensorError, Weights, miscounted,
};

use super::Cpu;
use super::layout::{Layout, Place};
use super::matrix::{Matrix, Vector};
use super::run::{Run, Scratch};

/// Scratch up to this many bytes is kept, with its grant, for the next step.
const KEPT_BYTES: u64 = 1 << 20;

/// A plan on the processor, with its weights and its lanes.
pub(super) struct CpuProgram {
    cpu: Arc<Cpu>,
    plan: Arc<Plan>,
    layout: Layout,
    weights: Vec<Loaded>,
    cache: Box<dyn Cache>,
    /// Holds what the weights take until the program is dropped.
    _weights: Grant,
    scratch: Scratch,
    granted: Grant,
    /// How many rows have gone through experts of a mixture.
    passed: u64,
}

/// A weight as operations use it.
#[derive(Debug)]
pub(super) enum Loaded {
    /// In place.
    Matrix(Matrix),
    /// A norm's or a bias's numbers, converted once.
    Vector(Vector),
}

impl CpuProgram {
    pub fn new(
        cpu: &Arc<Cpu>,
        plan: &Arc<Plan>,
        weights: &dyn Weights,
        ledger: &Ledger,
        owner: &str,
        cache: Box<dyn Cache>,
    ) -> Result<Self, TensorError> {
        if cfg!(target_endian = "big") {
            return Err(TensorError::Device {
                device: "cpu".into(),
                reason: "weights are stored lowest byte first, which it cannot read in place"
                    .into(),
            });
        }
        let vectors = plan.weights().iter().filter(|w| w.shape.len() == 1);
        let converted: u64 = vectors.map(|w| 4 * w.elements()).sum();
        let turning = plan.ropes().into_iter().map(|rope| 2 * rope.dim as u64);
        let converted = converted + turning.sum::<u64>();
        let grant = ledger.grant(owner, plan.cost().weight_bytes.saturating_add(converted))?;
        let load = |wanted: &crate::plan::Weight| {
            let Some(data) = weights.weight(&wanted.name) else {
                return Err(TensorError::Weight {
                    name: wanted.name.clone(),
                    found: "missing".into(),
                    expected: format!("{} {:?}", wanted.kind, wanted.shape),
                });
            };
            Ok(match wanted.shape.len() {
                1 => Loaded::Vector(Vector::open(wanted, data)?),
                _ => Loaded::Matrix(Matrix::open(wanted, data)?),
            })
        };
        Ok(Self {
            cpu: cpu.clone(),
            plan: plan.clone(),
            layout: Layout::of(plan),
            weights: plan.weights().iter().map(load).collect::<Result<_, _>>()?,
            cache,
            _weights: grant,
            scratch: Scratch::default(),
            granted: ledger.grant("scratch", 0)?,
            passed: 0,
        })
    }

    /// How many rows have gone through experts of a mixture, each expert counted.
    #[cfg(test)]
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// Refuses inputs and spans that do not fit.
    fn check(&self, step: &Step, inputs: &[&Tensor]) -> Result<(), TensorError> {
        let wrong = |words: String| Err(TensorError::Step(words));
        let expected = self.plan.inputs();
        if inputs.len() != expected.len() {
            let (found, expected) = (inputs.len(), expected.len());
            return wrong(miscounted("run", found, expected));
        }
        let width = self.plan.input_width();
        for (number, (input, kind)) in inputs.iter().zip(expected).enumerate() {
            let rows = step.rows_of(*kind);
            if (input.rows(), input.width()) != (rows, width) {
                let found = [input.rows(), input.width()];
                return wrong(format!(
                    "run: input {number} is {found:?}, expected {:?}",
                    [rows, width]
                ));
            }
        }
        for span in step.spans() {
            if span.start.checked_add(span.rows).is_none() {
                let Span {
                    sequence, start, ..
                } = span;
                return wrong(format!(
                    "run: sequence {sequence} has no positions from {start}"
                ));
            }
            for (lane, of) in self.plan.lanes().iter().enumerate() {
                let found = self.cache.rows(span.sequence, lane);
                if found != span.start {
                    let Span {
                        sequence, start, ..
                    } = span;
                    return wrong(format!(
                        "run: sequence {sequence} starts at row {start}, \
                         expected {found}, where its lane `{}` ends",
                        of.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// What the step computes, about.
    fn operations(&self, step: &Step) -> u64 {
        let cost = self.plan.cost();
        let seen = |span: &Span| (span.rows as u64).saturating_mul((span.start + span.rows) as u64);
        let seen = step.spans().iter().map(seen).fold(0, u64::saturating_add);
        let rows = step.rows() as u64;
        let rows = cost.operations.saturating_mul(rows);
        rows.saturating_add(cost.attention_operations.saturating_mul(seen))
    }

    fn compute(&mut self, step: &Step, inputs: &[&Tensor]) -> Result<Tensor, TensorError> {
        // Inputs from another device are brought here; the others are shared.
        let mut here = Vec::with_capacity(inputs.len());
        for input in inputs {
            here.push(match &input.data {
                Data::Host(_) => Tensor::clone(input),
                Data::Device(_) => Tensor::new(input.width(), input.to_vec()?),
            });
        }
        let output = self.plan.output();
        if let Some(&Place::Input(number)) = self.layout.places.get(output.index())
            && let Some(input) = here.get(number)
        {
            return Ok(input.clone());
        }
        let numbers: Vec<&[f32]> = here
            .iter()
            .map(|input| match &input.data {
                Data::Host(numbers) => numbers.as_slice(),
                Data::Device(_) => &[],
            })
            .collect();
        let operations = self.operations(step);
        let level = self.cpu.level;
        let (plan, layout, weights) = (&*self.plan, &self.layout, &*self.weights);
        let (cache, scratch) = (&mut *self.cache, &mut self.scratch);
        let (out, passed) = self.cpu.team.enter(operations, |hands| {
            let mut run = Run {
                level,
                hands,
                plan,
                layout,
                weights,
                step,
                inputs: &numbers,
                scratch,
                passed: 0,
            };
            run.all(cache).map(|out| (out, run.passed))
        })?;
        self.passed += passed as u64;
        Ok(Tensor::new(self.plan.output_node().width, out))
    }
}

impl Program for CpuProgram {
    fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn run(&mut self, step: &Step, inputs: &[&Tensor]) -> Result<Tensor, TensorError> {
        self.check(step, inputs)?;
        let wanted = self.layout.row_bytes.saturating_mul(step.rows() as u64);
        self.granted
            .grow(wanted.saturating_sub(self.granted.bytes()))?;
        let result = self.compute(step, inputs);
        if self.granted.bytes() > KEPT_BYTES {
            self.scratch = Scratch::default();
            self.granted.shrink(self.granted.bytes());
        }
        if result.is_err() && self.plan.is_stateful() {
            for span in step.spans() {
                self.cache.truncate(span.sequence, span.start);
            }
        }
        result
    }

    fn rows(&self, sequence: u64) -> usize {
        match self.plan.is_stateful() {
            true => self.cache.rows(sequence, 0),
            false => 0,
        }
    }

    fn truncate(&mut self, sequence: u64, rows: usize) {
        self.cache.truncate(sequence, rows);
    }
}

//! Plans as candle tensors: the executor for CUDA, and the same on candle's CPU device.
//!
//! Owns the weights and the lanes of a program on its device; `Device` loads it, the engine runs
//! it. [`place`] says what a device and a thread are here, [`weights`] what each type of weight
//! becomes, [`lanes`] where keys and values are, [`attention`], [`moe`] and [`ops`] what is
//! computed. Everything is computed in f32.
//!
//! What stays true: the ledger has granted weights, lanes and the step's scratch before the
//! first of them is allocated; a step that fails leaves the lanes as they were; the same steps
//! give the same bits, another batch shape at most 1e-3 relative beside them.

mod attention;
#[cfg(feature = "cuda")]
mod cuda;
mod lanes;
mod moe;
mod ops;
mod place;
mod scratch;
mod weights;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::Tensor as Candle;

use self::attention::Attending;
use self::lanes::Lanes;
use self::ops::Pass;
use self::weights::Loaded;
use super::{Data, Grant, Ledger, Program, Step, Tensor, TensorError, Weights, miscounted};
use crate::plan::{Plan, ValueId};

pub(super) use self::place::Place;

/// A plan on a candle device.
struct Graph {
    plan: Arc<Plan>,
    place: Place,
    weights: Vec<Loaded>,
    lanes: Lanes,
    ledger: Ledger,
    /// The values that no node reads after the one of that number.
    dying: Vec<Vec<usize>>,
    _weights: Grant,
}

impl Place {
    /// Puts a plan over its weights onto the device. The ledger grants the weights to `owner`.
    pub(super) fn load(
        &self,
        plan: &Arc<Plan>,
        weights: &dyn Weights,
        ledger: &Ledger,
        owner: &str,
    ) -> Result<Box<dyn Program>, TensorError> {
        let found = plan.weights().iter().map(|w| weights::find(weights, w));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        let bytes = plan.weights().iter();
        let bytes = bytes.map(|w| weights::bytes_on(self.device(), w));
        let granted = ledger.grant(owner, bytes.fold(0, u64::saturating_add))?;
        let lanes = Lanes::new(plan, ledger)?;
        let loaded = {
            let _turn = self.turn();
            let loaded = found.iter().map(|w| Loaded::copy(w, self.device()));
            loaded.collect::<candle_core::Result<Vec<_>>>()
        };
        let mut dying = vec![Vec::new(); plan.nodes().len()];
        for value in 0..plan.nodes().len() {
            if let Some(dead) = dying.get_mut(plan.last_use(ValueId(value))) {
                dead.push(value);
            }
        }
        Ok(Box::new(Graph {
            plan: plan.clone(),
            place: self.clone(),
            weights: loaded.map_err(|error| self.fail(error))?,
            lanes,
            ledger: ledger.clone(),
            dying,
            _weights: granted,
        }))
    }
}

impl Program for Graph {
    fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn run(&mut self, step: &Step, inputs: &[&Tensor]) -> Result<Tensor, TensorError> {
        self.check(step, inputs)?;
        let _scratch = self
            .ledger
            .grant("scratch", scratch::bytes(&self.plan, step))?;
        let place = self.place.clone();
        let _turn = place.turn();
        let done = self.lanes.reserve(step.spans(), &place).and_then(|()| {
            let out = self.compute(step, inputs);
            out.map_err(|error| place.fail(error))
        });
        match &done {
            Ok(_) => self.lanes.commit(step.spans()),
            Err(_) => self.lanes.forget_empty(),
        }
        let out = done?;
        let node = self.plan.output_node();
        Ok(Tensor {
            rows: step.rows_of(node.rows),
            width: node.width,
            data: Data::Device(out),
        })
    }

    fn rows(&self, sequence: u64) -> usize {
        self.lanes.rows(sequence)
    }

    fn truncate(&mut self, sequence: u64, rows: usize) {
        let _turn = self.place.turn();
        self.lanes.truncate(sequence, rows, self.place.device());
    }
}

impl Graph {
    /// Refuses what does not fit, before anything is granted.
    fn check(&self, step: &Step, inputs: &[&Tensor]) -> Result<(), TensorError> {
        let wrong = |words: String| Err(TensorError::Step(words));
        let kinds = self.plan.inputs();
        if inputs.len() != kinds.len() {
            let (found, expected) = (inputs.len(), kinds.len());
            return wrong(miscounted("step", found, expected));
        }
        for (i, (input, &kind)) in inputs.iter().zip(kinds).enumerate() {
            let found = (input.rows(), input.width());
            let expected = (step.rows_of(kind), self.plan.input_width());
            if found != expected {
                return wrong(format!(
                    "step: input {i} is {found:?}, expected {expected:?} ({kind})"
                ));
            }
        }
        if !self.plan.is_stateful() {
            return Ok(());
        }
        for span in step.spans() {
            let expected = self.lanes.rows(span.sequence);
            if span.start != expected {
                return wrong(format!(
                    "step: sequence {} starts at row {}, expected {expected}, where its lanes end",
                    span.sequence, span.start
                ));
            }
        }
        Ok(())
    }

    fn compute(&self, step: &Step, inputs: &[&Tensor]) -> candle_core::Result<Candle> {
        let inputs = inputs.iter().map(|input| self.upload(input));
        let mut pass = Pass {
            place: &self.place,
            weights: &self.weights,
            step,
            inputs: &inputs.collect::<candle_core::Result<Vec<_>>>()?,
            attending: Attending::new(&self.place, &self.lanes, step),
            values: Vec::with_capacity(self.plan.nodes().len()),
        };
        for (node, dying) in self.plan.nodes().iter().zip(&self.dying) {
            let value = pass.eval(node)?;
            pass.values.push(value);
            for &dead in dying {
                if let Some(value) = pass.values.get_mut(dead) {
                    *value = None;
                }
            }
        }
        pass.value(self.plan.output()).cloned()
    }

    /// An input on this device; from another it comes by way of the host.
    fn upload(&self, input: &Tensor) -> candle_core::Result<Candle> {
        let device = self.place.device();
        let shape = (input.rows, input.width);
        match &input.data {
            Data::Host(numbers) => Candle::from_slice(numbers, shape, device),
            Data::Device(there) if there.device().same_device(device) => Ok(there.clone()),
            Data::Device(there) => {
                let numbers = there.flatten_all()?.to_vec1::<f32>()?;
                Candle::from_vec(numbers, shape, device)
            }
        }
    }
}

/// A tensor's numbers, row after row.
pub(super) fn to_vec(tensor: &Candle) -> Result<Vec<f32>, TensorError> {
    let numbers = tensor.flatten_all().and_then(|all| all.to_vec1());
    numbers.map_err(|error| failed(tensor, &error))
}

/// Whether every number is finite: a sum of absolutes on the device, and a look at each number
/// only when that is not.
pub(super) fn is_finite(tensor: &Candle) -> Result<bool, TensorError> {
    let sum = tensor.abs().and_then(|x| x.sum_all()?.to_scalar::<f32>());
    if sum.map_err(|error| failed(tensor, &error))?.is_finite() {
        return Ok(true);
    }
    Ok(to_vec(tensor)?.iter().all(|x| x.is_finite()))
}

fn failed(tensor: &Candle, error: &candle_core::Error) -> TensorError {
    let device = match tensor.device().location() {
        candle_core::DeviceLocation::Cpu => "cpu (candle)".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    };
    TensorError::Device {
        device,
        reason: error.to_string(),
    }
}

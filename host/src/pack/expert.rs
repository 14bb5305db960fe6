//! The compute guest: an expert behind the border.
//!
//! `load` describes the network, `forward` runs once a step. It never sees text. What stays
//! true: a stateful expert ran its plan exactly once in every step that succeeded, no tensor
//! outlived its step, and what came out has the step's rows, the base's width and only finite
//! numbers.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Instance, Resource, ResourceAny};

use super::Pack;
use super::bindings::exports::modularbase::pack::expert;
use super::guest::{Answered, Guest, Used, misread};
use super::limits::Work;
use super::state::{Building, NetworkHandle, Running, State, StepHandle};
use crate::plan::Plan;
use crate::roles::{Expert, Failure, Pending};
use crate::tensor::{Step, Tensor};

/// An expert of a pack, loaded on a device.
pub struct GuestExpert {
    guest: Guest,
    exports: expert::Guest,
    expert: ResourceAny,
    plans: Vec<Arc<Plan>>,
    width: usize,
    forward: Work,
    who: Arc<str>,
}

impl GuestExpert {
    /// Starts a compute guest and has it describe its network, which comes back closed.
    pub(super) fn load(pack: &Pack, building: Building) -> Result<(Self, Building), Failure> {
        let limits = pack.sandbox.limits();
        let width = building.network.width();
        let mut guest = pack.guest(limits.load)?;
        let indices = pack.exports.expert.as_ref();
        let loaded = |store: &mut Store<State>, instance: &Instance, net| {
            let Some(indices) = indices else {
                return Err(wasmtime::Error::msg("has no expert to load"));
            };
            let exports = indices.load(&mut *store, instance);
            let exports = exports.map_err(|error| misread("expert", &error))?;
            let loaded = exports.expert().call_load(&mut *store, net)?;
            Ok(loaded.map(|expert| (exports, expert)))
        };
        let ((exports, expert), described) = describe(&mut guest, limits.load, building, loaded)?;
        let expert = Self {
            guest,
            exports,
            expert,
            plans: described.plans.clone(),
            width,
            forward: limits.forward,
            who: pack.who.clone(),
        };
        Ok((expert, described))
    }

    /// The plans it made, in order.
    pub fn plans(&self) -> &[Arc<Plan>] {
        &self.plans
    }

    /// What its guest has used of its limits.
    pub fn used(&self) -> Used {
        self.guest.used()
    }

    /// Runs `forward` over a step.
    fn forward(&mut self, step: &Arc<Step>, hidden: &Tensor) -> Result<Tensor, Failure> {
        let (rows, width) = (hidden.rows(), hidden.width());
        if rows != step.rows() || width != self.width {
            return Err(Failure::Refusal {
                who: self.who.to_string(),
                reason: format!(
                    "hidden is [{rows}, {width}], expected [{}, {}]",
                    step.rows(),
                    self.width
                ),
            });
        }
        let (exports, expert) = (&self.exports, self.expert);
        self.guest.call("forward", self.forward, |store, _| {
            let state = store.data_mut();
            state.running = Some(Running {
                step: step.clone(),
                stateful_runs: 0,
            });
            let handle = state.table.push(StepHandle)?;
            let own = state.table.push(hidden.clone())?;
            state.tensors += 1;
            let lent = Resource::new_borrow(handle.rep());
            let answer = exports
                .expert()
                .call_forward(&mut *store, expert, lent, own);
            let state = store.data_mut();
            let ran = state.end_step();
            let answer = match answer? {
                Ok(out) => Ok(leave(state, ran, out, (rows, width))?),
                Err(refusal) => {
                    undo(state, ran, step);
                    Err(refusal)
                }
            };
            state.table.delete(handle)?;
            Ok(answer)
        })
    }
}

/// Cuts lanes back that a refused step has written. One that never ran may not even have started
/// where they end, so they are left alone then.
fn undo(state: &mut State, ran: Option<Running>, step: &Step) {
    if ran.is_none_or(|ran| ran.stateful_runs == 0) {
        return;
    }
    if let Some(program) = state.stateful.and_then(|at| state.programs.get_mut(at)) {
        for span in step.spans() {
            program.truncate(span.sequence, span.start);
        }
    }
}

/// Takes a step's result out of the guest's hands, if it is one.
fn leave(
    state: &mut State,
    ran: Option<Running>,
    out: Resource<Tensor>,
    (rows, width): (usize, usize),
) -> wasmtime::Result<Tensor> {
    let out = state.table.delete(out)?;
    state.tensors -= 1;
    let wrong = |words: String| Err(wasmtime::Error::msg(words));
    let runs = ran.map_or(0, |ran| ran.stateful_runs);
    if state.stateful.is_some() && runs == 0 {
        return wrong("did not run its stateful plan, expected once".into());
    }
    if (out.rows(), out.width()) != (rows, width) {
        let found = (out.rows(), out.width());
        return wrong(format!(
            "returned [{}, {}], expected [{rows}, {width}]",
            found.0, found.1
        ));
    }
    if !out.is_finite().map_err(wasmtime::Error::from)? {
        return wrong("returned numbers that are not finite".into());
    }
    Ok(out)
}

/// Opens `building` for the guest, calls its `load` with the handle on it, and closes it.
pub(super) fn describe<T>(
    guest: &mut Guest,
    work: Work,
    building: Building,
    load: impl FnOnce(&mut Store<State>, &Instance, Resource<NetworkHandle>) -> Answered<T>,
) -> Result<(T, Building), Failure> {
    guest.call("load", work, |store, instance| {
        let state = store.data_mut();
        state.load += 1;
        state.building = Some(building);
        let net = state.table.push(NetworkHandle)?;
        let lent = Resource::new_borrow(net.rep());
        let answer = load(store, instance, lent)?;
        let state = store.data_mut();
        state.table.delete(net)?;
        let described = state.building.take().expect("only this call takes it");
        Ok(answer.map(|loaded| (loaded, described)))
    })
}

impl Expert for GuestExpert {
    fn begin(&mut self, step: &Arc<Step>, hidden: &Tensor) -> Pending<'_> {
        let (step, hidden) = (step.clone(), hidden.clone());
        Pending::new(move || self.forward(&step, &hidden))
    }

    fn rows(&self, sequence: u64) -> usize {
        let Some(state) = self.guest.peek() else {
            return 0;
        };
        let program = state.stateful.and_then(|at| state.programs.get(at));
        program.map_or(0, |program| program.rows(sequence))
    }

    fn truncate(&mut self, sequence: u64, rows: usize) {
        let Some(state) = self.guest.state() else {
            return;
        };
        if let Some(program) = state.stateful.and_then(|at| state.programs.get_mut(at)) {
            program.truncate(sequence, rows);
        }
    }
}

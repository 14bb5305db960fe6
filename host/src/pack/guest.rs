//! A live instance of a pack: one store, entered through one gate.
//!
//! Every call into a guest goes through [`Guest::call`], which hands out fuel and time, and
//! turns what went wrong into the failure that it is. After a breach nothing enters the guest
//! any more; its store is gone.

use std::sync::Arc;

use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Store, Trap, UpdateDeadline};

use super::bindings::modularbase::pack::tensors::Error as GuestError;
use super::limits::Work;
use super::log::escaped;
use super::sandbox::Sandbox;
use super::state::State;
use crate::roles::Failure;
use crate::tensor::TensorError;

/// What a call into a guest gives: its answer or its refusal, or the trap that ended it.
pub(super) type Answered<T> = wasmtime::Result<Result<T, GuestError>>;

/// A live instance.
pub(super) struct Guest {
    who: Arc<str>,
    live: Result<Live, Failure>,
}

struct Live {
    store: Store<State>,
    instance: Instance,
    given: u64,
}

/// What a guest has used of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Fuel, in the last call.
    pub fuel: u64,
    /// Bytes of linear memory, so far.
    pub memory: u64,
}

impl Guest {
    /// Brings an instance to life; what runs at start-up runs within `work`. It gets the
    /// `memory` it asks for, or what the limits say.
    pub(super) fn start(
        sandbox: &Sandbox,
        code: &InstancePre<State>,
        who: Arc<str>,
        work: Work,
        memory: Option<u64>,
    ) -> Result<Self, Failure> {
        let limits = sandbox.limits();
        let mut store = Store::new(sandbox.engine(), State::new(who.clone(), limits, memory));
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.hostcall_bytes);
        store.set_max_component_handles(limits.handles);
        store.epoch_deadline_callback(|context| match context.data().is_late() {
            true => Ok(UpdateDeadline::Interrupt),
            false => Ok(UpdateDeadline::Continue(1)),
        });
        prepare(&mut store, work);
        match code.instantiate(&mut store) {
            Ok(instance) => Ok(Self {
                who,
                live: Ok(Live {
                    store,
                    instance,
                    given: work.fuel,
                }),
            }),
            Err(error) => Err(breach(&who, "start", work, store.data_mut(), &error)),
        }
    }

    /// The host's side of it, while it lives.
    pub(super) fn state(&mut self) -> Option<&mut State> {
        self.live.as_mut().ok().map(|live| live.store.data_mut())
    }

    /// The host's side of it, while it lives.
    pub(super) fn peek(&self) -> Option<&State> {
        self.live.as_ref().ok().map(|live| live.store.data())
    }

    /// What it has used of its limits; nothing when it is gone.
    pub(super) fn used(&self) -> Used {
        let used = |live: &Live| Used {
            fuel: live.given - live.store.get_fuel().unwrap_or(live.given),
            memory: live.store.data().memory.held as u64,
        };
        self.live.as_ref().map(used).unwrap_or_default()
    }

    /// Calls into the guest. `doing` names the call in messages.
    ///
    /// A refusal leaves the guest as it is; anything else ends it.
    pub(super) fn call<T>(
        &mut self,
        doing: &str,
        work: Work,
        call: impl FnOnce(&mut Store<State>, &Instance) -> Answered<T>,
    ) -> Result<T, Failure> {
        let live = self.live.as_mut().map_err(|failure| failure.clone())?;
        prepare(&mut live.store, work);
        live.given = work.fuel;
        let answered = call(&mut live.store, &live.instance);
        let kept_nothing = |answer| live.store.data().kept_nothing().map(|()| answer);
        match answered.and_then(kept_nothing) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(refusal)) => Err(Failure::Refusal {
                who: self.who.to_string(),
                reason: format!("`{doing}` refused: {}", words(&refusal)),
            }),
            Err(error) => {
                let failure = breach(&self.who, doing, work, live.store.data_mut(), &error);
                self.live = Err(failure.clone());
                Err(failure)
            }
        }
    }
}

/// What wasmtime says of a role's functions whose names are right and whose types are not.
pub(super) fn misread(role: &str, error: &wasmtime::Error) -> wasmtime::Error {
    let cause = error.root_cause();
    wasmtime::Error::msg(format!(
        "found other types in the role `{role}` than the contract's: {cause}"
    ))
}

fn prepare(store: &mut Store<State>, work: Work) {
    store.data_mut().enter(work);
    store.set_epoch_deadline(1);
    store
        .set_fuel(work.fuel)
        .expect("the engine was told to count fuel");
}

fn words(refusal: &GuestError) -> String {
    let (GuestError::Shape(words)
    | GuestError::Weight(words)
    | GuestError::Limit(words)
    | GuestError::State(words)
    | GuestError::Other(words)) = refusal;
    escaped(words)
}

/// What a guest did, from what wasmtime and the host's functions said of it; or what the host
/// could not do for it.
fn breach(
    who: &str,
    doing: &str,
    work: Work,
    state: &mut State,
    error: &wasmtime::Error,
) -> Failure {
    if let Some(device) = error.downcast_ref::<TensorError>() {
        return Failure::Outage {
            who: who.to_owned(),
            reason: format!("`{doing}`: {device}"),
        };
    }
    let mut reason = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            let fuel = work.fuel;
            format!("`{doing}` used up its {fuel} units of fuel")
        }
        Some(Trap::Interrupt) => {
            let deadline = work.deadline;
            format!("`{doing}` passed its deadline of {deadline:?}")
        }
        Some(Trap::StackOverflow) => format!("`{doing}` overflowed its stack"),
        Some(Trap::UnreachableCodeReached) => match state.log.take_error() {
            Some(panic) => format!("`{doing}` panicked: {panic}"),
            None => format!("`{doing}` gave up (trap: unreachable)"),
        },
        Some(other) => format!("`{doing}` trapped: {other}"),
        None => format!("`{doing}` {}", escaped(&error.root_cause().to_string())),
    };
    if let Some(denied) = state.memory.denied.take() {
        reason = format!("{reason}; {denied}");
    }
    Failure::Breach {
        who: who.to_owned(),
        reason,
    }
}

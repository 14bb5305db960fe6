//! What a guest's store holds on the host's side.
//!
//! One [`State`] for each guest: its handles, its limits, the network while it loads, the step
//! while it runs, its log. The import files implement the contract on it. What stays true: a
//! tensor lives at most as long as the step it was made in; a network is open only while the
//! `load` that was lent it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Resource, ResourceTable, ResourceTableError};

use super::bindings::modularbase::pack::tensors::Error as GuestError;
use super::limits::{Limits, Work};
use super::log::Log;
use crate::plan::{self, Network, Plan, PlanError, Quota, ValueId, WeightId};
use crate::tensor::{Device, Grant, Ledger, Program, Step, TensorError, Weights};

/// How a call from the guest goes wrong.
#[derive(Debug)]
pub enum Fault {
    /// The guest is told, and may recover.
    Refused(GuestError),
    /// The guest ends.
    Breach(wasmtime::Error),
}

/// The guest's handle on the running step.
pub struct StepHandle;

/// The guest's handle on the network it builds.
pub struct NetworkHandle;

/// A declared weight: which load declared it, and which it is there.
pub struct Weight {
    pub(super) load: u64,
    pub(super) id: WeightId,
}

/// A symbolic value: which load made it, and which it is there.
pub struct Value {
    pub(super) load: u64,
    pub(super) id: ValueId,
}

/// A plan that a guest holds.
pub struct GuestPlan {
    pub(super) plan: Arc<Plan>,
    /// Where its program is, unless the network is only described.
    pub(super) program: Option<usize>,
}

/// A router's question, with what answers `readback`.
pub struct Query(pub(super) crate::roles::Query);

/// Where plans of a loading guest go: nowhere, when the network is only described.
pub struct Loader {
    pub(super) device: Device,
    pub(super) ledger: Ledger,
    pub(super) weights: Arc<dyn Weights>,
}

/// What answers `config(key)`.
pub(super) type Config = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A network that is being described.
pub struct Building {
    pub(super) network: Network,
    pub(super) config: Config,
    pub(super) loader: Option<Loader>,
    /// Plans closed so far.
    pub(super) plans: Vec<Arc<Plan>>,
    /// Keys that the guest has asked its configuration for.
    pub(super) asked: BTreeSet<String>,
}

impl Building {
    /// Remembers a key that was asked for. A guest that asks for thousands is not remembered on.
    pub(super) fn take_down(&mut self, key: String) {
        if self.asked.len() < 1024 && key.len() <= 128 {
            self.asked.insert(key);
        }
    }
}

/// A step that is being run.
pub(super) struct Running {
    pub(super) step: Arc<Step>,
    /// How often the stateful plan has run.
    pub(super) stateful_runs: usize,
}

/// The host's side of a guest.
pub struct State {
    /// The pack and its version, as messages begin.
    pub(super) who: Arc<str>,
    pub(super) table: ResourceTable,
    pub(super) log: Log,
    pub(super) building: Option<Building>,
    /// Counts loads, so that a value of an earlier one is known for what it is.
    pub(super) load: u64,
    pub(super) programs: Vec<Box<dyn Program>>,
    /// Which program keeps lanes.
    pub(super) stateful: Option<usize>,
    pub(super) running: Option<Running>,
    /// Tensors that the guest holds.
    pub(super) tensors: usize,
    /// The bytes of the tensors that came out of plans in this step.
    pub(super) held: Option<Grant>,
    /// Answers, advices and verdicts that the guest holds.
    pub(super) answers: usize,
    /// Runs of plans that are left in this call.
    runs_left: usize,
    runs_limit: usize,
    /// What plans of this call have computed for each row: operations, and those of attention.
    spent: (u64, u64),
    quota: Quota,
    /// Bytes of text that the host may still keep for the guest in this call.
    text_left: usize,
    text_limit: usize,
    pub(super) clock: Clock,
    pub(super) memory: Memory,
}

/// Tells the guest's time from the host's.
pub(super) struct Clock {
    started: Instant,
    host: Duration,
    deadline: Duration,
}

/// What a guest's memory may grow to, and whether it wanted more.
pub(super) struct Memory {
    bytes: usize,
    /// What it has grown to.
    pub(super) held: usize,
    /// Elements of all tables so far.
    elements: usize,
    table_elements: usize,
    pub(super) denied: Option<String>,
}

impl State {
    pub(super) fn new(who: Arc<str>, limits: &Limits, memory: Option<u64>) -> Self {
        let memory = memory.and_then(|bytes| usize::try_from(bytes).ok());
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self {
            log: Log::new(who.clone(), limits.log_lines),
            who,
            table,
            building: None,
            load: 0,
            programs: Vec::new(),
            stateful: None,
            running: None,
            tensors: 0,
            held: None,
            answers: 0,
            runs_left: 0,
            spent: (0, 0),
            quota: limits.quota.clone(),
            runs_limit: limits.runs,
            text_left: 0,
            text_limit: limits.text_bytes,
            clock: Clock {
                started: Instant::now(),
                host: Duration::ZERO,
                deadline: Duration::ZERO,
            },
            memory: Memory {
                bytes: memory.unwrap_or(limits.memory_bytes),
                held: 0,
                elements: 0,
                table_elements: limits.table_elements,
                denied: None,
            },
        }
    }

    /// Puts something behind a new handle, or refuses when the guest holds too many.
    pub(super) fn lend<T: Send + 'static>(&mut self, thing: T) -> Result<Resource<T>, Fault> {
        self.table.push(thing).map_err(|full| match full {
            ResourceTableError::Full => {
                let most = self.table.max_capacity();
                Fault::limit(format!("the guest holds {most} handles, that is the limit"))
            }
            other => Fault::Breach(other.into()),
        })
    }

    /// The network that is open for `load`, the number of the load that made an operand.
    pub(super) fn building(&mut self) -> Result<&mut Building, Fault> {
        self.building
            .as_mut()
            .ok_or_else(|| Fault::state("the network is closed: it is open only while `load` runs"))
    }

    /// The value behind a handle, when it is one of the open network.
    pub(super) fn value_id(&self, handle: &Resource<Value>) -> Result<ValueId, Fault> {
        let value = self.table.get(handle)?;
        match value.load == self.load && self.building.is_some() {
            true => Ok(value.id),
            false => Err(Fault::state("the value is void: its network is closed")),
        }
    }

    /// The weight behind a handle, when it is one of the open network.
    pub(super) fn weight_id(&self, handle: &Resource<Weight>) -> Result<WeightId, Fault> {
        let weight = self.table.get(handle)?;
        match weight.load == self.load && self.building.is_some() {
            true => Ok(weight.id),
            false => Err(Fault::state("the weight is void: its network is closed")),
        }
    }

    /// Takes text from the guest for as long as the call's answer is put together. Each counts
    /// a little more than its length, so that empty ones do not come for nothing.
    pub(super) fn keep(&mut self, text: String) -> wasmtime::Result<String> {
        const EACH: usize = 64;
        match self.text_left.checked_sub(text.len().saturating_add(EACH)) {
            Some(left) => {
                self.text_left = left;
                Ok(text)
            }
            None => {
                let most = self.text_limit;
                let words = format!("said more than {most} bytes in one answer");
                Err(wasmtime::Error::msg(words))
            }
        }
    }

    /// Charges a run of a plan. What runs is the host's time, so what it computes is bounded: all
    /// runs of a call together do no more than one plan may.
    pub(super) fn count_run(&mut self, plan: &Plan) -> Result<(), Fault> {
        let (cost, quota) = (plan.cost(), &self.quota);
        let operations = self.spent.0.saturating_add(cost.operations);
        let attention = self.spent.1.saturating_add(cost.attention_operations);
        let table = [
            (operations, quota.row_operations, "operations for each row"),
            (
                attention,
                quota.attention_operations,
                "operations of attention for each row and each earlier one",
            ),
        ];
        for (found, most, what) in table {
            if found > most {
                return Err(Fault::limit(format!(
                    "run: the plans of this call need {found} {what}, the quota is {most}"
                )));
            }
        }
        let Some(left) = self.runs_left.checked_sub(1) else {
            let most = self.runs_limit;
            let words = format!("run: {most} plans have run in this call, that is the limit");
            return Err(Fault::limit(words));
        };
        self.runs_left = left;
        self.spent = (operations, attention);
        Ok(())
    }

    /// Has the ledger grant what comes out of a plan, and says how much: the guest may hold it
    /// until its step ends.
    pub(super) fn hold(&mut self, plan: &Plan, step: &Step) -> Result<u64, Fault> {
        let out = plan.output_node();
        let bytes = (step.rows_of(out.rows) as u64).saturating_mul(out.width as u64 * 4);
        if let Some(held) = &mut self.held {
            held.grow(bytes).map_err(TensorError::from)?;
        }
        Ok(bytes)
    }

    /// Gives back what was granted for a run that failed.
    pub(super) fn release(&mut self, bytes: u64) {
        if let Some(held) = &mut self.held {
            held.shrink(bytes);
        }
    }

    /// Takes an answer out of the guest's hands.
    pub(super) fn take<T: 'static>(
        &mut self,
        answer: Result<Resource<T>, GuestError>,
    ) -> wasmtime::Result<Result<T, GuestError>> {
        Ok(match answer {
            Ok(answer) => {
                let answer = self.table.delete(answer)?;
                self.answers -= 1;
                Ok(answer)
            }
            Err(refusal) => Err(refusal),
        })
    }

    /// Whether the guest holds nothing of the call that has just returned.
    pub(super) fn kept_nothing(&self) -> wasmtime::Result<()> {
        for (kept, what) in [(self.tensors, "tensors"), (self.answers, "answers")] {
            if kept > 0 {
                return Err(wasmtime::Error::msg(format!(
                    "kept {kept} {what} after it returned, expected none"
                )));
            }
        }
        Ok(())
    }

    /// Ends a step: what its tensors took is free again.
    pub(super) fn end_step(&mut self) -> Option<Running> {
        if let Some(held) = &mut self.held {
            held.shrink(held.bytes());
        }
        self.running.take()
    }

    /// Runs `work` on the host's account: the guest's deadline stands still meanwhile.
    pub(super) fn on_host<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = Instant::now();
        let done = work(self);
        self.clock.host += before.elapsed();
        done
    }

    /// Makes ready for a call into the guest.
    pub(super) fn enter(&mut self, work: Work) {
        self.clock = Clock {
            started: Instant::now(),
            host: Duration::ZERO,
            deadline: work.deadline,
        };
        self.text_left = self.text_limit;
        self.runs_left = self.runs_limit;
        self.spent = (0, 0);
        self.log.begin();
        self.memory.denied = None;
    }

    /// Whether the guest has used up its time.
    pub(super) fn is_late(&self) -> bool {
        let clock = &self.clock;
        clock.started.elapsed().saturating_sub(clock.host) > clock.deadline
    }
}

impl wasmtime::ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= self.bytes;
        if fits {
            self.held = desired;
        } else {
            let limit = self.bytes;
            self.denied = Some(format!(
                "it wanted {desired} bytes of memory, the limit is {limit}"
            ));
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let all = self.elements.saturating_add(more);
        let fits = all <= self.table_elements;
        if fits {
            self.elements = all;
        } else {
            let limit = self.table_elements;
            self.denied = Some(format!("it wanted tables of {all}, the limit is {limit}"));
        }
        Ok(fits)
    }

    fn memories(&self) -> usize {
        1
    }
}

impl Fault {
    pub(super) fn state(words: impl Into<String>) -> Self {
        Fault::Refused(GuestError::State(words.into()))
    }

    pub(super) fn limit(words: impl Into<String>) -> Self {
        Fault::Refused(GuestError::Limit(words.into()))
    }

    pub(super) fn shape(words: impl Into<String>) -> Self {
        Fault::Refused(GuestError::Shape(words.into()))
    }

    pub(super) fn breach(words: impl std::fmt::Display) -> Self {
        Fault::Breach(wasmtime::Error::msg(words.to_string()))
    }
}

impl From<PlanError> for Fault {
    fn from(error: PlanError) -> Self {
        Fault::Refused(match error {
            plan::PlanError::Shape(words) => GuestError::Shape(words),
            plan::PlanError::Weight(words) => GuestError::Weight(words),
            plan::PlanError::Limit(words) => GuestError::Limit(words),
            plan::PlanError::State(words) => GuestError::State(words),
        })
    }
}

impl From<TensorError> for Fault {
    fn from(error: TensorError) -> Self {
        Fault::Refused(match error {
            TensorError::Weight { .. } => GuestError::Weight(error.to_string()),
            TensorError::Step(words) => GuestError::Shape(words),
            TensorError::Memory(error) => GuestError::Limit(error.to_string()),
            // Not the guest's doing, and nothing it could recover from.
            device @ TensorError::Device { .. } => return Fault::Breach(device.into()),
        })
    }
}

impl From<ResourceTableError> for Fault {
    fn from(error: ResourceTableError) -> Self {
        Fault::Breach(error.into())
    }
}

impl From<wasmtime::Error> for Fault {
    fn from(error: wasmtime::Error) -> Self {
        Fault::Breach(error)
    }
}

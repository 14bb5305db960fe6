//! The router's guest: a fresh one for each turn.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Instance, Resource, ResourceAny};

use super::Pack;
use super::bindings::exports::modularbase::pack::router;
use super::expert::describe;
use super::guest::{Guest, Used, misread};
use super::limits::Work;
use super::state::{Building, Query as Asked, State};
use crate::roles::{Answer, Failure, Query, Router};

/// A router of a pack. What one turn said cannot stay in memory that another sees: each
/// question goes to a guest of its own.
pub struct GuestRouter {
    pack: Arc<Pack>,
    network: Box<dyn Fn() -> Building + Send>,
}

/// One that has loaded.
pub(super) struct Loaded {
    guest: Guest,
    exports: router::Guest,
    router: ResourceAny,
}

impl GuestRouter {
    pub(super) fn new(pack: Arc<Pack>, network: Box<dyn Fn() -> Building + Send>) -> Self {
        Self { pack, network }
    }
}

impl Loaded {
    /// Starts a guest and has it describe its network, which comes back closed.
    pub(super) fn load(pack: &Pack, building: Building) -> Result<(Self, Building), Failure> {
        let work = pack.sandbox.limits().load;
        let mut guest = pack.guest(work)?;
        let indices = pack.exports.router.as_ref();
        let loaded = |store: &mut Store<State>, instance: &Instance, net| {
            let Some(indices) = indices else {
                return Err(wasmtime::Error::msg("has no router to load"));
            };
            let exports = indices.load(&mut *store, instance);
            let exports = exports.map_err(|error| misread("router", &error))?;
            let loaded = exports.router().call_load(&mut *store, net)?;
            Ok(loaded.map(|router| (exports, router)))
        };
        let ((exports, router), described) = describe(&mut guest, work, building, loaded)?;
        let loaded = Self {
            guest,
            exports,
            router,
        };
        Ok((loaded, described))
    }

    pub(super) fn used(&self) -> Used {
        self.guest.used()
    }

    pub(super) fn route(&mut self, work: Work, query: Query) -> Result<Answer, Failure> {
        let (exports, router) = (&self.exports, self.router);
        self.guest.call("route", work, |store, _| {
            let query = store.data_mut().table.push(Asked(query))?;
            let lent = Resource::new_borrow(query.rep());
            let answer = exports.router().call_route(&mut *store, router, lent)?;
            let state = store.data_mut();
            state.table.delete(query)?;
            match state.take(answer)? {
                Ok(answer) => judged(answer).map(Ok),
                Err(refusal) => Ok(Err(refusal)),
            }
        })
    }
}

impl Router for GuestRouter {
    fn route(&mut self, query: Query) -> Result<Answer, Failure> {
        let (mut loaded, _) = Loaded::load(&self.pack, (self.network)())?;
        loaded.route(self.pack.sandbox.limits().turn, query)
    }
}

/// Lets an answer pass whose scores are numbers one can compare.
fn judged(answer: Answer) -> wasmtime::Result<Answer> {
    for (pack, score) in answer.chosen.iter().chain(&answer.runners_up) {
        if !(score.is_finite() && *score >= 0.0) {
            return Err(wasmtime::Error::msg(format!(
                "gave pack `{pack}` the score {score}, expected a finite one of at least zero"
            )));
        }
    }
    Ok(answer)
}

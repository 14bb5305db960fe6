//! The turn guest: a pack's hooks for one user's conversation.
//!
//! One for each session and pack. It is lent no network, no step and no tensor, and shares no
//! memory with the compute guest or with another session.

use wasmtime::component::{Resource, ResourceAny};

use super::Pack;
use super::bindings::exports::modularbase::pack::hooks;
use super::guest::{Guest, Used, misread};
use super::limits::Work;
use crate::roles::{Advice, Failure, Reply, Turn, Verdict};

/// A pack's hooks in one conversation.
pub struct Conversation {
    guest: Guest,
    exports: hooks::Guest,
    conversation: ResourceAny,
    work: Work,
}

impl Conversation {
    pub(super) fn start(pack: &Pack) -> Result<Self, Failure> {
        let work = pack.sandbox.limits().turn;
        let mut guest = pack.guest(work)?;
        let indices = pack.exports.hooks.as_ref();
        let (exports, conversation) = guest.call("start", work, |store, instance| {
            let Some(indices) = indices else {
                return Err(wasmtime::Error::msg("has no hooks to start"));
            };
            let exports = indices.load(&mut *store, instance);
            let exports = exports.map_err(|error| misread("hooks", &error))?;
            let started = exports.conversation().call_start(&mut *store)?;
            Ok(started.map(|conversation| (exports, conversation)))
        })?;
        Ok(Self {
            guest,
            exports,
            conversation,
            work,
        })
    }

    /// What its guest has used of its limits.
    pub fn used(&self) -> Used {
        self.guest.used()
    }

    /// Asks what the pack wants for a turn.
    ///
    /// # Errors
    /// When it refuses or breaches; after a breach the guest is gone.
    pub fn prepare(&mut self, turn: Turn) -> Result<Advice, Failure> {
        let (exports, conversation) = (&self.exports, self.conversation);
        self.guest.call("prepare", self.work, |store, _| {
            let turn = store.data_mut().table.push(turn)?;
            let lent = Resource::new_borrow(turn.rep());
            let hooks = exports.conversation();
            let answer = hooks.call_prepare(&mut *store, conversation, lent)?;
            let state = store.data_mut();
            state.table.delete(turn)?;
            state.take(answer)
        })
    }

    /// Asks what the pack says to a reply.
    ///
    /// # Errors
    /// When it refuses or breaches; after a breach the guest is gone.
    pub fn finish(&mut self, reply: Reply) -> Result<Verdict, Failure> {
        let (exports, conversation) = (&self.exports, self.conversation);
        self.guest.call("finish", self.work, |store, _| {
            let reply = store.data_mut().table.push(reply)?;
            let lent = Resource::new_borrow(reply.rep());
            let hooks = exports.conversation();
            let answer = hooks.call_finish(&mut *store, conversation, lent)?;
            let state = store.data_mut();
            state.table.delete(reply)?;
            state.take(answer)
        })
    }
}

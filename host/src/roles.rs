//! What packs do, as the rest of the host sees it.
//!
//! The engine and `fusion` know these traits alone: a guest fulfils them, and so does a native
//! expert that a test or an embedder brings. The records are a turn's, in the words of `wit/`.

use std::sync::Arc;

use crate::tensor::{Step, Tensor};

/// Transforms hidden states.
pub trait Expert: Send {
    /// Starts a step over `hidden`, `[rows, width]`. The rows' lanes live where the expert
    /// runs; each span reads on from where its sequence stands.
    ///
    /// Experts begin one after the other and are waited for afterwards, so that several can
    /// run side by side.
    fn begin(&mut self, step: &Arc<Step>, hidden: &Tensor) -> Pending<'_>;

    /// How many rows of `sequence` it has read.
    fn rows(&self, sequence: u64) -> usize;

    /// Cuts `sequence` back to `rows`; with 0 it is forgotten.
    fn truncate(&mut self, sequence: u64, rows: usize);
}

/// A step on its way.
pub struct Pending<'a> {
    finish: Box<dyn FnOnce() -> Result<Tensor, Failure> + Send + 'a>,
}

impl<'a> Pending<'a> {
    /// A step that `finish` completes, on whichever thread waits for it.
    pub fn new(finish: impl FnOnce() -> Result<Tensor, Failure> + Send + 'a) -> Self {
        Self {
            finish: Box::new(finish),
        }
    }

    /// The rows that come out, as many and as wide as went in.
    ///
    /// # Errors
    /// When the expert refuses the step or breaches; no lane has changed then, or the expert
    /// is lost with its lanes.
    pub fn wait(self) -> Result<Tensor, Failure> {
        (self.finish)()
    }
}

/// Chooses packs for a turn.
pub trait Router: Send {
    /// Asked once a turn.
    ///
    /// # Errors
    /// When the router refuses or breaches.
    fn route(&mut self, query: Query) -> Result<Answer, Failure>;
}

/// One turn that wants packs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The turn's text.
    pub text: String,
    /// The turn's pooled hidden state.
    pub pooled: Vec<f32>,
    /// The packs that may be chosen, sorted by id.
    pub candidates: Vec<Candidate>,
}

/// An installed pack that may be chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its name, for people.
    pub name: String,
    /// What it is about.
    pub domain: String,
    /// Words that point to it.
    pub keywords: Vec<String>,
    /// Vectors of the base's width that stand for what it is about.
    pub signatures: Vec<Vec<f32>>,
}

/// A router's answer: packs with scores, as it gave them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The packs for the turn.
    pub chosen: Vec<(String, f32)>,
    /// Packs worth loading ahead of time.
    pub runners_up: Vec<(String, f32)>,
    /// The fusion it asks for.
    pub strategy: Option<String>,
}

/// A turn, as a hook sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// The user's message.
    pub text: String,
    /// How many turns came before.
    pub index: u32,
    /// The pack's share in the route.
    pub gate: f32,
}

/// What a pack wants for a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// Texts to add at the end of the turn.
    pub context: Vec<String>,
    /// A grammar for the reply.
    pub grammar: Option<String>,
    /// The variant of the expert to use.
    pub variant: Option<String>,
    /// Why the pack is to be left out of the turn, if it is.
    pub decline: Option<String>,
}

/// A finished reply, as a hook sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Its text.
    pub text: String,
    /// Whether another try is possible.
    pub may_retry: bool,
}

/// What a pack says to a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Notes to append.
    pub notes: Vec<String>,
    /// Why the reply should be tried again, if it should.
    pub retry: Option<String>,
}

/// How a role fails. What happens next differs, so callers match on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It said no; it can be asked again.
    #[error("{who}: {reason}")]
    Refusal {
        /// The pack and its version.
        who: String,
        /// Its words.
        reason: String,
    },
    /// It broke a rule and is gone; the rest of the host is as before.
    #[error("{who}: {reason}")]
    Breach {
        /// The pack and its version.
        who: String,
        /// What it did.
        reason: String,
    },
    /// The host could not serve it.
    #[error("{who}: {reason}")]
    Outage {
        /// The pack and its version.
        who: String,
        /// What went wrong.
        reason: String,
    },
}

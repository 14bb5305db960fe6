//! The role of a pack that chooses packs.
//!
//! Owns the [`Router`] trait, what it is asked ([`Query`]) and what it answers ([`Answer`]), the
//! macro that exports a type as that role, and the glue between. A router is the one pack that
//! reads activations: pooled rows, of the turn it is asked about.

use crate::bindings::lent::modularbase::pack::{readback, routing};
use crate::bindings::router::exports::modularbase::pack::router as wit;
use crate::{Network, Plan, Result, log};

/// A pack that chooses packs for a turn. A fresh guest answers each turn, so nothing is
/// remembered from one to the next.
///
/// ```no_run
/// use modularbase_pack::prelude::*;
///
/// /// Chooses by the cosine between the turn and what candidates say they sound like.
/// struct BySignature;
///
/// impl Router for BySignature {
///     fn load(_net: &Network) -> Result<Self> {
///         Ok(Self)
///     }
///
///     fn route(&self, query: &Query) -> Result<Answer> {
///         let turn = query.pooled();
///         let mut answer = Answer::new();
///         for (index, candidate) in query.candidates().iter().enumerate() {
///             for signature in query.signatures(index as u32) {
///                 let score = cosine(&turn, &signature);
///                 if score > 0.5 {
///                     answer = answer.choose(&candidate.id, score);
///                 }
///             }
///         }
///         Ok(answer)
///     }
/// }
///
/// fn cosine(a: &[f32], b: &[f32]) -> f32 {
///     let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
///     dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f32::MIN_POSITIVE)
/// }
///
/// modularbase_pack::export_router!(BySignature);
/// # fn main() {}
/// ```
pub trait Router: Sized + 'static {
    /// Describes whatever network it computes with, which may be none.
    ///
    /// # Errors
    ///
    /// Whatever the host refused, or what is wrong with the configuration.
    fn load(net: &Network<'_>) -> Result<Self>;

    /// Asked once a turn, after the base has understood it.
    ///
    /// # Errors
    ///
    /// Whatever the host refused. The turn then goes on with general chat.
    fn route(&self, query: &Query<'_>) -> Result<Answer>;
}

/// One turn that wants packs.
///
/// ```no_run
/// # use modularbase_pack::prelude::*;
/// fn route(query: &Query) -> Result<Answer> {
///     let text = query.text().to_lowercase();
///     let mut answer = Answer::new();
///     for candidate in query.candidates() {
///         let hits = candidate.keywords.iter().filter(|word| text.contains(*word)).count();
///         if hits > 0 {
///             answer = answer.choose(&candidate.id, hits as f32);
///         }
///     }
///     Ok(answer)
/// }
/// ```
#[derive(Debug)]
pub struct Query<'q> {
    raw: &'q routing::Query,
}

impl Query<'_> {
    /// The turn's text.
    ///
    /// ```no_run
    /// # fn example(query: &modularbase_pack::Query) {
    /// let short = query.text().len() < 80;
    /// # }
    /// ```
    pub fn text(&self) -> String {
        self.raw.text()
    }

    /// The packs that may be chosen, sorted by id.
    ///
    /// ```no_run
    /// # fn example(query: &modularbase_pack::Query) {
    /// let ids: Vec<String> = query.candidates().into_iter().map(|pack| pack.id).collect();
    /// # }
    /// ```
    pub fn candidates(&self) -> Vec<Candidate> {
        let candidates = self.raw.candidates().into_iter();
        candidates.map(Candidate::from).collect()
    }

    /// The signature vectors of the candidate at this index, each of the base's width; none
    /// when it has none, or when there is no such candidate.
    ///
    /// ```no_run
    /// # fn example(query: &modularbase_pack::Query) {
    /// let known = !query.signatures(0).is_empty();
    /// # }
    /// ```
    pub fn signatures(&self, candidate: u32) -> Vec<Vec<f32>> {
        self.raw.signatures(candidate)
    }

    /// The turn's pooled hidden state, of the base's width.
    ///
    /// ```no_run
    /// # fn example(query: &modularbase_pack::Query) {
    /// let turn: Vec<f32> = query.pooled();
    /// # }
    /// ```
    pub fn pooled(&self) -> Vec<f32> {
        readback::pooled(self.raw)
    }

    /// Runs a plan with one pooled input over the turn's pooled hidden state and gives the row
    /// that comes out.
    ///
    /// # Errors
    ///
    /// When the plan has other inputs, or the host's budget is spent.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(query: &Query, plan: &Plan) -> Result<()> {
    /// let scores = query.run(plan)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn run(&self, plan: &Plan) -> Result<Vec<f32>> {
        Ok(readback::run(&plan.raw, self.raw)?)
    }
}

/// An installed pack that may be chosen.
///
/// ```
/// use modularbase_pack::Candidate;
///
/// let candidate = Candidate { id: "rust-expert".into(), ..Candidate::default() };
/// assert!(candidate.keywords.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// What an answer names it by.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its name for people.
    pub name: String,
    /// Its field, as its manifest says it.
    pub domain: String,
    /// Words that speak for it.
    pub keywords: Vec<String>,
}

impl From<routing::Candidate> for Candidate {
    fn from(candidate: routing::Candidate) -> Self {
        let routing::Candidate {
            id,
            version,
            name,
            domain,
            keywords,
        } = candidate;
        Self {
            id,
            version,
            name,
            domain,
            keywords,
        }
    }
}

/// The packs for a turn. An answer without a choice leaves the turn to general chat.
///
/// ```no_run
/// use modularbase_pack::Answer;
///
/// let answer = Answer::new().choose("rust-expert", 2.0).runner_up("reasoning", 0.5);
/// ```
#[derive(Debug)]
#[must_use]
pub struct Answer {
    raw: routing::Answer,
}

impl Answer {
    /// An answer without a choice.
    ///
    /// ```no_run
    /// # use modularbase_pack::Answer;
    /// let general_chat = Answer::new();
    /// ```
    #[expect(
        clippy::new_without_default,
        reason = "it asks the host, a default should not"
    )]
    pub fn new() -> Self {
        Self {
            raw: routing::Answer::new(),
        }
    }

    /// Takes a pack into the route. Scores are finite and not negative; gates follow from them.
    /// Mixing two packs helps where the text itself is mixed: name one unless it is.
    ///
    /// ```no_run
    /// # use modularbase_pack::Answer;
    /// let answer = Answer::new().choose("rust-expert", 2.0).choose("reasoning", 1.0);
    /// ```
    pub fn choose(self, pack: &str, score: f32) -> Self {
        self.raw.choose(pack, score);
        self
    }

    /// Names a pack worth loading ahead of time.
    ///
    /// ```no_run
    /// # use modularbase_pack::Answer;
    /// let answer = Answer::new().choose("rust-expert", 2.0).runner_up("reasoning", 0.5);
    /// ```
    pub fn runner_up(self, pack: &str, score: f32) -> Self {
        self.raw.runner_up(pack, score);
        self
    }

    /// Asks for a fusion.
    ///
    /// ```no_run
    /// # use modularbase_pack::{Answer, Fusion};
    /// let answer = Answer::new().choose("rust-expert", 2.0).strategy(Fusion::Weighted);
    /// ```
    pub fn strategy(self, fusion: Fusion) -> Self {
        self.raw.strategy(fusion.name());
        self
    }
}

/// How the outputs of several packs rejoin. With one pack there is nothing to rejoin.
///
/// ```
/// use modularbase_pack::Fusion;
///
/// assert_eq!(Fusion::PrimarySecondary.name(), "primary-secondary");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fusion {
    /// The sum, weighted by the gates.
    Weighted,
    /// The largest gate's output, and what the others change, by their gates.
    PrimarySecondary,
    /// The outputs attend to each other.
    Attention,
}

impl Fusion {
    /// What the contract calls it.
    ///
    /// ```
    /// # use modularbase_pack::Fusion;
    /// assert_eq!(Fusion::Weighted.name(), "weighted");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Weighted => "weighted",
            Self::PrimarySecondary => "primary-secondary",
            Self::Attention => "attention",
        }
    }
}

/// Exports a type that implements [`Router`] as this pack's router.
///
/// Called once, at the top level of the pack's crate. That a host has the pack makes it no
/// router yet: which of them routes is the user's choice.
///
/// ```no_run
/// use modularbase_pack::prelude::*;
///
/// struct Always;
///
/// impl Router for Always {
///     fn load(_net: &Network) -> Result<Self> {
///         Ok(Self)
///     }
///
///     fn route(&self, _query: &Query) -> Result<Answer> {
///         Ok(Answer::new().choose("rust-expert", 1.0))
///     }
/// }
///
/// modularbase_pack::export_router!(Always);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_router {
    ($router:ty) => {
        const _: () = {
            const _: fn() = $crate::__private::is_router::<$router>;
            // Only wasm has names like these; a native linker would stumble over them.
            #[cfg(target_arch = "wasm32")]
            type Exported = $crate::__private::RouterRole<$router>;
            #[cfg(target_arch = "wasm32")]
            $crate::__private::router::export_router_role!(
                Exported with_types_in $crate::__private::router
            );
        };
    };
}

/// An author's router as the contract sees it.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "never seen by anyone")]
pub struct RouterRole<T>(T);

/// Says at the macro's call, on every target, when a type is no router.
#[doc(hidden)]
pub fn is_router<T: Router>() {}

impl<T: Router> wit::Guest for RouterRole<T> {
    type Router = Self;
}

impl<T: Router> wit::GuestRouter for RouterRole<T> {
    fn load(net: &wit::Network) -> Result<wit::Router, wit::Error> {
        log::report_panics();
        let router = T::load(&Network::new(net))?;
        Ok(wit::Router::new(Self(router)))
    }

    fn route(&self, query: &wit::Query) -> Result<wit::Answer, wit::Error> {
        let answer = self.0.route(&Query { raw: query })?;
        Ok(answer.raw)
    }
}

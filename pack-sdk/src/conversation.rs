//! Hooks around a turn: a pack that reads messages and may add to them or to replies.
//!
//! Owns the [`Conversation`] trait, what it is shown ([`Turn`], [`Reply`]) and what it says
//! ([`Advice`], [`Verdict`]), the macro that exports a type as hooks, and the glue between.
//! Hooks live in a guest of their own, one per session, which never gets a network or a
//! tensor; users are asked before a pack with hooks is added.

use std::cell::RefCell;

use crate::bindings::hooks::exports::modularbase::pack::hooks as wit;
use crate::bindings::lent::modularbase::pack::turns;
use crate::{Result, log};

/// One conversation of one user.
///
/// ```no_run
/// use modularbase_pack::prelude::*;
///
/// /// Reminds the model once of how the team writes Rust.
/// struct HouseRules {
///     told: bool,
/// }
///
/// impl Conversation for HouseRules {
///     fn start() -> Result<Self> {
///         Ok(Self { told: false })
///     }
///
///     fn prepare(&mut self, turn: &Turn) -> Result<Advice> {
///         if self.told || !turn.text().contains("Rust") {
///             return Ok(Advice::new());
///         }
///         self.told = true;
///         Ok(Advice::new().context("Return errors; do not unwrap."))
///     }
///
///     fn finish(&mut self, reply: &Reply) -> Result<Verdict> {
///         if reply.may_retry() && reply.text().contains(".unwrap()") {
///             return Ok(Verdict::new().retry("it unwraps"));
///         }
///         Ok(Verdict::new())
///     }
/// }
///
/// modularbase_pack::export_hooks!(HouseRules);
/// # fn main() {}
/// ```
pub trait Conversation: Sized + 'static {
    /// Called when a session first comes to this pack.
    ///
    /// # Errors
    ///
    /// When the pack cannot take part.
    fn start() -> Result<Self>;

    /// Called when a turn has been routed to this pack, before the reply.
    ///
    /// # Errors
    ///
    /// When the pack has no advice because something is wrong; the turn goes on without.
    fn prepare(&mut self, turn: &Turn<'_>) -> Result<Advice>;

    /// Called with the whole reply.
    ///
    /// # Errors
    ///
    /// When the pack has no verdict because something is wrong; the reply stays as it is.
    fn finish(&mut self, reply: &Reply<'_>) -> Result<Verdict>;
}

/// The turn that is about to be answered.
///
/// ```no_run
/// # use modularbase_pack::prelude::*;
/// fn first_and_mine(turn: &Turn) -> bool {
///     turn.index() == 0 && turn.gate() > 0.5
/// }
/// ```
#[derive(Debug)]
pub struct Turn<'t> {
    raw: &'t turns::Turn,
}

impl Turn<'_> {
    /// The user's message.
    ///
    /// ```no_run
    /// # fn example(turn: &modularbase_pack::Turn) {
    /// let question = turn.text().trim_end().ends_with('?');
    /// # }
    /// ```
    pub fn text(&self) -> String {
        self.raw.text()
    }

    /// How many turns of this conversation came before.
    ///
    /// ```no_run
    /// # fn example(turn: &modularbase_pack::Turn) {
    /// let first = turn.index() == 0;
    /// # }
    /// ```
    pub fn index(&self) -> u32 {
        self.raw.index()
    }

    /// This pack's share in the route, between 0 and 1.
    ///
    /// ```no_run
    /// # fn example(turn: &modularbase_pack::Turn) {
    /// let alone = turn.gate() == 1.0;
    /// # }
    /// ```
    pub fn gate(&self) -> f32 {
        self.raw.gate()
    }
}

/// What a pack wants for a turn; a new advice wants nothing. Contexts add up; of grammars,
/// variants and reasons to decline the last one counts.
///
/// ```no_run
/// use modularbase_pack::Advice;
///
/// let advice = Advice::new().context("Today is a holiday.").variant("careful");
/// ```
#[derive(Debug)]
#[must_use]
pub struct Advice {
    raw: turns::Advice,
}

impl Advice {
    /// An advice that wants nothing.
    ///
    /// ```no_run
    /// # use modularbase_pack::Advice;
    /// let nothing = Advice::new();
    /// ```
    #[expect(
        clippy::new_without_default,
        reason = "it asks the host, a default should not"
    )]
    pub fn new() -> Self {
        Self {
            raw: turns::Advice::new(),
        }
    }

    /// Text to add at the end of the turn. The host fences it, attributes it to the pack and
    /// caps it.
    ///
    /// ```no_run
    /// # use modularbase_pack::Advice;
    /// let advice = Advice::new().context("The tests run with `cargo test`.");
    /// ```
    pub fn context(self, text: &str) -> Self {
        self.raw.context(text);
        self
    }

    /// A grammar the reply must follow. A caller's own grammar wins.
    ///
    /// ```no_run
    /// # use modularbase_pack::Advice;
    /// let advice = Advice::new().grammar(r#"root ::= "yes" | "no""#);
    /// ```
    pub fn grammar(self, grammar: &str) -> Self {
        self.raw.grammar(grammar);
        self
    }

    /// The variant of the expert to use, one that the manifest lists.
    ///
    /// ```no_run
    /// # use modularbase_pack::Advice;
    /// let advice = Advice::new().variant("careful");
    /// ```
    pub fn variant(self, name: &str) -> Self {
        self.raw.variant(name);
        self
    }

    /// Leave this pack out of the turn.
    ///
    /// ```no_run
    /// # use modularbase_pack::Advice;
    /// let advice = Advice::new().decline("this is not about Rust");
    /// ```
    pub fn decline(self, reason: &str) -> Self {
        self.raw.decline(reason);
        self
    }
}

/// A finished reply.
///
/// ```no_run
/// # use modularbase_pack::prelude::*;
/// fn finish(reply: &Reply) -> Verdict {
///     match reply.text().is_empty() && reply.may_retry() {
///         true => Verdict::new().retry("it is empty"),
///         false => Verdict::new(),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Reply<'r> {
    raw: &'r turns::Reply,
}

impl Reply<'_> {
    /// The reply's text.
    ///
    /// ```no_run
    /// # fn example(reply: &modularbase_pack::Reply) {
    /// let has_code = reply.text().contains("```");
    /// # }
    /// ```
    pub fn text(&self) -> String {
        self.raw.text()
    }

    /// Whether [`Verdict::retry`] is still possible: not while streaming, and only once.
    ///
    /// ```no_run
    /// # fn example(reply: &modularbase_pack::Reply) {
    /// let last_chance = !reply.may_retry();
    /// # }
    /// ```
    pub fn may_retry(&self) -> bool {
        self.raw.may_retry()
    }
}

/// What a pack says to a reply; a new verdict leaves it as it is. A reply is never rewritten.
///
/// ```no_run
/// use modularbase_pack::Verdict;
///
/// let verdict = Verdict::new().note("The function above needs Rust 1.85.");
/// ```
#[derive(Debug)]
#[must_use]
pub struct Verdict {
    raw: turns::Verdict,
}

impl Verdict {
    /// A verdict that leaves the reply as it is.
    ///
    /// ```no_run
    /// # use modularbase_pack::Verdict;
    /// let fine = Verdict::new();
    /// ```
    #[expect(
        clippy::new_without_default,
        reason = "it asks the host, a default should not"
    )]
    pub fn new() -> Self {
        Self {
            raw: turns::Verdict::new(),
        }
    }

    /// A note to append, attributed to the pack.
    ///
    /// ```no_run
    /// # use modularbase_pack::Verdict;
    /// let verdict = Verdict::new().note("Checked against edition 2024.");
    /// ```
    pub fn note(self, text: &str) -> Self {
        self.raw.note(text);
        self
    }

    /// Asks for another try, saying what is wrong with this one. Without effect where
    /// [`Reply::may_retry`] says no.
    ///
    /// ```no_run
    /// # use modularbase_pack::Verdict;
    /// let verdict = Verdict::new().retry("the code does not compile");
    /// ```
    pub fn retry(self, reason: &str) -> Self {
        self.raw.retry(reason);
        self
    }
}

/// Exports a type that implements [`Conversation`] as this pack's hooks, beside its role.
///
/// ```no_run
/// use modularbase_pack::prelude::*;
///
/// struct Silent;
///
/// impl Conversation for Silent {
///     fn start() -> Result<Self> {
///         Ok(Self)
///     }
///
///     fn prepare(&mut self, _turn: &Turn) -> Result<Advice> {
///         Ok(Advice::new())
///     }
///
///     fn finish(&mut self, _reply: &Reply) -> Result<Verdict> {
///         Ok(Verdict::new())
///     }
/// }
///
/// modularbase_pack::export_hooks!(Silent);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_hooks {
    ($conversation:ty) => {
        const _: () = {
            const _: fn() = $crate::__private::is_conversation::<$conversation>;
            // Only wasm has names like these; a native linker would stumble over them.
            #[cfg(target_arch = "wasm32")]
            type Exported = $crate::__private::HooksRole<$conversation>;
            #[cfg(target_arch = "wasm32")]
            $crate::__private::hooks::export_hooks_role!(
                Exported with_types_in $crate::__private::hooks
            );
        };
    };
}

/// An author's conversation as the contract sees it. A guest runs one call at a time and the
/// host calls nothing back, so the cell is never borrowed twice.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "never seen by anyone")]
pub struct HooksRole<T>(RefCell<T>);

/// Says at the macro's call, on every target, when a type is no conversation.
#[doc(hidden)]
pub fn is_conversation<T: Conversation>() {}

impl<T: Conversation> wit::Guest for HooksRole<T> {
    type Conversation = Self;
}

impl<T: Conversation> wit::GuestConversation for HooksRole<T> {
    fn start() -> Result<wit::Conversation, wit::Error> {
        log::report_panics();
        let conversation = RefCell::new(T::start()?);
        Ok(wit::Conversation::new(Self(conversation)))
    }

    fn prepare(&self, turn: &wit::Turn) -> Result<wit::Advice, wit::Error> {
        let advice = self.0.borrow_mut().prepare(&Turn { raw: turn })?;
        Ok(advice.raw)
    }

    fn finish(&self, reply: &wit::Reply) -> Result<wit::Verdict, wit::Error> {
        let verdict = self.0.borrow_mut().finish(&Reply { raw: reply })?;
        Ok(verdict.raw)
    }
}

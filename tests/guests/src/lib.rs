//! Guests for the host's tests: one file a subject under `examples/`, each a pack of its own.
//!
//! A guest asks its configuration for `do` and behaves like that; without it, it is good. So
//! one component serves many tests, and each behaviour is a few lines. `expert.wat` is for
//! what no compiler would write. `tests/all/support` builds all of them.

use modularbase_pack::prelude::*;

/// What the test wants the guest to do: `do` in its manifest's `[model]`.
pub fn asked(net: &Network<'_>) -> String {
    net.config("do").unwrap_or_default()
}

/// Work without an end that no optimiser takes away.
pub fn forever() -> ! {
    let mut count = 0u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

/// A plan that keeps no lanes and changes nothing much: hidden, scaled.
///
/// # Errors
/// When the host refuses it.
pub fn stateless(net: &Network<'_>) -> Result<Plan> {
    net.finish(&net.hidden()?.scale(0.5)?)
}

/// A plan with one attention over the hidden rows themselves.
///
/// # Errors
/// When the host refuses it.
pub fn stateful(net: &Network<'_>, lane: &str) -> Result<Plan> {
    let x = net.hidden()?;
    net.finish(&x.attend(lane, &x, &x, &Attention::new(2))?)
}

//! The tests of the whole, in one binary.

/// The house's rules, read from its source.
mod architecture;
/// `mbhost` as its users drive it, with good and bad input.
mod cli;
/// What is compiled is kept, found again, and never taken for anything else.
mod code_cache;
/// A pack through wasm computes what its checkpoint computes, in any batch.
mod contract;
/// Commands that are written of are there.
mod docs;
/// The code that the host brings is what its source builds.
mod embedded;
/// Packs that loop, hoard, lie and forge harm nobody but themselves.
mod hostile;
/// Mixtures compute what plain arithmetic says, with the experts that were chosen and no other.
mod moe;
/// Who may add what, what is asked, and what becomes of it.
mod packs;
/// A router sends turns where they belong, whatever the candidates claim.
mod prototype_router;
/// Real architectures in plain 64-bit floats, held to what transformers says of them.
mod reference;
/// Packs are kept, changed, lost and found again.
#[cfg(unix)]
mod store;
/// What the other modules share: guests, packs, a host to load them into.
mod support;
/// Released contracts do not change, and packs built against them run.
mod versions;

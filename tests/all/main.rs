//! The tests of the whole, in one binary.

/// The house's rules, read from its source.
mod architecture;
/// `mbhost` as its users drive it, with good and bad input.
mod cli;
/// A pack through wasm computes what its checkpoint computes, in any batch.
mod contract;
/// Commands that are written of are there.
mod docs;
/// Packs that loop, hoard, lie and forge harm nobody but themselves.
mod hostile;
/// Real architectures in plain 64-bit floats, held to what transformers says of them.
mod reference;
/// Packs are kept, changed, lost and found again.
#[cfg(unix)]
mod store;
/// What the other modules share: guests, packs, a host to load them into.
mod support;
/// Released contracts do not change, and packs built against them run.
mod versions;

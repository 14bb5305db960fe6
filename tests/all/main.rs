//! The tests of the whole, in one binary.

/// The house's rules, read from its source.
mod architecture;
/// Packs that loop, hoard, lie and forge harm nobody but themselves.
mod hostile;
/// What the other modules share: guests, packs, a host to load them into.
mod support;
/// Released contracts do not change, and packs built against them run.
mod versions;

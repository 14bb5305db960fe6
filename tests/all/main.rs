//! The tests of the whole, in one binary.

/// What the other modules share: guests, packs, a host to load them into.
mod support;

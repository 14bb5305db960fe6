//! The contract's imports, implemented on a guest's [`State`](super::state::State).

mod network;
mod routing;
mod tensors;
mod turns;

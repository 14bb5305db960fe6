//! Write packs for ModularBase: a trait for each role, and a macro that exports it.
//!
//! A **pack** is one file, a WebAssembly component that carries its own weights and its own
//! logic. It describes a network once, when it is loaded; the host checks the description,
//! knows from it what the pack costs, and runs it natively at every step, on a CPU or a GPU,
//! for many sequences at once, and with gradients when it is trained. So the network is
//! written once, here, in Rust.
//!
//! A pack is **not** a program with a file system, a network or a clock: it imports what its
//! code calls of the host's interfaces and nothing else, and users see that list. It does not
//! push numbers through its own memory: tensors are opaque. And it is not a model: it works on
//! the hidden state of a base, which has understood the text before the pack sees it.
//!
//! # A whole expert
//!
//! ```no_run
//! use modularbase_pack::prelude::*;
//!
//! /// A SwiGLU feed-forward layer around the residual stream.
//! struct SwiGlu {
//!     plan: Plan,
//! }
//!
//! impl Expert for SwiGlu {
//!     fn load(net: &Network) -> Result<Self> {
//!         let (width, inner) = (net.width(), net.require("feed-forward")?);
//!         let weights = net.weights().at("ffn");
//!         let norm = weights.get("norm.weight", &[width], Init::Ones)?;
//!         let gate = weights.get("gate.weight", &[inner, width], Init::fan_in(width))?;
//!         let up = weights.get("up.weight", &[inner, width], Init::fan_in(width))?;
//!         let down = weights.get("down.weight", &[width, inner], Init::Zeros)?;
//!
//!         let hidden = net.hidden()?;
//!         let x = hidden.rms_norm(&norm, 1e-5)?;
//!         let x = x.linear(&gate)?.swiglu(&x.linear(&up)?)?.linear(&down)?;
//!         Ok(Self { plan: net.finish(&hidden.add(&x)?)? })
//!     }
//!
//!     fn forward(&self, step: &Step, hidden: Tensor) -> Result<Tensor> {
//!         self.plan.run(step, &[&hidden])
//!     }
//! }
//!
//! modularbase_pack::export_expert!(SwiGlu);
//! ```
//!
//! Its `down` starts at zeros: a freshly made pack is the identity, and training moves it away
//! from there. For transformer blocks, [`Blocks`] is ready; `packs/dense` is a pack of nothing
//! else.
//!
//! # Building it
//!
//! ```text
//! mbhost pack init my-pack       a crate: transformer blocks, pack.toml, this SDK, a test
//! cd my-pack
//! mbhost pack build              pack.wasm: code, manifest and weights in one file
//! mbhost pack test               does it what every pack must?
//! mbhost pack inspect pack.wasm  what it is, what it can do, what it costs
//! ```
//!
//! The crate is a `cdylib` built for `wasm32-unknown-unknown`. It compiles for your own machine
//! as well, so `cargo test` tests what does not need a host; a call that does need one panics
//! there.
//!
//! # The roles
//!
//! | a pack that | implements | exported by | sees |
//! |---|---|---|---|
//! | transforms hidden states | [`Expert`] | [`export_expert!`] | tensors it cannot read |
//! | chooses packs for a turn | [`Router`] | [`export_router!`] | the turn's text and pooled state |
//! | reads and adds to turns | [`Conversation`] | [`export_hooks!`] | messages and replies |
//!
//! One crate may export several. Each runs in guests of its own, so what an expert computes and
//! what hooks read never meet.
//!
//! # When something is wrong
//!
//! Every call returns a [`Result`]; pass errors on with `?` and whoever runs the host reads the
//! pack's name and the error's words. A panic is logged and ends the guest; the turn goes on
//! with the pack's fallback.

mod bindings;
mod block;
mod config;
mod conversation;
mod error;
mod expert;
pub mod log;
mod network;
mod options;
pub mod prelude;
mod router;
mod tensor;
mod value;
mod weights;

pub use block::{Adapters, Block, BlockConfig, Blocks};
pub use conversation::{Advice, Conversation, Reply, Turn, Verdict};
pub use error::{Error, Result};
pub use expert::Expert;
pub use network::Network;
pub use options::{Attention, Mixture, Pool, Rope, RopeScaling};
pub use router::{Answer, Candidate, Fusion, Query, Router};
pub use tensor::{Plan, Step, Tensor};
pub use value::Value;
pub use weights::{Init, Weight, Weights};

/// What the export macros name. No part of the public face.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::{expert, hooks, router};
    pub use crate::conversation::{HooksRole, is_conversation};
    pub use crate::expert::{ExpertRole, is_expert};
    pub use crate::router::{RouterRole, is_router};
}

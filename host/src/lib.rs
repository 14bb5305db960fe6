//! A language model taken apart: a host for packs.
//!
//! A **pack** is one file, a WebAssembly component that carries its weights and its logic and
//! computes only through what the host lends it. When it loads, it describes its network; the
//! host checks the description and runs it natively at every step. This crate opens packs,
//! judges them, compiles them, keeps their guests within limits, and owns the devices that they
//! compute on. The program `mbhost` is made of its public face alone.
//!
//! It is not an inference engine yet: base, router, fusion and sessions are on their way, and
//! what is here computes on hidden states that you bring.
//!
//! | to | use |
//! |---|---|
//! | build a pack from its crate | [`Build`] |
//! | make a pack of weights alone, with code that the host brings | [`Wrap`], [`Builtin`] |
//! | make a key to sign packs with | [`KeyFile`] |
//! | see whether a pack does what every pack must | [`Check`] |
//! | look at a pack without running it | [`inspect()`] |
//! | add, list, verify and remove packs | [`Packs`] |
//! | open a pack and load its expert | [`pack::Pack`], [`pack::Sandbox`] |
//! | run its expert over rows | [`roles::Expert`], [`tensor::Step`], [`tensor::Tensor`] |
//! | give bytes out | [`tensor::Ledger`], [`tensor::Device`] |
//! | describe a network of your own | [`plan::Network`] |
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use modularbase::pack::{Pack, Sandbox};
//! use modularbase::roles::Expert;
//! use modularbase::tensor::{Device, Ledger, Span, Step, Tensor};
//!
//! let pack = Pack::open("pack.wasm".as_ref(), &Sandbox::default())?;
//! let ledger = Ledger::new(4 << 30);
//! let mut expert = pack.expert(&Device::best(), &ledger, None)?;
//!
//! // Three rows of one conversation, from its beginning.
//! let width = pack.manifest().base.width as usize;
//! let span = Span { sequence: 1, start: 0, rows: 3 };
//! let step = Arc::new(Step::new(vec![span], vec![7, 8, 9])?);
//! let hidden = Tensor::new(width, vec![0.5; 3 * width]);
//! let out = expert.begin(&step, &hidden).wait()?;
//! assert_eq!((out.rows(), out.width()), (3, width));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod error;
pub mod pack;
pub mod packs;
pub mod plan;
pub mod roles;
pub mod store;
pub mod tensor;

pub use error::{Error, Hint, Result};
pub use modularbase_format::WeightType;
pub use pack::{
    Build, BuildError, BuildTimes, Built, Builtin, CONTRACT, Check, Code, Inspection, KeyFile,
    Line, Measured, Outcome, Report, Sandbox, Stage, TARGET, Times, Toolchain, Wrap, inspect,
};
pub use packs::Packs;
pub use tensor::Device;

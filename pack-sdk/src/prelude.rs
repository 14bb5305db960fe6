//! All that a pack's crate usually names, for `use modularbase_pack::prelude::*`.
//!
//! ```no_run
//! use modularbase_pack::prelude::*;
//!
//! fn describe(net: &Network) -> Result<Plan> {
//!     net.finish(&net.hidden()?)
//! }
//! ```

pub use crate::{
    Adapters, Advice, Answer, Attention, Block, BlockConfig, Blocks, Candidate, Conversation,
    Error, Expert, Fusion, Init, Mixture, Network, Plan, Pool, Query, Reply, Result, Rope,
    RopeScaling, Router, Step, Tensor, Turn, Value, Verdict, Weight, Weights, log,
};

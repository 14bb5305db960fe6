//! A language model taken apart.

mod error;
pub mod pack;
pub mod plan;
pub mod roles;
pub mod tensor;

pub use error::{Error, Hint, Result};
pub use modularbase_format::WeightType;
pub use pack::{
    Build, BuildError, BuildTimes, Built, CONTRACT, Check, Code, Inspection, Line, Measured,
    Outcome, Report, Sandbox, Stage, TARGET, Times, Toolchain, inspect,
};
pub use tensor::Device;

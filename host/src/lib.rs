//! A language model taken apart.

pub mod plan;
pub mod tensor;

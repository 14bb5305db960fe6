//! A language model taken apart.

pub mod pack;
pub mod plan;
pub mod roles;
pub mod tensor;

//! wip
#![allow(dead_code, unused_imports, reason = "wip")]
mod dense;
mod level;
mod quant;
mod team;
mod view;

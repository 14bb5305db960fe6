//! `mbhost pack`: the author's loop.

mod build;
mod folder;
mod init;
mod inspect;
mod keygen;
mod template;
mod test;
mod wrap;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use modularbase::pack::PACK_FILE;

use super::Failed;

/// What can be done with packs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a crate for a new pack
    Init(init::Arguments),
    /// Build a crate into a pack file
    Build(build::Arguments),
    /// Make a pack of weights, with code that this program brings: no Rust needed
    Wrap(wrap::Arguments),
    /// Make a key to sign packs with
    Keygen(keygen::Arguments),
    /// Load a pack in a real host and look whether it does what every pack must
    Test(test::Arguments),
    /// Say what a pack file is and holds, without running it
    Inspect(inspect::Arguments),
}

impl Verb {
    /// Does it.
    pub fn run(self) -> Result<ExitCode, Failed> {
        match self {
            Self::Init(arguments) => init::run(arguments),
            Self::Build(arguments) => build::run(arguments),
            Self::Wrap(arguments) => wrap::run(arguments),
            Self::Keygen(arguments) => keygen::run(&arguments),
            Self::Test(arguments) => test::run(arguments),
            Self::Inspect(arguments) => inspect::run(&arguments),
        }
    }
}

/// Where a build of the crate in `folder` leaves its pack.
fn pack_in(folder: &Path) -> PathBuf {
    match folder == Path::new(".") {
        true => PathBuf::from(PACK_FILE),
        false => folder.join(PACK_FILE),
    }
}

//! `mbhost pack`: the author's loop, and the packs that are installed.

mod add;
mod build;
mod export_weights;
mod folder;
mod gc;
mod init;
mod inspect;
mod keygen;
mod list;
mod rm;
mod show;
mod source;
mod template;
mod test;
mod verify;
mod wrap;

use std::process::ExitCode;

use clap::Subcommand;

use super::Failed;
use super::home::Home;
pub use source::name;

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
    /// Add a pack, or put a version that is kept back in use
    #[command(visible_alias = "install")]
    Add(add::Arguments),
    /// Say which packs are installed
    List(list::Arguments),
    /// Say what an installed pack is and holds, without running it
    Show(show::Arguments),
    /// Read every byte of installed packs and look whether it is what was added
    Verify(verify::Arguments),
    /// Remove a version of a pack, or all of them
    #[command(visible_alias = "remove")]
    Rm(rm::Arguments),
    /// Write a pack's weights as a plain GGUF file
    ExportWeights(export_weights::Arguments),
    /// Remove what crashes left behind and what no installed pack needs
    Gc(gc::Arguments),
}

impl Verb {
    /// Does it.
    pub fn run(self, home: &Home) -> Result<ExitCode, Failed> {
        match self {
            Self::Init(arguments) => init::run(arguments),
            Self::Build(arguments) => build::run(arguments),
            Self::Wrap(arguments) => wrap::run(arguments),
            Self::Keygen(arguments) => keygen::run(&arguments),
            Self::Test(arguments) => test::run(arguments),
            Self::Inspect(arguments) => inspect::run(&arguments),
            Self::Add(arguments) => add::run(&arguments, home),
            Self::List(arguments) => list::run(&arguments, home),
            Self::Show(arguments) => show::run(&arguments, home),
            Self::Verify(arguments) => verify::run(&arguments, home),
            Self::Rm(arguments) => rm::run(&arguments, home),
            Self::ExportWeights(arguments) => export_weights::run(&arguments, home),
            Self::Gc(arguments) => gc::run(&arguments, home),
        }
    }
}

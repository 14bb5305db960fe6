//! `mbhost pack inspect`: what a pack file is and holds. Runs nothing of it.

use std::path::PathBuf;
use std::process::ExitCode;

use modularbase::{Error, inspect};

use super::source::pack_of;
use crate::cli::Failed;
use crate::cli::output::Format;
use crate::cli::page::Page;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A pack file, or a crate's folder, whose `pack.wasm` is taken
    #[arg(default_value = ".")]
    path: PathBuf,
    /// List every weight
    #[arg(long, env = "MBHOST_TENSORS", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    tensors: bool,
    #[command(flatten)]
    format: Format,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failed> {
    let file = pack_of(&arguments.path)?;
    let pack = inspect(&file).map_err(Error::from)?;
    arguments.format.print(&pack, || {
        let mut page = Page::for_output();
        page.pack(&pack);
        page.contents(&pack, arguments.tensors);
        page.text()
    })?;
    Ok(ExitCode::SUCCESS)
}

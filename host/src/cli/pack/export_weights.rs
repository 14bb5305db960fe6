//! `mbhost pack export-weights`: gives a pack's weights back as a plain GGUF file.

use std::path::PathBuf;
use std::process::ExitCode;

use modularbase::Error;
use modularbase::pack::PackError;
use modularbase::packs::{Packs, Source};
use modularbase_format::PackFile;
use serde::Serialize;

use super::source::installed_or_file;
use crate::cli::Failed;
use crate::cli::home::Home;
use crate::cli::output::{Format, bytes, shown};
use crate::cli::progress::Progress;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An installed pack, or a pack file
    #[arg(value_name = "ID[@VERSION]|FILE")]
    pack: PathBuf,
    /// Where to write them; `ID-VERSION.gguf` here when not given
    #[arg(long, env = "MBHOST_OUT", value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

/// What was written.
#[derive(Serialize)]
struct Exported {
    path: String,
    bytes: u64,
}

pub fn run(arguments: &Arguments, home: &Home) -> Result<ExitCode, Failed> {
    let source = installed_or_file(&arguments.pack)?;
    let packs = home.packs()?;
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => usual(&packs, &source)?,
    };
    let progress = Progress::default();
    progress.spin("writing weights");
    let written = packs.export_weights(&source, &out);
    drop(progress);
    let exported = Exported {
        bytes: written?,
        path: out.display().to_string(),
    };
    arguments.format.print(&exported, || {
        format!("{}: {}\n", shown(&exported.path), bytes(exported.bytes))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Here, by the pack's name: ids and versions are never paths.
fn usual(packs: &Packs, source: &Source) -> Result<PathBuf, Failed> {
    let file = match source {
        Source::Known(name) => packs.file(name)?,
        Source::File(path) => PackFile::open(path)
            .map_err(PackError::from)
            .map_err(Error::from)?,
    };
    let manifest = file.manifest();
    Ok(PathBuf::from(format!(
        "{}-{}.gguf",
        manifest.id, manifest.version
    )))
}

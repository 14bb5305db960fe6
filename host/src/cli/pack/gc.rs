//! `mbhost pack gc`: removes what nothing needs any more.

use std::process::ExitCode;

use serde::Serialize;

use crate::cli::Failed;
use crate::cli::home::Home;
use crate::cli::output::{Format, bytes};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    format: Format,
}

/// What was removed.
#[derive(Serialize)]
struct Removed {
    files: usize,
    bytes: u64,
}

pub fn run(arguments: &Arguments, home: &Home) -> Result<ExitCode, Failed> {
    let swept = home.packs()?.sweep()?;
    let removed = Removed {
        files: swept.files,
        bytes: swept.bytes,
    };
    arguments.format.print(&removed, || text(&removed))?;
    Ok(ExitCode::SUCCESS)
}

fn text(removed: &Removed) -> String {
    let freed = bytes(removed.bytes);
    match removed.files {
        0 => "there was nothing to remove\n".to_owned(),
        1 => format!("1 file is removed, which frees {freed}\n"),
        count => format!("{count} files are removed, which frees {freed}\n"),
    }
}

//! `mbhost pack keygen`: a key to sign packs with.

use std::path::PathBuf;
use std::process::ExitCode;

use modularbase::KeyFile;

use crate::cli::Failed;
use crate::cli::output::{Format, note};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to write the private key; nothing may be there
    #[arg(long, env = "MBHOST_OUT", value_name = "KEY")]
    out: PathBuf,
    #[command(flatten)]
    format: Format,
}

/// The public half goes to standard output, where a script finds it; the private one nowhere but
/// into its file.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failed> {
    let made = KeyFile::create(&arguments.out)?;
    arguments
        .format
        .print(&made, || format!("{}\n", made.publisher()))?;
    let path = made.path().display();
    note(&format!(
        "{path}: the private key; keep it to yourself, and keep a copy: your packs are known by it"
    ));
    note(&format!(
        "hint: `mbhost pack build --sign {path}` signs with it"
    ));
    Ok(ExitCode::SUCCESS)
}

//! `mbhost pack verify`: are the installed packs, byte for byte, what was added?

use std::process::ExitCode;

use modularbase::packs::Verified;

use super::source::name;
use crate::cli::Failed;
use crate::cli::home::Home;
use crate::cli::output::{Format, bytes, note, plain};
use crate::cli::progress::Bytes;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A version, or an id for all of its versions; all packs when none is given
    #[arg(value_name = "ID[@VERSION]")]
    pack: Option<String>,
    #[command(flatten)]
    format: Format,
}

pub fn run(arguments: &Arguments, home: &Home) -> Result<ExitCode, Failed> {
    let name = arguments.pack.as_deref().map(name).transpose()?;
    let bar = Bytes::new("reading");
    let verified = home
        .packs()?
        .verify(name.as_ref(), &|done, all| bar.show(done, all))?;
    drop(bar);
    if verified.is_empty() && !arguments.format.json {
        note("no packs are installed");
    }
    arguments.format.print(&verified, || text(&verified))?;
    let broken = |it: &&Verified| it.problem.is_some();
    for it in verified.iter().filter(broken) {
        note(&format!(
            "hint: adding the file of `{0}` {1} again puts it right, with `--downgrade` where a \
             newer version is in use; `mbhost pack rm {0}@{1}` removes it",
            it.id, it.version
        ));
    }
    Ok(match verified.iter().any(|it| it.problem.is_some()) {
        false => ExitCode::SUCCESS,
        true => ExitCode::FAILURE,
    })
}

fn text(verified: &[Verified]) -> String {
    let mut out = String::new();
    for it in verified {
        let size = bytes(it.bytes);
        let (state, what) = match &it.problem {
            None => ("good", size),
            Some(problem) => ("BROKEN", problem.clone()),
        };
        // Messages come escaped, and ids and versions have nothing to be.
        let line = format!("  {state:6}  {} {}  {what}", it.id, it.version);
        out.push_str(&format!("{}\n", plain(&line)));
    }
    out
}

//! `mbhost pack rm`: takes a pack away.

use std::process::ExitCode;

use modularbase::packs::Removed;

use super::source::name;
use crate::cli::Failed;
use crate::cli::home::Home;
use crate::cli::output::{Format, bytes};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An installed pack; all of its versions when none is given
    #[arg(value_name = "ID[@VERSION]")]
    pack: String,
    #[command(flatten)]
    format: Format,
}

pub fn run(arguments: &Arguments, home: &Home) -> Result<ExitCode, Failed> {
    let name = name(&arguments.pack)?;
    let removed = home.packs()?.remove(&name)?;
    arguments.format.print(&removed, || text(&removed))?;
    Ok(ExitCode::SUCCESS)
}

fn text(removed: &Removed) -> String {
    let (are, frees) = match removed.versions.len() {
        1 => ("is", "frees"),
        _ => ("are", "free"),
    };
    let mut out = format!(
        "pack `{}` {} {are} removed, which {frees} {}\n",
        removed.id,
        removed.versions.join(", "),
        bytes(removed.bytes)
    );
    if let Some(version) = &removed.now_in_use {
        let stranger = match removed.other_key {
            true => ", which is not signed by whom the id belongs to by now",
            false => "",
        };
        out.push_str(&format!("{version} is in use now{stranger}\n"));
    }
    if removed.was_router {
        out.push_str("it was the router: none is chosen now\n");
    }
    out
}

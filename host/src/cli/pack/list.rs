//! `mbhost pack list`: which packs are installed.

use std::process::ExitCode;

use modularbase::packs::Installed;

use crate::cli::Failed;
use crate::cli::home::Home;
use crate::cli::output::{Format, ago, bytes, note, now};
use crate::cli::table::Table;

/// As many digits of a key as tell one from another at a glance.
const KEY_DIGITS: usize = 8;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    format: Format,
}

pub fn run(arguments: &Arguments, home: &Home) -> Result<ExitCode, Failed> {
    let packs = home.packs()?.list()?;
    if packs.is_empty() && !arguments.format.json {
        note("no packs are installed; `mbhost pack add FILE` adds one");
        return Ok(ExitCode::SUCCESS);
    }
    arguments.format.print(&packs, || text(&packs, now()))?;
    Ok(ExitCode::SUCCESS)
}

fn text(packs: &[Installed], now: u64) -> String {
    let titles = [
        "ID",
        "VERSION",
        "ROLES",
        "SIZE",
        "SIGNED BY",
        "ADDED",
        "STATE",
    ];
    let mut table = Table::new(&titles);
    for it in packs {
        table.row(&[
            &it.id,
            &it.version,
            &it.roles.join(", "),
            &bytes(it.bytes),
            &signer(it.signed_by.as_deref()),
            &ago(it.added, now),
            &marks(it),
        ]);
        if let Some(problem) = &it.problem {
            table.note(problem);
        }
    }
    table.text()
}

/// A key, short: `mbhost pack show` has all of it.
fn signer(key: Option<&str>) -> String {
    let Some(key) = key else {
        return "nobody".to_owned();
    };
    let digits = key.split_once(':').map_or(key, |(_, digits)| digits);
    let short: String = digits.chars().take(KEY_DIGITS).collect();
    short + "…"
}

fn marks(pack: &Installed) -> String {
    let marks = [
        (pack.problem.is_some(), "BROKEN"),
        (pack.in_use, "in use"),
        (pack.router, "router"),
        (pack.trained == Some(false), "not trained"),
    ];
    let marks: Vec<&str> = marks.iter().filter(|it| it.0).map(|it| it.1).collect();
    marks.join(", ")
}

//! `mbhost pack show`: what an installed pack is and holds, and how it is installed.

use std::process::ExitCode;

use modularbase::Inspection;
use modularbase::packs::Installed;
use serde::Serialize;

use super::source::name;
use crate::cli::Failed;
use crate::cli::home::Home;
use crate::cli::output::{Format, ago, now};
use crate::cli::page::Page;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An installed pack; the version in use when none is given
    #[arg(value_name = "ID[@VERSION]")]
    pack: String,
    /// List every weight
    #[arg(long, env = "MBHOST_TENSORS", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    tensors: bool,
    #[command(flatten)]
    format: Format,
}

/// What `inspect` says of a file, and what became of it here.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    pack: &'a Inspection,
    installed: Facts<'a>,
}

#[derive(Serialize)]
struct Facts<'a> {
    in_use: bool,
    router: bool,
    hooks_allowed: bool,
    added: u64,
    publisher: Option<&'a str>,
}

pub fn run(arguments: &Arguments, home: &Home) -> Result<ExitCode, Failed> {
    let name = name(&arguments.pack)?;
    let packs = home.packs()?;
    let (installed, pack) = packs.show(&name)?;
    let owner = packs.publisher(&name.id)?.map(|it| it.to_string());
    let shown = Shown {
        pack: &pack,
        installed: Facts {
            in_use: installed.in_use,
            router: installed.router,
            hooks_allowed: installed.hooks_allowed,
            added: installed.added,
            publisher: owner.as_deref(),
        },
    };
    arguments.format.print(&shown, || {
        let mut page = Page::for_output();
        page.pack(&pack);
        put(&mut page, &pack, &installed, owner.as_deref());
        page.contents(&pack, arguments.tensors);
        page.text()
    })?;
    Ok(ExitCode::SUCCESS)
}

fn put(page: &mut Page, pack: &Inspection, installed: &Installed, owner: Option<&str>) {
    let yes = |it| if it { "yes" } else { "no" };
    page.head("here");
    page.line("added", ago(installed.added, now()));
    page.line("in use", yes(installed.in_use));
    if pack.roles.iter().any(|it| it == "router") {
        page.line(
            "router",
            match installed.router {
                true => "chosen",
                false => "not chosen",
            },
        );
    }
    let exports = pack.code.iter().flat_map(|it| &it.exports);
    if exports.clone().any(|it| it == "hooks") {
        page.line(
            "hooks",
            match installed.hooks_allowed {
                true => "allowed",
                false => "not allowed",
            },
        );
    }
    page.whole("publisher", owner.unwrap_or("nobody"));
}

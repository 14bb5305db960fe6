//! `mbhost router`: which installed pack chooses packs for a turn. Being installed makes none it.

use std::process::ExitCode;

use clap::Subcommand;
use modularbase::packs::Installed;
use serde::Serialize;

use super::Failed;
use super::home::Home;
use super::output::{Format, plain};
use super::pack::name;

/// What can be done about the router.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an installed pack the router
    Use(UseArguments),
    /// Say which one is chosen, and which could be
    Show(ShowArguments),
}

#[derive(Debug, clap::Args)]
pub struct UseArguments {
    /// An installed pack with the role
    #[arg(value_name = "ID")]
    pack: String,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, clap::Args)]
pub struct ShowArguments {
    #[command(flatten)]
    format: Format,
}

/// Who is it, and who could be.
#[derive(Serialize)]
struct Routers {
    router: Option<Installed>,
    candidates: Vec<Installed>,
}

impl Verb {
    /// Does it.
    pub fn run(self, home: &Home) -> Result<ExitCode, Failed> {
        match self {
            Self::Use(arguments) => choose(&arguments, home),
            Self::Show(arguments) => show(&arguments, home),
        }
    }
}

fn choose(arguments: &UseArguments, home: &Home) -> Result<ExitCode, Failed> {
    let name = name(&arguments.pack)?;
    if name.version.is_some() {
        return Err(Failed::usage(format!(
            "`{name}` is one version, expected an id: the router is the version in use"
        ))
        .hint(format!(
            "`mbhost pack add {name}` puts it in use, `mbhost router use {}` makes it the router",
            name.id
        )));
    }
    let router = home.packs()?.use_router(&name.id)?;
    arguments.format.print(&router, || {
        format!(
            "pack `{}` {} is the router now\n",
            router.id, router.version
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn show(arguments: &ShowArguments, home: &Home) -> Result<ExitCode, Failed> {
    let packs = home.packs()?;
    let could = |it: &Installed| it.in_use && it.roles.iter().any(|role| role == "router");
    let routers = Routers {
        router: packs.router()?,
        candidates: packs.list()?.into_iter().filter(could).collect(),
    };
    arguments.format.print(&routers, || text(&routers))?;
    Ok(ExitCode::SUCCESS)
}

fn text(routers: &Routers) -> String {
    let mut out = match &routers.router {
        Some(it) => {
            let problem = it.problem.as_ref();
            let problem = problem.map_or_else(String::new, |it| format!(", but {}", plain(it)));
            format!("pack `{}` {} is the router{problem}\n", it.id, it.version)
        }
        None => "no router is chosen\n".to_owned(),
    };
    let chosen = routers.router.as_ref().map(|it| &it.id);
    let others = routers.candidates.iter();
    for it in others.filter(|it| Some(&it.id) != chosen) {
        let line = format!(
            "pack `{0}` {1} could be: `mbhost router use {0}`\n",
            it.id, it.version
        );
        out.push_str(&line);
    }
    if routers.router.is_none() && routers.candidates.is_empty() {
        out.push_str("none of the installed packs has the role\n");
    }
    out
}

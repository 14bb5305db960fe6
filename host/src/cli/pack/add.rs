//! `mbhost pack add`: says what a pack is and can do, asks once, and adds it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use modularbase::Error;
use modularbase::packs::{Added, Allow, Candidate, News, PacksError, Question, Source};

use super::source::to_add;
use crate::cli::Failed;
use crate::cli::home::Home;
use crate::cli::output::{Format, note, tell};
use crate::cli::page::Page;
use crate::cli::progress::{Bytes, Progress};
use crate::cli::prompt::{Answer, ask};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A pack file, a crate's folder, or a version that is kept or comes with the host
    #[arg(value_name = "FILE|ID@VERSION")]
    pack: PathBuf,
    /// Add it without asking; hooks need `--allow-hooks` besides
    #[arg(long, env = "MBHOST_YES", hide_env_values = true, value_parser = FalseyValueParser::new())]
    yes: bool,
    /// Allow it to read messages, to add to them and to steer replies, if that is what it does
    #[arg(long, env = "MBHOST_ALLOW_HOOKS", hide_env_values = true, value_parser = FalseyValueParser::new())]
    allow_hooks: bool,
    /// Take it even if it is not signed by the key that its id belongs to
    #[arg(long, env = "MBHOST_REPLACE_KEY", hide_env_values = true, value_parser = FalseyValueParser::new())]
    replace_key: bool,
    /// Take it even if it is older than the version in use
    #[arg(long, env = "MBHOST_DOWNGRADE", hide_env_values = true, value_parser = FalseyValueParser::new())]
    downgrade: bool,
    #[command(flatten)]
    format: Format,
}

pub fn run(arguments: &Arguments, home: &Home) -> Result<ExitCode, Failed> {
    let source = to_add(&arguments.pack)?;
    let allow = Allow {
        replace_key: arguments.replace_key,
        downgrade: arguments.downgrade,
    };
    let packs = home.packs()?;
    let bar = Bytes::new("copying");
    let candidate = packs.consider(&source, allow, &|done, all| bar.show(done, all));
    drop(bar);
    let candidate = candidate.map_err(|error| or_the_file(error, &arguments.pack))?;
    if *candidate.news() != (News::Known { was_in_use: true }) {
        introduce(&candidate, &source);
    }
    for warning in candidate.warnings() {
        note(&format!("warning: {warning}"));
    }
    let hooks_allowed = consent(&candidate, arguments)?;
    let progress = Progress::default();
    progress.spin("compiling");
    let added = candidate.install(hooks_allowed);
    drop(progress);
    let added = added?;
    arguments.format.print(&added, || text(&added))?;
    Ok(ExitCode::SUCCESS)
}

/// What cannot be found by its name may lie here as a file.
fn or_the_file(error: Error, given: &Path) -> Failed {
    let is_unknown = matches!(error, Error::Packs(PacksError::NotFound { .. }));
    match is_unknown && given.exists() {
        true => Failed::from(error).hint(format!("`./{}` is the file here", given.display())),
        false => error.into(),
    }
}

/// All that one should know before saying yes.
fn introduce(candidate: &Candidate, source: &Source) {
    let pack = candidate.inspection();
    let origin = match (source, candidate.news()) {
        (Source::File(path), _) => path.display().to_string(),
        (Source::Known(_), News::Known { .. }) => "kept here".to_owned(),
        (Source::Known(_), _) => "comes with `mbhost`".to_owned(),
    };
    let mut page = Page::for_question();
    page.preview(pack, &origin);
    if let News::Instead { of } = candidate.news() {
        page.line("instead of", format!("{of}, which is kept"));
    }
    let is_asked = candidate.question() != Question::Nothing;
    if !is_asked && matches!(candidate.news(), News::Instead { .. }) {
        page.ours(
            "publisher",
            "known: the key above has signed the version in use, and nothing is wanted that it \
             was not allowed, so nobody is asked",
        );
    } else if candidate.is_by_its_publisher() {
        page.ours("publisher", "known: its id belongs to the key above");
    }
    if candidate.new_key().is_some() {
        let id = &pack.id;
        page.ours(
            "publisher",
            &format!("new: from now on the id `{id}` belongs to the key above"),
        );
    }
    tell(&page.text());
}

/// Whether hooks are allowed; nothing but an answer lets it go on.
fn consent(candidate: &Candidate, arguments: &Arguments) -> Result<bool, Failed> {
    let has_hooks = match candidate.question() {
        Question::Nothing => return Ok(arguments.allow_hooks),
        Question::Add => false,
        Question::AddWithHooks => true,
    };
    let about_hooks = has_hooks && !arguments.allow_hooks;
    if arguments.yes && !about_hooks {
        return Ok(has_hooks);
    }
    let question = match about_hooks {
        true => "add it, and allow it to read your messages and add to them?",
        false => "add it?",
    };
    match ask(question)? {
        Answer::Yes => Ok(has_hooks),
        Answer::No => Err(Failed::new("nothing was added")),
        Answer::Nobody => {
            let pack = candidate.inspection();
            Err(Failed::new(format!(
                "pack `{}` {}: {} a yes, and there is no terminal to ask at",
                pack.id,
                pack.version,
                match about_hooks && arguments.yes {
                    true => "its hooks need",
                    false => "adding it needs",
                }
            ))
            .hint(match (about_hooks, arguments.yes) {
                (false, _) => "`--yes` says it",
                (true, true) => "it has hooks: `--allow-hooks` allows them",
                (true, false) => "`--yes --allow-hooks` says it, and allows its hooks",
            }))
        }
    }
}

fn text(added: &Added) -> String {
    let what = match &added.news {
        News::New => "added".to_owned(),
        News::Instead { of } => format!("added and in use instead of {of}, which is kept"),
        News::Known { was_in_use: true } if added.mended => "put right".to_owned(),
        News::Known { was_in_use: false } if added.mended => {
            "put right, and in use again".to_owned()
        }
        News::Known { was_in_use: true } => "installed already".to_owned(),
        News::Known { was_in_use: false } => "in use again".to_owned(),
    };
    let mut out = format!("pack `{}` {} is {what}\n", added.id, added.version);
    if added.was_router {
        out.push_str("it was the router and is none any more: none is chosen now\n");
    }
    out
}

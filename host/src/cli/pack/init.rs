//! `mbhost pack init`: a crate for a new pack.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde::Serialize;

use super::folder::put;
use super::template::{Template, id_of};
use crate::cli::Failed;
use crate::cli::output::{Format, is_shown, shown};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder to make; named after the pack when not given
    path: Option<PathBuf>,
    /// What people call the pack; its id follows from it
    #[arg(long, env = "MBHOST_NAME")]
    name: Option<String>,
    /// The field it belongs to
    #[arg(long, env = "MBHOST_DOMAIN", default_value = "general")]
    domain: String,
    /// Who makes it; what git knows when not given
    #[arg(long, env = "MBHOST_AUTHOR")]
    author: Option<String>,
    /// The width of the hidden states of the bases it fits, a multiple of 8
    #[arg(long, env = "MBHOST_WIDTH", default_value_t = 256, value_parser = width)]
    width: u32,
    #[command(flatten)]
    format: Format,
}

/// What was made.
#[derive(Serialize)]
struct Made {
    path: String,
    id: String,
    name: String,
    files: usize,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failed> {
    let format = arguments.format;
    let (template, target) = planned(arguments)?;
    let files = template.files();
    put(&files, &target).map_err(|error| unwritten(&target, &error))?;
    let made = Made {
        files: files.len(),
        path: target.display().to_string(),
        id: template.id,
        name: template.name,
    };
    format.print(&made, || text(&made))?;
    Ok(ExitCode::SUCCESS)
}

/// What the arguments mean.
fn planned(arguments: Arguments) -> Result<(Template, PathBuf), Failed> {
    let folder_name = arguments.path.as_deref().and_then(last_name);
    let Some(name) = arguments.name.clone().or_else(|| folder_name.clone()) else {
        return Err(Failed::usage("neither a folder nor a `--name` is given")
            .hint("`mbhost pack init --domain medical --name \"Medical QA Pack\"`"));
    };
    for (what, text) in [("name", &name), ("domain", &arguments.domain)] {
        one_line(what, text)?;
    }
    // A name without Latin letters still has a folder.
    let id =
        id_of(&name)
            .or_else(|| id_of(&folder_name?))
            .ok_or_else(|| {
                Failed::usage(format!(
            "name `{}` gives no id: it has no letter from a to z and no digit",
            shown(&name)
        ))
        .hint("give the folder too, its name becomes the id: `mbhost pack init my-pack --name …`")
            })?;
    let target = arguments.path.unwrap_or_else(|| PathBuf::from(&id));
    let author = arguments.author.or_else(git_author);
    let author = author.unwrap_or_else(|| "unknown".to_owned());
    one_line("author", &author)?;
    let template = Template {
        id,
        name,
        domain: arguments.domain,
        author,
        width: arguments.width,
    };
    Ok((template, target))
}

/// Names end up in comments, where a line's end or a hidden character would do something else.
fn one_line(what: &str, text: &str) -> Result<(), Failed> {
    if text.trim().is_empty() {
        return Err(Failed::usage(format!("{what} is empty")));
    }
    if !text.chars().all(|c| is_shown(c) || c == '\\') {
        return Err(Failed::usage(format!(
            "{what} `{}` holds characters that do not show, expected one line of text",
            shown(text)
        )));
    }
    match text.chars().count() {
        0..=100 => Ok(()),
        n => Err(Failed::usage(format!(
            "{what} has {n} characters, expected at most 100"
        ))),
    }
}

/// Why nothing was written.
fn unwritten(target: &Path, error: &std::io::Error) -> Failed {
    use std::io::ErrorKind::{DirectoryNotEmpty, NotADirectory, NotFound};
    let path = shown(&target.display().to_string());
    match error.kind() {
        DirectoryNotEmpty => Failed::new(format!("{path}: is there already, and is not empty"))
            .hint("nothing was changed; choose another folder"),
        NotADirectory if target.is_file() => {
            Failed::new(format!("{path}: is a file, expected a folder or nothing"))
                .hint("nothing was changed; choose another folder")
        }
        NotFound | NotADirectory => {
            Failed::new(format!("{path}: the folder it should stand in is missing"))
        }
        // Without the temporary path, which says nothing to anybody.
        kind => Failed::new(format!("{path}: {kind}")),
    }
}

/// The last part of a path, the current folder's own name for `.`.
fn last_name(path: &Path) -> Option<String> {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Some(full.file_name()?.to_string_lossy().into_owned())
}

/// Who git thinks we are.
fn git_author() -> Option<String> {
    let ask = |key: &str| {
        let mut git = Command::new("git");
        let said = git
            .args(["config", key])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let said = String::from_utf8(said.output().ok()?.stdout).ok()?;
        let said = said.trim();
        (!said.is_empty()).then(|| said.to_owned())
    };
    match (ask("user.name"), ask("user.email")) {
        (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
        (name, email) => name.or(email),
    }
}

fn width(text: &str) -> Result<u32, String> {
    let number: u32 = text.parse().map_err(|_| "expected a number".to_owned())?;
    match (8..=65_536).contains(&number) && number.is_multiple_of(8) {
        true => Ok(number),
        false => Err("expected a multiple of 8 from 8 to 65536".to_owned()),
    }
}

fn text(made: &Made) -> String {
    let path = shown(&made.path);
    format!(
        "{path}: a crate for the pack `{}`, {} files\n\nnext:\n  cd {path}\n  mbhost pack build\n  \
         mbhost pack test\n",
        made.id, made.files
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_on_a_line() {
        for right in ["Medical QA Pack", "C:\\x", "\"quoted\"", "日本語"] {
            assert!(one_line("name", right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "  ",
            "a\nb",
            "a\u{1b}[2J",
            "a\u{202e}b",
            &"x".repeat(101),
        ] {
            assert!(one_line("name", wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn widths_are_multiples_of_eight() {
        assert_eq!(width("512"), Ok(512));
        for wrong in ["", "0", "12", "-8", "65544", "x"] {
            assert!(width(wrong).is_err(), "{wrong}");
        }
    }
}

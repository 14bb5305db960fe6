//! The house's rules, held by reading its source: which module may name what, how long a file
//! may be, what stands at the top.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Who may import whom within the library, besides `error`. A new line here is a design change:
/// say why in the same commit.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("plan", &[]),
    ("tensor", &["plan"]),
    ("roles", &["plan", "tensor"]),
    ("pack", &["roles", "plan", "tensor"]),
    ("store", &[]),
    // What is installed: files from the one, code from the other.
    ("packs", &["store", "pack", "roles", "plan", "tensor"]),
];

/// Crates that only one module may name.
const DOORS: &[(&str, &[&str])] = &[
    (
        "tensor",
        &["candle_core", "candle_nn", "cudarc", "rayon", "libloading"],
    ),
    ("pack", &["wasmtime", "wasmparser", "wit_component"]),
    (
        "cli",
        &["clap", "indicatif", "tracing_subscriber", "unicode_width"],
    ),
];

/// What stands at the top besides dot-places and what building leaves behind.
const TOP: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "host",
    "pack-sdk",
    "packs",
    "tests",
    "wit",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file below `folder`, sorted.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.expect("it can be listed").path();
        if path.file_name().is_some_and(|name| name == "target") {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A file's code without its comments and the insides of its texts.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("it can be read");
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => while chars.next_if(|&c| c != '\n').is_some() {},
            '"' => {
                out.push_str("\"\"");
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            // A quote as a character would open a text that never closes.
            '\'' if chars.peek() == Some(&'"') => drop(chars.next()),
            _ => out.push(c),
        }
    }
    out
}

/// The words of a file's code, with what follows each.
fn words(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = code;
    std::iter::from_fn(move || {
        let start = rest.find(is_word)?;
        let from = &rest[start..];
        let end = from.find(|c| !is_word(c)).unwrap_or(from.len());
        rest = &from[end..];
        Some((&from[..end], rest))
    })
}

/// The module of `host/src` that a file belongs to.
fn module(path: &Path) -> String {
    let inside = path
        .strip_prefix(root().join("host/src"))
        .expect("it is a host file");
    let first = inside
        .iter()
        .next()
        .expect("it has a name")
        .to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Modules of the library that a file names, by `crate::` or by climbing with `super::`.
fn imports(path: &Path, code: &str) -> BTreeSet<String> {
    let inside = path
        .strip_prefix(root().join("host/src"))
        .expect("it is a host file");
    let is_mod = inside.file_name().is_some_and(|name| name == "mod.rs");
    // How many `super`s lead from this file to the crate's root.
    let depth = inside.iter().count() - usize::from(is_mod);
    let mut found = BTreeSet::new();
    for (word, after) in words(code) {
        let rest = match word {
            "crate" => after.strip_prefix("::"),
            "super" => {
                let (mut rest, mut supers) = (after.strip_prefix("::"), 1);
                while let Some(higher) = rest.and_then(|rest| rest.strip_prefix("super::")) {
                    (rest, supers) = (Some(higher), supers + 1);
                }
                rest.filter(|_| supers >= depth)
            }
            _ => None,
        };
        let Some(rest) = rest else { continue };
        match rest.strip_prefix('{') {
            None => found.extend(words(rest).next().map(|(name, _)| name.to_owned())),
            Some(list) => {
                let (mut open, mut wanted) = (1, true);
                for (at, c) in list.char_indices() {
                    match c {
                        '{' => open += 1,
                        '}' => open -= 1,
                        ',' if open == 1 => wanted = true,
                        c if wanted && open == 1 && c.is_alphabetic() => {
                            found
                                .extend(words(&list[at..]).next().map(|(name, _)| name.to_owned()));
                            wanted = false;
                        }
                        _ => {}
                    }
                    if open == 0 {
                        break;
                    }
                }
            }
        }
    }
    found
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let known: BTreeSet<&str> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    let mut wrong = Vec::new();
    for path in sources(&root().join("host/src")) {
        let here = module(&path);
        if ["lib", "main", "cli", "error"].contains(&here.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == here) else {
            wrong.push(format!("`{here}` is not in the table"));
            continue;
        };
        for import in imports(&path, &code(&path)) {
            let fine = import == here || import == "error" || allowed.contains(&import.as_str());
            if known.contains(import.as_str()) && !fine {
                wrong.push(format!("{}: `{here}` imports `{import}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_door_alone_names_what_is_behind_it() {
    let mut wrong = Vec::new();
    for path in sources(&root().join("host/src")) {
        let here = module(&path);
        for (word, after) in words(&code(&path)) {
            let door = DOORS.iter().find(|(_, crates)| crates.contains(&word));
            if let Some((door, _)) = door
                && *door != here
                && here != "main"
                && after.starts_with("::")
            {
                wrong.push(format!("{}: `{word}` outside `{door}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_command_line_uses_the_public_face_alone() {
    let main = code(&root().join("host/src/main.rs"));
    let lib = code(&root().join("host/src/lib.rs"));
    assert!(main.contains("mod cli"), "`cli` belongs to the program");
    assert!(!lib.contains("mod cli"), "`cli` is no part of the library");
    assert!(
        main.lines().count() < 60,
        "main.rs parses, calls and prints"
    );
}

#[test]
fn files_stay_short_and_have_names_that_say_something() {
    let mut wrong = Vec::new();
    for folder in ["host", "pack-sdk", "packs", "tests", "benches"] {
        for path in sources(&root().join(folder)) {
            let lines = std::fs::read_to_string(&path)
                .expect("it can be read")
                .lines()
                .count();
            let name = path
                .file_stem()
                .expect("it has one")
                .to_string_lossy()
                .into_owned();
            if lines > 600 {
                wrong.push(format!("{}: {lines} lines", path.display()));
            }
            if ["utils", "util", "helpers", "common", "types", "misc"].contains(&name.as_str()) {
                wrong.push(format!("{}: a name that says nothing", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_top_holds_exactly_its_places() {
    let listed: BTreeSet<String> = std::fs::read_dir(root())
        .expect("the workspace is there")
        .map(|entry| {
            entry
                .expect("it can be listed")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    let expected: BTreeSet<String> = TOP.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(listed, expected);
}

#[test]
fn the_reader_of_source_sees_past_comments_texts_and_lists() {
    let path = root().join("host/src/pack/imports/network.rs");
    let found = imports(
        &path,
        "use crate::{plan::{Op, tensor}, roles}; use super::super::super::store; use super::kv;",
    );
    let expected = ["plan", "roles", "store"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));
}

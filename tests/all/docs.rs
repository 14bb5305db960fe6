//! What is written for people names commands that there are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::repository;

/// Where commands are named: files, and folders with all that is below them.
const WRITTEN: [&str; 11] = [
    "CHANGELOG.md",
    "README.md",
    "benches/README.md",
    "host/README.md",
    "host/decisions",
    "host/src/cli/pack/template",
    "packs",
    "pack-sdk/README.md",
    "pack-sdk/src",
    "tests/fuzz/README.md",
    "wit/README.md",
];

/// The files at a path, links left out: `pack-sdk/wit` leads elsewhere.
fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_symlink() {
        return;
    }
    if path.is_file() {
        return found.push(path.to_owned());
    }
    let entries = std::fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for entry in entries {
        let path = entry.expect("it can be listed").path();
        // What somebody built beside its source is nobody's writing.
        if path.extension().is_none_or(|it| it != "wasm") && !path.ends_with("target") {
            files(&path, found);
        }
    }
}

/// The verbs that `--help` lists.
fn verbs(before: &[&str]) -> Vec<String> {
    let said = Command::new(env!("CARGO_BIN_EXE_mbhost"))
        .args(before)
        .arg("--help")
        .output()
        .expect("mbhost starts");
    let said = String::from_utf8(said.stdout).expect("it prints UTF-8");
    let listed = said.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let verb = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let listed: Vec<String> = listed.filter_map(verb).collect();
    assert!(!listed.is_empty(), "`mbhost {before:?} --help`: {said}");
    listed
}

/// The commands that a text names: the words after `mbhost` up to the first that is no verb's.
/// A line's end ends nothing, for text is wrapped; what `cargo run` runs is `mbhost` too.
fn commands(text: &str) -> Vec<Vec<String>> {
    let plain = |line: &str| {
        line.trim_start_matches(['/', '!', '#', ' ', '\t'])
            .to_owned()
    };
    let text: Vec<String> = text.lines().map(plain).collect();
    let text = text.join(" ").replace("cargo run --release -- ", "mbhost ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_ours = |word: &str| word.trim_start_matches(['`', '"', '(']) == "mbhost";
    let starts = words.iter().enumerate().filter(|(_, word)| is_ours(word));
    starts
        .map(|(at, _)| verbs_after(words.iter().skip(at + 1)))
        .filter(|command| !command.is_empty())
        .collect()
}

fn verbs_after<'a>(words: impl Iterator<Item = &'a &'a str>) -> Vec<String> {
    let mut command = Vec::new();
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        // The one flag that may stand before a verb, and its value.
        if *word == "--log" {
            words.next();
            continue;
        }
        let end = word.find(|c: char| !c.is_ascii_lowercase() && c != '-');
        let verb = &word[..end.unwrap_or(word.len())];
        if verb.is_empty() || verb.starts_with('-') {
            break;
        }
        command.push(verb.to_owned());
        if end.is_some() || command.len() == 2 {
            break;
        }
    }
    command
}

#[test]
fn every_command_that_is_written_of_is_there() {
    let (top, pack) = (verbs(&[]), verbs(&["pack"]));
    let mut all = Vec::new();
    for path in WRITTEN {
        files(&repository(path), &mut all);
    }
    let (mut named, mut wrong) = (0, Vec::new());
    for path in all {
        let text = std::fs::read_to_string(&path).expect("it is text");
        for command in commands(&text) {
            named += 1;
            let known = match command.as_slice() {
                [first, second, ..] if first == "pack" => pack.contains(second),
                [first, ..] => top.contains(first),
                [] => false,
            };
            if !known {
                let command = command.join(" ");
                wrong.push(format!("{}: `mbhost {command}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "there is no\n{}", wrong.join("\n"));
    assert!(named > 20, "only {named} commands are found");
}

#[test]
fn commands_are_found_where_they_are_written() {
    let found = commands(
        "Run `mbhost pack\n/// init`, or\n//! mbhost --log pack=debug pack test x.wasm\nthen (`mbhost \
         doctor`). The program `mbhost` is\n$ cargo run --release -- pack build\nput /bin/mbhost",
    );
    let joined: Vec<String> = found.iter().map(|it| it.join(" ")).collect();
    assert_eq!(joined, ["pack init", "pack test", "doctor", "pack build"]);
}

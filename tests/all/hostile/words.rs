//! What a hostile pack says, as `mbhost` prints it.

use std::path::Path;
use std::process::Command;

use super::case::told;
use crate::support::{Gguf, Source};

/// All that a command prints, on both of its outputs.
fn printed(arguments: &[&str], pack: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbhost"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MBHOST_") {
            command.env_remove(name);
        }
    }
    let ran = command.args(arguments).arg(pack).output();
    let ran = ran.expect("mbhost starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    text(ran.stdout) + &text(ran.stderr)
}

/// Prints `source` and finds nothing in it that steers a terminal, but all of `words`.
#[track_caller]
fn says(arguments: &[&str], source: &Source, words: &[&str]) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("pack.wasm");
    std::fs::write(&path, source.bytes()).expect("there is room");
    let said = printed(arguments, &path);
    let steers = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
    assert!(!said.contains(steers), "{arguments:?}: {said:?}");
    for words in words {
        assert!(
            said.contains(words),
            "{arguments:?}: {words} is not in\n{said}"
        );
    }
}

#[test]
fn what_a_pack_is_called_steers_no_terminal() {
    let weights = Gguf::new().floats("no\u{1b}[2J\u{202e}rm", &[8], |_| 1.0);
    let pack = told("good", "be good").name("Medical\u{202e}lacideM");
    let pack = pack.weights(weights);
    let name = "Medical\\u{202e}lacideM";
    says(&["pack", "inspect"], &pack, &[name]);
    let tensor = "no\\u{1b}[2J\\u{202e}rm";
    says(&["pack", "inspect", "--tensors"], &pack, &[name, tensor]);
    let json = ["Medical\\u202elacideM", "no\\u001b[2J\\u202erm"];
    says(&["pack", "inspect", "--json"], &pack, &json);
    says(&["--log", "trace", "pack", "test"], &pack, &["FAILED"]);
    says(&["pack", "test", "--json"], &pack, &["failed"]);
}

#[test]
fn what_a_pack_logs_and_panics_with_steers_no_terminal() {
    let pack = told("effort", "steer the terminal");
    let words = "\\u{1b}[2J\\u{1b}]0;owned";
    // Once in the log, once in the report.
    let log = &["ERROR", "FAILED", words];
    says(&["--log", "trace", "pack", "test"], &pack, log);
    says(&["pack", "test"], &pack, &["`forward` panicked", words]);
    says(&["pack", "test", "--json"], &pack, &["`forward` panicked"]);
    let refused = "`load` refused: not today\\u{1b}[2J";
    says(&["pack", "test"], &told("effort", "refuse"), &[refused]);
}

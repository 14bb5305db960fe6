//! Several commands at once: each does what it was asked for or says why not, and the store is
//! sound at every moment.

use std::path::Path;
use std::thread;

use super::{folder, installed, pack, put, quiet, store};
use crate::support::{Source, guest};

/// Runs all of them at once; gives how they ended.
fn at_once(folder: &Path, commands: &[Vec<&str>]) -> Vec<(Option<i32>, String)> {
    thread::scope(|scope| {
        let running: Vec<_> = commands
            .iter()
            .map(|words| scope.spawn(|| pack(folder, words)))
            .collect();
        let ended = running.into_iter().map(|it| it.join().expect("it runs"));
        ended.map(|it| (it.code, it.err)).collect()
    })
}

/// What must be true after everything.
fn is_sound(folder: &Path) {
    pack(folder, &["verify"]).good();
    let files = store(folder);
    let staged = files
        .keys()
        .any(|it| it.parent().is_some_and(|it| it.ends_with("staging")));
    assert!(!staged, "{:?}", files.keys());
    assert!(
        pack(folder, &["gc"])
            .good()
            .starts_with("there was nothing to remove")
    );
}

#[test]
fn the_same_pack_added_by_two_is_there_once() {
    let dir = folder();
    put(dir.path(), "quiet.wasm", &quiet("1.0.0"));
    let add = || vec!["add", "quiet.wasm", "--yes"];
    for (code, err) in at_once(dir.path(), &[add(), add(), add(), add()]) {
        assert_eq!(code, Some(0), "{err}");
    }
    assert_eq!(installed(dir.path()), ["quiet 1.0.0*"]);
    is_sound(dir.path());
}

#[test]
fn different_packs_added_at_once_are_all_there() {
    let dir = folder();
    let ids = ["one", "two", "three", "four"];
    for id in ids {
        put(
            dir.path(),
            &format!("{id}.wasm"),
            &Source::new(id, guest("good")),
        );
    }
    let files = ids.map(|id| format!("{id}.wasm"));
    let commands: Vec<_> = files.iter().map(|it| vec!["add", it, "--yes"]).collect();
    for (code, err) in at_once(dir.path(), &commands) {
        assert_eq!(code, Some(0), "{err}");
    }
    assert_eq!(
        installed(dir.path()),
        ["four 1.2.3*", "one 1.2.3*", "three 1.2.3*", "two 1.2.3*"]
    );
    is_sound(dir.path());
}

#[test]
fn adding_and_removing_at_once_leaves_either() {
    let dir = folder();
    put(dir.path(), "quiet.wasm", &quiet("1.0.0"));
    for round in 0..10 {
        let commands = [
            vec!["add", "quiet.wasm", "--yes"],
            vec!["rm", "quiet"],
            vec!["list"],
            vec!["gc"],
        ];
        let ended = at_once(dir.path(), &commands);
        for (command, (code, err)) in commands.iter().zip(&ended) {
            let excuse = match command[0] {
                "add" => err.contains("the store changed in the meantime"),
                "rm" => err.contains("is not installed"),
                _ => false,
            };
            assert!(
                *code == Some(0) || excuse,
                "round {round}, {command:?}: {err}"
            );
        }
        let now = installed(dir.path());
        assert!(now.is_empty() || now == ["quiet 1.0.0*"], "{now:?}");
        pack(dir.path(), &["verify"]).good();
    }
    pack(dir.path(), &["gc"]).good();
    is_sound(dir.path());
}

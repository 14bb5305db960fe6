//! A process of its own, which the other modules start, and may kill: this test binary again, told
//! by its environment what to do.

use std::env;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use modularbase::store::{Interfaces, Store, StoreError};

use super::{add, remove, unwatched};

const VERB: &str = "STORE_TEST_VERB";
const STORE: &str = "STORE_TEST_STORE";
const ARGUMENT: &str = "STORE_TEST_ARGUMENT";

/// A command that does one thing with a store.
pub fn command(verb: &str, store: &Path, argument: impl AsRef<Path>) -> Command {
    let mut command = Command::new(env::current_exe().expect("it runs"));
    command
        .args([
            "--exact",
            "store::child::the_child",
            "--ignored",
            "--nocapture",
        ])
        .args(["--test-threads", "1"])
        .env(VERB, verb)
        .env(STORE, store)
        .env(ARGUMENT, argument.as_ref());
    command
}

#[test]
#[ignore = "a process that other tests start"]
fn the_child() {
    let variable = |name| env::var_os(name).expect("other tests start this");
    let store = Store::open(variable(STORE)).expect("it is sound");
    let argument = PathBuf::from(variable(ARGUMENT));
    let word = || argument.to_str().expect("it is text");
    match variable(VERB).to_str().expect("it is text") {
        "add" => drop(add(&store, &argument).expect("it can be added")),
        "rm" => drop(remove(&store, word()).expect("it can be removed")),
        "churn" => churn(&store, &argument),
        "sweep" => {
            for _ in 0..word().parse().expect("it is a number") {
                store.sweep().expect("the store is sound");
            }
        }
        "stage" => {
            let staged = store.stage(&argument, &unwatched).expect("it is sound");
            wait("staged");
            let mut change = store.change().expect("the store is sound");
            let added = change.add(staged, &Interfaces::default(), false);
            added.expect("the copy is still there");
            change.commit().expect("there is room");
        }
        "lock" => {
            let change = store.change().expect("the store is sound");
            wait("locked");
            drop(change);
        }
        "full" => super::disks::fill(&store, &argument),
        "read-only" => super::disks::read_only(&store, &argument),
        verb => panic!("{verb} is no verb"),
    }
}

/// Says where it is, and waits until somebody answers.
fn wait(at: &str) {
    println!("{at}");
    std::io::stdout().flush().expect("somebody reads");
    let line = std::io::stdin().lock().lines().next();
    line.expect("somebody answers").expect("in text");
}

/// Adds, removes and reads packs of a folder, in an order of its own.
fn churn(store: &Store, packs: &Path) {
    let paths = std::fs::read_dir(packs).expect("it is there");
    let mut paths: Vec<PathBuf> = paths.map(|it| it.expect("it is there").path()).collect();
    paths.sort();
    let mut chance = super::crash::Chance::new(u64::from(std::process::id()));
    for _ in 0..40 {
        let path = &paths[chance.below(paths.len())];
        let name = path.file_stem().expect("it has one");
        let (id, _) = name
            .to_str()
            .and_then(|it| it.split_once('_'))
            .expect("so they are named");
        match chance.below(3) {
            0 => drop(remove(store, id).expect("the store is sound")),
            1 => match add(store, path) {
                // Another process has added the other pack of this version.
                Ok(_) | Err(StoreError::OtherContent { .. }) => {}
                Err(error) => panic!("{}: {error}", path.display()),
            },
            _ => {
                for entry in store.contents().expect("the index is whole").entries() {
                    let read = store.open_pack(entry).map(drop);
                    match read.and_then(|()| store.verify(entry, &unwatched)) {
                        Ok(()) | Err(StoreError::NotKept { .. }) => {}
                        Err(error) => panic!("{}: {error}", entry.id),
                    }
                }
            }
        }
    }
}

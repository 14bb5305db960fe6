//! `mbhost pack add` and `pack rm`, killed at any moment: with the compiler, the code cache and all
//! else that a command has besides the store.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use modularbase::packs::Allow;

use super::crash::kill;
use crate::packs::{Home, good};
use crate::support::{self, guest};

/// A home with one pack that is not to be touched.
fn home() -> Home {
    let home = Home::new();
    let bystander = support::Source::new("bystander", guest("good"));
    home.add(&bystander).expect("it may be added");
    home
}

/// A file of a version of the pack that comes and goes.
fn victim(home: &Home, version: &str) -> PathBuf {
    let path = home
        .folder
        .path()
        .join(version)
        .with_added_extension("wasm");
    std::fs::write(&path, good(version).bytes()).expect("a file");
    path
}

fn command(home: &Home, verb: &str, what: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mbhost"));
    command
        .args(["pack", verb])
        .arg(what)
        .env("MBHOST_HOME", home.folder.path().join("home"))
        .env("MBHOST_YES", "1")
        .stderr(Stdio::null());
    command
}

fn bystander_is_well(home: &Home) {
    let name = "bystander".parse().expect("a name");
    home.packs.load(&name).expect("it was not touched");
}

#[test]
fn a_killed_pack_add_leaves_a_whole_store() {
    let home = home();
    let victims = ["1.0.0", "1.1.0"].map(|it| victim(&home, it));
    let left = kill(&home.places.store(), |round| {
        if round % 2 == 0 {
            // Gone already, when the round before was killed early.
            let _ = home.packs.remove(&"good".parse().expect("a name"));
        }
        if round % 8 == 0 {
            // So that it is compiled now and then, which takes longest.
            let _ = std::fs::remove_dir_all(home.places.code());
        }
        command(&home, "add", &victims[round % 2])
    });
    assert!(left > 0, "no kill came in the middle of anything");
    bystander_is_well(&home);
}

#[test]
fn a_killed_pack_rm_leaves_a_whole_store() {
    let home = home();
    kill(&home.places.store(), |round| {
        let allow = Allow {
            downgrade: true,
            ..Allow::default()
        };
        for version in ["1.0.0", "1.1.0"] {
            home.add_with(&good(version), allow)
                .expect("it may be added");
        }
        match round % 2 {
            0 => command(&home, "rm", Path::new("good")),
            _ => command(&home, "rm", Path::new("good@1.1.0")),
        }
    });
    bystander_is_well(&home);
}

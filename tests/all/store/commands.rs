//! `mbhost pack add` and `pack rm`, killed at any moment: with the compiler, the code cache and all
//! else that a command has besides the store.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use modularbase::packs::{Allow, Packs, Source};
use modularbase::store::Places;

use super::crash::kill;
use crate::support::{self, guest};

/// A home with one pack that is not to be touched, and files of two versions of another.
struct Home {
    folder: tempfile::TempDir,
    places: Places,
    packs: Packs,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let places = Places::below(&folder.path().join("home")).expect("it is a path");
        let packs = Packs::open(&places).expect("an empty store");
        let home = Self {
            folder,
            places,
            packs,
        };
        for (id, version) in [
            ("bystander", "1.0.0"),
            ("victim", "1.0.0"),
            ("victim", "1.1.0"),
        ] {
            let pack = support::Source::new(id, guest("good")).version(version);
            let file = home.file(&format!("{id}-{version}"));
            std::fs::write(file, pack.bytes()).expect("a file");
        }
        home.add("bystander-1.0.0");
        home
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).with_added_extension("wasm")
    }

    fn add(&self, name: &str) {
        let source = Source::File(self.file(name));
        let allow = Allow {
            downgrade: true,
            ..Allow::default()
        };
        let candidate = self.packs.consider(&source, allow, &|_, _| {});
        let candidate = candidate.expect("it may be added");
        candidate.install(false).expect("it is added");
    }

    fn command(&self, verb: &str, what: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mbhost"));
        command
            .args(["pack", verb])
            .arg(what)
            .env("MBHOST_HOME", self.folder.path().join("home"))
            .env("MBHOST_YES", "1")
            .stderr(Stdio::null());
        command
    }

    fn bystander_is_well(&self) {
        let name = "bystander".parse().expect("a name");
        self.packs.load(&name).expect("it was not touched");
    }
}

#[test]
fn a_killed_pack_add_leaves_a_whole_store() {
    let home = Home::new();
    let left = kill(&home.places.store(), |round| {
        if round % 2 == 0 {
            // Gone already, when the round before was killed early.
            let _ = home.packs.remove(&"victim".parse().expect("a name"));
        }
        if round % 8 == 0 {
            // So that it is compiled now and then, which takes longest.
            let _ = std::fs::remove_dir_all(home.places.code());
        }
        home.command("add", &home.file(&format!("victim-1.{}.0", round % 2)))
    });
    assert!(left > 0, "no kill came in the middle of anything");
    home.bystander_is_well();
}

#[test]
fn a_killed_pack_rm_leaves_a_whole_store() {
    let home = Home::new();
    kill(&home.places.store(), |round| {
        home.add("victim-1.0.0");
        home.add("victim-1.1.0");
        match round % 2 {
            0 => home.command("rm", Path::new("victim")),
            _ => home.command("rm", Path::new("victim@1.1.0")),
        }
    });
    home.bystander_is_well();
}

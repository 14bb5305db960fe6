//! Disks that are full, and disks that cannot be written. Both are mounted for a child alone, where
//! the system lets us.

use std::path::Path;
use std::process::{Command, Output};

use modularbase::store::{Interfaces, Store, StoreError};

use super::child;
use super::{Home, Source, add, expected_listing, listing, remove, unwatched, verify_all, words};

/// Runs a child where a shell's words were done first, such as mounting something. Nothing when
/// the system does not let us.
fn run_after(words: &str, child: &Command) -> Option<Output> {
    for options in [&["-m"][..], &["-r", "-m"]] {
        let mut trial = Command::new("unshare");
        let trial = trial.args(options).args(["sh", "-c", words]);
        if !trial.output().is_ok_and(|it| it.status.success()) {
            continue;
        }
        let mut command = Command::new("unshare");
        command.args(options).args(["sh", "-c"]);
        command.arg(format!("{words} && exec \"$0\" \"$@\""));
        command.arg(child.get_program()).args(child.get_args());
        for (name, value) in child.get_envs() {
            command.env(name, value.expect("it is set"));
        }
        return Some(command.output().expect("it can be run"));
    }
    None
}

fn assert_success(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(
        text.contains("1 passed"),
        "it did something: {text}\n{errors}"
    );
}

#[test]
fn a_full_disk_loses_nothing() {
    let home = Home::new();
    let disk = home.path("disk");
    std::fs::create_dir(&disk).expect("there is room");
    home.pack(&Source::new("small", "1.0.0"));
    home.pack(&Source {
        weights: 1 << 20,
        ..Source::new("large", "1.0.0")
    });
    let words = format!(
        "mount -t tmpfs -o size=2m,mode=700 tmpfs {}",
        disk.display()
    );
    let child = child::command("full", &disk.join("store"), home.path(""));
    match run_after(&words, &child) {
        Some(output) => assert_success(&output),
        None => println!("skipped: no disk of our own can be mounted here"),
    }
}

/// What the child does, on a disk of 2 MiB.
pub fn fill(store: &Store, packs: &Path) {
    let small = packs.join("small-1.0.0.wasm");
    add(store, &small).expect("there is room for it");
    let before = listing(store.root());

    let error = add(store, &packs.join("large-1.0.0.wasm")).expect_err("4 MiB on 2 MiB");
    let text = words(&error);
    assert!(matches!(error, StoreError::Io { .. }), "{text}");
    assert!(
        text.contains("No space left on device") && text.contains("free some space"),
        "{text}"
    );
    assert_eq!(listing(store.root()), before, "the copy is gone");

    // Room for the copy, and none for what comes with it; and then for a little more of that.
    let ballast = store.root().with_file_name("ballast");
    let page = 4096;
    let medium = packs.join("medium-1.0.0.wasm");
    Source::new("medium", "1.0.0").write(&medium);
    let mut refused = 0;
    let mut room = 0;
    loop {
        let staged = store
            .stage(&medium, &unwatched)
            .expect("there is room for it");
        fill_up(&ballast, room);
        let added = store.change().and_then(|mut change| {
            change.add(staged, &Interfaces::default(), false)?;
            change.commit()
        });
        std::fs::remove_file(&ballast).expect("it is ours");
        match added {
            Ok(()) => break,
            Err(error) => assert!(words(&error).contains("No space left"), "{error}"),
        }
        assert_eq!(listing(store.root()), before, "{room} bytes of room");
        assert_eq!(verify_all(store), 1);
        (refused, room) = (refused + 1, room + page);
    }
    assert!(refused > 0, "config, manifest and index need room");
    assert_eq!(verify_all(store), 2);

    // Removing needs a little room itself; without any, nothing is lost.
    let before = listing(store.root());
    fill_up(&ballast, 0);
    let error = remove(store, "small").expect_err("there is no room for an index");
    assert!(words(&error).contains("No space left"), "{error}");
    std::fs::remove_file(&ballast).expect("it is ours");
    assert_eq!(listing(store.root()), before);
    remove(store, "small").expect("there is room");
    assert_eq!(listing(store.root()), expected_listing(store.root()));
    assert_eq!(verify_all(store), 1);
}

/// Takes all of a disk's room but a little.
fn fill_up(ballast: &Path, room: u64) {
    use std::io::Write;

    let mut file = std::fs::File::create(ballast).expect("a name needs no room");
    while file.write(&[1; 4096]).is_ok() {}
    let length = file.metadata().expect("it is open").len();
    file.set_len(length - room).expect("it can be cut");
}

#[test]
fn a_disk_that_cannot_be_written_is_read_all_the_same() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0");
    home.pack(&Source::new("b", "1.0.0"));
    // One that has to be hashed, and whose new stamp cannot be noted.
    let blob = home.inside(&format!("blobs/sha256/{}", entry.digest));
    let bytes = std::fs::read(&blob).expect("it is there");
    std::fs::remove_file(&blob).expect("it is ours");
    std::fs::write(&blob, bytes).expect("there is room");
    let before = listing(home.store().root());

    let disk = home.path("store");
    let disk = disk.display();
    let words = format!("mount --bind {disk} {disk} && mount -o remount,bind,ro {disk}");
    let child = child::command("read-only", &home.path("store"), home.path(""));
    match run_after(&words, &child) {
        Some(output) => assert_success(&output),
        None => println!("skipped: nothing can be mounted here"),
    }
    assert_eq!(listing(home.store().root()), before);
}

/// What the child does, with a store that cannot be written.
pub fn read_only(store: &Store, packs: &Path) {
    assert_eq!(verify_all(store), 1);
    let hint = |error: StoreError| {
        let text = words(&error);
        assert!(text.contains("Read-only file system"), "{text}");
        assert!(text.contains("MBHOST_HOME"), "{text}");
    };
    hint(add(store, &packs.join("b-1.0.0.wasm")).expect_err("nothing can be written"));
    hint(remove(store, "a").expect_err("nothing can be written"));
    hint(store.sweep().expect_err("nothing can be removed"));
    assert_eq!(verify_all(store), 1);
}

//! What should not be there, or is not what it should be: files, folders, links, blobs, sources.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::{Home, Source, add, listing, remove, unwatched, verify_all, words};

/// What opening the store, reading it or changing it says, which has to be the same.
pub fn refused(home: &Home) -> String {
    let read = home.try_store().and_then(|store| store.contents());
    let read = words(&read.expect_err("it cannot be believed"));
    let changed = home.try_store().and_then(|store| store.change());
    assert_eq!(words(&changed.expect_err("it cannot be believed")), read);
    let swept = home.try_store().and_then(|store| store.sweep());
    assert_eq!(words(&swept.expect_err("it cannot be believed")), read);
    read
}

pub fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text}\nlacks: {part}");
    }
}

#[test]
fn a_file_in_place_of_the_store() {
    let home = Home::new();
    fs::write(home.path("store"), "mine").expect("there is room");
    contains(&refused(&home), &["/store: is a file, expected a folder"]);
    fs::remove_file(home.path("store")).expect("it is ours");
    symlink(home.path("nowhere"), home.path("store")).expect("there is room");
    contains(
        &refused(&home),
        &["/store: is a link to nothing, expected a folder"],
    );
}

#[test]
fn a_folder_of_somebody_else() {
    let home = Home::new();
    fs::create_dir(home.path("store")).expect("there is room");
    fs::write(home.inside("th\u{1b}esis.txt"), "mine").expect("there is room");
    let before = home.listing();
    let pack = home.pack(&Source::new("a", "1.0.0"));
    let text = refused(&home);
    contains(
        &text,
        &[
            "holds `th\\u{1b}esis.txt` and no `oci-layout`",
            "MBHOST_HOME",
        ],
    );
    let added = home.try_store().and_then(|store| add(&store, &pack));
    assert_eq!(words(&added.expect_err("it is not ours")), text);
    assert_eq!(home.listing(), before, "nothing was written");
}

#[test]
fn blobs_that_are_missing_or_damaged() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0");
    let other = home.keep("b", "1.0.0");
    let store = home.store();
    let blob = home.inside(&format!("blobs/sha256/{}", entry.digest));
    let bytes = fs::read(&blob).expect("it is there");
    fs::remove_file(&blob).expect("it is ours");
    let again = "adding the same file again";
    for error in [
        store.open_pack(&entry).expect_err("it is missing"),
        store.verify(&entry, &unwatched).expect_err("it is missing"),
    ] {
        contains(
            &words(&error),
            &["pack `a` 1.0.0: pack file is missing: ", again],
        );
    }

    // Every eighth byte, which covers every section.
    for at in (0..bytes.len()).step_by(8) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 7);
        fs::write(&blob, &damaged).expect("there is room");
        for error in [
            store.open_pack(&entry).expect_err("it is damaged"),
            store.verify(&entry, &unwatched).expect_err("it is damaged"),
        ] {
            let expected = format!("expected {}", entry.digest);
            contains(
                &words(&error),
                &["pack `a` 1.0.0: pack file has digest", &expected, again],
            );
        }
    }
    fs::write(&blob, &bytes[1..]).expect("there is room");
    let text = words(&store.open_pack(&entry).expect_err("it is damaged"));
    contains(&text, &["pack file has", "bytes, expected"]);

    // The others are as they were, and a damaged one can be removed.
    store.open_pack(&other).expect("it is whole");
    assert_eq!(remove(&store, "a").expect("it is listed").len(), 1);
    assert_eq!(verify_all(&store), 1);
    assert!(!blob.exists());
}

#[test]
fn nothing_is_swept_while_it_is_unknown_what_is_referred_to() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0");
    home.keep("b", "1.0.0");
    let descriptor = &home.index().manifests[0];
    let manifest = descriptor.digest.sha256().expect("it is one");
    let manifest = home.inside(&format!("blobs/sha256/{manifest}"));
    fs::remove_file(&manifest).expect("it is ours");
    let store = home.store();
    let before = home.listing();
    let text = words(&store.sweep().expect_err("it is unknown"));
    contains(
        &text,
        &[
            "pack `a` 1.0.0: image manifest is missing",
            "mbhost pack rm",
        ],
    );
    assert_eq!(home.listing(), before);
    // Removing the other is possible all the same; its blobs wait.
    assert_eq!(remove(&store, "b").expect("it is kept").len(), 1);
    assert_eq!(home.listing(), before);
    remove(&store, &entry.id).expect("it is listed");
    assert_eq!(store.contents().expect("it is sound").entries().len(), 0);
    store.sweep().expect("nothing is unknown");
    assert!(
        home.listing().iter().all(|it| it.len() < 64),
        "{:?}",
        home.listing()
    );
}

#[test]
fn links_where_files_should_be() {
    for name in [
        "index.json",
        "lock",
        "oci-layout",
        "staging",
        "blobs",
        "blobs/sha256",
    ] {
        let home = Home::new();
        let entry = home.keep("a", "1.0.0");
        let away = home.path("away");
        fs::rename(home.inside(name), &away).expect("it is ours");
        symlink(&away, home.inside(name)).expect("there is room");
        let before = (home.listing(), listing(&away));
        let pack = home.pack(&Source::new("b", "1.0.0"));
        let result = home.try_store().and_then(|store| add(&store, &pack));
        let text = words(&result.expect_err("it is a link"));
        contains(&text, &[&format!("/store/{name}: is a link, expected a ")]);
        assert_eq!((home.listing(), listing(&away)), before, "{name}");
        if name.starts_with("blobs") {
            let store = home.store();
            for result in [
                store.open_pack(&entry).map(drop),
                store.verify(&entry, &unwatched),
                store.sweep().map(drop),
            ] {
                contains(&words(&result.expect_err("it is a link")), &["is a link"]);
            }
        }
    }
    let home = Home::new();
    let entry = home.keep("a", "1.0.0");
    let blob = home.inside(&format!("blobs/sha256/{}", entry.digest));
    fs::rename(&blob, home.path("away")).expect("it is ours");
    symlink(home.path("away"), &blob).expect("there is room");
    let store = home.store();
    for result in [
        store.open_pack(&entry).map(drop),
        store.verify(&entry, &unwatched),
    ] {
        let text = words(&result.expect_err("it is a link"));
        contains(&text, &["is a link, expected a regular file"]);
    }
}

#[test]
fn folders_and_pipes_where_files_should_be() {
    for name in ["index.json", "lock", "oci-layout"] {
        let home = Home::new();
        home.keep("a", "1.0.0");
        let path = home.inside(name);
        fs::remove_file(&path).expect("it is ours");
        fs::create_dir(&path).expect("there is room");
        let change = || home.try_store().and_then(|store| store.change().map(drop));
        let text = words(&change().expect_err("it is a folder"));
        contains(
            &text,
            &[&format!("/{name}: is a folder, expected a regular file")],
        );
        fs::remove_dir(&path).expect("it is ours");
        pipe(&path);
        let text = words(&change().expect_err("it is a pipe"));
        contains(&text, &[&format!("/{name}: is a device, pipe or socket")]);
    }
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.expect("it can be run").success());
}

#[test]
fn sources_that_are_no_packs() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    let store = home.store();
    let before = (home.listing(), home.index());
    let refused = |name: &str, expected: &[&str]| {
        let path = home.path(name);
        let text = words(&add(&store, &path).expect_err("it is no pack"));
        contains(&text, expected);
        contains(&text, &[&path.display().to_string()]);
        assert_eq!((home.listing(), home.index()), before, "{name}");
    };
    refused("nowhere.wasm", &["No such file"]);
    fs::create_dir(home.path("folder")).expect("there is room");
    refused("folder", &["is a folder, expected a regular file"]);
    pipe(&home.path("pipe"));
    refused(
        "pipe",
        &["is a device, pipe or socket, expected a regular file"],
    );
    fs::write(home.path("empty"), "").expect("there is room");
    refused("empty", &["expected a WebAssembly component"]);
    fs::write(home.path("text"), "a pack, I swear").expect("there is room");
    refused("text", &["expected a WebAssembly component"]);
    let pack = fs::read(home.path("a-1.0.0.wasm")).expect("it is there");
    fs::write(home.path("cut"), &pack[..pack.len() - 9]).expect("there is room");
    refused("cut", &["cut short"]);
    let text = words(
        &store
            .stage_bytes(b"no", "built-in".as_ref())
            .expect_err("no"),
    );
    contains(&text, &["built-in: "]);
    assert_eq!((home.listing(), home.index()), before);

    // A link to a pack is as good as the pack.
    symlink(home.pack(&Source::new("b", "1.0.0")), home.path("link")).expect("there is room");
    add(&store, &home.path("link")).expect("it leads to a pack");
}

#[test]
fn a_source_that_changes_while_it_is_read() {
    let home = Home::new();
    let store = home.store();
    let source = Source {
        weights: 6 << 20,
        ..Source::new("large", "1.0.0")
    };
    let path = home.pack(&source);
    let whole = fs::read(&path).expect("it is there");
    let other = home.path("other");
    let changes: [&dyn Fn(); 5] = [
        &|| {
            let file = fs::File::options().append(true).open(&path);
            let mut file = file.expect("it is ours");
            std::io::Write::write_all(&mut file, b"more").expect("there is room");
        },
        &|| {
            let file = fs::File::options().write(true).open(&path);
            file.expect("it is ours")
                .set_len(20 << 20)
                .expect("it can be cut");
        },
        &|| fs::write(&path, &whole).expect("there is room"),
        &|| {
            fs::write(&other, &whole).expect("there is room");
            fs::rename(&other, &path).expect("it is ours");
        },
        &|| fs::remove_file(&path).expect("it is ours"),
    ];
    for (number, change) in changes.iter().enumerate() {
        fs::write(&path, &whole).expect("there is room");
        // Times of files are the kernel's ticks apart.
        thread::sleep(Duration::from_millis(20));
        let watch = |done, _| {
            if done == 8 << 20 {
                change();
            }
        };
        let text = words(&store.stage(&path, &watch).expect_err("it changed"));
        contains(&text, &["large-1.0.0.wasm: changed while it was read"]);
        let left = listing(&home.inside("staging"));
        assert!(left.is_empty(), "change {number} left {left:?}");
    }
    fs::write(&path, &whole).expect("there is room");
    add(&store, &path).expect("it stays the same");
}

#[test]
fn a_file_that_lies_there_is_no_lock() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    let store = home.store();
    fs::write(home.inside("lock"), "pid 1").expect("there is room");
    let began = Instant::now();
    drop(store.change().expect("nobody holds it"));
    assert!(began.elapsed() < Duration::from_secs(10));
    fs::remove_file(home.inside("lock")).expect("it is ours");
    drop(store.change().expect("nobody holds it"));
}

#[test]
fn sweeping_leaves_what_it_does_not_know() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    let store = home.store();
    let hex = "0".repeat(64);
    let kept = [
        "staging/notes.txt".to_owned(),
        "staging/new-short".to_owned(),
        "blobs/sha256/README".to_owned(),
        format!("blobs/sha256/{}", hex.replace('0', "A")),
        "blobs/sha512".to_owned(),
    ];
    for name in &kept {
        fs::write(home.inside(name), "mine").expect("there is room");
    }
    let link = format!("blobs/sha256/{hex}");
    symlink(home.path("a-1.0.0.wasm"), home.inside(&link)).expect("there is room");
    fs::create_dir(home.inside("staging/new-abcdefghijkl")).expect("there is room");
    let before = home.listing();
    fs::write(home.inside("staging/new-ABCdef012345"), "orphan").expect("there is room");
    let blob = format!("blobs/sha256/{}", hex.replace('0', "f"));
    fs::write(home.inside(&blob), "orphaned").expect("there is room");
    let swept = store.sweep().expect("it is sound");
    assert_eq!((swept.files, swept.bytes), (2, 14));
    assert_eq!(home.listing(), before);
    assert_eq!(store.sweep().expect("it is sound").files, 0);
}

#[test]
fn a_store_that_was_being_made_is_finished() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    fs::remove_file(home.inside("oci-layout")).expect("it is ours");
    assert_eq!(verify_all(&home.store()), 1);
    home.keep("b", "1.0.0");
    assert!(home.inside("oci-layout").exists());
    for unfinished in [&["staging"][..], &["staging", "blobs"]] {
        let home = Home::new();
        fs::create_dir(home.path("store")).expect("there is room");
        for name in unfinished {
            fs::create_dir(home.inside(name)).expect("there is room");
        }
        assert!(
            home.store()
                .contents()
                .expect("it is empty")
                .entries()
                .is_empty()
        );
        home.keep("a", "1.0.0");
        assert_eq!(verify_all(&home.store()), 1);
    }
}

//! What is added, listed, opened, replaced and removed.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use modularbase::store::{Added, Contents, Interfaces, Store, StoreError};
use modularbase_format::PrivateKey;

use super::{Home, Source, add, expected_listing, remove, unwatched, verify_all, version, words};

fn listed(contents: &Contents) -> Vec<String> {
    let line = |it: &modularbase::store::Entry| {
        let mark = if it.in_use { " *" } else { "" };
        format!("{}@{}{mark}", it.id, it.version)
    };
    contents.entries().iter().map(line).collect()
}

fn contents(store: &Store) -> Contents {
    store.contents().expect("the index is whole")
}

#[test]
fn a_folder_that_is_not_there_is_an_empty_store_and_stays_away() {
    let home = Home::new();
    let store = home.store();
    assert!(contents(&store).entries().is_empty());
    assert_eq!(store.sweep().expect("nothing to do").files, 0);
    assert!(!home.path("store").exists(), "reading makes nothing");
    let change = store.change().expect("it can be changed");
    change.commit().expect("nothing is changed");
    assert!(
        !home.inside("index.json").exists(),
        "nor does changing nothing"
    );
    assert!(contents(&home.store()).entries().is_empty());
}

#[test]
fn an_added_pack_is_kept_byte_for_byte() {
    let home = Home::new();
    let key = PrivateKey::generate().expect("there is chance");
    let source = Source {
        key: Some(&key),
        ..Source::new("borrow", "1.2.3")
    };
    let (store, path) = (home.store(), home.pack(&source));
    let before = SystemTime::now();
    assert_eq!(add(&store, &path).expect("it is sound"), Added::New);

    let contents = contents(&store);
    let [entry] = contents.entries() else {
        panic!("{contents:?}");
    };
    let bytes = fs::read(&path).expect("it is there");
    assert_eq!(
        (entry.id.as_str(), &entry.version),
        ("borrow", &version("1.2.3"))
    );
    assert_eq!(entry.size, bytes.len() as u64);
    assert_eq!(entry.publisher, Some(key.publisher()));
    assert!(entry.in_use && !entry.hooks_allowed);
    let added = SystemTime::UNIX_EPOCH + Duration::from_secs(entry.added + 1);
    assert!(added > before && added < before + Duration::from_secs(60));
    let opened = store.open_pack(entry).expect("it is kept");
    assert_eq!(&opened.map()[..], &bytes);
    assert_eq!(opened.digest(), entry.digest);
    let told = RefCell::new(Vec::new());
    let watch = |done, total| told.borrow_mut().push((done, total));
    store.verify(entry, &watch).expect("it is whole");
    assert_eq!(told.borrow().last(), Some(&(entry.size, entry.size)));

    let blob = home.inside(&format!("blobs/sha256/{}", entry.digest));
    let mode = |path: &std::path::Path| {
        let metadata = fs::metadata(path).expect("it is there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(&blob), 0o444);
    assert_eq!(home.listing(), expected_listing(store.root()));
}

#[test]
fn the_copy_is_what_counts_and_goes_when_it_is_not_wanted() {
    let home = Home::new();
    let store = home.store();
    let path = home.pack(&Source::new("a", "1.0.0"));
    let staged = store.stage(&path, &unwatched).expect("it is sound");
    let digest = staged.file().digest();
    fs::write(&path, b"something else").expect("it can be written");
    let mut change = store.change().expect("nobody else is there");
    let added = change.add(staged, &Interfaces::default(), true);
    added.expect("the copy is as it was");
    change.commit().expect("there is room");
    let kept = contents(&store);
    let kept = kept.find("a", &version("1.0.0")).expect("it is kept");
    assert_eq!(kept.digest, digest);
    assert!(kept.hooks_allowed);
    verify_all(&store);

    let before = home.listing();
    let other = home.pack(&Source::new("b", "1.0.0"));
    let staged = store.stage(&other, &unwatched).expect("it is sound");
    assert_eq!(home.listing().len(), before.len() + 1);
    drop(staged);
    assert_eq!(home.listing(), before);
    let staged = store.stage(&other, &unwatched).expect("it is sound");
    let mut change = store.change().expect("nobody else is there");
    let added = change.add(staged, &Interfaces::default(), false);
    assert_eq!(added.expect("it is new"), Added::New);
    assert_eq!(listed(change.contents()), ["a@1.0.0 *", "b@1.0.0 *"]);
    drop(change);
    assert_eq!(home.listing(), before, "dropped is not committed");
    assert_eq!(listed(&contents(&store)), ["a@1.0.0 *"]);
}

#[test]
fn a_pack_in_memory_is_added_like_one_in_a_file() {
    let home = Home::new();
    let path = home.pack(&Source::new("a", "1.0.0"));
    let bytes = fs::read(&path).expect("it is there");
    let store = home.store();
    let staged = store.stage_bytes(&bytes, "built-in".as_ref());
    let staged = staged.expect("it is sound");
    assert_eq!(staged.file().path(), std::path::Path::new("built-in"));
    let mut change = store.change().expect("nobody else is there");
    let added = change.add(staged, &Interfaces::default(), false);
    added.expect("it is new");
    change.commit().expect("there is room");
    assert_eq!(add(&store, &path).expect("it is the same"), Added::Again);
    assert_eq!(verify_all(&store), 1);
}

#[test]
fn watchers_see_every_byte_go_by() {
    let home = Home::new();
    let source = Source {
        weights: 5 << 20,
        ..Source::new("large", "1.0.0")
    };
    let path = home.pack(&source);
    let size = fs::metadata(&path).expect("it is there").len();
    let told = RefCell::new(Vec::new());
    let watch = |done, total| told.borrow_mut().push((done, total));
    drop(home.store().stage(&path, &watch).expect("it is sound"));
    let told = told.into_inner();
    assert!(told.len() >= 3, "{told:?}");
    assert_eq!(
        (told.first(), told.last()),
        (Some(&(0, size)), Some(&(size, size)))
    );
    assert!(
        told.is_sorted() && told.iter().all(|it| it.1 == size),
        "{told:?}"
    );
}

#[test]
fn the_same_pack_again_changes_nothing() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    let (store, path) = (home.store(), home.path("a-1.0.0.wasm"));
    let before = (home.listing(), fs::read(home.inside("index.json")).ok());
    assert_eq!(add(&store, &path).expect("it is the same"), Added::Again);
    assert_eq!(
        (home.listing(), fs::read(home.inside("index.json")).ok()),
        before
    );
}

#[test]
fn other_content_under_the_same_version_is_refused() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    let path = home.pack(&Source {
        seed: 7,
        ..Source::new("a", "1.0.0")
    });
    let before = (home.listing(), fs::read(home.inside("index.json")).ok());
    let error = add(&home.store(), &path).expect_err("the content differs");
    let text = words(&error);
    assert!(matches!(error, StoreError::OtherContent { .. }), "{text}");
    assert!(
        text.contains("pack `a` 1.0.0 is kept with other content"),
        "{text}"
    );
    assert!(text.contains("mbhost pack rm"), "{text}");
    assert_eq!(
        (home.listing(), fs::read(home.inside("index.json")).ok()),
        before
    );
}

#[test]
fn versions_are_kept_side_by_side_and_one_is_in_use() {
    let home = Home::new();
    for (id, version) in [
        ("b", "1.9.0"),
        ("a", "0.1.0"),
        ("b", "1.10.0"),
        ("b", "1.2.0"),
    ] {
        home.keep(id, version);
    }
    let store = home.store();
    let all = ["a@0.1.0 *", "b@1.10.0", "b@1.9.0", "b@1.2.0 *"];
    assert_eq!(listed(&contents(&store)), all);

    let mut change = store.change().expect("nobody else is there");
    let put = change.put_in_use("b", &version("1.9.0"), true);
    put.expect("it is kept");
    change.commit().expect("there is room");
    let now = contents(&store);
    assert_eq!(
        listed(&now),
        ["a@0.1.0 *", "b@1.10.0", "b@1.9.0 *", "b@1.2.0"]
    );
    let in_use = now.in_use("b").expect("one is");
    assert!(in_use.hooks_allowed);
    let mut change = store.change().expect("nobody else is there");
    let error = change.put_in_use("b", &version("3.0.0"), false);
    let text = words(&error.expect_err("it is not kept"));
    assert!(text.contains("pack `b` 3.0.0 is not kept in"), "{text}");
    drop(change);

    // Adding what is kept already is the same as naming it.
    let again = add(&store, &home.path("b-1.2.0.wasm"));
    assert_eq!(again.expect("it is the same"), Added::Again);
    assert_eq!(listed(&contents(&store)), all);

    let mut change = store.change().expect("nobody else is there");
    let removed = change.remove("b", Some(&version("1.2.0")));
    assert_eq!(removed.expect("it is kept").len(), 1);
    change.commit().expect("there is room");
    assert_eq!(
        listed(&contents(&store)),
        ["a@0.1.0 *", "b@1.10.0 *", "b@1.9.0"]
    );
    assert_eq!(
        home.listing(),
        expected_listing(store.root()),
        "its blobs went at once"
    );

    assert_eq!(remove(&store, "b").expect("it is kept").len(), 2);
    assert_eq!(remove(&store, "b").expect("nothing is there").len(), 0);
    assert_eq!(listed(&contents(&store)), ["a@0.1.0 *"]);
    assert_eq!(home.listing(), expected_listing(store.root()));
    assert_eq!(verify_all(&store), 1);
}

#[test]
fn the_router_is_a_pack_that_is_kept_and_goes_with_it() {
    let home = Home::new();
    home.keep("r", "1.0.0");
    home.keep("r", "2.0.0");
    home.keep("s", "1.0.0");
    let store = home.store();
    let mut change = store.change().expect("nobody else is there");
    let error = change.set_router(Some("t")).expect_err("it is not kept");
    assert!(words(&error).contains("pack `t` is not kept"), "{error}");
    change.set_router(Some("r")).expect("it is kept");
    change.commit().expect("there is room");
    assert_eq!(contents(&store).router(), Some("r"));

    let mut change = store.change().expect("nobody else is there");
    let removed = change.remove("r", Some(&version("2.0.0")));
    removed.expect("it is kept");
    assert_eq!(change.contents().router(), Some("r"), "a version is left");
    change.commit().expect("there is room");
    remove(&store, "s").expect("it is kept");
    assert_eq!(contents(&store).router(), Some("r"));
    remove(&store, "r").expect("it is kept");
    assert_eq!(contents(&store).router(), None);
}

#[test]
fn a_pin_outlives_its_pack() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    let store = home.store();
    let key = PrivateKey::generate().expect("there is chance").publisher();
    let mut change = store.change().expect("nobody else is there");
    change.pin("a", Some(key)).expect("it can be an id");
    for wrong in ["", "../x", "A", "a b"] {
        let error = change.pin(wrong, Some(key)).expect_err("it is no id");
        assert!(matches!(error, StoreError::Entry { .. }), "{error}");
    }
    change.commit().expect("there is room");
    remove(&store, "a").expect("it is kept");
    assert_eq!(contents(&store).key("a"), Some(key));
    let mut change = store.change().expect("nobody else is there");
    change.pin("a", None).expect("it can be an id");
    change.commit().expect("there is room");
    assert_eq!(contents(&store).key("a"), None);
}

#[test]
fn what_was_added_and_removed_in_one_change_leaves_nothing() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    let store = home.store();
    let before = home.listing();
    let path = home.pack(&Source::new("b", "1.0.0"));
    let staged = store.stage(&path, &unwatched).expect("it is sound");
    let mut change = store.change().expect("nobody else is there");
    let added = change.add(staged, &Interfaces::default(), false);
    added.expect("it is new");
    let key = PrivateKey::generate().expect("there is chance").publisher();
    change.pin("b", Some(key)).expect("it can be an id");
    assert_eq!(change.remove("b", None).expect("it is there").len(), 1);
    change.commit().expect("there is room");
    assert_eq!(home.listing(), before);
    assert_eq!(contents(&store).key("b"), Some(key));
}

#[test]
fn a_known_file_is_opened_without_hashing_and_a_touched_one_is_hashed_once() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0");
    let store = home.store();
    let blob = home.inside(&format!("blobs/sha256/{}", entry.digest));
    let index = || fs::read(home.inside("index.json")).expect("it is there");

    let before = index();
    store.open_pack(&entry).expect("it is known");
    assert_eq!(index(), before);

    // The same bytes in another file, as a backup leaves them.
    let bytes = fs::read(&blob).expect("it is there");
    fs::remove_file(&blob).expect("it is ours");
    fs::write(&blob, &bytes).expect("there is room");
    store.open_pack(&entry).expect("its bytes are right");
    let after = index();
    assert_ne!(after, before, "its stamp was noted");
    let now = contents(&store);
    let now = now.find("a", &version("1.0.0")).expect("it is kept");
    store.open_pack(now).expect("it is known");
    store
        .open_pack(&entry)
        .expect("the old entry leads to the new stamp");
    assert_eq!(index(), after);

    // Whoever changes the store just now is not waited for.
    let change = store.change().expect("nobody else is there");
    let file = fs::File::options().write(true).open(&blob);
    let file = file.expect("we may");
    file.set_modified(SystemTime::UNIX_EPOCH)
        .expect("it is ours");
    store.open_pack(now).expect("its bytes are right");
    drop(change);
    assert_eq!(index(), after, "nothing was noted meanwhile");
    store.verify(now, &unwatched).expect("its bytes are right");
    assert_ne!(index(), after, "verifying notes it, too");
}

#[test]
fn a_damaged_store_is_put_right_by_adding_again() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0");
    let added = entry.added;
    let store = home.store();
    let whole = home.listing();
    for damaged in whole.iter().filter(|it| it.len() > 64) {
        let path = home.inside(damaged);
        for damage in [true, false] {
            match damage {
                true => fs::remove_file(&path).expect("it is ours"),
                false => {
                    let mut bytes = fs::read(&path).expect("it is there");
                    bytes[0] ^= 1;
                    fs::remove_file(&path).expect("it is ours");
                    fs::write(&path, bytes).expect("there is room");
                }
            }
            let error = store.verify(&entry, &unwatched).expect_err("it is damaged");
            assert!(
                words(&error).contains("adding the same file again"),
                "{error}"
            );
            let again = add(&store, &home.path("a-1.0.0.wasm"));
            assert_eq!(again.expect("it is the same"), Added::Mended);
            assert_eq!(verify_all(&store), 1);
            assert_eq!(home.listing(), whole);
        }
    }
    assert_eq!(contents(&store).entries()[0].added, added);

    // Nothing in the index changes when it has no stamp to be taken out; the file comes all the same.
    let stamp = "modularbase.stamp";
    home.change_index(|text| text.replace(stamp, "modularbase.other"));
    let blob = home.inside(&format!("blobs/sha256/{}", entry.digest));
    fs::remove_file(&blob).expect("it is ours");
    add(&store, &home.path("a-1.0.0.wasm")).expect("it is the same");
    assert_eq!(verify_all(&store), 1);

    // What is said of its code may have changed since; then its documents are others.
    fs::remove_file(&blob).expect("it is ours");
    let staged = store.stage(&home.path("a-1.0.0.wasm"), &unwatched);
    let mut change = store.change().expect("nobody else is there");
    let added = change.add(staged.expect("it is sound"), &Interfaces::default(), false);
    assert_eq!(added.expect("it is the same"), Added::Mended);
    change.commit().expect("there is room");
    assert_eq!(verify_all(&store), 1);
    assert_ne!(home.listing(), whole);
    assert_eq!(home.listing(), expected_listing(store.root()));
}

#[test]
fn an_entry_that_was_removed_meanwhile_is_not_kept() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0");
    let store = home.store();
    remove(&store, "a").expect("it is kept");
    let text = words(&store.open_pack(&entry).expect_err("it is gone"));
    assert!(text.contains("pack `a` 1.0.0 is not kept in"), "{text}");
    let text = words(&store.verify(&entry, &unwatched).expect_err("it is gone"));
    assert!(text.contains("pack `a` 1.0.0 is not kept in"), "{text}");

    // The same file added again is the same entry; another file is not.
    add(&store, &home.path("a-1.0.0.wasm")).expect("it is sound");
    store.open_pack(&entry).expect("it is there again");
    store.verify(&entry, &unwatched).expect("it is there again");
    remove(&store, "a").expect("it is kept");
    let other = home.pack(&Source {
        seed: 7,
        ..Source::new("a", "1.0.0")
    });
    add(&store, &other).expect("it is sound");
    let text = words(&store.open_pack(&entry).expect_err("it is another"));
    assert!(text.contains("is not kept in"), "{text}");
}

#[test]
fn an_open_pack_outlives_its_removal() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0");
    let bytes = fs::read(home.path("a-1.0.0.wasm")).expect("it is there");
    let store = home.store();
    let opened = store.open_pack(&entry).expect("it is kept");
    remove(&store, "a").expect("it is kept");
    store.sweep().expect("it is sound");
    assert_eq!(&opened.map()[..], &bytes);
}

#[test]
fn a_store_may_be_moved_and_reached_by_a_link() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    let away = home.path("elsewhere");
    fs::rename(home.path("store"), &away).expect("it is ours");
    std::os::unix::fs::symlink(&away, home.path("store")).expect("there is room");
    assert_eq!(verify_all(&home.store()), 1);
    home.keep("b", "1.0.0");
    assert_eq!(verify_all(&home.store()), 2);
}

//! What the store does when somebody else writes where only it should, or the system is unkind.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use modularbase_format::manifest::Publisher;
use modularbase_format::{Digest, PackWriter, PrivateKey};
use tempfile::TempDir;

use super::{Entry, Interfaces, Store, StoreError};

/// A store in a folder of its own, and packs beside it.
struct Home {
    folder: TempDir,
    store: Store,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let store = Store::open(folder.path().join("store")).expect("nothing is there");
        Self { folder, store }
    }

    /// A path in the store.
    fn inside(&self, name: &str) -> PathBuf {
        self.store.folder.root().join(name)
    }

    fn blob(&self, entry: &Entry) -> PathBuf {
        self.store.folder.blob(&entry.digest)
    }

    /// Writes a pack beside the store.
    fn pack(&self, id: &str, version: &str, key: Option<&PrivateKey>) -> PathBuf {
        let publisher = key.map(|it| format!("publisher = \"{}\"\n", it.publisher()));
        let manifest = format!(
            "id = \"{id}\"\nname = \"A\"\nversion = \"{version}\"\ndescription = \"A.\"\n\
             license = \"MIT\"\nauthors = [\"A\"]\nroles = [\"expert\"]\ncontract = \"0.1.0\"\n\
             {}base.width = 8\n",
            publisher.unwrap_or_default()
        );
        let path = self.folder.path().join(format!("{id}-{version}.wasm"));
        let writer = PackWriter::new(b"\0asm\x0d\0\x01\0", &manifest);
        let writer = match key {
            Some(key) => writer.sign(key),
            None => writer,
        };
        drop(writer.write(&path).expect("the pack is sound"));
        path
    }

    fn add(&self, path: &Path) -> Result<(), StoreError> {
        let staged = self.store.stage(path, &|_, _| {})?;
        let mut change = self.store.change()?;
        change.add(staged, &Interfaces::default(), false)?;
        change.commit()
    }

    /// Adds a small pack.
    fn keep(&self, id: &str, version: &str, key: Option<&PrivateKey>) -> Entry {
        self.add(&self.pack(id, version, key))
            .expect("it can be added");
        self.entry(id, version)
    }

    fn entry(&self, id: &str, version: &str) -> Entry {
        let contents = self.store.contents().expect("the index is sound");
        let version = version.parse().expect("it is a version");
        contents.find(id, &version).expect("it is kept").clone()
    }

    /// Rewrites the index as a program does that knows of no lock.
    fn rewrite_index(&self, from: &str, to: &str) {
        let path = self.inside("index.json");
        let text = fs::read_to_string(&path).expect("it is there");
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        fs::write(&path, changed).expect("it can be written");
    }

    /// What opening and verifying an entry says, which has to be the same.
    fn refused(&self, entry: &Entry) -> String {
        let opened = self.store.open_pack(entry).expect_err("it is no such pack");
        let verified = self.store.verify(entry, &|_, _| {});
        let verified = verified.expect_err("it is no such pack");
        assert_eq!(opened.to_string(), verified.to_string());
        opened.to_string()
    }
}

#[test]
fn the_index_cannot_call_a_pack_by_anothers_name() {
    let key = PrivateKey::generate().expect("there is chance");
    let of = |it: Publisher| format!(r#""modularbase.publisher":"{it}""#);
    let other = PrivateKey::generate().expect("there is chance").publisher();
    // By its stamp the file is known; without one it is hashed, and nothing is noted.
    for is_known in [true, false] {
        let home = Home::new();
        home.keep("a", "1.0.0", Some(&key));
        if !is_known {
            home.rewrite_index("modularbase.stamp", "modularbase.other");
        }
        home.rewrite_index(r#""modularbase.pack":"a""#, r#""modularbase.pack":"b""#);
        let text = home.refused(&home.entry("b", "1.0.0"));
        assert!(text.contains("has id `a`, expected id `b`"), "{text}");
        home.rewrite_index(r#""modularbase.pack":"b""#, r#""modularbase.pack":"a""#);
        home.rewrite_index(r#"version":"1.0.0","#, r#"version":"9.0.0","#);
        let text = home.refused(&home.entry("a", "9.0.0"));
        assert!(
            text.contains("has version `1.0.0`, expected version `9.0.0`"),
            "{text}"
        );
        home.rewrite_index(r#"version":"9.0.0","#, r#"version":"1.0.0","#);
        home.rewrite_index(&of(key.publisher()), &of(other));
        let text = home.refused(&home.entry("a", "1.0.0"));
        assert!(
            text.contains(&format!("expected publisher `{other}`")),
            "{text}"
        );
        home.rewrite_index(&of(other), r#""x":"y""#);
        let text = home.refused(&home.entry("a", "1.0.0"));
        assert!(text.contains("expected no publisher"), "{text}");
        let is_noted = home.entry("a", "1.0.0").stamp.is_some();
        assert_eq!(is_noted, is_known);
        let mended = home.keep("a", "1.0.0", Some(&key));
        assert_eq!(mended.publisher, Some(key.publisher()));
        home.store.open_pack(&mended).expect("it is put right");
    }
}

#[test]
fn a_signature_is_checked_again_when_a_file_is_hashed_again() {
    let home = Home::new();
    let key = PrivateKey::generate().expect("there is chance");
    let entry = home.keep("a", "1.0.0", Some(&key));
    // The last byte is the signature's; the index names the digest of what stands there now.
    let mut bytes = fs::read(home.blob(&entry)).expect("it is there");
    *bytes.last_mut().expect("it is not empty") ^= 1;
    let digest = Digest::of(&bytes);
    fs::write(home.store.folder.blob(&digest), &bytes).expect("there is room");
    home.rewrite_index(&entry.digest.to_string(), &digest.to_string());
    let error = home.store.open_pack(&home.entry("a", "1.0.0"));
    let text = error.expect_err("nobody signed this").to_string();
    assert!(text.contains("not valid"), "{text}");
}

#[test]
fn a_copy_that_is_written_to_after_its_check_is_not_kept() {
    let home = Home::new();
    let path = home.pack("a", "1.0.0", None);
    let staged = home.store.stage(&path, &|_, _| {}).expect("it is sound");
    let mut copies = fs::read_dir(home.inside("staging")).expect("it is there");
    let copy = copies.next().expect("there is one").expect("it is listed");
    let bytes = fs::read(copy.path()).expect("it is there");
    // Times of files are the kernel's ticks apart.
    thread::sleep(Duration::from_millis(20));
    fs::write(copy.path(), &bytes).expect("it is ours");
    let mut change = home.store.change().expect("nobody else is there");
    let added = change.add(staged, &Interfaces::default(), false);
    added.expect("it was sound");
    let error = change.commit().expect_err("it was touched");
    assert!(matches!(error, StoreError::Touched { .. }), "{error}");
    let contents = home.store.contents().expect("the index is sound");
    assert!(contents.entries().is_empty());
    assert_eq!(home.store.sweep().expect("it is sound").files, 0);
}

#[test]
fn changing_nothing_where_no_store_is_makes_none() {
    let home = Home::new();
    let mut change = home.store.change().expect("there is nothing to wait for");
    let removed = change.remove("a", None).expect("nothing is there");
    assert!(removed.is_empty());
    change.commit().expect("nothing is changed");
    assert!(!home.store.folder.root().exists());
}

#[test]
fn a_change_does_not_undo_what_another_program_writes_meanwhile() {
    let home = Home::new();
    home.keep("a", "1.0.0", None);
    let mut change = home.store.change().expect("nobody holds the lock");
    change.remove("a", None).expect("it is kept");
    home.rewrite_index("{\"schemaVersion\"", "{\"x\":\"y\",\"schemaVersion\"");
    let error = change.commit().expect_err("there is another index now");
    assert!(matches!(error, StoreError::Touched { .. }), "{error}");
    home.rewrite_index("\"x\":\"y\"", "\"x\":\"z\"");
    let mut change = home.store.change().expect("nobody holds the lock");
    change.remove("a", None).expect("it is kept");
    change.commit().expect("nobody else writes");
    let text = fs::read_to_string(home.inside("index.json")).expect("it is there");
    assert!(text.contains("\"x\":\"z\""), "{text}");
}

#[test]
fn a_pack_that_lost_all_of_it_is_mended_though_its_entry_stays_the_same() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0", None);
    home.rewrite_index("modularbase.stamp", "modularbase.other");
    fs::remove_file(home.blob(&entry)).expect("it is ours");
    home.keep("a", "1.0.0", None);
    let mended = home.store.open_pack(&entry).expect("it is mended");
    assert_eq!(mended.digest(), entry.digest);
}

#[test]
fn copies_that_were_left_behind_go_when_the_next_is_made() {
    let home = Home::new();
    home.keep("a", "1.0.0", None);
    let left = home.inside("staging/new-ABCdef012345");
    fs::write(&left, "a whole pack").expect("there is room");
    let living = home.store.stage_bytes(b"no", "b".as_ref());
    assert!(living.is_err());
    assert!(!left.exists());
}

#[test]
fn what_is_referred_to_in_any_way_is_not_swept() {
    let home = Home::new();
    home.keep("a", "1.0.0", None);
    let put = |text: &str| {
        let digest = Digest::of(text.as_bytes());
        fs::write(home.store.folder.blob(&digest), text).expect("there is room");
        digest
    };
    let (layer, subject, loose) = (put("a layer"), put("a subject"), put("of nobody"));
    fs::create_dir(home.inside("blobs/sha512")).expect("there is room");
    let manifest = format!(r#"{{"layers": [{{"digest": "sha256:{layer}"}}]}}"#);
    fs::write(home.inside("blobs/sha512/abc123"), manifest).expect("there is room");
    let refers = format!(
        r#"{{"subject":{{"digest":"sha256:{subject}"}},"later":["sha512:abc123"],"schemaVersion""#
    );
    home.rewrite_index(r#"{"schemaVersion""#, &refers);
    assert_eq!(home.store.sweep().expect("it is sound").files, 1);
    assert!(!home.store.folder.blob(&loose).exists());
    for kept in [layer, subject] {
        assert!(home.store.folder.blob(&kept).exists());
    }
}

#[test]
fn the_newest_is_in_use_where_another_tool_removed_the_one_that_was() {
    let home = Home::new();
    home.keep("a", "1.0.0", None);
    home.keep("a", "2.0.0", None);
    home.rewrite_index(r#""modularbase.in-use":"true""#, r#""x":"y""#);
    let contents = home.store.contents().expect("it is sound");
    let in_use = contents.in_use("a").expect("one is");
    assert_eq!(in_use.version.to_string(), "2.0.0");
    home.rewrite_index(r#""modularbase.size":""#, r#""modularbase.size":"+"#);
    let error = home.store.contents().expect_err("it is no number");
    assert!(
        error.to_string().contains("expected a number of bytes"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn a_link_in_a_blobs_place_gives_way_when_the_pack_is_added_again() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0", None);
    let (blob, away) = (home.blob(&entry), home.folder.path().join("away"));
    fs::rename(&blob, &away).expect("it is ours");
    std::os::unix::fs::symlink(&away, &blob).expect("there is room");
    home.store.open_pack(&entry).expect_err("it is a link");
    home.keep("a", "1.0.0", None);
    let mended = home.store.open_pack(&entry).expect("it is mended");
    assert_eq!(mended.digest(), entry.digest);
    assert!(away.exists(), "nothing was written through the link");
}

#[cfg(unix)]
#[test]
fn lock_and_staging_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let home = Home::new();
    home.keep("a", "1.0.0", None);
    let mode = |name: &str| {
        let metadata = fs::metadata(home.inside(name)).expect("it is there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((mode("lock"), mode("staging")), (0o600, 0o700));
}

#[cfg(unix)]
#[test]
fn a_draft_that_was_about_to_be_published_is_swept() {
    use std::os::unix::fs::PermissionsExt;

    let home = Home::new();
    home.keep("a", "1.0.0", None);
    let left = home.inside("staging/new-ABCdef012345");
    fs::write(&left, "a whole pack").expect("there is room");
    fs::set_permissions(&left, fs::Permissions::from_mode(0o444)).expect("it is ours");
    assert_eq!(home.store.sweep().expect("it is sound").files, 1);
    assert!(!left.exists());
}

#[test]
fn nothing_is_staged_into_a_store_of_a_newer_format() {
    let home = Home::new();
    home.keep("a", "1.0.0", None);
    home.rewrite_index(r#""modularbase.store":"1""#, r#""modularbase.store":"2""#);
    fs::remove_dir(home.inside("staging")).expect("it is empty");
    let path = home.pack("b", "1.0.0", None);
    let error = home.add(&path).expect_err("nobody knows what that is");
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    assert!(!home.inside("staging").exists());
}

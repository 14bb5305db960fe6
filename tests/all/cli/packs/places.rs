//! Where packs are kept, and what stands in the way there.

use super::{add, folder, mbhost, names, pack, put, quiet};
use crate::cli::mbhost_with;

#[test]
fn a_flag_goes_before_the_variable_and_an_empty_variable_is_none() {
    let dir = folder();
    put(dir.path(), "quiet.wasm", &quiet("1.0.0"));
    let home = dir.path().join("system").display().to_string();
    let variables = [("MBHOST_HOME", "named"), ("HOME", &*home)];
    let words = ["pack", "add", "quiet.wasm", "--yes", "--home", "typed"];
    mbhost_with(dir.path(), &words, &variables).good();
    assert_eq!(names(&dir.path().join("typed")), ["cache", "store"]);
    assert!(!dir.path().join("named").exists());
    mbhost_with(dir.path(), &words[..4], &variables).good();
    assert_eq!(names(&dir.path().join("named")), ["cache", "store"]);

    let unset = [
        ("MBHOST_HOME", ""),
        ("HOME", &*home),
        ("XDG_DATA_HOME", ""),
        ("XDG_CACHE_HOME", ""),
    ];
    mbhost_with(dir.path(), &words[..4], &unset).good();
    assert_eq!(
        names(&dir.path().join("system/.local/share/mbhost")),
        ["store"]
    );
    assert_eq!(names(&dir.path().join("system/.cache/mbhost")), ["code"]);

    let nowhere = [
        ("MBHOST_HOME", ""),
        ("HOME", ""),
        ("XDG_DATA_HOME", ""),
        ("XDG_CACHE_HOME", ""),
    ];
    mbhost_with(dir.path(), &["pack", "list"], &nowhere).refused(
        1,
        "error: `HOME` is not set, or no absolute path, so there is no place to keep packs in\n\
         hint: set `MBHOST_HOME` to the folder to keep packs in\n",
    );
    let doctor = mbhost_with(dir.path(), &["doctor"], &nowhere);
    assert_eq!(doctor.code, Some(1), "{}", doctor.out);
    assert!(
        doctor
            .out
            .contains("  BROKEN   store        `HOME` is not set"),
        "{}",
        doctor.out
    );
}

#[test]
fn a_home_that_is_a_file_or_somebody_elses_is_refused() {
    let dir = folder();
    put(dir.path(), "quiet.wasm", &quiet("1.0.0"));
    std::fs::write(dir.path().join("home"), "mine").expect("a file");
    for words in [
        &["list"][..],
        &["add", "quiet.wasm", "--yes"],
        &["verify"],
        &["gc"],
        &["rm", "x"],
    ] {
        let ran = pack(dir.path(), words);
        assert_eq!(
            (ran.code, &*ran.out),
            (Some(1), ""),
            "{words:?}: {}",
            ran.err
        );
        assert!(ran.err.contains("/home"), "{words:?}: {}", ran.err);
    }
    assert_eq!(
        std::fs::read(dir.path().join("home")).expect("a file"),
        b"mine"
    );

    std::fs::create_dir_all(dir.path().join("other/store")).expect("a folder");
    std::fs::write(dir.path().join("other/store/diary"), "dear").expect("a file");
    let ran = mbhost(
        dir.path(),
        &["pack", "add", "quiet.wasm", "--yes", "--home", "other"],
    );
    assert_eq!((ran.code, &*ran.out), (Some(1), ""), "{}", ran.err);
    assert!(
        ran.err.contains("holds `diary` and no `oci-layout`"),
        "{}",
        ran.err
    );
    assert_eq!(names(&dir.path().join("other/store")), ["diary"]);
}

#[cfg(unix)]
#[test]
fn a_home_that_cannot_be_written_is_read_all_the_same() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder();
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::create_dir(dir.path().join("closed")).expect("a folder");
    std::fs::set_permissions(dir.path().join("closed"), mode(0o555)).expect("it is ours");
    if std::fs::write(dir.path().join("closed/probe"), "").is_ok() {
        eprintln!("skipped: this user writes where nobody may");
        return;
    }
    put(dir.path(), "quiet.wasm", &quiet("1.0.0"));
    let ran = mbhost(
        dir.path(),
        &["pack", "add", "quiet.wasm", "--yes", "--home", "closed/new"],
    );
    assert_eq!((ran.code, &*ran.out), (Some(1), ""), "{}", ran.err);
    assert!(ran.err.contains("Permission denied"), "{}", ran.err);
    assert!(
        ran.err
            .ends_with("\nhint: `MBHOST_HOME` names a folder of your own to keep packs in\n"),
        "{}",
        ran.err
    );

    add(dir.path(), &quiet("1.0.0"));
    let store = dir.path().join("home/store");
    let folders = ["blobs/sha256", "blobs", "staging", ""].map(|it| store.join(it));
    for folder in &folders {
        std::fs::set_permissions(folder, mode(0o555)).expect("it is ours");
    }
    for words in [&["list"][..], &["show", "quiet"], &["verify"]] {
        pack(dir.path(), words).good();
    }
    for words in [&["rm", "quiet"][..], &["add", "quiet.wasm", "--yes"]] {
        let ran = pack(dir.path(), words);
        assert_eq!(
            (ran.code, &*ran.out),
            (Some(1), ""),
            "{words:?}: {}",
            ran.err
        );
    }
    let doctor = mbhost(dir.path(), &["doctor"]).good();
    assert!(doctor.contains("  MISSING  store        "), "{doctor}");
    for folder in &folders {
        std::fs::set_permissions(folder, mode(0o755)).expect("it is ours");
    }
    pack(dir.path(), &["rm", "quiet"]).good();
}

#[test]
fn the_doctor_says_where_packs_and_code_are_kept() {
    let dir = folder();
    let home = dir.path().join("home").canonicalize();
    assert!(home.is_err(), "there is nothing yet");
    let doctor = || mbhost(dir.path(), &["doctor"]).good();
    let line = |said: &str, name: &str| {
        let found = said.lines().find(|it| it.contains(&format!("  {name} ")));
        found.unwrap_or_else(|| panic!("{name}: {said}")).to_owned()
    };
    let said = doctor();
    assert!(line(&said, "store").starts_with("  good "), "{said}");
    assert!(
        line(&said, "store").ends_with("/home/store, no packs yet"),
        "{said}"
    );
    assert!(
        line(&said, "code cache").ends_with("/home/cache/code"),
        "{said}"
    );
    assert!(names(dir.path()).is_empty(), "looking makes nothing");
    add(dir.path(), &quiet("1.0.0"));
    assert!(
        line(&doctor(), "store").contains("/home/store, 1 pack, "),
        "{}",
        doctor()
    );
    std::fs::write(dir.path().join("home/store/index.json"), "{").expect("a file");
    let said = mbhost(dir.path(), &["doctor"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(
        line(&said.out, "store").starts_with("  BROKEN "),
        "{}",
        said.out
    );
}

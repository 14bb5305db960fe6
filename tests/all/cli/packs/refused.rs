//! Every refusal says what was found beside what was expected and what to do, ends with 1, and
//! leaves the store as it was.

use super::{Run, add, folder, installed, key, mbhost, nosy, pack, put, quiet, store};

/// Runs `mbhost pack add FILE --yes` and more, which must change nothing.
#[track_caller]
fn refused(folder: &std::path::Path, words: &[&str], err: &str) {
    let before = store(folder);
    let ran = pack(folder, &[&["add"], words].concat());
    ran.refused(1, err);
    assert!(store(folder) == before, "the store has changed");
}

/// The same when it was introduced before.
#[track_caller]
fn ends_with(ran: Run, err: &str) {
    assert_eq!((ran.code, &*ran.out), (Some(1), ""), "{}", ran.err);
    assert!(ran.err.ends_with(err), "{}", ran.err);
}

#[test]
fn signed_packs_that_somebody_changed() {
    let (dir, ours) = (folder(), key());
    let bytes = quiet("1.0.0").sign(&ours).bytes();
    let who = ours.publisher();
    let mut tampered = bytes.clone();
    let at = bytes
        .windows(10)
        .position(|it| it == b"For tests.")
        .expect("the description");
    tampered[at] = b'f';
    std::fs::write(dir.path().join("tampered.wasm"), &tampered).expect("a file");
    refused(
        dir.path(),
        &["tampered.wasm", "--yes"],
        &format!(
            "error: tampered.wasm: signature is not valid, expected a valid one by `{who}`\n\
             hint: the file was changed after it was signed, or signed by somebody else\n"
        ),
    );
    // A signature is the last section: 64 bytes, and what says so.
    std::fs::write(dir.path().join("cut.wasm"), &bytes[..bytes.len() - 1]).expect("a file");
    let cut = pack(dir.path(), &["add", "cut.wasm", "--yes"]);
    assert_eq!((cut.code, &*cut.out), (Some(1), ""), "{}", cut.err);
    assert!(store(dir.path()).is_empty());
}

#[test]
fn packs_by_somebody_else_than_before() {
    let (dir, ours, theirs) = (folder(), key(), key());
    add(dir.path(), &quiet("1.0.0").sign(&ours));
    put(dir.path(), "theirs.wasm", &quiet("1.1.0").sign(&theirs));
    put(dir.path(), "stripped.wasm", &quiet("1.1.0"));
    let (expected, found) = (ours.publisher(), theirs.publisher());
    let other = format!(
        "error: pack `quiet` 1.1.0: it is signed by `{found}`, expected `{expected}`, whom \
         the id `quiet` belongs to\n\
         hint: if its publisher has told you of a new key, `--replace-key` accepts it\n"
    );
    let stripped = format!(
        "error: pack `quiet` 1.1.0: it is not signed, expected a signature by `{expected}`, \
         whom the id `quiet` belongs to\n\
         hint: its signature may have been taken off; `--replace-key` accepts it all the same\n"
    );
    refused(dir.path(), &["theirs.wasm", "--yes"], &other);
    refused(dir.path(), &["stripped.wasm", "--yes"], &stripped);
    // The key outlives the pack.
    pack(dir.path(), &["rm", "quiet"]).good();
    refused(dir.path(), &["theirs.wasm", "--yes"], &other);
    refused(dir.path(), &["stripped.wasm", "--yes"], &stripped);

    let replaced = pack(
        dir.path(),
        &["add", "theirs.wasm", "--yes", "--replace-key"],
    );
    let warning = format!(
        "warning: it is signed by `{found}`, no longer by `{expected}`: from now on the id \
         `quiet` belongs to the new key\n"
    );
    assert!(replaced.err.ends_with(&warning), "{}", replaced.err);
    replaced.good();
}

#[test]
fn versions_that_would_go_back_or_change() {
    let dir = folder();
    add(dir.path(), &quiet("2.0.0"));
    put(dir.path(), "older.wasm", &quiet("1.9.0"));
    refused(
        dir.path(),
        &["older.wasm", "--yes"],
        "error: pack `quiet` 1.9.0: it is older than 2.0.0, which is in use\n\
         hint: `--downgrade` puts it in use all the same\n",
    );
    put(
        dir.path(),
        "other.wasm",
        &quiet("2.0.0").model("answer = 42"),
    );
    refused(
        dir.path(),
        &[
            "other.wasm",
            "--yes",
            "--downgrade",
            "--replace-key",
            "--allow-hooks",
        ],
        "error: pack `quiet` 2.0.0: another pack of this id and version is installed\n\
         hint: raise `version` in pack.toml, or remove the other with `mbhost pack rm \
         quiet@2.0.0`\n",
    );
    assert_eq!(installed(dir.path()), ["quiet 2.0.0*"]);
}

#[test]
fn hooks_that_nobody_allowed() {
    let (dir, ours) = (folder(), key());
    // It only computed so far; that its publisher is known does not allow it more.
    let before = quiet("1.0.0").sign(&ours);
    add(dir.path(), &before);
    let sly = crate::support::Source::new("quiet", crate::support::guest("hooks"));
    put(dir.path(), "sly.wasm", &sly.version("1.1.0").sign(&ours));
    let before = store(dir.path());
    for words in [&["add", "sly.wasm"][..], &["add", "sly.wasm", "--yes"]] {
        let ran = pack(dir.path(), words);
        assert_eq!((ran.code, &*ran.out), (Some(1), ""), "{}", ran.err);
        assert!(ran.err.contains("`--allow-hooks`") || ran.err.contains("--allow-hooks`"));
    }
    assert!(store(dir.path()) == before);
}

#[test]
fn code_that_this_host_does_not_take() {
    let dir = folder();
    put(dir.path(), "future.wasm", &quiet("1.0.0").contract("9.0.0"));
    let ran = pack(dir.path(), &["add", "future.wasm", "--yes"]);
    ends_with(
        ran,
        "error: pack `quiet` 1.0.0: it speaks contract 9.0.0; this host speaks 0.1\n\
         hint: another version of the pack, or of the host, may fit\n",
    );
    let wrong = crate::support::Gguf::new().floats("q", &[3, 3], |_| 0.5);
    put(dir.path(), "wrong.wasm", &quiet("1.0.0").weights(wrong));
    let ran = pack(dir.path(), &["add", "wrong.wasm", "--yes"]);
    assert_eq!((ran.code, &*ran.out), (Some(1), ""), "{}", ran.err);
    assert!(
        ran.err.contains("error: pack `quiet` 1.0.0: "),
        "{}",
        ran.err
    );
    assert!(store(dir.path()).is_empty());
}

#[test]
fn what_is_no_packs_name() {
    let dir = folder();
    add(dir.path(), &quiet("1.0.0"));
    for name in [
        "../x",
        "/etc/passwd",
        "a/b@1.0.0",
        "quiet@",
        "quiet@1",
        "Quiet",
        "",
        "x\u{1b}[2J",
    ] {
        let shown = name.escape_debug();
        for verb in ["show", "verify", "rm"] {
            pack(dir.path(), &[verb, name]).refused(
                2,
                &format!(
                    "error: `{shown}` is no pack's name, expected `ID` or `ID@VERSION`\n\
                     hint: `mbhost pack list` shows what is installed\n"
                ),
            );
        }
    }
    for verb in ["show", "verify", "rm"] {
        let run = |name: &str| pack(dir.path(), &[verb, name]);
        run("quiet@2.0.0").refused(
            1,
            "error: pack `quiet@2.0.0` is not installed\nhint: there is `quiet@1.0.0`\n",
        );
        run("quite").refused(
            1,
            "error: pack `quite` is not installed\nhint: there is `quiet`\n",
        );
        run("other").refused(
            1,
            "error: pack `other` is not installed\n\
             hint: `mbhost pack list` shows what is installed\n",
        );
    }
    assert_eq!(installed(dir.path()), ["quiet 1.0.0*"]);
}

#[cfg(unix)]
#[test]
fn what_is_no_pack_file() {
    let dir = folder();
    std::fs::write(dir.path().join("text.wasm"), "hello\u{1b}[2J, world").expect("a file");
    std::fs::write(dir.path().join("empty"), "").expect("a file");
    std::fs::create_dir(dir.path().join("folder")).expect("a folder");
    std::fs::create_dir_all(dir.path().join("odd/pack.wasm")).expect("a folder");
    std::os::unix::fs::symlink("gone", dir.path().join("dangling")).expect("a link");
    let made = std::process::Command::new("mkfifo")
        .arg(dir.path().join("fifo"))
        .status();
    assert!(made.expect("there is `mkfifo`").success());
    for (file, err) in [
        (
            "gone.wasm",
            "gone.wasm: No such file or directory (os error 2)\n",
        ),
        ("../x", "../x: No such file or directory (os error 2)\n"),
        (
            "a/b@1.0.0",
            "a/b@1.0.0: No such file or directory (os error 2)\n",
        ),
        (
            "dangling",
            "dangling: No such file or directory (os error 2)\n",
        ),
        (
            "folder",
            "folder: `pack.wasm` is missing\nhint: `mbhost pack build` makes it; or give a pack file\n",
        ),
        (
            "odd",
            "odd/pack.wasm: is a folder, expected a regular file\n",
        ),
        (
            "fifo",
            "fifo: is a device, pipe or socket, expected a regular file\n",
        ),
        (
            "empty",
            "empty: file begins with nothing, expected a WebAssembly component\n",
        ),
        (
            "text.wasm",
            "text.wasm: file begins with `hello\\x1b[2`, expected a WebAssembly component\n",
        ),
        (
            "gone",
            "`gone` is neither a file nor a pack that is known here\n",
        ),
        (
            "Some File",
            "`Some File` is neither a file nor a pack that is known here\n",
        ),
        (
            "dense@9.9.9",
            "`dense@9.9.9` is neither a file nor a pack that is known here\nhint: there is `dense@0.1.0`\n",
        ),
    ] {
        refused(dir.path(), &[file, "--yes"], &format!("error: {err}"));
    }
    let passwd = pack(dir.path(), &["add", "/etc/passwd", "--yes"]);
    assert_eq!((passwd.code, &*passwd.out), (Some(1), ""));
    assert!(store(dir.path()).is_empty());
}

#[test]
fn arguments_that_do_not_go_together() {
    let dir = folder();
    add(dir.path(), &nosy("1.0.0"));
    for words in [
        &["pack", "add"][..],
        &["pack", "add", ""],
        &["pack", "add", "a", "b"],
        &["pack", "add", "a", "--maybe"],
        &["pack", "rm"],
        &["pack", "show"],
        &["pack", "list", "nosy"],
        &["pack", "list", "--home"],
        &["pack", "list", "--home", ""],
        &["router"],
        &["router", "use"],
    ] {
        let ran = mbhost(dir.path(), words);
        assert_eq!(
            (ran.code, &*ran.out),
            (Some(2), ""),
            "{words:?}: {}",
            ran.err
        );
        assert!(!ran.err.is_empty(), "{words:?}");
    }
    assert_eq!(installed(dir.path()), ["nosy 1.0.0*"]);
}

use std::path::Path;

use modularbase_format::{PackFile, PrivateKey};

use super::{edit, folder, fresh, mbhost, names, write};

/// Makes a key, and says whose it is.
fn keygen(folder: &Path, name: &str) -> String {
    let made = mbhost(folder, &["pack", "keygen", "--out", name, "--json"]).json();
    assert_eq!(made["path"], name);
    made["publisher"].as_str().expect("a key").to_owned()
}

#[test]
fn a_new_key_is_its_owners_alone_and_takes_nothings_place() {
    let dir = folder();
    let made = mbhost(dir.path(), &["pack", "keygen", "--out", "key.pem"]);
    assert_eq!(
        made.err,
        "key.pem: the private key; keep it to yourself, and keep a copy: your packs are known by \
         it\n\
         hint: `mbhost pack build --sign key.pem` signs with it\n"
    );
    let said = made.good();
    let text = std::fs::read_to_string(dir.path().join("key.pem")).expect("a key");
    let key = PrivateKey::from_pem(&text, "key.pem").expect("a key");
    assert_eq!(said, format!("{}\n", key.publisher()));
    assert_ne!(keygen(dir.path(), "other.pem"), key.publisher().to_string());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let held = std::fs::metadata(dir.path().join("key.pem")).expect("a key");
        assert_eq!(held.permissions().mode() & 0o777, 0o600);
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).expect("a link");
    }

    write(dir.path().join("mine"), "mine");
    std::fs::create_dir(dir.path().join("folder")).expect("a folder");
    for name in ["key.pem", "mine", "folder", "link"] {
        if cfg!(not(unix)) && name == "link" {
            continue;
        }
        mbhost(dir.path(), &["pack", "keygen", "--out", name]).refused(
            1,
            &format!(
                "error: {name}: is there already\n\
                 hint: nothing was changed: it may be a key, and a lost key cannot be made again; \
                 choose another file\n"
            ),
        );
    }
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("a file");
    assert_eq!((read("key.pem"), &*read("mine")), (text, "mine"));
    assert!(!dir.path().join("nowhere").exists());
    mbhost(dir.path(), &["pack", "keygen", "--out", "gone/key.pem"]).refused(
        1,
        "error: gone/key.pem: the folder it should stand in is missing\n",
    );
    assert_eq!(mbhost(dir.path(), &["pack", "keygen"]).code, Some(2));
}

#[test]
fn a_signed_pack_names_its_publisher_and_no_byte_of_it_can_be_changed() {
    let dir = folder();
    let home = fresh(dir.path(), "Signed");
    let publisher = keygen(dir.path(), "key.pem");
    let before = std::fs::read(home.join("pack.toml")).expect("a manifest");
    let sign = ["pack", "build", "signed", "--sign", "key.pem"];
    let built = mbhost(dir.path(), &[&sign[..], &["--json"]].concat()).json();
    assert_eq!(built["signed_by"], *publisher);
    assert_eq!(built["warnings"], serde_json::json!([]));
    let after = std::fs::read(home.join("pack.toml")).expect("a manifest");
    assert!(before == after, "the author's file is the author's");
    let shown = mbhost(dir.path(), &["pack", "inspect", "signed", "--json"]).json();
    assert_eq!(shown["signed_by"], *publisher);
    mbhost(dir.path(), &["pack", "test", "signed/pack.wasm"]).good();

    // The same key and the same source give the same bytes.
    let pack = std::fs::read(home.join("pack.wasm")).expect("a pack");
    let said = mbhost(dir.path(), &sign).good();
    assert!(
        said.contains(&format!("\n  signed   by {publisher}\n")),
        "{said}"
    );
    assert!(pack == std::fs::read(home.join("pack.wasm")).expect("a pack"));
    for at in [8, pack.len() / 2, pack.len() - 1] {
        let mut odd = pack.clone();
        odd[at] ^= 1;
        let opened = PackFile::from_bytes(&odd, "odd".as_ref());
        assert!(opened.is_err(), "a flipped bit at {at}");
    }

    // Unsigned, it is the same but for the two.
    mbhost(dir.path(), &["pack", "build", "signed", "--out", "u.wasm"]).good();
    let open = |path: &Path| PackFile::open(path).expect("a pack");
    let (signed, unsigned) = (
        open(&home.join("pack.wasm")),
        open(&dir.path().join("u.wasm")),
    );
    assert!(unsigned.signed_by().is_none());
    let line = format!("publisher = \"{publisher}\"\n");
    assert_eq!(
        signed.manifest_text().replacen(&line, "", 1),
        unsigned.manifest_text()
    );
    assert!(signed.component() == unsigned.component());
}

#[test]
fn a_publisher_and_a_key_go_together_or_nothing_is_built() {
    let dir = folder();
    let home = fresh(dir.path(), "Two");
    let publisher = keygen(dir.path(), "key.pem");
    let other = keygen(dir.path(), "other.pem");
    let build = |more: &[&str]| mbhost(dir.path(), &[&["pack", "build", "two"], more].concat());
    edit(
        home.join("pack.toml"),
        "id = ",
        &format!("publisher = \"{publisher}\"\nid = "),
    );
    build(&["--sign", "key.pem"]).good();
    let before = std::fs::read(home.join("pack.wasm")).expect("a pack");
    build(&["--sign", "other.pem"]).refused(
        1,
        &format!(
            "error: two/pack.toml: names the publisher `{publisher}`, and other.pem is the key of \
             `{other}`\n\
             hint: sign with that publisher's key; or leave `publisher` out, for `--sign` puts \
             the key's own into the pack\n"
        ),
    );
    build(&[]).refused(
        1,
        &format!(
            "error: two/pack.toml: names the publisher `{publisher}`, and there is no key to sign \
             with\n\
             hint: `--sign KEY` signs a pack that is made with that publisher's private key, and a \
             pack.toml without `publisher` gets it from there\n"
        ),
    );
    build(&["--sign", "gone.pem"]).refused(
        1,
        "error: gone.pem: No such file or directory (os error 2)\n",
    );
    write(dir.path().join("no.pem"), "secret? \u{1b}[2J");
    let made = "`mbhost pack keygen --out KEY` makes a key, and so does `openssl genpkey -algorithm \
                ed25519`";
    build(&["--sign", "no.pem"]).refused(
        1,
        &format!("error: no.pem: line `-----BEGIN PRIVATE KEY-----` is missing\nhint: {made}\n"),
    );
    std::fs::write(dir.path().join("no.der"), [0x30, 0x2e, 0xff]).expect("a file");
    let refused = build(&["--sign", "no.der"]);
    assert!(
        refused.err.starts_with("error: no.der: line "),
        "{}",
        refused.err
    );
    write(dir.path().join("long.pem"), &"x".repeat(1 << 20));
    build(&["--sign", "long.pem"]).refused(
        1,
        "error: long.pem: it is longer than 16384 bytes, expected a private key\n",
    );
    assert_eq!(build(&["--sign", "."]).code, Some(1));
    // A key is not the build's to replace.
    let refused = build(&["--sign", "key.pem", "--out", "key.pem"]);
    assert!(
        refused.err.contains("; the pack would replace it\n"),
        "{}",
        refused.err
    );
    assert!(std::fs::read_to_string(dir.path().join("key.pem")).is_ok());
    assert!(before == std::fs::read(home.join("pack.wasm")).expect("a pack"));
    let left = names(dir.path());
    assert!(left.iter().all(|it| !it.ends_with(".tmp")), "{left:?}");
}

#[cfg(unix)]
#[test]
fn a_key_that_others_may_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder();
    fresh(dir.path(), "Exposed");
    keygen(dir.path(), "key.pem");
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(dir.path().join("key.pem"), mode).expect("it is ours");
    let sign = ["pack", "build", "exposed", "--sign", "key.pem", "--json"];
    assert_eq!(
        mbhost(dir.path(), &sign).json()["warnings"],
        serde_json::json!([
            "key.pem: its mode is 0644, so it is not its owner's alone; `chmod 600` makes it so"
        ])
    );
}

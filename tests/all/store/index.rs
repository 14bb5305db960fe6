//! Documents of the layout that cannot be believed: cut, forged, or from a later time.

use std::fs;

use super::bad::{contains, refused};
use super::{Home, unwatched, verify_all, words};

#[test]
fn a_layout_of_another_version_or_none() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    let layout = home.inside("oci-layout");
    let write = |text: &str| fs::write(&layout, text).expect("it can be written");
    write(r#"{"imageLayoutVersion":"2.0.0"}"#);
    contains(
        &refused(&home),
        &["oci-layout", "`2.0.0`", "expected `1.0.0`", "newer"],
    );
    write("{");
    contains(&refused(&home), &["oci-layout:1:"]);
    write(&" ".repeat(1 << 20));
    contains(
        &refused(&home),
        &["oci-layout: file is 1048576 bytes long, expected at most"],
    );
}

#[test]
fn a_store_of_a_newer_format() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    for newer in ["2", "99999999999999999999999"] {
        let format = |it: &str| format!(r#""modularbase.store":"{it}""#);
        home.change_index(|text| text.replace(&format("1"), &format(newer)));
        let found = format!("store has format `{newer}`, expected at most 1");
        contains(&refused(&home), &[&found, "newer `mbhost`"]);
        home.change_index(|text| text.replace(&format(newer), &format("1")));
    }
    verify_all(&home.store());
}

#[test]
fn an_index_that_is_damaged() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0");
    home.keep("b", "1.0.0");
    let index = home.inside("index.json");
    let whole = fs::read(&index).expect("it is there");
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(&index, &whole[..cut]).expect("there is room");
        contains(&refused(&home), &["index.json:1:"]);
    }
    let long = vec![b' '; 17 << 20];
    fs::write(&index, &long).expect("there is room");
    contains(
        &refused(&home),
        &["index.json: file is 17825792 bytes long, expected at most"],
    );
    fs::remove_file(&index).expect("it is ours");
    contains(&refused(&home), &["index.json: is missing", "backup"]);
    fs::write(&index, &whole).expect("there is room");

    let digest = entry.digest.to_string();
    let id = r#""modularbase.pack":"a""#;
    let cases: &[(&str, &str, &[&str])] = &[
        (
            id,
            r#""modularbase.pack":"../x""#,
            &[
                "pack `../x` `1.0.0`",
                "modularbase.pack is `../x`, expected a pack's id",
            ],
        ),
        (
            id,
            r#""modularbase.pack":"\u001b[2J""#,
            &["`\\u{1b}[2J`", "a pack's id"],
        ),
        (
            id,
            r#""modularbase.pack":"b""#,
            &["pack `b` 1.0.0 is there twice"],
        ),
        (
            r#""modularbase.version":"1.0.0""#,
            r#""modularbase.version":"1.0/../..""#,
            &["modularbase.version is `1.0/../..`, expected a version"],
        ),
        (
            r#""modularbase.version":"1.0.0""#,
            r#""x":"y""#,
            &["modularbase.version is missing"],
        ),
        (
            &format!(r#""modularbase.digest":"{digest}""#),
            r#""modularbase.digest":"../../x""#,
            &["modularbase.digest is `../../x`, expected 64 lower-case hex digits"],
        ),
        (
            &format!(r#""modularbase.size":"{}""#, entry.size),
            r#""modularbase.size":"-1""#,
            &["modularbase.size is `-1`, expected a number of bytes"],
        ),
        (
            r#""modularbase.in-use":"true""#,
            r#""modularbase.in-use":"yes""#,
            &["modularbase.in-use is `yes`, expected `true`"],
        ),
        (
            r#""modularbase.in-use":"true""#,
            r#""modularbase.hooks":"all""#,
            &["modularbase.hooks is `all`, expected `allowed`"],
        ),
        (
            r#""modularbase.in-use":"true""#,
            r#""modularbase.publisher":"me""#,
            &["modularbase.publisher is `me`"],
        ),
        (
            r#""modularbase.store":"1""#,
            r#""modularbase.store":"one""#,
            &["modularbase.store is `one`, expected a number"],
        ),
        (
            r#""modularbase.store":"1""#,
            r#""modularbase.store":"1","modularbase.router":"../r""#,
            &["index: modularbase.router is `../r`"],
        ),
        (
            r#""modularbase.store":"1""#,
            r#""modularbase.store":"1","modularbase.key.a":"rsa:1""#,
            &["modularbase.key. is `rsa:1`"],
        ),
        (
            r#""modularbase.store":"1""#,
            r#""modularbase.store":"1","modularbase.key./etc":"x""#,
            &["modularbase.key. is `/etc`, expected a pack's id"],
        ),
        (
            "application/vnd.oci.image.manifest.v1+json",
            "text/html",
            &["mediaType is `text/html`"],
        ),
        ("sha256:", "sha256:../", &["digest"]),
    ];
    for (from, to, expected) in cases {
        let text = String::from_utf8(whole.clone()).expect("it is text");
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        fs::write(&index, changed).expect("there is room");
        contains(&refused(&home), expected);
    }
    fs::write(&index, &whole).expect("there is room");

    let both = Home::new();
    both.keep("a", "1.0.0");
    both.keep("a", "2.0.0");
    let version = r#""modularbase.version":"1.0.0""#;
    both.change_index(|text| {
        text.replace(
            version,
            &format!(r#"{version},"modularbase.in-use":"true""#),
        )
    });
    contains(
        &refused(&both),
        &["pack `a` 2.0.0 and pack `a` 1.0.0 are both in use"],
    );
}

#[test]
fn sizes_that_lie() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0");
    let size = |size: u64| format!(r#""modularbase.size":"{size}""#);
    home.change_index(|text| text.replace(&size(entry.size), &size(entry.size + 1)));
    let store = home.store();
    let contents = store.contents().expect("it can be read");
    let [lies] = contents.entries() else {
        panic!("{contents:?}");
    };
    let text = words(&store.open_pack(lies).expect_err("it lies"));
    let expected = format!(
        "has {} bytes, expected {} bytes",
        entry.size,
        entry.size + 1
    );
    contains(&text, &["pack `a` 1.0.0: pack file", &expected]);
    let text = words(&store.verify(lies, &unwatched).expect_err("it lies"));
    contains(&text, &["pack `a` 1.0.0: image manifest has other layers"]);
}

//! The packs that are installed, as their users handle them.

/// The question, at a terminal.
mod asking;
/// Homes that are files, read-only or unnamed, and what the doctor says of them.
mod places;
/// What is refused, in which words, and that nothing changes then.
mod refused;
/// Texts that would like to steer a terminal or look like ours.
mod strangers;
/// A program that believes to sit at a terminal.
#[cfg(target_os = "linux")]
mod terminal;
/// Several commands at once.
mod together;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use modularbase_format::{PackFile, PrivateKey};
use serde_json::{Value, json};

use super::{Run, folder, mbhost, names};
use crate::support::{Source, guest, repository};

/// `packs/dense` as `mbhost pack build` makes it: once for a run of the tests.
fn dense() -> &'static [u8] {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let dir = folder();
        let crate_folder = repository("packs/dense").display().to_string();
        let build = ["pack", "build", &crate_folder, "--out", "dense.wasm"];
        mbhost(dir.path(), &build).good();
        std::fs::read(dir.path().join("dense.wasm")).expect("it was built")
    })
}

fn key() -> Arc<PrivateKey> {
    Arc::new(PrivateKey::generate().expect("there is randomness"))
}

/// A pack that computes and does nothing else.
fn quiet(version: &str) -> Source {
    Source::new("quiet", guest("good")).version(version)
}

/// A pack with hooks.
fn nosy(version: &str) -> Source {
    Source::new("nosy", guest("hooks")).version(version)
}

/// Writes a pack's file.
fn put(folder: &Path, name: &str, pack: &Source) {
    std::fs::write(folder.join(name), pack.bytes()).expect("there is room");
}

/// `mbhost pack` with these words.
fn pack(folder: &Path, words: &[&str]) -> Run {
    mbhost(folder, &[&["pack"], words].concat())
}

/// Adds a pack that nobody has anything against.
fn add(folder: &Path, source: &Source) {
    put(folder, "add.wasm", source);
    pack(folder, &["add", "add.wasm", "--yes", "--allow-hooks"]).good();
}

/// Every file of the store with its bytes.
fn store(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn look(path: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(path).into_iter().flatten() {
            let path = entry.expect("it can be listed").path();
            match path.is_dir() {
                true => look(&path, found),
                false => drop(found.insert(path.clone(), std::fs::read(&path).expect("a file"))),
            }
        }
    }
    let mut found = BTreeMap::new();
    look(&folder.join("home/store"), &mut found);
    found
}

/// What is installed, as `ID VERSION`, with a star at what is in use.
fn installed(folder: &Path) -> Vec<String> {
    let list = pack(folder, &["list", "--json"]).json();
    let list = list.as_array().expect("a list").iter();
    let text = |it: &Value, key: &str| it[key].as_str().expect("a text").to_owned();
    list.map(|it| {
        let star = if it["in_use"] == true { "*" } else { "" };
        format!("{} {}{star}", text(it, "id"), text(it, "version"))
    })
    .collect()
}

/// The keys of an object, sorted.
fn keys(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("an object");
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_pack_comes_is_looked_at_and_goes() {
    let dir = folder();
    let run = |words: &[&str]| pack(dir.path(), words);
    let empty = run(&["list"]);
    assert_eq!((empty.code, &*empty.out), (Some(0), ""));
    let said = "no packs are installed; `mbhost pack add FILE` adds one\n";
    assert_eq!(empty.err, said);
    assert_eq!(run(&["list", "--json"]).json(), json!([]));
    assert!(names(dir.path()).is_empty(), "looking makes nothing");

    std::fs::create_dir(dir.path().join("crate")).expect("a folder");
    std::fs::write(dir.path().join("crate/pack.wasm"), dense()).expect("a file");
    // A crate's folder means what a build leaves in it.
    let added = run(&["add", "crate", "--yes"]);
    let introduction: Vec<&str> = added.err.lines().collect();
    for line in [
        "pack `dense` 0.1.0: crate/pack.wasm",
        "  name         Dense",
        "  description  A transformer expert that reads its shape from its configuration",
        "  base         any of width 64",
        "  signed by    nobody",
        "  can          computes on hidden states; writes to the log",
        "warning: its weights are not trained: it was built with made-up ones",
    ] {
        assert!(introduction.contains(&line), "{line}\n{}", added.err);
    }
    assert_eq!(added.good(), "pack `dense` 0.1.0 is added\n");

    let again = run(&["install", "crate/pack.wasm"]);
    assert_eq!(
        again.err, "warning: its weights are not trained: it was built with made-up ones\n",
        "there is nothing to introduce or to ask"
    );
    assert_eq!(again.good(), "pack `dense` 0.1.0 is installed already\n");

    let list = run(&["list"]).good();
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    let words: Vec<&str> = lines[1].split("  ").filter(|it| !it.is_empty()).collect();
    let words: Vec<&str> = words.into_iter().map(str::trim).collect();
    assert_eq!(&words[..3], ["dense", "0.1.0", "expert"]);
    assert_eq!(&words[4..], ["nobody", "just now", "in use, not trained"]);

    let shown = run(&["show", "dense"]).good();
    let inspected = run(&["inspect", "crate"]).good();
    let tail = |text: &str| text.split_once('\n').expect("lines").1.to_owned();
    let (facts, contents) = inspected.split_once("\ncode\n").expect("code");
    assert!(tail(&shown).starts_with(&tail(facts)), "{shown}");
    assert!(shown.ends_with(contents), "{shown}");
    let here = "\nhere\n  added        just now\n  in use       yes\n  publisher    nobody\n";
    assert!(shown.contains(here), "{shown}");

    let verified = run(&["verify"]).good();
    assert!(
        verified.starts_with("  good    dense 0.1.0  "),
        "{verified}"
    );
    let gone = run(&["rm", "dense"]).good();
    assert!(
        gone.starts_with("pack `dense` 0.1.0 is removed, which frees "),
        "{gone}"
    );
    assert_eq!(installed(dir.path()), [""; 0]);
    assert!(
        names(&dir.path().join("home/store/blobs/sha256")).is_empty(),
        "its files go with it"
    );
}

#[test]
fn versions_are_kept_side_by_side_and_one_is_in_use() {
    let dir = folder();
    let run = |words: &[&str]| pack(dir.path(), words);
    for version in ["1.0.0", "2.0.0-rc.1", "2.0.0"] {
        put(dir.path(), &format!("{version}.wasm"), &quiet(version));
    }
    run(&["add", "1.0.0.wasm", "--yes"]).good();
    let instead = run(&["add", "2.0.0-rc.1.wasm", "--yes"]);
    assert!(
        instead
            .err
            .contains("  instead of   1.0.0, which is kept\n"),
        "{}",
        instead.err
    );
    assert_eq!(
        instead.good(),
        "pack `quiet` 2.0.0-rc.1 is added and in use instead of 1.0.0, which is kept\n"
    );
    run(&["add", "2.0.0.wasm", "--yes"]).good();
    let all = ["quiet 2.0.0*", "quiet 2.0.0-rc.1", "quiet 1.0.0"];
    assert_eq!(installed(dir.path()), all);

    // Agreed to when it came: no question, no flag.
    let back = run(&["add", "quiet@1.0.0"]).good();
    assert_eq!(back, "pack `quiet` 1.0.0 is in use again\n");
    let shown = run(&["show", "quiet", "--json"]).json();
    assert_eq!(shown["version"], "1.0.0");
    let shown = run(&["show", "quiet@2.0.0", "--json"]).json();
    assert_eq!(
        (&shown["version"], &shown["installed"]["in_use"]),
        (&json!("2.0.0"), &json!(false))
    );

    let gone = run(&["rm", "quiet@1.0.0"]).good();
    assert!(gone.ends_with("\n2.0.0 is in use now\n"), "{gone}");
    run(&["remove", "quiet@2.0.0-rc.1"]).good();
    run(&["add", "1.0.0.wasm", "--yes", "--downgrade"]).good();
    assert_eq!(installed(dir.path()), ["quiet 2.0.0", "quiet 1.0.0*"]);
    let gone = run(&["rm", "quiet"]).good();
    assert!(
        gone.starts_with("pack `quiet` 2.0.0, 1.0.0 are removed, which free "),
        "{gone}"
    );
}

#[test]
fn what_programs_read_keeps_its_shape() {
    let dir = folder();
    let run = |words: &[&str]| pack(dir.path(), &[words, &["--json"]].concat()).json();
    let key = key();
    let router = Source::new("way", guest("router")).roles(r#""router""#);
    put(dir.path(), "quiet.wasm", &quiet("1.0.0").sign(&key));
    put(dir.path(), "newer.wasm", &quiet("1.1.0").sign(&key));
    put(dir.path(), "way.wasm", &router);

    let added = run(&["add", "quiet.wasm", "--yes"]);
    assert_eq!(
        keys(&added),
        [
            "bytes",
            "digest",
            "id",
            "mended",
            "news",
            "version",
            "was_router"
        ]
    );
    assert_eq!(
        (&added["id"], &added["news"]),
        (&json!("quiet"), &json!("new"))
    );
    let instead = run(&["add", "newer.wasm"]);
    assert_eq!(
        (&instead["news"], &instead["of"]),
        (&json!("instead"), &json!("1.0.0"))
    );
    let known = run(&["add", "newer.wasm"]);
    assert_eq!(
        (&known["news"], &known["was_in_use"]),
        (&json!("known"), &json!(true))
    );
    run(&["add", "way.wasm", "--yes"]);

    let list = run(&["list"]);
    let all = [
        "added",
        "bytes",
        "digest",
        "hooks_allowed",
        "id",
        "in_use",
        "name",
        "problem",
        "roles",
        "router",
        "signed_by",
        "trained",
        "version",
    ];
    for it in list.as_array().expect("a list") {
        assert_eq!(keys(it), all);
    }
    let publisher = json!(key.publisher().to_string());
    assert_eq!(list[0]["signed_by"], publisher);

    let shown = run(&["show", "quiet"]);
    let mut inspected = pack(dir.path(), &["inspect", "newer.wasm", "--json"]).json();
    let mut without = shown.clone();
    let facts = without
        .as_object_mut()
        .expect("an object")
        .remove("installed");
    let facts = facts.expect("what became of it");
    assert_eq!(
        keys(&facts),
        ["added", "hooks_allowed", "in_use", "publisher", "router"]
    );
    assert_eq!(facts["publisher"], publisher);
    for it in [&mut without, &mut inspected] {
        it.as_object_mut()
            .expect("an object")
            .remove("path")
            .expect("a path");
    }
    assert_eq!(without, inspected);

    let verified = run(&["verify", "quiet@1.0.0"]);
    assert_eq!(verified.as_array().map(Vec::len), Some(1));
    assert_eq!(keys(&verified[0]), ["bytes", "id", "problem", "version"]);
    assert_eq!(verified[0]["problem"], Value::Null);

    let removed = run(&["rm", "quiet@1.1.0"]);
    assert_eq!(
        keys(&removed),
        [
            "bytes",
            "id",
            "now_in_use",
            "other_key",
            "versions",
            "was_router"
        ]
    );
    assert_eq!(
        (&removed["versions"], &removed["now_in_use"]),
        (&json!(["1.1.0"]), &json!("1.0.0"))
    );

    let swept = run(&["gc"]);
    assert_eq!(keys(&swept), ["bytes", "files"]);

    let chosen = mbhost(dir.path(), &["router", "use", "way", "--json"]).json();
    assert_eq!(
        (&chosen["id"], &chosen["router"]),
        (&json!("way"), &json!(true))
    );
    let routers = mbhost(dir.path(), &["router", "show", "--json"]).json();
    assert_eq!(keys(&routers), ["candidates", "router"]);
    assert_eq!(routers["router"], chosen);
    assert_eq!(routers["candidates"], json!([chosen]));
}

#[test]
fn the_router_is_chosen_by_name_and_goes_with_its_pack() {
    let dir = folder();
    let router = |words: &[&str]| mbhost(dir.path(), &[&["router"], words].concat());
    assert_eq!(
        router(&["show"]).good(),
        "no router is chosen\nnone of the installed packs has the role\n"
    );
    add(dir.path(), &quiet("1.0.0"));
    let way = |version| {
        Source::new("way", guest("router"))
            .roles(r#""router""#)
            .version(version)
    };
    add(dir.path(), &way("1.0.0"));
    assert_eq!(
        router(&["show"]).good(),
        "no router is chosen\npack `way` 1.0.0 could be: `mbhost router use way`\n"
    );
    router(&["use", "quiet"]).refused(
        1,
        "error: pack `quiet` 1.0.0: it is no router, its roles are: expert\n",
    );
    router(&["use", "way@1.0.0"]).refused(
        2,
        "error: `way@1.0.0` is one version, expected an id: the router is the version in use\n\
         hint: `mbhost pack add way@1.0.0` puts it in use, `mbhost router use way` makes it the \
         router\n",
    );
    assert_eq!(
        router(&["use", "way"]).good(),
        "pack `way` 1.0.0 is the router now\n"
    );
    add(dir.path(), &way("1.1.0"));
    assert_eq!(router(&["show"]).good(), "pack `way` 1.1.0 is the router\n");
    let list = pack(dir.path(), &["list"]).good();
    assert_eq!(list.matches("in use, router").count(), 1, "{list}");

    let one = pack(dir.path(), &["rm", "way@1.1.0"]).good();
    assert!(one.ends_with("\n1.0.0 is in use now\n"), "{one}");
    let gone = pack(dir.path(), &["rm", "way"]).good();
    assert!(
        gone.ends_with("\nit was the router: none is chosen now\n"),
        "{gone}"
    );
    router(&["use", "way"]).refused(
        1,
        "error: pack `way` is not installed\n\
         hint: `mbhost pack list` shows what is installed\n",
    );
}

#[test]
fn weights_come_back_and_never_over_something() {
    let dir = folder();
    let run = |words: &[&str]| pack(dir.path(), words);
    std::fs::write(dir.path().join("dense.wasm"), dense()).expect("a file");
    let file = PackFile::from_bytes(dense(), Path::new("dense.wasm")).expect("a pack");
    let shards: Vec<_> = file.weight_shards().map(|it| it.bytes).collect();
    let [weights] = shards[..] else {
        panic!("{} shards", shards.len())
    };
    run(&["add", "dense.wasm", "--yes"]).good();
    let said = run(&["export-weights", "dense"]).good();
    assert!(said.starts_with("dense-0.1.0.gguf: "), "{said}");
    let read = |name: &str| std::fs::read(dir.path().join(name)).expect("a file");
    assert!(read("dense-0.1.0.gguf") == weights);
    for (words, out) in [
        (&["export-weights", "dense@0.1.0"][..], "dense-0.1.0.gguf"),
        (
            &["export-weights", "dense.wasm", "--out", "dense.wasm"],
            "dense.wasm",
        ),
    ] {
        let before = read(out);
        run(words).refused(
            1,
            &format!(
                "error: {out}: there is something already\n\
                 hint: remove it, or name another file with `--out`\n"
            ),
        );
        assert!(read(out) == before);
    }
    let exported = run(&["export-weights", "dense.wasm", "--out", "w.gguf", "--json"]).json();
    assert_eq!(
        exported,
        json!({ "path": "w.gguf", "bytes": weights.len() })
    );
    assert!(read("w.gguf") == weights);
    put(dir.path(), "none.wasm", &nosy("1.0.0"));
    run(&["export-weights", "none.wasm"])
        .refused(1, "error: pack `nosy` 1.0.0: it has no weights\n");
    assert!(!dir.path().join("nosy-1.0.0.gguf").exists());
}

#[cfg(unix)]
#[test]
fn damage_is_found_and_the_same_file_puts_it_right() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder();
    let run = |words: &[&str]| pack(dir.path(), words);
    add(dir.path(), &nosy("1.0.0"));
    add(dir.path(), &quiet("1.0.0"));
    let digest = run(&["show", "quiet", "--json"]).json()["digest"].clone();
    let digest = digest.as_str().expect("a digest");
    let blob = dir.path().join("home/store/blobs/sha256").join(digest);
    let mut bytes = std::fs::read(&blob).expect("a blob");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let writable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&blob, writable).expect("it is ours");
    std::fs::write(&blob, &bytes).expect("it is writable");

    let verified = run(&["verify"]);
    assert_eq!(verified.code, Some(1));
    assert!(
        verified.out.contains("  good    nosy 1.0.0  "),
        "{}",
        verified.out
    );
    assert!(
        verified.out.contains("  BROKEN  quiet 1.0.0  "),
        "{}",
        verified.out
    );
    assert_eq!(
        verified.err,
        "hint: adding the file of `quiet` 1.0.0 again puts it right, with `--downgrade` where a \
         newer version is in use; `mbhost pack rm quiet@1.0.0` removes it\n"
    );
    let list = run(&["list"]).good();
    assert!(list.contains("BROKEN, in use"), "{list}");
    let shown = run(&["show", "quiet"]);
    assert_eq!(shown.code, Some(1), "{}", shown.out);

    let again = run(&["add", "add.wasm", "--yes"]).good();
    assert_eq!(again, "pack `quiet` 1.0.0 is put right\n");
    let again = run(&["add", "add.wasm", "--yes"]).good();
    assert_eq!(again, "pack `quiet` 1.0.0 is installed already\n");
    run(&["verify"]).good();
    std::fs::remove_file(&blob).expect("it is there");
    assert_eq!(run(&["verify", "quiet"]).code, Some(1));
    run(&["rm", "quiet"]).good();
    run(&["verify"]).good();
}

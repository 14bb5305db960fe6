//! `mbhost` as people use it: whole commands, what they print and how they end.

/// Keys, and packs that are signed with them.
mod keys;
/// Packs that are added, listed, shown, verified and removed.
mod packs;
/// Where a pack's weights come from, and what a build may replace.
mod weights;
/// Packs of weights alone, with code that the host brings.
mod wrap;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a command printed and how it ended.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs `mbhost` in a folder. Crates that it builds share one target folder, so that the SDK's
/// dependencies are compiled once; tests name their crates differently.
fn mbhost(folder: &Path, arguments: &[&str]) -> Run {
    mbhost_with(folder, arguments, &[])
}

/// Runs `mbhost` with these variables.
fn mbhost_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = command(folder, arguments);
    let ran = command.envs(variables.iter().copied()).output();
    let ran = ran.expect("mbhost starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    Run {
        code: ran.status.code(),
        out: text(ran.stdout),
        err: text(ran.stderr),
    }
}

/// `mbhost` in a folder, with a home in it: nothing that its user has set or installed counts.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_mbhost"));
    let target = program.ancestors().nth(2).expect("target/release/mbhost");
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MBHOST_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target.join("authors"))
        .env("MBHOST_HOME", folder.join("home"));
    command
}

impl Run {
    fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    fn json(self) -> Value {
        serde_json::from_str(&self.good()).expect("JSON and nothing else")
    }

    /// Ended with `code`, with nothing on standard output and exactly `err` on the other.
    #[track_caller]
    fn refused(self, code: i32, err: &str) {
        assert_eq!(
            (self.code, &*self.out, &*self.err),
            (Some(code), "", err),
            "{}",
            self.err
        );
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(path: PathBuf, text: &str) -> PathBuf {
    let folder = path.parent().expect("a folder");
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(&path, text).expect("a file");
    path
}

/// Replaces text that must be there.
fn edit(path: PathBuf, from: &str, to: &str) {
    let text = std::fs::read_to_string(&path).expect("a file");
    assert!(text.contains(from), "{from} is not in {}", path.display());
    write(path, &text.replace(from, to));
}

/// A fresh crate, small enough to be built and run in no time.
fn fresh(folder: &Path, name: &str) -> PathBuf {
    let made = mbhost(
        folder,
        &["pack", "init", "--name", name, "--width", "64", "--json"],
    )
    .json();
    folder.join(made["id"].as_str().expect("an id"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |it: std::io::Result<std::fs::DirEntry>| it.expect("an entry").file_name();
    let mut names: Vec<String> = entries
        .map(|it| name(it).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Issue #2: at most 40 lines of the author's own, 10 minutes for a first build, 20 seconds for
/// another.
#[test]
fn a_new_author_makes_builds_tests_and_inspects_a_pack() {
    let dir = folder();
    let init = [
        "pack",
        "init",
        "--domain",
        "medical",
        "--name",
        "Medical QA Pack",
    ];
    let said = mbhost(dir.path(), &init).good();
    assert!(
        said.starts_with("medical-qa-pack: a crate for the pack `medical-qa-pack`, "),
        "{said}"
    );
    let home = dir.path().join("medical-qa-pack");
    let code = std::fs::read_to_string(home.join("src/lib.rs")).expect("the author's code");
    let lines = code.lines().map(str::trim);
    let lines = lines.filter(|it| !it.is_empty() && !it.starts_with("//"));
    let lines = lines.count();
    assert!(lines <= 40, "{lines} lines");

    let begun = Instant::now();
    let built = mbhost(&home, &["pack", "build", "--json"]).json();
    let first = begun.elapsed();
    assert!(first < Duration::from_secs(600), "{first:?}");
    assert_eq!(built["pack"], "pack `medical-qa-pack` 0.1.0");
    assert_eq!(built["seeded"], true);
    let pack = std::fs::read(home.join("pack.wasm")).expect("the pack");

    // A comment makes cargo compile again, and changes nothing.
    write(home.join("src/lib.rs"), &format!("{code}// again\n"));
    let begun = Instant::now();
    mbhost(&home, &["pack", "build"]).good();
    let second = begun.elapsed();
    assert!(second < Duration::from_secs(20), "{second:?}");
    assert!(pack == std::fs::read(home.join("pack.wasm")).expect("the pack"));
    println!("{lines} lines of code; first build {first:.1?}, rebuild {second:.1?}");

    let tested = mbhost(&home, &["pack", "test", "--json"]);
    assert!(
        tested.err.ends_with(
            "hint: the code was tested with made-up weights; `mbhost pack test pack.wasm` tests \
             the pack that was built\n"
        ),
        "{}",
        tested.err
    );
    let report = tested.json();
    let outcome = |name: &str| {
        let checks = report["checks"].as_array().expect("checks").iter();
        let mut found = checks.filter(|it| it["name"] == name);
        found.next().unwrap_or_else(|| panic!("{name}: {report}"))["outcome"].clone()
    };
    for name in [
        "sound",
        "compiles",
        "loads",
        "runs",
        "deterministic",
        "row-invariant",
        "cached",
        "identity",
        "model",
        "limits",
    ] {
        assert_eq!(outcome(name), "passed", "{name}: {report}");
    }
    let tested = mbhost(&home, &["pack", "test", "pack.wasm"]);
    assert!(!tested.err.contains("made-up"), "{}", tested.err);
    let said = tested.good();
    assert!(said.ends_with("\n10 passed\n"), "{said}");

    let shown = mbhost(&home, &["pack", "inspect", "pack.wasm", "--json"]).json();
    assert_eq!(shown["id"], "medical-qa-pack");
    assert_eq!(shown["trained"], false);
    assert_eq!(shown["domain"], "medical");
    assert_eq!(shown["code"]["exports"], serde_json::json!(["expert"]));
    assert_eq!(shown["measured"][0]["role"], "expert");
    assert_eq!(shown["weights"]["parameters"], built["parameters"]);
    let said = mbhost(&home, &["pack", "inspect", "pack.wasm"]).good();
    assert_eq!(mbhost(&home, &["pack", "inspect"]).good(), said);
    let named = mbhost(
        dir.path(),
        &["pack", "inspect", "medical-qa-pack", "--json"],
    )
    .json();
    assert_eq!(named["digest"], shown["digest"]);
    for words in [
        "  can          computes on hidden states; writes to the log\n",
        "  trained      no\n",
        "\ncost of its expert, as its builder measured it\n",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let left = names(&home);
    assert!(left.iter().all(|it| !it.ends_with(".tmp")), "{left:?}");
}

#[test]
fn a_build_that_breaks_leaves_what_was_there() {
    let dir = folder();
    let home = fresh(dir.path(), "Broken");
    mbhost(&home, &["pack", "build"]).good();
    let read = || std::fs::read(home.join("pack.wasm")).expect("it is there");
    let old = read();
    let code = std::fs::read_to_string(home.join("src/lib.rs")).expect("code");
    write(home.join("src/lib.rs"), "pub fn x() {");
    let broken = mbhost(&home, &["pack", "build"]);
    assert_eq!((broken.code, &*broken.out), (Some(1), ""));
    assert!(
        broken
            .err
            .contains("this file contains an unclosed delimiter")
    );
    let last = "error: .: `cargo build` ended with exit status: 101\n\
                hint: cargo's own words stand above\n";
    assert!(broken.err.ends_with(last), "{}", broken.err);

    write(home.join("src/lib.rs"), "");
    let empty = mbhost(&home, &["pack", "build"]);
    let last = "error: pack `broken` 0.1.0: it exports nothing of `modularbase:pack`, expected \
                a role\nhint: an expert calls `export_expert!`, a router `export_router!`\n";
    assert!(empty.err.ends_with(last), "{}", empty.err);

    let panicking = code.replace(
        "let config = BlockConfig::from_network(net)?;",
        "let config = BlockConfig::from_network(net)?; assert!(config.layers == 3);",
    );
    write(home.join("src/lib.rs"), &panicking);
    let refused = mbhost(&home, &["pack", "build"]);
    assert_eq!(refused.code, Some(1));
    let last = refused.err.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("error: pack `broken` 0.1.0: `load` panicked: src/lib.rs:"),
        "{last}"
    );
    assert!(
        last.ends_with("assertion failed: config.layers == 3"),
        "{last}"
    );

    edit(
        home.join("Cargo.toml"),
        "crate-type = [\"cdylib\"]",
        "crate-type = [\"rlib\"]",
    );
    let none = mbhost(&home, &["pack", "build"]);
    let last = "error: .: `cargo build` made no wasm file of this crate\n\
                hint: `[lib]` in Cargo.toml needs `crate-type = [\"cdylib\"]`\n";
    assert!(none.err.ends_with(last), "{}", none.err);
    assert!(read() == old);
}

#[test]
fn flags_for_the_machines_compiler_do_not_reach_the_packs() {
    let dir = folder();
    fresh(dir.path(), "Flagged");
    let flags = [
        ("RUSTFLAGS", "--no-such-flag"),
        ("CARGO_ENCODED_RUSTFLAGS", "--no-such-flag"),
        ("CARGO_BUILD_RUSTFLAGS", "--no-such-flag"),
    ];
    mbhost_with(dir.path(), &["pack", "build", "flagged"], &flags).good();
}

/// In either form that cargo knows, for the builder has flags of its own to put beside them.
#[test]
fn flags_that_an_author_sets_below_the_target_reach_the_pack() {
    let dir = folder();
    let home = fresh(dir.path(), "Beside");
    let code = std::fs::read_to_string(home.join("src/lib.rs")).expect("code");
    let wanted = "#[cfg(not(mine))]\ncompile_error!(\"the flag is not set\");\n";
    write(home.join("src/lib.rs"), &format!("{code}\n{wanted}"));
    let without = mbhost(&home, &["pack", "build"]);
    assert!(
        without.err.contains("the flag is not set"),
        "{}",
        without.err
    );
    for flags in ["\"--cfg mine\"", "[\"--cfg\", \"mine\"]"] {
        write(
            home.join(".cargo/config.toml"),
            &format!("[target.wasm32-unknown-unknown]\nrustflags = {flags}\n"),
        );
        mbhost(&home, &["pack", "build"]).good();
    }
}

#[test]
fn a_pack_that_misbehaves_is_told_so_and_the_exit_code_says_it() {
    let dir = folder();
    let home = fresh(dir.path(), "Endless");
    edit(
        home.join("src/lib.rs"),
        "self.plan.run(step, &[&hidden])",
        "let _ = self.plan.run(step, &[&hidden]); loop {}",
    );
    let tested = mbhost(dir.path(), &["pack", "test", "endless"]);
    assert_eq!(tested.code, Some(1), "{}", tested.err);
    assert!(
        tested
            .out
            .contains("`forward` used up its 100000000 units of fuel\n"),
        "{}",
        tested.out
    );
    assert!(
        tested.out.ends_with("\n4 passed, 1 failed, 5 skipped\n"),
        "{}",
        tested.out
    );
    assert!(!tested.err.contains("made-up"), "{}", tested.err);
    assert!(!home.join("pack.wasm").exists());
}

#[test]
fn folders_that_are_no_packs_crate_are_told_what_they_lack() {
    let dir = folder();
    let build = |path: &str| mbhost(dir.path(), &["pack", "build", path]);
    build("gone").refused(1, "error: gone: No such file or directory (os error 2)\n");
    build(".").refused(
        1,
        "error: .: `pack.toml` is missing\nhint: `mbhost pack init` makes a crate that has one\n",
    );
    let manifest = write(dir.path().join("x/pack.toml"), "");
    build("x").refused(
        1,
        "error: x: `Cargo.toml` is missing\n\
         hint: give the folder of a pack's crate, or make one with `mbhost pack init`\n",
    );
    build("x/pack.toml").refused(
        1,
        "error: x/pack.toml: found a file, expected a crate's folder\n\
         hint: give the folder of a pack's crate, or make one with `mbhost pack init`\n",
    );
    write(dir.path().join("x/Cargo.toml"), "[package]\nname = \"x\"\n");
    build("x").refused(
        1,
        "error: x/pack.toml:1:1: key `id` is missing\n\
         hint: keys of the manifest itself stand above the first `[table]`\n",
    );
    write(manifest.clone(), "id = \"x\"\ndomian = \"medical\"\n");
    build("x").refused(
        1,
        "error: x/pack.toml:2:1: key `domian` is unknown\nhint: did you mean `domain`?\n",
    );
    write(manifest.clone(), &"#".repeat(1 << 20));
    build("x").refused(
        1,
        "error: x/pack.toml: it is 1048576 bytes long, expected a file of at most 65536 bytes\n",
    );
    let fresh = fresh(dir.path(), "Fresh");
    let text = std::fs::read_to_string(fresh.join("pack.toml")).expect("a manifest");
    let key = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    write(manifest, &format!("publisher = \"ed25519:{key}\"\n{text}"));
    build("x").refused(
        1,
        &format!(
            "error: x/pack.toml: names the publisher `ed25519:{key}`, and there is no key to sign \
             with\n\
             hint: `--sign KEY` signs a pack that is made with that publisher's private key, and a \
             pack.toml without `publisher` gets it from there\n"
        ),
    );
    let out = |path: &str| mbhost(dir.path(), &["pack", "build", "fresh", "--out", path]);
    out("gone/x.wasm").refused(
        1,
        "error: gone/x.wasm: the folder it should stand in is missing\n",
    );
    out("fresh").refused(1, "error: fresh: is a directory\n");
}

#[cfg(unix)]
#[test]
fn a_folder_that_takes_no_files_is_found_out_before_cargo_works() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder();
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).expect("a folder");
    fresh(dir.path(), "Shut");
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&closed, mode(0o555)).expect("it is ours");
    if std::fs::write(closed.join("probe"), "").is_ok() {
        eprintln!("skipped: this user writes where nobody may");
        return;
    }
    let build = mbhost(
        dir.path(),
        &["pack", "build", "shut", "--out", "closed/x.wasm"],
    );
    build.refused(1, "error: closed/x.wasm: permission denied\n");
    mbhost(dir.path(), &["pack", "init", "closed/new"])
        .refused(1, "error: closed/new: permission denied\n");
    std::fs::set_permissions(&closed, mode(0o755)).expect("it is ours");
}

#[test]
fn files_that_are_no_packs_are_refused_by_every_verb() {
    let dir = folder();
    write(dir.path().join("text"), "hello\u{1b}[2J, world");
    let component = dir.path().join("component");
    std::fs::write(component, b"\0asm\x0d\0\x01\0").expect("a file");
    for verb in ["test", "inspect"] {
        let run = |file: &str| mbhost(dir.path(), &["pack", verb, file]);
        run("gone").refused(1, "error: gone: No such file or directory (os error 2)\n");
        run("text").refused(
            1,
            "error: text: file begins with `hello\\x1b[2`, expected a WebAssembly component\n",
        );
        run("component").refused(
            1,
            "error: component: section `modularbase:manifest` is missing\n\
             hint: a component becomes a pack with `mbhost pack build`\n",
        );
    }
    for arguments in [&["pack", "inspect"][..], &["pack", "inspect", "."]] {
        mbhost(dir.path(), arguments).refused(
            1,
            "error: .: `pack.wasm` is missing\n\
             hint: `mbhost pack build` makes it; or give a pack file\n",
        );
    }
}

#[test]
fn init_overwrites_nothing_and_leaves_nothing_half_done() {
    let dir = folder();
    let init = |arguments: &[&str]| mbhost(dir.path(), &[&["pack", "init"], arguments].concat());
    init(&[]).refused(
        2,
        "error: neither a folder nor a `--name` is given\n\
         hint: `mbhost pack init --domain medical --name \"Medical QA Pack\"`\n",
    );
    init(&["--name", "日本語"]).refused(
        2,
        "error: name `日本語` gives no id: it has no letter from a to z and no digit\n\
         hint: give the folder too, its name becomes the id: `mbhost pack init my-pack --name …`\n",
    );
    init(&["--name", "a\u{1b}[2J\nb"]).refused(
        2,
        "error: name `a\\u{1b}[2J\\nb` holds characters that do not show, expected one line of \
         text\n",
    );
    init(&["gone/new"]).refused(
        1,
        "error: gone/new: the folder it should stand in is missing\n",
    );
    write(dir.path().join("full/mine"), "mine");
    init(&["full"]).refused(
        1,
        "error: full: is there already, and is not empty\n\
         hint: nothing was changed; choose another folder\n",
    );
    init(&["full/mine"]).refused(
        1,
        "error: full/mine: is a file, expected a folder or nothing\n\
         hint: nothing was changed; choose another folder\n",
    );
    assert_eq!(names(dir.path()), ["full"]);
    assert_eq!(names(&dir.path().join("full")), ["mine"]);

    // Where it stands, when nothing stands there yet.
    let here = dir.path().join("here");
    std::fs::create_dir(&here).expect("a folder");
    mbhost(
        &here,
        &[
            "pack",
            "init",
            ".",
            "--name",
            "\"; drop 'tables' \\ {{id}} #",
        ],
    )
    .good();
    let manifest = std::fs::read_to_string(here.join("pack.toml")).expect("a manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    assert_eq!(manifest["id"].as_str(), Some("drop-tables-id"));
    assert_eq!(
        manifest["name"].as_str(),
        Some("\"; drop 'tables' \\ {{id}} #")
    );
    let files = names(&here);
    let expected = [
        ".gitignore",
        "Cargo.lock",
        "Cargo.toml",
        "README.md",
        "pack.toml",
        "src",
        "tests",
        "vendor",
    ];
    assert_eq!(files, expected);
}

#[test]
fn arguments_that_are_not_understood_end_with_two() {
    let dir = folder();
    for arguments in [
        &["pack", "build", "--quantize", "q2_k"][..],
        &["pack", "build", "--seed", "-1"],
        &["pack", "build", "--seed", "1", "--weights", "x"],
        &["pack", "inspect", "a", "b"],
        &["pack", "test", "--memory", "8"],
        &["pack", "init", "x", "--width", "12"],
        &["pack"],
        &["--log", "][", "doctor"],
        &["dcotor"],
    ] {
        let run = mbhost(dir.path(), arguments);
        assert_eq!((run.code, &*run.out), (Some(2), ""), "{arguments:?}");
        assert!(!run.err.is_empty(), "{arguments:?}");
    }
    assert!(names(dir.path()).is_empty());
}

#[test]
fn the_doctor_answers_in_words_and_in_json() {
    let dir = folder();
    let found = mbhost(dir.path(), &["doctor", "--json"]).json();
    assert_eq!(found["able"], true);
    let said = mbhost(dir.path(), &["doctor"]).good();
    for finding in found["findings"].as_array().expect("findings") {
        let name = finding["name"].as_str().expect("a name");
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(said.ends_with("\npacks can run here\n"), "{said}");
}

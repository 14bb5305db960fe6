//! The code that the host brings, held against its source.
//!
//! Other compilers make other bytes of it, so these tests are for the one that made what is there:
//! `cargo test --release -p modularbase --test all embedded -- --ignored`. With `BLESS=1` the first
//! writes what it builds instead, after a change to `packs/`, `pack-sdk/`, `wit/` or the compiler.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use modularbase::Builtin;
use modularbase_format::PackFile;
use wasmparser::{KnownCustom, Parser, Payload, ProducersSectionReader};

use crate::support::repository;

/// Runs `mbhost pack` and expects it to be content.
fn pack(arguments: &[&OsStr], variables: &[(&str, &OsStr)]) {
    let program = Path::new(env!("CARGO_BIN_EXE_mbhost"));
    let target = program.ancestors().nth(2).expect("target/release/mbhost");
    let ran = Command::new(program)
        .arg("pack")
        .args(arguments)
        .env("CARGO_TARGET_DIR", target.join("authors"))
        .envs(variables.iter().copied())
        .output()
        .expect("mbhost starts");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {said}");
}

/// Builds a pack of the source in `root`, and says where it is.
fn build(root: &Path, code: Builtin, folder: &Path, variables: &[(&str, &OsStr)]) -> PathBuf {
    let out = folder.join(format!("{code}.wasm"));
    let home = root.join("packs").join(code.name());
    pack(
        &[
            "build".as_ref(),
            home.as_ref(),
            "--out".as_ref(),
            out.as_ref(),
        ],
        variables,
    );
    out
}

fn component(path: &Path) -> Vec<u8> {
    PackFile::open(path).expect("a pack").component()
}

/// The compiler that a component says it was made by.
fn compiler(component: &[u8]) -> Option<String> {
    Parser::new(0).parse_all(component).find_map(|payload| {
        let Payload::CustomSection(section) = payload.expect("it is sound") else {
            return None;
        };
        match section.as_known() {
            KnownCustom::Producers(producers) => rustc(producers),
            _ => None,
        }
    })
}

fn rustc(producers: ProducersSectionReader<'_>) -> Option<String> {
    let fields = producers.into_iter().map(|it| it.expect("it is sound"));
    let values = fields.flat_map(|it| it.values.into_iter());
    let mut values = values.map(|it| it.expect("it is sound"));
    let found = values.find(|it| it.name == "rustc")?;
    Some(found.version.to_owned())
}

/// Copies a folder of the repository without what building leaves in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("there is room");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), entry.file_name());
        // A link is followed: the SDK has one to the contract.
        match path.is_dir() {
            true if name == "target" || name == ".git" => {}
            true => copy(&path, &to.join(name)),
            false => drop(std::fs::copy(&path, to.join(name)).expect("there is room")),
        }
    }
}

#[test]
#[ignore = "needs the compiler that made what is embedded; `.ci/run` has it"]
fn the_embedded_code_is_what_its_source_builds() {
    let dir = tempfile::tempdir().expect("a folder");
    for code in Builtin::ALL {
        let made = component(&build(&repository(""), code, dir.path(), &[]));
        if std::env::var_os("BLESS").is_some() {
            let path = repository("host/src/pack/builtin").join(format!("{code}.wasm"));
            std::fs::write(&path, &made).expect("there is room");
            println!("{}: {} bytes", path.display(), made.len());
            continue;
        }
        assert!(
            made == code.component(),
            "{code}: {} bytes are embedded and its source builds {}; {:?} made what is embedded, \
             this is {:?}; BLESS=1 embeds what is built",
            code.component().len(),
            made.len(),
            compiler(code.component()),
            compiler(&made),
        );
    }
}

/// Neither where the source is, nor where cargo keeps its things, leaves a trace.
#[test]
#[ignore = "needs the compiler that made what is embedded; `.ci/run` has it"]
fn the_same_source_elsewhere_builds_the_same_code() {
    let dir = tempfile::tempdir().expect("a folder");
    let elsewhere = dir.path().join("else where");
    copy(&repository(""), &elsewhere);
    let variables: Vec<(&str, PathBuf)> = vec![
        ("CARGO_TARGET_DIR", dir.path().join("made")),
        ("CARGO_HOME", home(&dir.path().join("home"))),
    ];
    let variables: Vec<(&str, &OsStr)> = variables
        .iter()
        .map(|(name, path)| (*name, path.as_os_str()))
        .collect();
    for code in Builtin::ALL {
        let here = component(&build(&repository(""), code, dir.path(), &[]));
        let there = component(&build(&elsewhere, code, dir.path(), &variables));
        assert!(here == there, "{code}");
        for path in [repository(""), dir.path().to_owned()] {
            let path = path.canonicalize().expect("a folder");
            let path = path.as_os_str().as_encoded_bytes();
            let names_it = there.windows(path.len()).any(|it| it == path);
            assert!(!names_it, "{code}");
        }
    }
}

/// Another home of cargo's with the same packages in it, so that nothing is fetched again.
fn home(other: &Path) -> PathBuf {
    std::fs::create_dir_all(other).expect("there is room");
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registry = home.expect("cargo has a home").join("registry");
    #[cfg(unix)]
    std::os::unix::fs::symlink(registry, other.join("registry")).expect("a link");
    #[cfg(not(unix))]
    copy(&registry, &other.join("registry"));
    other.to_owned()
}

#[test]
#[ignore = "needs the compiler that made what is embedded; `.ci/run` has it"]
fn a_wrapped_pack_is_the_one_that_a_build_of_its_source_makes() {
    let dir = tempfile::tempdir().expect("a folder");
    for code in Builtin::ALL {
        let seeded = build(&repository(""), code, dir.path(), &[]);
        let (built, wrapped) = (dir.path().join("built"), dir.path().join("wrapped"));
        let home = repository("packs").join(code.name());
        let manifest = home.join("pack.toml");
        let from = ["--weights".as_ref(), seeded.as_os_str(), "--out".as_ref()];
        let build = ["build".as_ref(), home.as_os_str()];
        pack(&[&build[..], &from, &[built.as_os_str()]].concat(), &[]);
        let wrap: [&OsStr; 5] = [
            "wrap".as_ref(),
            "--code".as_ref(),
            code.name().as_ref(),
            "--manifest".as_ref(),
            manifest.as_ref(),
        ];
        pack(&[&wrap[..], &from, &[wrapped.as_os_str()]].concat(), &[]);
        let read = |path| std::fs::read(path).expect("a pack");
        assert!(read(&built) == read(&wrapped), "{code}");
    }
}

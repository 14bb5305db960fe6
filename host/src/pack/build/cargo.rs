//! Cargo: from a crate to its core module.
//!
//! Cargo talks to the author through standard error, as always; what it made is read from its
//! messages and never guessed from names.
//!
//! Flags that the author set for the machine's own compiler do not reach the pack's: a pack is
//! the same whoever builds it, and `-C target-cpu=native` or a linker of the machine's has no
//! meaning there. What is meant for packs stands in `.cargo/config.toml`, below the target.
//!
//! Nor does the place of anything on this machine: panics name their files, so the folders that
//! differ from machine to machine are renamed. The same source then gives the same module in any
//! folder, with any home of cargo's.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{BuildError, TARGET, toolchain};

/// The variables by which flags reach every compiler.
const FLAGS: [&str; 3] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
];

/// Where flags of ours stand among those that an author sets below the target: beside them. A key
/// of their own would take the place of theirs, or not go together with it.
const BESIDE: &str = "target.'cfg(all())'.rustflags";

/// Compiles the crate in `folder` and says where its core module is.
pub(super) fn build(folder: &Path) -> Result<PathBuf, BuildError> {
    let io = |source| BuildError::Io {
        path: folder.to_owned(),
        source,
    };
    let mut cargo = Command::new("cargo");
    for name in FLAGS {
        cargo.env_remove(name);
    }
    let mut cargo = cargo
        .args(["build", "--lib", "--release", "--target", TARGET])
        .arg("--message-format=json-render-diagnostics")
        .args(["--config", &format!("{BESIDE}={}", list(&renamed(folder)))])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(io)?;
    let manifest = folder.join("Cargo.toml").canonicalize().map_err(io)?;
    let mut found = None;
    if let Some(messages) = cargo.stdout.take() {
        for message in BufReader::new(messages).lines() {
            found = module(&message.map_err(io)?, &manifest).or(found);
        }
    }
    let status = cargo.wait().map_err(io)?;
    if !status.success() {
        return Err(BuildError::Cargo {
            folder: folder.to_owned(),
            status: status.to_string(),
        });
    }
    found.ok_or_else(|| BuildError::NoModule {
        folder: folder.to_owned(),
    })
}

/// Flags for the compiler that rename what is elsewhere on another machine: cargo's home, where the
/// source of dependencies is, and the source of the standard library, which has the name that it
/// has where it is not installed.
fn renamed(folder: &Path) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").filter(|it| !it.is_empty());
    // Where it is relative, cargo takes it from the folder that it runs in.
    let home = home.and_then(|home| Some(folder.canonicalize().ok()?.join(home)));
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let home = home.map(|home| (home, "/cargo".to_owned()));
    let library = toolchain::answer(folder, "rustc", &["--print", "sysroot"]).zip(commit(folder));
    let library = library.map(|(sysroot, commit)| {
        let source = Path::new(&sysroot).join("lib/rustlib/src/rust");
        (source, format!("/rustc/{commit}"))
    });
    let renamed = home.into_iter().chain(library);
    // A name that is no text is one that cargo cannot be told of either.
    let flag = |(from, to): (PathBuf, String)| {
        let from = from.to_str()?;
        Some(format!("--remap-path-prefix={from}={to}"))
    };
    renamed.filter_map(flag).collect()
}

/// The commit that the compiler was made of, where it was made of one.
fn commit(folder: &Path) -> Option<String> {
    let told = toolchain::answer(folder, "rustc", &["--version", "--verbose"])?;
    let commit = told.lines().find_map(|it| it.strip_prefix("commit-hash: "));
    commit.map(str::to_owned)
}

/// Texts as TOML has them, where `--config` takes it: JSON's escapes are all known to TOML.
fn list(texts: &[String]) -> String {
    Value::from(texts).to_string()
}

/// The module that a message of cargo's speaks of, when it is that of the crate.
fn module(message: &str, manifest: &Path) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_ours = message.get("reason")? == "compiler-artifact"
        && Path::new(message.get("manifest_path")?.as_str()?)
            .canonicalize()
            .is_ok_and(|path| path == manifest);
    let files = message.get("filenames")?.as_array()?;
    let mut files = files.iter().filter_map(Value::as_str).map(PathBuf::from);
    files
        .find(|file| file.extension().is_some_and(|it| it == "wasm"))
        .filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(reason: &str, manifest: &Path, files: &[&str]) -> String {
        serde_json::json!({
            "reason": reason,
            "manifest_path": manifest,
            "target": {"kind": ["cdylib"]},
            "filenames": files,
        })
        .to_string()
    }

    #[test]
    fn the_module_is_that_of_the_crate_and_no_other() {
        let dir = tempfile::tempdir().expect("a folder");
        let (ours, other) = (dir.path().join("a.toml"), dir.path().join("b.toml"));
        for file in [&ours, &other] {
            std::fs::write(file, "").expect("a file");
        }
        let ours = ours.canonicalize().expect("it is there");
        let files = ["/t/libx.rlib", "/t/x.wasm"];
        let found = module(&message("compiler-artifact", &ours, &files), &ours);
        assert_eq!(found, Some("/t/x.wasm".into()));
        assert_eq!(
            module(&message("compiler-artifact", &other, &files), &ours),
            None
        );
        assert_eq!(
            module(&message("build-script-executed", &ours, &files), &ours),
            None
        );
        assert_eq!(
            module(&message("compiler-artifact", &ours, &files[..1]), &ours),
            None
        );
        assert_eq!(module("Compiling x", &ours), None);
    }

    #[test]
    fn flags_are_a_list_to_cargo_whatever_a_folder_is_called() {
        let flags = ["--remap-path-prefix=C:\\a \"b\"=/cargo", "x\u{1}\tü"].map(str::to_owned);
        let text = format!("flags = {}", list(&flags));
        let table: toml::Table = text.parse().expect("TOML");
        assert_eq!(table["flags"], toml::Value::from(flags.to_vec()));
    }
}

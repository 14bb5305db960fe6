//! Cargo, rustc and the target that packs are compiled for.
//!
//! Asked in the crate's own folder, so that its toolchain file counts. The builder makes sure of
//! them before it starts cargo, because cargo's words for a missing target are hard to read;
//! `mbhost doctor` shows them.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{BuildError, Stage};

/// What packs are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// What there is of a Rust toolchain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Toolchain {
    /// What `cargo --version` says.
    pub cargo: Option<String>,
    /// What `rustc --version` says.
    pub rustc: Option<String>,
    /// Whether the standard library is there for [`TARGET`].
    pub wasm_target: bool,
    /// Whether rustup is there to add it.
    pub rustup: bool,
}

impl Toolchain {
    /// Looks what the toolchain of a folder has.
    pub fn look(folder: &Path) -> Self {
        let version = |tool| {
            let said = answer(folder, tool, &["--version"])?;
            said.lines().next().map(str::to_owned)
        };
        Self {
            cargo: version("cargo"),
            rustc: version("rustc"),
            wasm_target: has_target(folder),
            rustup: version("rustup").is_some(),
        }
    }

    /// Makes sure that packs can be compiled in `folder`; adds the target where rustup can.
    pub(super) fn ensure(folder: &Path, watch: &dyn Fn(Stage)) -> Result<(), BuildError> {
        for tool in ["cargo", "rustc"] {
            match Command::new(tool)
                .arg("--version")
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
            {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(BuildError::NoTool { tool });
                }
                // Whatever else is wrong with it, it says best itself, when it is needed.
                _ => {}
            }
        }
        if has_target(folder) {
            return Ok(());
        }
        let no_target = |reason: &str| {
            Err(BuildError::NoTarget {
                reason: reason.to_owned(),
            })
        };
        if answer(folder, "rustup", &["--version"]).is_none() {
            return no_target("");
        }
        watch(Stage::AddTarget);
        // Its standard output joins its errors: ours is for data.
        let added = Command::new("rustup")
            .args(["target", "add", TARGET])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status();
        match added {
            Ok(status) if !status.success() => no_target("`rustup target add` did not get it"),
            Ok(_) if has_target(folder) => Ok(()),
            Ok(_) => no_target("rustup added it, to another toolchain than the one in use"),
            Err(_) => no_target(""),
        }
    }
}

/// Whether rustc's standard library for the target is where rustc looks for it.
fn has_target(folder: &Path) -> bool {
    let asked = answer(
        folder,
        "rustc",
        &["--print", "target-libdir", "--target", TARGET],
    );
    let Some(found) = asked.and_then(|libdir| std::fs::read_dir(libdir).ok()) else {
        return false;
    };
    found
        .flatten()
        .any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
}

/// What a tool prints, if it is there and content.
pub(super) fn answer(folder: &Path, tool: &str, arguments: &[&str]) -> Option<String> {
    let said = Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|said| said.status.success())?;
    let text = String::from_utf8(said.stdout).ok()?;
    Some(text.trim_end().to_owned())
}

//! Why a pack was not built: the file or the tool, what was found, what was expected.

use std::io;
use std::path::PathBuf;

use modularbase_format::manifest::Publisher;
use modularbase_format::{
    GgufError, GgufWriteError, Hint, KeyError, ManifestError, PackFileError, SafetensorsError,
};

use super::toolchain::TARGET;
use crate::pack::PackError;
use crate::roles::Failure;

/// Why a pack was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A build starts from a folder.
    #[error("{}: found a file, expected a crate's folder", .path.display())]
    NotAFolder {
        /// What was given.
        path: PathBuf,
    },
    /// The folder is not that of a pack's crate.
    #[error("{}: `{file}` is missing", .folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// What it lacks.
        file: &'static str,
    },
    /// Its manifest is not sound.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// There is no cargo or no rustc.
    #[error("`{tool}` is not installed, or not on the PATH")]
    NoTool {
        /// Which.
        tool: &'static str,
    },
    /// The compiler cannot compile for packs.
    #[error("the Rust compiler has no target `{TARGET}`{}", because(.reason))]
    NoTarget {
        /// Why it could not be added; empty where nobody tried.
        reason: String,
    },
    /// Cargo ended with an error, after saying why.
    #[error("{}: `cargo build` ended with {status}", .folder.display())]
    Cargo {
        /// The crate's folder.
        folder: PathBuf,
        /// How it ended.
        status: String,
    },
    /// Cargo was content and made nothing for a pack.
    #[error("{}: `cargo build` made no wasm file of this crate", .folder.display())]
    NoModule {
        /// The crate's folder.
        folder: PathBuf,
    },
    /// What cargo made does not become a component.
    #[error("{}: the module does not become a component: {reason}", .path.display())]
    Component {
        /// What cargo made.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The component is none of a pack.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The pack did not describe itself.
    #[error(transparent)]
    Describe(#[from] Failure),
    /// Two roles or variants mean different things by one name.
    #[error(
        "weight `{weight}` is declared as {first:?} and, by another variant or role, as {second:?}"
    )]
    Disagree {
        /// The weight.
        weight: String,
        /// What was said first.
        first: Vec<usize>,
        /// What was said then.
        second: Vec<usize>,
    },
    /// A file that holds no weights.
    #[error("{}: file begins with {found}, expected GGUF, safetensors or a pack", .path.display())]
    NoWeights {
        /// The file.
        path: PathBuf,
        /// What it begins with.
        found: String,
    },
    /// A weights file that is not sound.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// A weights file that is not sound.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// The weights are not those that the pack declares.
    #[error("{}: {reason}{}{}", .path.display(), more(.others), besides(.undeclared))]
    Unfit {
        /// The weights file.
        path: PathBuf,
        /// The first that does not fit.
        reason: String,
        /// How many more do not.
        others: usize,
        /// When the first is missing: what the file has and nobody declared, the nearest first.
        undeclared: Vec<String>,
        /// What helps with the first.
        hint: Option<&'static str>,
    },
    /// Code declares weights, and there is no file of them.
    #[error(
        "{who}: the code declares {declared} weights, such as `{first}` {shape:?}, and none are given"
    )]
    WithoutWeights {
        /// The pack and its version.
        who: String,
        /// How many.
        declared: usize,
        /// The first of them.
        first: String,
        /// And its shape.
        shape: Vec<usize>,
    },
    /// Weights alone do not say what the pack is.
    #[error("the code `{code}` has weights to be wrapped and no manifest for them")]
    WithoutManifest {
        /// Which code.
        code: &'static str,
    },
    /// The weights cannot be written.
    #[error(transparent)]
    Write(#[from] GgufWriteError),
    /// The manifest names a publisher, and nobody signs.
    #[error("{}: names the publisher `{named}`, and there is no key to sign with", .path.display())]
    Publisher {
        /// The manifest.
        path: PathBuf,
        /// Whom it names.
        named: Publisher,
    },
    /// The manifest names a publisher, and somebody else signs.
    #[error(
        "{}: names the publisher `{named}`, and {} is the key of `{found}`",
        .path.display(), .key.display()
    )]
    OtherPublisher {
        /// The manifest.
        path: PathBuf,
        /// Whom it names.
        named: Publisher,
        /// The key's file.
        key: PathBuf,
        /// Whose key it is.
        found: Publisher,
    },
    /// A file that holds no key to sign with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A new key would take the place of something.
    #[error("{}: is there already", .path.display())]
    KeyThere {
        /// What is there.
        path: PathBuf,
    },
    /// Made-up weights would take the place of trained ones.
    #[error("{}: holds trained weights, which made-up ones would replace", .path.display())]
    Trained {
        /// The pack that is there.
        path: PathBuf,
    },
    /// The pack would take the place of the file that its weights come from.
    #[error("{}: is where the weights come from, and the pack would replace it", .path.display())]
    SourceIsTarget {
        /// The file.
        path: PathBuf,
    },
    /// The pack would take the place of something that is none.
    #[error("{source}; the pack would replace it")]
    NotAPack {
        /// Why it is none.
        source: PackFileError,
    },
}

impl BuildError {
    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<Hint> {
        let text = match self {
            Self::Missing {
                file: "pack.toml", ..
            } => "`mbhost pack init` makes a crate that has one",
            Self::Missing { .. } | Self::NotAFolder { .. } => {
                "give the folder of a pack's crate, or make one with `mbhost pack init`"
            }
            Self::NoTool { .. } => "https://rustup.rs installs both `cargo` and `rustc`",
            Self::NoTarget { .. } => {
                "with rustup: `rustup target add wasm32-unknown-unknown`; Debian and Ubuntu: \
                 `libstd-rust-dev-wasm32`; Fedora: `rust-std-static-wasm32-unknown-unknown`; \
                 Arch and Alpine: `rust-wasm`"
            }
            Self::Cargo { .. } => "cargo's own words stand above",
            Self::NoModule { .. } => "`[lib]` in Cargo.toml needs `crate-type = [\"cdylib\"]`",
            Self::Component { .. } => {
                "a pack imports nothing but what `modularbase_pack` does; the crate may depend \
                 on one that expects a browser or an operating system"
            }
            Self::Unfit { hint, .. } => (*hint)?,
            Self::WithoutWeights { .. } => {
                "`--weights FILE` takes a GGUF file, a safetensors file or another pack"
            }
            Self::WithoutManifest { .. } => {
                "`--manifest pack.toml` says what the pack is and, in `[model]`, which weights the \
                 code declares; `mbhost pack init` makes a folder that has one"
            }
            Self::Publisher { .. } => {
                "`--sign KEY` signs a pack that is made with that publisher's private key, and a \
                 pack.toml without `publisher` gets it from there"
            }
            Self::OtherPublisher { .. } => {
                "sign with that publisher's key; or leave `publisher` out, for `--sign` puts the \
                 key's own into the pack"
            }
            Self::KeyThere { .. } => {
                "nothing was changed: it may be a key, and a lost key cannot be made again; choose \
                 another file"
            }
            Self::Trained { .. } => {
                "to keep them, give the file as `--weights` and choose another `--out`; or remove \
                 the file"
            }
            Self::SourceIsTarget { .. } => {
                "choose another `--out`; the file holds the only copy of its weights, for all that \
                 a build can know"
            }
            Self::NotAPack { .. } => {
                "what is there is no pack, so it is left alone: choose another `--out`, or remove it"
            }
            Self::Manifest(error) => return error.hint(),
            Self::Pack(error) => return error.hint(),
            Self::Gguf(error) => return error.hint(),
            Self::Safetensors(error) => return error.hint(),
            Self::Key(error) => return error.hint(),
            _ => return None,
        };
        Some(Hint::new(text))
    }
}

fn because(reason: &str) -> String {
    match reason {
        "" => String::new(),
        reason => format!(": {reason}"),
    }
}

fn more(others: &usize) -> String {
    match others {
        0 => String::new(),
        1 => "; one more does not fit".to_owned(),
        n => format!("; {n} more do not fit"),
    }
}

fn besides(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => {
            let names: Vec<String> = names.iter().map(|it| format!("`{it}`")).collect();
            let names = names.join(", ");
            format!("; not declared, but in the file: {names}")
        }
    }
}

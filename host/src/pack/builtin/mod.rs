//! The code of packs that the host brings, so that nobody needs Rust to make a pack of weights.
//!
//! Each is the component that `mbhost pack build` makes of a crate in `packs/`, without sections of
//! ours, and lies beside this file. `Wrap` makes packs of it. What stays true: it is what its
//! source builds, byte for byte, which `tests/all/embedded.rs` holds with the compiler that made
//! it; with its own manifest it passes preflight and describes itself.

use std::fmt;
use std::path::Path;

use modularbase_format::Manifest;
use semver::Version;

use super::build::{BuildError, PACK_FILE, Wrap};

/// Code that the host brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Builtin {
    /// A transformer expert that reads its shape from `[model]`.
    Dense,
    /// The same with a mixture of experts for each feed-forward.
    Moe,
    /// A router that compares a turn with the packs' signatures; it has no weights.
    PrototypeRouter,
}

impl Builtin {
    /// All of it.
    pub const ALL: [Self; 3] = [Self::Dense, Self::Moe, Self::PrototypeRouter];

    /// What commands call it: the id in its own manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Moe => "moe",
            Self::PrototypeRouter => "prototype-router",
        }
    }

    /// The component, without any section of ours.
    pub fn component(self) -> &'static [u8] {
        match self {
            Self::Dense => include_bytes!("dense.wasm"),
            Self::Moe => include_bytes!("moe.wasm"),
            Self::PrototypeRouter => include_bytes!("prototype-router.wasm"),
        }
    }

    /// The text of its own `pack.toml`.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Dense => include_str!("../../../../packs/dense/pack.toml"),
            Self::Moe => include_str!("../../../../packs/moe/pack.toml"),
            Self::PrototypeRouter => {
                include_str!("../../../../packs/prototype-router/pack.toml")
            }
        }
    }

    /// Its version, as its own manifest has it.
    pub fn version(self) -> Version {
        let manifest = Manifest::parse(self.manifest(), self.name());
        manifest
            .expect("the manifest was sound when it was embedded")
            .version
    }

    /// Its name and version, as packs are called.
    pub fn id_and_version(self) -> String {
        format!("{self}@{}", self.version())
    }

    /// Whether this is what somebody calls by an id and, perhaps, a version.
    pub fn is(self, id: &str, version: Option<&Version>) -> bool {
        self.name() == id && version.is_none_or(|it| *it == self.version())
    }

    /// The pack that it is with its own manifest, as a file's bytes; none where it declares
    /// weights, which are for others to bring.
    ///
    /// # Errors
    /// When there is no room for it on the way.
    pub fn pack(self) -> Result<Option<Vec<u8>>, BuildError> {
        let io = |path: &Path, source| BuildError::Io {
            path: path.to_owned(),
            source,
        };
        let dir = tempfile::tempdir().map_err(|error| io(&std::env::temp_dir(), error))?;
        let path = dir.path().join(PACK_FILE);
        match Wrap::new(self).out(&path).start() {
            Ok(_) => std::fs::read(&path)
                .map(Some)
                .map_err(|error| io(&path, error)),
            Err(BuildError::WithoutWeights { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use modularbase_format::{PackFile, PackWriter};

    use super::*;
    use crate::pack::{Pack, Sandbox};

    #[test]
    fn each_is_let_in_with_its_own_manifest_and_describes_what_it_computes() {
        let dir = tempfile::tempdir().expect("a folder");
        for code in Builtin::ALL {
            let path = dir.path().join(code.name());
            let written = PackWriter::new(code.component(), code.manifest()).write(&path);
            let file = written.unwrap_or_else(|error| panic!("{code}: {error}"));
            assert_eq!(file.manifest().id, code.name());
            assert_eq!(file.manifest().version, code.version());
            assert!(file.component() == code.component(), "{code}");
            let pack = Pack::from_file(file, &Sandbox::default());
            let pack = pack.unwrap_or_else(|error| panic!("{error}"));
            let described = pack.describe(None);
            let described = described.unwrap_or_else(|error| panic!("{error}"));
            let roles: Vec<_> = described.iter().map(|it| it.role).collect();
            assert_eq!(roles, pack.manifest().roles, "{code}");
            let declares = described.iter().any(|it| !it.weights.is_empty());
            let alone = code.pack().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(alone.is_some(), !declares, "{code}");
        }
    }

    #[test]
    fn none_carries_a_section_of_ours() {
        for code in Builtin::ALL {
            let error = PackFile::from_bytes(code.component(), Path::new(code.name()));
            let error = error.expect_err("no pack").to_string();
            let expected = format!("{code}: section `modularbase:manifest` is missing");
            assert_eq!(error, expected);
        }
    }
}

//! Why a pack was not added, found or removed. What is wrong with a file or the store itself
//! comes from their own errors.

use std::path::PathBuf;

use modularbase_format::Hint;
use modularbase_format::manifest::Publisher;
use semver::Version;

use super::Name;

/// Why the installed packs stayed as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PacksError {
    /// A text that names no pack.
    #[error("`{}` is no pack's name, expected `ID` or `ID@VERSION`", .found.escape_debug())]
    NotAName {
        /// The text.
        found: String,
    },
    /// Nothing of that name is here.
    #[error("pack `{name}` is not installed")]
    NotInstalled {
        /// What was asked for.
        name: Name,
        /// What is installed and reads alike, or other versions of it.
        similar: Vec<String>,
        /// What comes with the host by that id.
        comes_along: Option<String>,
    },
    /// What was to be added is neither a file nor the name of something known.
    #[error("`{}` is neither a file nor a pack that is known here", .found.escape_debug())]
    NotFound {
        /// What was given.
        found: String,
        /// What is known and reads alike.
        similar: Vec<String>,
    },
    /// Code that comes with the host and needs weights to be a pack.
    #[error("`{code}` is code without weights, expected a pack")]
    NeedsWeights {
        /// Which.
        code: &'static str,
    },
    /// Signed by somebody else than before.
    #[error(
        "pack `{id}` {version}: it is signed by `{found}`, expected `{expected}`, whom the id `{id}` belongs to"
    )]
    OtherKey {
        /// The pack.
        id: String,
        /// Its version.
        version: Version,
        /// Who signed it.
        found: Box<Publisher>,
        /// Who should have.
        expected: Box<Publisher>,
    },
    /// Not signed, though the id belongs to a publisher.
    #[error(
        "pack `{id}` {version}: it is not signed, expected a signature by `{expected}`, whom the id `{id}` belongs to"
    )]
    Unsigned {
        /// The pack.
        id: String,
        /// Its version.
        version: Version,
        /// Who should have signed it.
        expected: Box<Publisher>,
    },
    /// Older than what is in use.
    #[error("pack `{id}` {version}: it is older than {newer}, which is in use")]
    Older {
        /// The pack.
        id: String,
        /// Its version.
        version: Version,
        /// The version in use.
        newer: Version,
    },
    /// Other bytes by the same name.
    #[error("pack `{id}` {version}: another pack of this id and version is installed")]
    SameVersion {
        /// The pack.
        id: String,
        /// Its version.
        version: Version,
    },
    /// It has hooks, and nobody allowed them.
    #[error("pack `{id}` {version}: it has hooks, which were not allowed: it {abilities}")]
    Hooks {
        /// The pack.
        id: String,
        /// Its version.
        version: String,
        /// What it could do.
        abilities: String,
    },
    /// Somebody else changed the store while the user was being asked.
    #[error("pack `{id}` {version}: the store changed in the meantime")]
    Changed {
        /// The pack.
        id: String,
        /// Its version.
        version: Version,
    },
    /// A router was asked for.
    #[error("pack `{id}` {version}: it is no router, its roles are: {roles}")]
    NotARouter {
        /// The pack.
        id: String,
        /// Its version.
        version: Version,
        /// What it is.
        roles: String,
    },
    /// It carries no weights.
    #[error("pack `{id}` {version}: it has no weights")]
    NoWeights {
        /// The pack.
        id: String,
        /// Its version.
        version: Version,
    },
    /// The weights were to go where something is.
    #[error("{}: there is something already", .path.display())]
    InTheWay {
        /// The file.
        path: PathBuf,
    },
}

impl PacksError {
    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<Hint> {
        let similar = |names: &[String]| match names {
            [] => None,
            names => Some(format!("there is `{}`", names.join("`, `"))),
        };
        let text = match self {
            Self::NotAName { .. } => "`mbhost pack list` shows what is installed".into(),
            Self::NotInstalled {
                comes_along: Some(pack),
                ..
            } => format!("it comes with `mbhost`: `mbhost pack add {pack}` adds it"),
            Self::NotInstalled { similar: names, .. } => similar(names)
                .unwrap_or_else(|| "`mbhost pack list` shows what is installed".into()),
            Self::NotFound { similar: names, .. } => similar(names)?,
            Self::NeedsWeights { code } => format!(
                "`mbhost pack wrap --code {code} --weights FILE --manifest pack.toml` makes a pack of it"
            ),
            Self::OtherKey { .. } => {
                "if its publisher has told you of a new key, `--replace-key` accepts it".into()
            }
            Self::Unsigned { .. } => {
                "its signature may have been taken off; `--replace-key` accepts it all the same"
                    .into()
            }
            Self::Older { .. } => "`--downgrade` puts it in use all the same".into(),
            Self::SameVersion { id, version } => format!(
                "raise `version` in pack.toml, or remove the other with `mbhost pack rm {id}@{version}`"
            ),
            Self::Hooks { .. } => "`--allow-hooks` allows them".into(),
            Self::Changed { .. } => "run the command again".into(),
            Self::InTheWay { .. } => "remove it, or name another file with `--out`".into(),
            Self::NotARouter { .. } | Self::NoWeights { .. } => return None,
        };
        Some(Hint::new(text))
    }
}

//! What is installed, as listings have it.

use modularbase_format::PackFile;
use serde::Serialize;

use crate::store::Entry;

/// An installed pack.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Installed {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Whether this version is the one that sessions get.
    pub in_use: bool,
    /// Whether it is the router that was chosen.
    pub router: bool,
    /// Its name for people; nothing when the pack cannot be opened.
    pub name: Option<String>,
    /// Its roles; empty when the pack cannot be opened.
    pub roles: Vec<String>,
    /// Whether its weights are trained; nothing when the pack cannot be opened.
    pub trained: Option<bool>,
    /// The size of its file.
    pub bytes: u64,
    /// Its file's SHA-256.
    pub digest: String,
    /// Whose signature it carries; it was verified.
    pub signed_by: Option<String>,
    /// Whether its hooks were allowed.
    pub hooks_allowed: bool,
    /// When it was added, in seconds since 1970.
    pub added: u64,
    /// Why it cannot be opened.
    pub problem: Option<String>,
}

impl Installed {
    /// An entry, and what became of opening it.
    pub(super) fn new<E: ToString>(
        entry: &Entry,
        router: Option<&str>,
        opened: &Result<PackFile, E>,
    ) -> Self {
        let manifest = opened.as_ref().ok().map(PackFile::manifest);
        Self {
            id: entry.id.clone(),
            version: entry.version.to_string(),
            in_use: entry.in_use,
            router: entry.in_use && router == Some(&entry.id),
            name: manifest.map(|it| it.name.clone()),
            roles: manifest
                .map(|it| it.roles.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            trained: manifest.map(|it| it.trained),
            bytes: entry.size,
            digest: entry.digest.to_string(),
            signed_by: entry.publisher.map(|it| it.to_string()),
            hooks_allowed: entry.hooks_allowed,
            added: entry.added,
            problem: opened.as_ref().err().map(ToString::to_string),
        }
    }
}

/// What became of reading every byte of an installed pack.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// What is wrong with it; nothing when all is well.
    pub problem: Option<String>,
}

/// What was removed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Removed {
    /// Its id.
    pub id: String,
    /// The versions that are gone.
    pub versions: Vec<String>,
    /// How many bytes that frees.
    pub bytes: u64,
    /// The version that is in use now, when the one in use went and others are left.
    pub now_in_use: Option<String>,
    /// Whether that one is not signed by whom the id belongs to by now.
    pub other_key: bool,
    /// Whether it was the chosen router: none is chosen now.
    pub was_router: bool,
}

//! What is kept, as the index says: one snapshot.

use modularbase_format::Digest;
use modularbase_format::manifest::Publisher;
use semver::Version;

/// What was kept when the index was read.
#[derive(Clone, Debug)]
pub struct Contents {
    entries: Vec<Entry>,
}

/// One version of a pack that is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The pack's id.
    pub id: String,
    /// Its version.
    pub version: Version,
    /// The digest of the pack file.
    pub digest: Digest,
    /// The bytes of the pack file.
    pub size: u64,
    /// Who signed it, if anybody did.
    pub publisher: Option<Publisher>,
    /// Whether this is the version that is loaded.
    pub in_use: bool,
    /// Whether the user allowed its hooks.
    pub hooks_allowed: bool,
    /// When it was added, in seconds since 1970.
    pub added: u64,
}

impl Contents {
    /// Every version of every pack, by id, the newest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The version of a pack that is loaded.
    pub fn in_use(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|it| it.id == id && it.in_use)
    }

    /// A version of a pack.
    pub fn find(&self, id: &str, version: &Version) -> Option<&Entry> {
        let mut entries = self.entries.iter();
        entries.find(|it| it.id == id && it.version == *version)
    }

    /// The pack that routes.
    pub fn router(&self) -> Option<&str> {
        todo!()
    }

    /// Who publishes a pack, as it was noted when it was first added; also for packs that are not
    /// kept any more.
    pub fn key(&self, id: &str) -> Option<Publisher> {
        let _ = id;
        todo!()
    }
}

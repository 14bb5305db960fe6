//! What is kept, as the index says: one snapshot, checked before anybody believes it.
//!
//! Owns the annotations by which packs stand in the index:
//!
//! ```text
//! of the index                                of a pack's descriptor
//! modularbase.store       format of the store modularbase.pack       id; without it, not ours
//! modularbase.router      id of the router    modularbase.version    semver
//! modularbase.key.<id>    pinned publisher    modularbase.digest     of the pack file, 64 hex digits
//!                                             modularbase.size       of the pack file, in bytes
//!                                             modularbase.publisher  who signed it, if anybody did
//!                                             modularbase.in-use     `true` on one version of an id
//!                                             modularbase.hooks      `allowed`, when the user did
//!                                             modularbase.added      seconds since 1970
//!                                             modularbase.stamp      of the pack file, see `stamp.rs`
//!                                             org.opencontainers.image.ref.name   id@version
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use modularbase_format::Digest;
use modularbase_format::manifest::{Publisher, is_pack_id};
use modularbase_format::oci::{Descriptor, IMAGE_TYPE, Index};
use semver::Version;

use super::StoreError;
use super::error::quoted;
use super::stamp::Stamp;

/// The format of the store that this version writes, and the newest that it reads.
pub(super) const FORMAT: u64 = 1;

pub(super) const FORMAT_KEY: &str = "modularbase.store";
pub(super) const ROUTER_KEY: &str = "modularbase.router";
/// Followed by an id.
pub(super) const PIN_KEY: &str = "modularbase.key.";

pub(super) const PACK_KEY: &str = "modularbase.pack";
pub(super) const VERSION_KEY: &str = "modularbase.version";
pub(super) const DIGEST_KEY: &str = "modularbase.digest";
pub(super) const SIZE_KEY: &str = "modularbase.size";
pub(super) const PUBLISHER_KEY: &str = "modularbase.publisher";
pub(super) const IN_USE_KEY: &str = "modularbase.in-use";
pub(super) const HOOKS_KEY: &str = "modularbase.hooks";
pub(super) const ADDED_KEY: &str = "modularbase.added";
pub(super) const STAMP_KEY: &str = "modularbase.stamp";

pub(super) const IN_USE: &str = "true";
pub(super) const HOOKS_ALLOWED: &str = "allowed";

/// What was kept when the index was read.
#[derive(Clone, Debug)]
pub struct Contents {
    entries: Vec<Entry>,
    router: Option<String>,
    keys: BTreeMap<String, Publisher>,
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
    /// The image manifest: its digest and its length.
    pub(super) manifest: (Digest, u64),
    /// By what the pack file is known again; nothing when it was never noted, or unreadable.
    pub(super) stamp: Option<Stamp>,
    /// Which of the index's descriptors this is.
    pub(super) at: usize,
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
        self.router.as_deref()
    }

    /// Who publishes a pack, as it was noted when it was first added; also for packs that are not
    /// kept any more.
    pub fn key(&self, id: &str) -> Option<Publisher> {
        self.keys.get(id).copied()
    }

    /// Reads what an index says; `path` stands in messages.
    pub(super) fn read(index: &Index, path: &Path) -> Result<Self, StoreError> {
        let of_index = Annotations {
            path,
            entry: "index",
            all: &index.annotations,
        };
        // Nobody wrote a format into what another tool made; it is taken as it is.
        if let Some(text) = index.annotations.get(FORMAT_KEY) {
            check_format(text, &of_index)?;
        }
        let id = |text: &str| is_pack_id(text).then(|| text.to_owned());
        let router = of_index.read(ROUTER_KEY, "a pack's id", id)?;
        let mut keys = BTreeMap::new();
        for (name, text) in &index.annotations {
            let Some(name) = name.strip_prefix(PIN_KEY) else {
                continue;
            };
            if !is_pack_id(name) {
                return Err(of_index.wrong(PIN_KEY, name, "a pack's id behind it"));
            }
            let key = text.parse().ok();
            let key = key.ok_or_else(|| of_index.wrong(PIN_KEY, text, "a publisher's key"))?;
            keys.insert(name.to_owned(), key);
        }
        let mut entries = Vec::new();
        for (at, descriptor) in index.manifests.iter().enumerate() {
            if descriptor.annotations.contains_key(PACK_KEY) {
                entries.push(Entry::read(descriptor, at, path)?);
            }
        }
        entries.sort_by(|a, b| a.id.cmp(&b.id).then_with(|| b.version.cmp(&a.version)));
        check_together(&entries, path)?;
        choose(&mut entries);
        Ok(Self {
            entries,
            router,
            keys,
        })
    }
}

impl Entry {
    /// How messages call it.
    pub(super) fn who(&self) -> Box<str> {
        who(&self.id, &self.version)
    }

    fn read(descriptor: &Descriptor, at: usize, path: &Path) -> Result<Self, StoreError> {
        let all = &descriptor.annotations;
        let id = all.get(PACK_KEY).map_or("", String::as_str);
        let version = all.get(VERSION_KEY).map_or("", String::as_str);
        let annotations = Annotations {
            path,
            entry: &format!("pack {} {}", quoted(id), quoted(version)),
            all,
        };
        let number = |text: &str| text.parse::<u64>().ok().filter(|_| is_number(text));
        let only = |word: &'static str| move |text: &str| (text == word).then_some(());
        let id = |text: &str| is_pack_id(text).then(|| text.to_owned());
        if descriptor.media_type != IMAGE_TYPE {
            let found = &descriptor.media_type;
            return Err(annotations.wrong("mediaType", found, "an image manifest's"));
        }
        let digest = descriptor.digest.sha256().ok_or_else(|| {
            annotations.wrong("digest", &descriptor.digest.to_string(), "a SHA-256")
        })?;
        Ok(Self {
            id: annotations.need(PACK_KEY, "a pack's id", id)?,
            version: annotations.need(VERSION_KEY, "a version", |text| text.parse().ok())?,
            digest: annotations.need(DIGEST_KEY, "64 lower-case hex digits", |text| {
                text.parse().ok()
            })?,
            size: annotations.need(SIZE_KEY, "a number of bytes", number)?,
            publisher: annotations
                .read(PUBLISHER_KEY, "a publisher's key", |text| text.parse().ok())?,
            in_use: annotations
                .read(IN_USE_KEY, "`true`", only(IN_USE))?
                .is_some(),
            hooks_allowed: annotations
                .read(HOOKS_KEY, "`allowed`", only(HOOKS_ALLOWED))?
                .is_some(),
            added: annotations.need(ADDED_KEY, "seconds since 1970", number)?,
            manifest: (digest, descriptor.size),
            // No harm in one that cannot be read: the file is hashed then, and it is written anew.
            stamp: all.get(STAMP_KEY).and_then(|text| text.parse().ok()),
            at,
        })
    }
}

/// A pack and its version, as messages call it.
pub(super) fn who(id: &str, version: &Version) -> Box<str> {
    format!("`{id}` {version}").into()
}

/// Annotations of one thing in the index.
struct Annotations<'a> {
    path: &'a Path,
    /// What they belong to.
    entry: &'a str,
    all: &'a BTreeMap<String, String>,
}

impl Annotations<'_> {
    fn read<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let Some(text) = self.all.get(key) else {
            return Ok(None);
        };
        let value = parse(text).ok_or_else(|| self.wrong(key, text, expected))?;
        Ok(Some(value))
    }

    fn need<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        let value = self.read(key, expected, parse)?;
        value.ok_or_else(|| self.error(key, "missing".into(), expected))
    }

    fn wrong(&self, what: &'static str, found: &str, expected: &'static str) -> StoreError {
        self.error(what, quoted(found), expected)
    }

    fn error(&self, what: &'static str, found: Box<str>, expected: &'static str) -> StoreError {
        StoreError::Entry {
            path: self.path.to_path_buf(),
            entry: self.entry.into(),
            what,
            found,
            expected,
        }
    }
}

fn check_format(text: &str, index: &Annotations<'_>) -> Result<(), StoreError> {
    match text.parse::<u64>() {
        Ok(1..=FORMAT) => Ok(()),
        // Also a number that is past all counting is a newer one.
        Ok(FORMAT..) | Err(_) if is_number(text) => Err(StoreError::Newer {
            path: index.path.to_path_buf(),
            found: quoted(text),
            known: FORMAT,
        }),
        _ => Err(index.wrong(FORMAT_KEY, text, "a number")),
    }
}

/// Digits alone: what is parsed as a number may have a sign as well.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}

/// Puts the newest version of an id in use where none is: another tool may have removed that one.
/// The entries are sorted.
fn choose(entries: &mut [Entry]) {
    for versions in entries.chunk_by_mut(|a, b| a.id == b.id) {
        if versions.iter().all(|it| !it.in_use)
            && let Some(newest) = versions.first_mut()
        {
            newest.in_use = true;
        }
    }
}

/// Checks what no entry shows alone; the entries are sorted.
fn check_together(entries: &[Entry], path: &Path) -> Result<(), StoreError> {
    for pair in entries.windows(2) {
        if let [first, second] = pair
            && (&first.id, &first.version) == (&second.id, &second.version)
        {
            return Err(StoreError::Twice {
                path: path.to_path_buf(),
                entry: first.who(),
            });
        }
    }
    let in_use: Vec<&Entry> = entries.iter().filter(|it| it.in_use).collect();
    for pair in in_use.windows(2) {
        if let [first, second] = pair
            && first.id == second.id
        {
            return Err(StoreError::TwoInUse {
                path: path.to_path_buf(),
                first: first.who(),
                second: second.who(),
            });
        }
    }
    Ok(())
}

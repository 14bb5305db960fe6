//! Who may add what: pure rules over what is installed and what comes.
//!
//! A publisher's key is pinned to an id by the first signed pack of it, and stays when the packs
//! go: whoever comes by that id later must hold the same key. The rules run twice: when a file is
//! looked at, so that nobody is asked about what will be refused, and under the store's lock.

use modularbase_format::manifest::Publisher;
use modularbase_format::{Digest, Manifest, Role};
use semver::Version;
use serde::Serialize;

use super::PacksError;
use crate::store::{Change, Contents, Entry, StoreError};

/// What the rules would refuse, and the user wants all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Another publisher's key than the pinned one, or none.
    pub replace_key: bool,
    /// An older version than the one in use.
    pub downgrade: bool,
}

/// What adding a pack would mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "news")]
pub enum News {
    /// The same file is installed.
    Known {
        /// Whether it was in use before.
        was_in_use: bool,
    },
    /// The first of its id.
    New,
    /// Another version takes the place of the one in use, which is kept.
    Instead {
        /// The version in use so far.
        of: Version,
    },
}

/// What the rules say of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) news: News,
    /// Whom the id belongs to so far.
    pub(super) pinned: Option<Publisher>,
    /// Who signed it, and will be the id's publisher from now on.
    pub(super) key: Option<Publisher>,
    /// Whether it continues what this very publisher has been trusted with: then nobody is asked,
    /// and its hooks are allowed if those before were.
    pub(super) continues: Option<Continued>,
}

/// What a publisher has been trusted with already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Continued {
    pub(super) hooks_allowed: bool,
}

/// Judges a pack against what is installed.
pub(super) fn judge(
    contents: &Contents,
    manifest: &Manifest,
    digest: Digest,
    allow: Allow,
) -> Result<Verdict, PacksError> {
    let (id, version) = (manifest.id.clone(), manifest.version.clone());
    let (pinned, key) = (contents.key(&manifest.id), manifest.publisher);
    match (pinned, key) {
        (Some(expected), Some(found)) if found != expected && !allow.replace_key => {
            return Err(PacksError::OtherKey {
                id,
                version,
                found: found.into(),
                expected: expected.into(),
            });
        }
        (Some(expected), None) if !allow.replace_key => {
            return Err(PacksError::Unsigned {
                id,
                version,
                expected: expected.into(),
            });
        }
        _ => {}
    }
    let in_use = contents.in_use(&id);
    if let Some(same) = contents.find(&id, &version) {
        if same.digest != digest {
            return Err(PacksError::SameVersion { id, version });
        }
        refuse_older(manifest, in_use, allow)?;
        return Ok(Verdict {
            news: News::Known {
                was_in_use: same.in_use,
            },
            pinned,
            key,
            continues: Some(Continued {
                hooks_allowed: same.hooks_allowed,
            }),
        });
    }
    refuse_older(manifest, in_use, allow)?;
    Ok(match in_use {
        Some(other) => Verdict {
            news: News::Instead {
                of: other.version.clone(),
            },
            pinned,
            key,
            continues: (key.is_some()
                && key == pinned
                && key == other.publisher
                && manifest.version.cmp_precedence(&other.version).is_ge())
            .then_some(Continued {
                hooks_allowed: other.hooks_allowed,
            }),
        },
        None => Verdict {
            news: News::New,
            pinned,
            key,
            continues: None,
        },
    })
}

/// Judges a version that is kept: it was agreed to when it came, and no word is needed to go back.
pub(super) fn judge_kept(
    contents: &Contents,
    manifest: &Manifest,
    digest: Digest,
) -> Result<Verdict, PacksError> {
    let kept = contents.find(&manifest.id, &manifest.version);
    let kept = kept
        .filter(|it| it.digest == digest)
        .ok_or_else(|| changed(manifest))?;
    Ok(Verdict {
        news: News::Known {
            was_in_use: kept.in_use,
        },
        pinned: contents.key(&manifest.id),
        key: manifest.publisher,
        continues: Some(Continued {
            hooks_allowed: kept.hooks_allowed,
        }),
    })
}

/// Leaves no router chosen when the version in use now is none; says whether it did.
pub(super) fn drop_router(change: &mut Change, manifest: &Manifest) -> Result<bool, StoreError> {
    let is_chosen = change.contents().router() == Some(&*manifest.id);
    let drops = is_chosen && !manifest.roles.contains(&Role::Router);
    if drops {
        change.set_router(None)?;
    }
    Ok(drops)
}

/// Somebody else was here while the user was being asked.
pub(super) fn changed(manifest: &Manifest) -> PacksError {
    PacksError::Changed {
        id: manifest.id.clone(),
        version: manifest.version.clone(),
    }
}

/// Precedence alone counts: what stands behind a `+` makes nothing older.
fn refuse_older(
    manifest: &Manifest,
    in_use: Option<&Entry>,
    allow: Allow,
) -> Result<(), PacksError> {
    match in_use {
        Some(newer)
            if manifest.version.cmp_precedence(&newer.version).is_lt() && !allow.downgrade =>
        {
            Err(PacksError::Older {
                id: manifest.id.clone(),
                version: manifest.version.clone(),
                newer: newer.version.clone(),
            })
        }
        _ => Ok(()),
    }
}

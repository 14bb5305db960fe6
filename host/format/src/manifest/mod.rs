//! `pack.toml`: what a pack says of itself. Owns the keys and what each may hold.
//!
//! The pack file carries the text as its first section, so that a pack can be shown without
//! running it; the pack builder checks the author's file with the same parser.
//!
//! ```toml
//! id = "rust-expert"                    # lower-case letters, digits, `-`
//! name = "Rust expert"
//! version = "0.3.1"
//! description = "Knows the borrow checker."
//! license = "Apache-2.0"
//! authors = ["Ada <ada@example.org>"]
//! roles = ["expert"]                    # or "router", or both
//! contract = "0.1.0"                    # the WIT contract it was built against
//! domain = "programming"                # optional, as is all below but [base]
//! publisher = "ed25519:…"               # 64 hex digits; then the pack must be signed
//! trained = false                       # true where it is not said
//! variants = ["terse"]
//! fallback = ["reasoning", "general-chat"]
//! conflicts = ["old-rust"]
//!
//! [dependencies]
//! reasoning = ">=1.1"
//!
//! [base]
//! width = 512
//! tokenizer = "…"                       # SHA-256, 64 hex digits
//! accepts = { tiny = "^0.1" }
//!
//! [route]
//! keywords = ["borrow", "lifetime"]
//! examples = ["Why does this not compile?"]
//! signature = "route.signature"         # a tensor of the pack
//!
//! [model]                               # free: what `config(key)` answers
//! layers = 4
//!
//! [limits]
//! memory = "16MiB"
//! ```
//!
//! What stays true of a parsed manifest: every text is short and free of control characters,
//! nothing in a list stands twice, a pack does not name itself, and no key was ignored.

mod error;
mod mark;
mod model;
mod read;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use semver::{Version, VersionReq};

use crate::Digest;
use crate::digest::{hex, unhex};
use crate::quote::quote;
pub use error::ManifestError;
pub use mark::{set_publisher, set_trained};
pub use model::ModelValue;
use table::Text;

/// The most bytes of a manifest that are read.
pub const MANIFEST_LIMIT: usize = 64 << 10;

/// The longest id, in characters.
const ID_LIMIT: usize = 64;

/// The longest version, in bytes: it stands in names and messages, beside the id.
const VERSION_LIMIT: usize = 128;

/// A checked `pack.toml`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Manifest {
    /// What commands and other packs call it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The pack's own version.
    pub version: Version,
    /// What it knows or does.
    pub description: String,
    /// Usually an SPDX expression.
    pub license: String,
    /// At least one.
    pub authors: Vec<String>,
    /// At least one.
    pub roles: Vec<Role>,
    /// The version of the WIT contract that it was built against.
    pub contract: Version,
    /// The field it belongs to.
    pub domain: Option<String>,
    /// Whose signature the pack file carries.
    pub publisher: Option<Publisher>,
    /// Whether its weights have been trained; a fresh pack's have not.
    pub trained: bool,
    /// Experts over the same weights that `prepare` may choose from.
    pub variants: Vec<String>,
    /// Packs that may stand in for it, best first.
    pub fallback: Vec<String>,
    /// Packs that it cannot be installed beside.
    pub conflicts: Vec<String>,
    /// Packs that it needs.
    pub dependencies: BTreeMap<String, VersionReq>,
    /// What it asks of a base.
    pub base: BaseNeeds,
    /// What routers may know about it.
    pub route: RouteHints,
    /// Hyper-parameters, the author's own.
    pub model: BTreeMap<String, ModelValue>,
    /// What it asks for beyond the defaults.
    pub limits: Limits,
}

/// `[base]`: what a pack asks of the base it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BaseNeeds {
    /// Width of the hidden states; not zero.
    pub width: u32,
    /// The tokenizer's digest, where the pack depends on it.
    pub tokenizer: Option<Digest>,
    /// Bases it was made for, by id; any base of the right width when empty.
    pub accepts: BTreeMap<String, VersionReq>,
}

/// `[route]`: what a router may know about a pack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteHints {
    /// Words that speak for it.
    pub keywords: Vec<String>,
    /// Turns that it is for.
    pub examples: Vec<String>,
    /// The tensor of the pack that holds its signature.
    pub signature: Option<String>,
}

/// `[limits]`: what a pack asks for; shown when it is added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Linear memory in bytes.
    pub memory: Option<u64>,
}

/// What a pack is to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Computes on hidden states.
    Expert,
    /// Chooses packs for a turn.
    Router,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Expert => "expert",
            Self::Router => "router",
        })
    }
}

/// A publisher's Ed25519 public key; shown as `ed25519:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Publisher([u8; 32]);

impl Publisher {
    /// The key that signs as this publisher.
    pub const fn from_bytes(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The public key's 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn read(text: &str) -> Option<Self> {
        unhex(text.strip_prefix("ed25519:")?).map(Self)
    }
}

impl FromStr for Publisher {
    type Err = PublisherError;

    fn from_str(text: &str) -> Result<Self, PublisherError> {
        Self::read(text).ok_or_else(|| PublisherError { found: quote(text) })
    }
}

/// A text that is no publisher's key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("publisher is {found}, expected `ed25519:` and 64 lower-case hex digits")]
#[non_exhaustive]
pub struct PublisherError {
    /// The text, escaped.
    pub found: Box<str>,
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", hex(&self.0))
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publisher({self})")
    }
}

/// Whether a text can be the id of a pack: 1 to 64 lower-case letters, digits and `-`, the first
/// of them not `-`, so that no command takes it for a flag.
pub fn is_pack_id(text: &str) -> bool {
    let part = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=ID_LIMIT).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(part)
}

impl Manifest {
    /// Reads and checks the text of a `pack.toml`; `file` stands in messages.
    ///
    /// # Errors
    ///
    /// When the text is too long or no TOML, a key is unknown or missing, or a value is not what
    /// its key takes.
    pub fn parse(text: &str, file: &str) -> Result<Self, ManifestError> {
        read::manifest(text, file)
    }

    /// The hyper-parameter of a name as text, lists joined with `,`: what a pack's code is told
    /// when it asks for `config(key)`.
    pub fn config(&self, key: &str) -> Option<String> {
        self.model.get(key).map(ModelValue::to_string)
    }
}

/// Line and column of a byte offset, both from 1.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    Text { file: "", text }.place(offset)
}

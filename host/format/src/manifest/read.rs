//! What each key of a manifest may hold: text in, [`Manifest`] out.
//!
//! Called by [`Manifest::parse`] only. Owns the list of keys, and how ids, versions, sizes and the
//! like are spelled; `table.rs` knows types and places.

use std::collections::BTreeMap;
use std::str::FromStr;

use semver::{Version, VersionReq};
use toml::de::DeTable;

use super::table::{Field, Table, Text};
use super::{
    BaseNeeds, Limits, MANIFEST_LIMIT, Manifest, ManifestError, Publisher, Role, RouteHints,
    VERSION_LIMIT, is_pack_id, model,
};
use crate::Digest;

const KEYS: &[&str] = &[
    "id",
    "name",
    "version",
    "description",
    "license",
    "authors",
    "roles",
    "contract",
    "domain",
    "publisher",
    "trained",
    "variants",
    "fallback",
    "conflicts",
    "dependencies",
    "base",
    "route",
    "model",
    "limits",
];

/// What an id looks like, in words; `is_pack_id` has the rule.
const ID: &str = "1 to 64 lower-case letters, digits or `-`, not beginning with `-`";

pub(super) fn manifest(text: &str, file: &str) -> Result<Manifest, ManifestError> {
    if text.len() > MANIFEST_LIMIT {
        return Err(ManifestError::TooLong {
            file: file.into(),
            found: text.len(),
            limit: MANIFEST_LIMIT,
        });
    }
    let entries = parse_toml(text, file)?;
    let root = Table::root(Text { file, text }, &entries);
    root.refuse_unknown(KEYS, KEYS)?;
    let id = root.need("id")?.id()?;
    let others = |key| match root.get(key) {
        Some(field) => field.distinct(|item| item.other_id(&id)),
        None => Ok(Vec::new()),
    };
    Ok(Manifest {
        name: root.need("name")?.line()?,
        version: root.need("version")?.version()?,
        description: root.need("description")?.prose()?,
        license: root.need("license")?.line()?,
        authors: not_empty(root.need("authors")?, Field::line)?,
        roles: not_empty(root.need("roles")?, Field::role)?,
        contract: root.need("contract")?.version()?,
        domain: optional(root.get("domain"), Field::line)?,
        publisher: optional(root.get("publisher"), Field::publisher)?,
        trained: optional(root.get("trained"), Field::bool)?.unwrap_or(true),
        variants: distinct(root.get("variants"), Field::id)?,
        fallback: others("fallback")?,
        conflicts: others("conflicts")?,
        dependencies: ranges(root.get("dependencies"), Some(&id))?,
        base: BaseNeeds::read(&root.need("base")?.table()?)?,
        route: RouteHints::read(root.get("route"))?,
        model: model::read(root.get("model"))?,
        limits: Limits::read(root.get("limits"))?,
        id,
    })
}

impl BaseNeeds {
    fn read(table: &Table<'_>) -> Result<Self, ManifestError> {
        table.refuse_unknown(&["width", "tokenizer", "accepts"], KEYS)?;
        let width = table.need("width")?;
        let number = width.integer()?;
        let too_odd = || width.bad(number.to_string(), "1 to 4294967295");
        Ok(Self {
            width: u32::try_from(number)
                .ok()
                .filter(|width| *width > 0)
                .ok_or_else(too_odd)?,
            tokenizer: optional(table.get("tokenizer"), Field::digest)?,
            accepts: ranges(table.get("accepts"), None)?,
        })
    }
}

impl RouteHints {
    fn read(field: Option<Field<'_>>) -> Result<Self, ManifestError> {
        let Some(field) = field else {
            return Ok(Self::default());
        };
        let table = field.table()?;
        table.refuse_unknown(&["keywords", "examples", "signature"], KEYS)?;
        Ok(Self {
            keywords: distinct(table.get("keywords"), Field::line)?,
            examples: distinct(table.get("examples"), Field::prose)?,
            signature: optional(table.get("signature"), Field::line)?,
        })
    }
}

impl Limits {
    fn read(field: Option<Field<'_>>) -> Result<Self, ManifestError> {
        let Some(field) = field else {
            return Ok(Self::default());
        };
        let table = field.table()?;
        table.refuse_unknown(&["memory"], KEYS)?;
        Ok(Self {
            memory: optional(table.get("memory"), Field::bytes)?,
        })
    }
}

/// The manifest's own notions, read from one field.
impl Field<'_> {
    fn id(&self) -> Result<String, ManifestError> {
        self.parsed(ID, |text| is_pack_id(text).then(|| text.to_string()))
    }

    /// The id of another pack than `own`.
    fn other_id(&self, own: &str) -> Result<String, ManifestError> {
        let id = self.id()?;
        if id == own {
            return Err(self.bad("the pack itself", "another pack"));
        }
        Ok(id)
    }

    fn version(&self) -> Result<Version, ManifestError> {
        let expected = "a semantic version such as `0.1.0`";
        let length = self.str()?.len();
        if length > VERSION_LIMIT {
            let found = format!("{length} bytes long");
            return Err(self.bad(found, format!("at most {VERSION_LIMIT}")));
        }
        self.parsed(expected, |text| Version::parse(text).ok())
    }

    fn range(&self) -> Result<VersionReq, ManifestError> {
        let expected = "a range of versions such as `>=1.1` or `^0.2`";
        self.parsed(expected, |text| VersionReq::parse(text).ok())
    }

    fn role(&self) -> Result<Role, ManifestError> {
        self.parsed("`expert` or `router`", |text| match text {
            "expert" => Some(Role::Expert),
            "router" => Some(Role::Router),
            _ => None,
        })
    }

    fn publisher(&self) -> Result<Publisher, ManifestError> {
        let expected = "`ed25519:` and 64 lower-case hex digits";
        self.parsed(expected, Publisher::read)
    }

    fn digest(&self) -> Result<Digest, ManifestError> {
        self.parsed("64 lower-case hex digits", |text| {
            Digest::from_str(text).ok()
        })
    }

    fn bytes(&self) -> Result<u64, ManifestError> {
        self.parsed("a size such as `16MiB` (KiB, MiB, GiB)", |text| {
            let digits = text.find(|c: char| !c.is_ascii_digit())?;
            let (number, unit) = text.split_at_checked(digits)?;
            let unit: u64 = match unit.trim_start() {
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                _ => return None,
            };
            number.parse::<u64>().ok()?.checked_mul(unit)
        })
    }
}

/// The text as TOML, with the place of what is wrong in it.
pub(super) fn parse_toml<'t>(
    text: &'t str,
    file: &str,
) -> Result<toml::Spanned<DeTable<'t>>, ManifestError> {
    DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let (line, column) = Text { file, text }.place(offset);
        ManifestError::Syntax {
            file: file.into(),
            line,
            column,
            detail: error.message().trim_end().into(),
        }
    })
}

fn optional<'t, T>(
    field: Option<Field<'t>>,
    read: impl FnOnce(&Field<'t>) -> Result<T, ManifestError>,
) -> Result<Option<T>, ManifestError> {
    field.map(|field| read(&field)).transpose()
}

fn distinct<'t, T: PartialEq>(
    field: Option<Field<'t>>,
    read: impl Fn(&Field<'t>) -> Result<T, ManifestError>,
) -> Result<Vec<T>, ManifestError> {
    field.map_or(Ok(Vec::new()), |field| field.distinct(read))
}

fn not_empty<'t, T: PartialEq>(
    field: Field<'t>,
    read: impl Fn(&Field<'t>) -> Result<T, ManifestError>,
) -> Result<Vec<T>, ManifestError> {
    let items = field.distinct(read)?;
    if items.is_empty() {
        return Err(field.bad("an empty list", "at least one"));
    }
    Ok(items)
}

/// A table from ids to ranges of versions, without `own`.
fn ranges(
    field: Option<Field<'_>>,
    own: Option<&str>,
) -> Result<BTreeMap<String, VersionReq>, ManifestError> {
    let Some(field) = field else {
        return Ok(BTreeMap::new());
    };
    let mut ranges = BTreeMap::new();
    for (id, range) in field.table()?.fields() {
        if !is_pack_id(id) {
            return Err(range.bad("under a name that is no id", ID));
        }
        if own == Some(id) {
            return Err(range.bad("the pack itself", "another pack"));
        }
        ranges.insert(id.to_string(), range.range()?);
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::ModelValue;

    /// The keys that every manifest has, without `[base]`.
    const LEAST: &str = r#"id = "rust-expert"
name = "Rust expert"
version = "0.3.1"
description = "Knows the borrow checker."
license = "Apache-2.0"
authors = ["Ada <ada@example.org>"]
roles = ["expert"]
contract = "0.1.0"
"#;

    /// A manifest with `above` among the keys of the root and `below` after `[base]`'s width.
    fn with(above: &str, below: &str) -> String {
        format!("{LEAST}{above}\n[base]\nwidth = 512\n{below}\n")
    }

    fn parse(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(text, "pack.toml")
    }

    fn refusal(text: &str) -> (String, Option<String>) {
        let error = parse(text).unwrap_err();
        (error.to_string(), error.hint().map(|hint| hint.to_string()))
    }

    #[test]
    fn the_least_manifest_is_enough() {
        let manifest = parse(&with("", "")).unwrap();
        assert_eq!(manifest.id, "rust-expert");
        assert_eq!(manifest.version, Version::new(0, 3, 1));
        assert_eq!(manifest.roles, [Role::Expert]);
        assert_eq!(manifest.base.width, 512);
        assert!(manifest.trained);
        assert_eq!(manifest.publisher, None);
        assert!(manifest.model.is_empty());
    }

    #[test]
    fn every_key_is_read() {
        let digest = "ab".repeat(32);
        let above = format!(
            r#"domain = "programming"
publisher = "ed25519:{digest}"
trained = false
variants = ["terse", "chatty"]
fallback = ["reasoning", "general-chat"]
conflicts = ["old-rust"]"#
        );
        let below = format!(
            r#"tokenizer = "{digest}"
accepts = {{ tiny = "^0.1" }}

[dependencies]
reasoning = ">=1.1"

[route]
keywords = ["borrow", "lifetime"]
examples = ["Why does\nthis not compile?"]
signature = "route.signature"

[model]
layers = 0x10
rope-base = 1e4
norm-eps = 1e-5
scale = 1.0
causal = true
act = "silu"
widths = [64, 128]

[limits]
memory = "16 MiB""#
        );
        let manifest = parse(&with(&above, &below)).unwrap();
        assert_eq!(manifest.domain.as_deref(), Some("programming"));
        assert_eq!(
            manifest.publisher.unwrap().to_string(),
            format!("ed25519:{digest}")
        );
        assert!(!manifest.trained);
        assert_eq!(manifest.variants, ["terse", "chatty"]);
        assert_eq!(manifest.fallback, ["reasoning", "general-chat"]);
        assert_eq!(manifest.conflicts, ["old-rust"]);
        assert_eq!(manifest.base.tokenizer.unwrap().to_string(), digest);
        assert!(manifest.base.accepts["tiny"].matches(&Version::new(0, 1, 9)));
        assert!(manifest.dependencies["reasoning"].matches(&Version::new(1, 2, 0)));
        assert_eq!(manifest.route.keywords, ["borrow", "lifetime"]);
        assert_eq!(manifest.route.signature.as_deref(), Some("route.signature"));
        assert_eq!(manifest.limits.memory, Some(16 << 20));
        assert_eq!(manifest.model["layers"], ModelValue::Integer(16));

        let config = |key| manifest.config(key);
        assert_eq!(config("layers").as_deref(), Some("16"));
        assert_eq!(config("rope-base").as_deref(), Some("10000.0"));
        assert_eq!(config("norm-eps").as_deref(), Some("1e-5"));
        assert_eq!(config("scale").as_deref(), Some("1.0"));
        assert_eq!(config("causal").as_deref(), Some("true"));
        assert_eq!(config("act").as_deref(), Some("silu"));
        assert_eq!(config("widths").as_deref(), Some("64,128"));
        assert_eq!(config("nothing"), None);
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest_one() {
        let text = with("licence = \"MIT\"", "").replace("license = \"Apache-2.0\"\n", "");
        let (message, hint) = refusal(&text);
        assert_eq!(message, "pack.toml:8:1: key `licence` is unknown");
        assert_eq!(hint.as_deref(), Some("did you mean `license`?"));

        let (message, hint) = refusal(&with("", "\n  tokeniser = \"\""));
        assert_eq!(
            message,
            "pack.toml:13:3: key `tokeniser` is unknown in `[base]`"
        );
        assert_eq!(hint.as_deref(), Some("did you mean `tokenizer`?"));

        let (_, hint) = refusal(&with("", "publisher = \"\""));
        assert_eq!(
            hint.as_deref(),
            Some("`publisher` stands above the first `[table]`")
        );

        let (_, hint) = refusal(&with("", "[limits]\nx = 1"));
        assert_eq!(hint.as_deref(), Some("the keys here are `memory`"));
    }

    #[test]
    fn a_missing_key_is_named() {
        for key in LEAST.lines().filter_map(|line| line.split(' ').next()) {
            let text: String = with("", "")
                .lines()
                .filter(|line| !line.starts_with(&format!("{key} ")))
                .map(|line| format!("{line}\n"))
                .collect();
            let (message, _) = refusal(&text);
            assert_eq!(message, format!("pack.toml:1:1: key `{key}` is missing"));
        }
        let (message, _) = refusal(&format!("{LEAST}[base]\naccepts = {{}}\n"));
        assert!(
            message.contains("key `width` is missing in `[base]`"),
            "{message}"
        );
        assert!(refusal(LEAST).0.contains("key `base` is missing"));
    }

    #[test]
    fn a_wrong_type_is_found_beside_the_expected_one() {
        for (above, below, words) in [
            (
                "trained = \"no\"",
                "",
                "9:11: key `trained` is a string, expected a boolean",
            ),
            (
                "domain = 1",
                "",
                "9:10: key `domain` is an integer, expected a string",
            ),
            (
                "variants = 1.5",
                "",
                "key `variants` is a float, expected a list",
            ),
            (
                "variants = [1]",
                "",
                "key `variants` is an integer, expected a string",
            ),
            (
                "route = 1979-05-27",
                "",
                "key `route` is a date, expected a table",
            ),
            (
                "",
                "[model]\na.b = 1",
                "key `model.a` is a table, expected a string, integer",
            ),
            (
                "",
                "[model]\na = [[1]]",
                "key `model.a` is a list, expected a string, integer",
            ),
        ] {
            let (message, _) = refusal(&with(above, below));
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn impossible_values_are_refused() {
        let long = "x".repeat(5000);
        for (above, below) in [
            ("domain = \"\"", ""),
            ("domain = \"a\\u001Bb\"", ""),
            (&*format!("domain = \"{long}\""), ""),
            ("publisher = \"ed25519:abc\"", ""),
            (&*format!("publisher = \"ed25519:{}\"", "AB".repeat(32)), ""),
            ("fallback = [\"rust-expert\"]", ""),
            ("conflicts = [\"a\", \"a\"]", ""),
            ("variants = [\"Big\"]", ""),
            ("", "[dependencies]\nreasoning = \"about 1\""),
            ("", "[dependencies]\nReasoning = \"1\""),
            ("", "[dependencies]\nrust-expert = \"1\""),
            ("", "[limits]\nmemory = \"16MB\""),
            ("", "[limits]\nmemory = \"99999999999999999GiB\""),
            ("", "[limits]\nmemory = \"MiB\""),
            ("", "[model]\na = nan"),
            ("", "[model]\na = inf"),
            ("", "[model]\na = 99999999999999999999"),
            ("", "[model]\na = [\"x,y\"]"),
            ("", "[model]\n\"\" = 1"),
            ("", "[model]\n\"a\\u001Bb\" = 1"),
            ("", &*format!("[model]\n{long} = 1")),
        ] {
            let (message, _) = refusal(&with(above, below));
            assert!(message.contains(" is ") && message.len() < 400, "{message}");
        }
        for width in ["0", "-1", "4294967296"] {
            let (message, _) = refusal(&format!("{LEAST}[base]\nwidth = {width}\n"));
            assert!(
                message.contains(&format!("`base.width` is {width}")),
                "{message}"
            );
        }
        for (from, to) in [
            ("\"rust-expert\"", "\"../etc\""),
            ("\"rust-expert\"", "\"-rf\""),
            ("\"0.3.1\"", "\"3\""),
            ("\"0.1.0\"", "\"latest\""),
            ("[\"expert\"]", "[]"),
            ("[\"expert\"]", "[\"hook\"]"),
            ("[\"expert\"]", "[\"expert\", \"expert\"]"),
        ] {
            assert!(parse(&with("", "").replacen(from, to, 1)).is_err(), "{to}");
        }
    }

    #[test]
    fn the_variant_is_not_the_authors_to_set() {
        let (message, hint) = refusal(&with("", "[model]\nlayers = 2\nvariant = \"big\""));
        assert!(
            message.ends_with("key `model.variant` is the host's to answer, expected another name"),
            "{message}"
        );
        assert!(hint.is_some_and(|it| it.contains("`variants`")));
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_place() {
        let (message, _) = refusal("id = \"ü\" x\n");
        assert!(message.starts_with("pack.toml:1:10: "), "{message}");
        let long = format!("# {}", "x".repeat(MANIFEST_LIMIT));
        assert!(refusal(&long).0.contains("at most 65536"));
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        let deep = 20_000;
        for value in [
            format!("x = {}", "[".repeat(deep)),
            format!("x = {}{}", "[".repeat(deep), "]".repeat(deep)),
            format!("x = {}", "{a=".repeat(deep)),
            format!("{}a = 1", "a.".repeat(deep)),
            format!("[{}a]", "a.".repeat(deep)),
            format!("x = {{ {}a = 1 }}", "a.".repeat(deep)),
        ] {
            assert!(parse(&value).is_err());
        }
    }
}

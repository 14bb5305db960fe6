//! The crate that `pack init` makes.
//!
//! Owns its texts and how they are filled in. The SDK's source comes with it, put into this
//! program by `build.rs`, so that the crate builds wherever Rust is.

use std::path::{Path, PathBuf};

mod sdk {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

/// Where the SDK's source stands in the crate.
const VENDOR: &str = "vendor/modularbase-pack";

/// The crate's own files.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("pack.toml", include_str!("template/pack.toml.in")),
    ("README.md", include_str!("template/README.md.in")),
    (".gitignore", include_str!("template/gitignore.in")),
    ("src/lib.rs", include_str!("template/lib.rs.in")),
    ("tests/pack.rs", include_str!("template/pack.rs.in")),
];

/// What an author says about a new pack.
#[derive(Clone, Debug)]
pub struct Template {
    /// What commands call it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The field it belongs to.
    pub domain: String,
    /// Who makes it.
    pub author: String,
    /// The width of the bases it fits: a multiple of 8.
    pub width: u32,
}

impl Template {
    /// Every file: path and text.
    pub fn files(&self) -> Vec<(PathBuf, String)> {
        let own = FILES
            .iter()
            .map(|(path, text)| (PathBuf::from(path), self.filled(text)));
        let lock = (PathBuf::from("Cargo.lock"), self.lock());
        let vendor = Path::new(VENDOR);
        let manifest = (vendor.join("Cargo.toml"), sdk::SDK_MANIFEST.to_owned());
        let sdk = sdk::SDK_FILES.iter();
        let sdk = sdk.map(|(path, text)| (vendor.join(path), (*text).to_owned()));
        own.chain([lock, manifest]).chain(sdk).collect()
    }

    /// Cargo's name for the crate: the id, unless cargo or rustc would stumble over it.
    fn crate_name(&self) -> String {
        let taken = [
            "alloc",
            "core",
            "std",
            "test",
            "proc-macro",
            "modularbase-pack",
            "wit-bindgen",
            "build",
            "deps",
            "examples",
            "incremental",
            "con",
            "prn",
            "aux",
            "nul",
        ];
        let keyword = [
            "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
            "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen",
            "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override",
            "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
            "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while",
            "yield",
        ];
        let id = self.id.as_str();
        let digit_first = id.starts_with(|c: char| c.is_ascii_digit());
        match digit_first || taken.contains(&id) || keyword.contains(&id) {
            true => format!("pack-{id}"),
            false => id.to_owned(),
        }
    }

    fn filled(&self, text: &str) -> String {
        let (heads, feed_forward) = shape(self.width);
        let toml = |text: &str| toml::Value::from(text).to_string();
        let described = format!("{}: a pack for the field `{}`", self.name, self.domain);
        let contract = modularbase::CONTRACT.to_string();
        let fields = [
            ("{{id-toml}}", toml(&self.id)),
            ("{{crate-toml}}", toml(&self.crate_name())),
            ("{{name-toml}}", toml(&self.name)),
            ("{{description-toml}}", toml(&described)),
            ("{{author-toml}}", toml(&self.author)),
            ("{{domain-toml}}", toml(&self.domain)),
            ("{{width}}", self.width.to_string()),
            ("{{heads}}", heads.to_string()),
            ("{{feed-forward}}", feed_forward.to_string()),
            ("{{contract}}", contract),
            // Last, because a name may hold anything that is printed.
            ("{{name-markdown}}", markdown(&self.name)),
            ("{{name}}", self.name.clone()),
        ];
        fill(text, &fields)
    }

    /// What the SDK was tested with, and this crate on top.
    fn lock(&self) -> String {
        format!(
            "{}[[package]]\nname = \"{}\"\nversion = \"0.1.0\"\ndependencies = [\n \
             \"modularbase-pack\",\n]\n",
            sdk::SDK_LOCK,
            self.crate_name()
        )
    }
}

/// Puts each field into its place. What is put in is not looked at again.
fn fill(text: &str, fields: &[(&str, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        match fields.iter().find(|(name, _)| from.starts_with(name)) {
            Some((name, value)) => {
                out.push_str(value);
                rest = from.strip_prefix(name).unwrap_or_default();
            }
            None => {
                out.push_str("{{");
                rest = from.strip_prefix("{{").unwrap_or_default();
            }
        }
    }
    out + rest
}

/// Text as Markdown shows it.
fn markdown(text: &str) -> String {
    let special = |c: char| c.is_ascii_punctuation() && !"-.,:;'/()".contains(c);
    text.chars().fold(String::new(), |mut out, c| {
        if special(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

/// Heads and inner width of the feed-forward that suit a width.
fn shape(width: u32) -> (u32, u32) {
    let sizes = [64, 32, 16, 8];
    let fits = |size: &u32| width.is_multiple_of(*size) && width / size >= 4;
    let head = sizes.into_iter().find(fits).unwrap_or(8);
    let round = if width >= 256 { 256 } else { 32 };
    (width / head, (width * 8 / 3).next_multiple_of(round))
}

/// An id made of a name: lower case, digits and `-`; nothing when no letter or digit is left.
pub fn id_of(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let mut id = words.join("-");
    id.truncate(64);
    let id = id.trim_end_matches('-');
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn template() -> Template {
        Template {
            id: "medical-qa-pack".into(),
            name: "Medical QA Pack".into(),
            domain: "medical".into(),
            author: "Ada <ada@example.org>".into(),
            width: 256,
        }
    }

    fn file(template: &Template, path: &str) -> String {
        let files = template.files();
        let found = files.into_iter().find(|(it, _)| it == Path::new(path));
        found.unwrap_or_else(|| panic!("{path}")).1
    }

    #[test]
    fn an_id_follows_from_a_name() {
        let id = |name| id_of(name);
        assert_eq!(id("Medical QA Pack").as_deref(), Some("medical-qa-pack"));
        assert_eq!(id("  C++ / Rust!! ").as_deref(), Some("c-rust"));
        assert_eq!(id("../../etc").as_deref(), Some("etc"));
        assert_eq!(id("Ärzte").as_deref(), Some("rzte"));
        assert_eq!(id("日本語"), None);
        assert_eq!(id(""), None);
        assert_eq!(id(&"x-".repeat(99)).map(|it| it.len()), Some(63));
    }

    #[test]
    fn the_authors_own_code_is_short() {
        let text = file(&template(), "src/lib.rs");
        let lines = text.lines().map(str::trim);
        let code = lines
            .filter(|it| !it.is_empty() && !it.starts_with("//"))
            .count();
        assert!((10..=40).contains(&code), "{code} lines");
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for (path, text) in template().files() {
            if !path.starts_with("vendor") {
                assert!(!text.contains("{{"), "{}: {text}", path.display());
            }
        }
    }

    #[test]
    fn names_are_taken_literally() {
        let hostile = Template {
            name: "\"]\nid = '{{id-toml}} \\ # ${HOME} */ 💊".replace('\n', " "),
            domain: "a\"b".into(),
            author: "O'Neil \"the\" <x@y>".into(),
            ..template()
        };
        let manifest: toml::Table = file(&hostile, "pack.toml").parse().expect("TOML");
        assert_eq!(manifest["name"].as_str(), Some(hostile.name.as_str()));
        assert_eq!(
            manifest["authors"][0].as_str(),
            Some(hostile.author.as_str())
        );
        let cargo: toml::Table = file(&hostile, "Cargo.toml").parse().expect("TOML");
        assert_eq!(
            cargo["package"]["description"].as_str(),
            Some(hostile.name.as_str())
        );
    }

    #[test]
    fn crates_have_names_that_cargo_takes() {
        for (id, expected) in [
            ("medical-qa-pack", "medical-qa-pack"),
            ("7b", "pack-7b"),
            ("test", "pack-test"),
            ("match", "pack-match"),
            ("modularbase-pack", "pack-modularbase-pack"),
        ] {
            let template = Template {
                id: id.into(),
                ..template()
            };
            assert_eq!(template.crate_name(), expected);
        }
    }

    #[test]
    fn the_sdk_that_comes_with_it_is_the_one_beside_us() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the workspace");
        for (path, text) in sdk::SDK_FILES {
            let original = root.join("pack-sdk").join(path);
            let original = fs::read_to_string(&original).expect("the SDK's file");
            assert_eq!(original, *text, "{path}");
        }
        for needed in [
            "src/lib.rs",
            "src/block/mod.rs",
            "wit/package.wit",
            "README.md",
        ] {
            assert!(
                sdk::SDK_FILES.iter().any(|(path, _)| *path == needed),
                "{needed}"
            );
        }
        let manifest: toml::Table = sdk::SDK_MANIFEST.parse().expect("TOML");
        assert_eq!(
            manifest["package"]["name"].as_str(),
            Some("modularbase-pack")
        );
        assert!(manifest["dependencies"].get("wit-bindgen").is_some());
        assert!(
            !sdk::SDK_MANIFEST.contains("workspace"),
            "{}",
            sdk::SDK_MANIFEST
        );
        let lock: toml::Table = template().lock().parse().expect("TOML");
        let packages = lock["package"].as_array().expect("packages");
        assert!(packages.len() > 5, "{}", packages.len());
    }

    #[test]
    fn widths_divide_into_heads() {
        for width in (8..4096).step_by(8) {
            let (heads, feed_forward) = shape(width);
            assert_eq!(width % heads, 0);
            assert_eq!((width / heads) % 2, 0);
            assert!(feed_forward > width && feed_forward % 32 == 0);
        }
        assert_eq!(shape(256), (4, 768));
    }
}

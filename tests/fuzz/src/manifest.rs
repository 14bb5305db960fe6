//! Manifests: what a sound one may hold, and that marking one changes what it should and no more.

use std::collections::BTreeSet;

use modularbase_format::manifest::{
    MANIFEST_LIMIT, ModelValue, Publisher, is_pack_id, set_publisher, set_trained,
};
use modularbase_format::{Manifest, ManifestError};

use crate::{FILE, refused};

/// Reads any bytes as the text of a `pack.toml`.
pub fn read(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Manifest::parse(text, FILE) {
        Ok(manifest) => {
            hold(&manifest);
            mark(text, &manifest);
        }
        Err(error) => refused(&error),
    }
}

/// What stays true of a parsed manifest.
pub fn hold(manifest: &Manifest) {
    let lines = [&manifest.name, &manifest.license].into_iter();
    let lines = lines.chain(&manifest.authors).chain(&manifest.domain);
    let lines = lines
        .chain(&manifest.route.keywords)
        .chain(&manifest.route.signature);
    for line in lines {
        assert!(!line.trim().is_empty() && line.len() <= 1024);
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    for prose in [&manifest.description]
        .into_iter()
        .chain(&manifest.route.examples)
    {
        assert!(!prose.trim().is_empty() && prose.len() <= 4096);
        let odd = |c: char| c.is_control() && !"\n\r\t".contains(c);
        assert!(!prose.contains(odd), "{prose:?}");
    }
    let ids = [&manifest.id].into_iter();
    let others = manifest.fallback.iter().chain(&manifest.conflicts);
    let others = others.chain(manifest.dependencies.keys());
    assert!(others.clone().all(|other| *other != manifest.id));
    let ids = ids.chain(others).chain(&manifest.variants);
    assert!(
        ids.chain(manifest.base.accepts.keys())
            .all(|id| is_pack_id(id))
    );

    assert!(!manifest.authors.is_empty() && !manifest.roles.is_empty());
    assert!(manifest.base.width > 0);
    for list in [
        &manifest.authors,
        &manifest.variants,
        &manifest.fallback,
        &manifest.conflicts,
        &manifest.route.keywords,
        &manifest.route.examples,
    ] {
        assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len());
    }
    assert!(manifest.roles.len() <= 2);

    for (key, value) in &manifest.model {
        assert!(!key.trim().is_empty() && key.len() <= 128 && key != "variant");
        assert!(!key.contains(char::is_control), "{key:?}");
        let said = manifest.config(key).expect("it has this key");
        assert!(!said.contains(char::is_control), "{said:?}");
        match value {
            ModelValue::List(items) if !items.is_empty() => {
                assert_eq!(said.split(',').count(), items.len());
            }
            ModelValue::Float(number) => {
                assert!(number.is_finite());
                assert_eq!(said.parse(), Ok(*number));
            }
            _ => {}
        }
    }
    assert_eq!(manifest.config("variant"), None);
}

/// Marks a sound manifest in every way: the mark is there, and all the rest is as it was.
fn mark(text: &str, manifest: &Manifest) {
    let publisher = Publisher::from_bytes([7; 32]);
    let marked = [
        (set_trained(text, FILE, true), {
            let mut expected = manifest.clone();
            expected.trained = true;
            expected
        }),
        (set_trained(text, FILE, false), {
            let mut expected = manifest.clone();
            expected.trained = false;
            expected
        }),
        (set_publisher(text, FILE, &publisher), {
            let mut expected = manifest.clone();
            expected.publisher = Some(publisher);
            expected
        }),
    ];
    for (marked, expected) in marked {
        let marked = match marked {
            Ok(marked) => marked,
            Err(ManifestError::TooLong { .. }) => {
                assert!(text.len() + 100 > MANIFEST_LIMIT);
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(Manifest::parse(&marked, FILE), Ok(expected));
        let same = |pair: &(u8, u8)| pair.0 == pair.1;
        let front = text.bytes().zip(marked.bytes()).take_while(same).count();
        let back = text.bytes().rev().zip(marked.bytes().rev());
        let back = back.take_while(same).count();
        // What is in between is the value's old spelling; a publisher's could be escaped through
        // and through, or stand in the longest quotes.
        let old = text.len().saturating_sub(front + back);
        assert!(old <= 72 * 10 + 8, "{text:?}\n{marked:?}");
        let new = marked.len().saturating_sub(front + back);
        assert!(new <= 100, "{text:?}\n{marked:?}");
    }
}

/// A manifest with something of everything.
pub const SAMPLE: &str = r#"# A sample.
id = "rust-expert"
name = "Rust expert"
version = "0.3.1"
description = """Knows
the borrow checker."""
license = 'Apache-2.0'
authors = ["Ada <ada@example.org>"]
roles = ["expert", "router"]
contract = "0.1.0" # first
domain = "programming"
variants = ["terse"]
fallback = ["general-chat"]
conflicts = ["old-rust"]

[dependencies]
reasoning = ">=1.1"

[base]
width = 0x200
tokenizer = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
accepts = { tiny = "^0.1" }

[route]
keywords = ["borrow"]
examples = ['''Why?''']
signature = "route.signature"

[model]
layers = 4
eps = 1e-5
"wide" = true
name = "x"
widths = [1, 2]

[limits]
memory = "16MiB"
"#;

/// Sound manifests: the sample, trained or not, signed or not, with other line ends.
pub fn seeds() -> Vec<Vec<u8>> {
    let publisher = Publisher::from_bytes([9; 32]);
    let published = set_publisher(SAMPLE, FILE, &publisher).expect("a sound manifest");
    let fresh = set_trained(&published, FILE, false).expect("a sound manifest");
    [SAMPLE, &published, &fresh, &SAMPLE.replace('\n', "\r\n")]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

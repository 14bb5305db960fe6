use modularbase_format::Manifest;
use modularbase_format::manifest::{Publisher, set_publisher, set_trained};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::allocations::largest;

/// A manifest with something of everything.
pub const SAMPLE: &str = r#"# A sample.
id = "rust-expert"
name = "Rust expert"
version = "0.3.1"
description = """Knows
the borrow checker."""
license = "Apache-2.0"
authors = ["Ada <ada@example.org>"]
roles = ["expert", "router"]
contract = "0.1.0"
fallback = ["general-chat"]

[dependencies]
reasoning = ">=1.1"

[base]
width = 512
accepts = { tiny = "^0.1" }

[route]
keywords = ["borrow"]

[model]
layers = 4
eps = 1e-5
widths = [1, 2]

[limits]
memory = "16MiB"
"#;

fn read_safely(text: &str) {
    let (read, largest) = largest(|| Manifest::parse(text, "pack.toml"));
    assert!(largest <= 1 << 20, "asked for {largest} bytes");
    match read {
        Ok(manifest) => {
            for trained in [true, false] {
                let marked = set_trained(text, "pack.toml", trained).unwrap();
                let mut expected = manifest.clone();
                expected.trained = trained;
                assert_eq!(Manifest::parse(&marked, "x"), Ok(expected));
            }
            let publisher = Publisher::from_bytes([7; 32]);
            let marked = set_publisher(text, "pack.toml", &publisher).unwrap();
            let mut expected = manifest.clone();
            expected.publisher = Some(publisher);
            assert_eq!(Manifest::parse(&marked, "x"), Ok(expected));
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with("pack.toml:"), "{text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}

#[test]
fn a_publisher_reads_back_what_it_shows() {
    let publisher = Publisher::from_bytes([0xab; 32]);
    assert_eq!(publisher.to_string().parse(), Ok(publisher));
    for wrong in [
        "ab".repeat(32),
        format!("ed25519:{}", "AB".repeat(32)),
        format!("ed25519:{}", "ab".repeat(31)),
        "ed25519:\u{1b}[2J".to_string(),
    ] {
        let refused = wrong.parse::<Publisher>().unwrap_err().to_string();
        assert!(refused.starts_with("publisher is `"), "{refused}");
        assert!(!refused.contains(char::is_control), "{refused:?}");
    }
}

#[test]
fn a_version_is_short() {
    let with = |pre: &str| SAMPLE.replace("\"0.3.1\"", &format!("\"0.3.1-{pre}\""));
    let longest = "a".repeat(128 - "0.3.1-".len());
    assert!(Manifest::parse(&with(&longest), "pack.toml").is_ok());
    let refused = Manifest::parse(&with(&(longest + "a")), "pack.toml").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "pack.toml:4:11: key `version` is 129 bytes long, expected at most 128"
    );
}

#[test]
fn a_manifest_cut_at_any_place_never_panics() {
    assert!(Manifest::parse(SAMPLE, "x").is_ok());
    for length in 0..SAMPLE.len() {
        read_safely(&SAMPLE[..length]);
    }
}

#[test]
fn a_manifest_with_any_character_changed_never_panics() {
    for at in 0..SAMPLE.len() {
        for new in [
            "", "\"", "[", "]", "=", "\n", ".", "9", "\\", "\0", "é", "'", "#",
        ] {
            let changed = [&SAMPLE[..at], new, &SAMPLE[at + 1..]].concat();
            read_safely(&changed);
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}", lines in vec("[a-z.\\[\\]{}=\"',0-9 ]{0,20}", 0..8)) {
        read_safely(&text);
        read_safely(&lines.join("\n"));
        read_safely(&format!("{SAMPLE}{}", lines.join("\n")));
        read_safely(&SAMPLE.replacen("\nroles", &format!("\n{}\nroles", lines.join("\n")), 1));
    }
}

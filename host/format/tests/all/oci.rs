use std::collections::BTreeMap;

use modularbase_format::oci::{
    BlobDigest, Descriptor, IMAGE_TYPE, INDEX_TYPE, Image, Index, LAYOUT, LAYOUT_LIMIT, Other,
    check_layout,
};
use modularbase_format::{Digest, OciError};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::allocations::largest;

/// An index with one image of ours and one of another tool, which says more than we know.
const INDEX: &str = r#"{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [
    {
      "mediaType": "application/vnd.oci.image.manifest.v1+json",
      "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "size": 7143,
      "annotations": {"org.opencontainers.image.ref.name": "a@1.0.0"}
    },
    {
      "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
      "digest": "sha512:AA_=",
      "size": 0,
      "platform": {"architecture": "wasm", "os": "wasip2", "os.features": [1.50, -0, 1e400]},
      "urls": [],
      "data": null
    }
  ],
  "annotations": {"modularbase.store": "1", "\u00fc\n": ""},
  "x": {"twice": 1, "twice": 123456789012345678901234567890},
  "artifactType": "application/x"
}"#;

const IMAGE: &str = r#"{"schemaVersion":2,"config":{"mediaType":"c","digest":"a:b","size":1},
"layers":[{"mediaType":"application/wasm","digest":"sha512:0","size":18446744073709551615}],
"subject":{"k": [ 1 ]}}"#;

fn refusal(text: &str) -> String {
    Index::parse(text.as_bytes(), "index.json")
        .unwrap_err()
        .to_string()
}

#[test]
fn an_index_is_read_and_what_is_not_known_goes_back_as_it_was() {
    let index = Index::parse(INDEX.as_bytes(), "x").unwrap();
    let [ours, foreign] = &index.manifests[..] else {
        panic!("{index:?}")
    };
    assert_eq!(ours.media_type, IMAGE_TYPE);
    assert_eq!(ours.digest.sha256(), Some(Digest::of(b"")));
    assert_eq!(ours.size, 7143);
    assert_eq!(
        ours.annotations["org.opencontainers.image.ref.name"],
        "a@1.0.0"
    );
    assert_eq!(ours.other, Other::default());
    assert_eq!(foreign.digest.to_string(), "sha512:AA_=");
    assert_eq!(index.annotations["ü\n"], "");

    let text = String::from_utf8(index.to_bytes()).unwrap();
    assert!(text.starts_with(&format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX_TYPE}","manifests":[{{"#
    )));
    for kept in [
        r#""platform":{"architecture": "wasm", "os": "wasip2", "os.features": [1.50, -0, 1e400]}"#,
        r#""urls":[]"#,
        r#""data":null"#,
        r#""x":{"twice": 1, "twice": 123456789012345678901234567890}"#,
        r#""artifactType":"application/x""#,
    ] {
        assert!(text.contains(kept), "{text}\nexpected: {kept}");
    }
    assert_eq!(Index::parse(text.as_bytes(), "x").unwrap(), index);
    assert_eq!(index.to_bytes(), text.as_bytes());
}

#[test]
fn an_image_is_read_and_what_is_not_known_goes_back_as_it_was() {
    let image = Image::parse(IMAGE.as_bytes(), "x").unwrap();
    assert_eq!(image.config.media_type, "c");
    assert_eq!(image.layers[0].size, u64::MAX);
    let text = String::from_utf8(image.to_bytes()).unwrap();
    assert!(text.contains(&format!(r#""mediaType":"{IMAGE_TYPE}""#)));
    assert!(text.ends_with(r#""subject":{"k": [ 1 ]}}"#), "{text}");
    assert_eq!(Image::parse(text.as_bytes(), "x").unwrap(), image);
}

#[test]
fn what_differs_only_in_unknown_keys_differs() {
    let index = Index::parse(INDEX.as_bytes(), "x").unwrap();
    let other = Index::parse(INDEX.replace("1e400", "1e401").as_bytes(), "x").unwrap();
    assert_ne!(index, other);
}

#[test]
fn an_empty_index_is_a_whole_document() {
    let bytes = Index::default().to_bytes();
    let text = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX_TYPE}","manifests":[]}}"#);
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), text);
    assert_eq!(Index::parse(&bytes, "x").unwrap(), Index::default());
}

#[test]
fn no_list_is_an_empty_list() {
    // Tools in Go write `null` for a list that they never began.
    let index = Index::parse(br#"{"schemaVersion":2,"manifests":null}"#, "x");
    assert_eq!(index, Ok(Index::default()));
}

#[test]
fn a_layout_of_another_version_is_refused() {
    check_layout(LAYOUT, "oci-layout").unwrap();
    check_layout(
        b"{ \"imageLayoutVersion\" : \"1.0.0\", \"more\": 1 }\n",
        "x",
    )
    .unwrap();
    let refused = check_layout(br#"{"imageLayoutVersion":"2.0.0"}"#, "oci-layout").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "oci-layout: key `imageLayoutVersion` is `2.0.0`, expected `1.0.0`"
    );
    assert!(refused.hint().is_some());
    let refused = check_layout(b"{}", "oci-layout").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "oci-layout: key `imageLayoutVersion` is missing"
    );
    assert!(check_layout(&vec![b' '; LAYOUT_LIMIT + 1], "x").is_err());
}

#[test]
fn what_is_wrong_is_found_by_its_place() {
    for (from, to, words) in [
        (
            "ion\": 2",
            "ion\": 3",
            "key `schemaVersion` is 3, expected 2",
        ),
        (
            "image.index",
            "image.manifest",
            "key `mediaType` is `application/vnd.oci.image.manifest.v1+json`, expected `appl",
        ),
        (
            "7143",
            "\"7143\"",
            "key `manifests[0].size` is a string, expected a number",
        ),
        (
            "7143",
            "-1",
            "key `manifests[0].size` is `-1`, expected a whole number of at most 64 bits",
        ),
        ("7143", "7143.0", "key `manifests[0].size` is `7143.0`, exp"),
        (
            "7143",
            "18446744073709551616",
            "key `manifests[0].size` is `18446744073709551616`, exp",
        ),
        (
            "\"size\": 7143",
            "\"sise\": 7143",
            "key `manifests[0].size` is missing",
        ),
        (
            "sha256:e3b0",
            "sha256:E3b0",
            "expected `sha256:` and 64 lower-case hex digits, or",
        ),
        (
            "sha512:AA_=",
            "sha512:../../x",
            "key `manifests[1].digest` is `sha512:../../x`, expected",
        ),
        (
            "\"urls\"",
            "\"size\"",
            "key `manifests[1].size` appears again, expected once",
        ),
        (
            "\"artifactType\"",
            "\"manifests\"",
            "key `manifests` appears again",
        ),
        (
            "\"\\u00fc\\n\"",
            "\"modularbase\\u002estore\"",
            "key `annotations.modularbase.store` appears again",
        ),
        (
            "\"a@1.0.0\"",
            "7",
            "key `manifests[0].annotations.org.opencontainers.image.ref.name` is a number, exp",
        ),
        (
            "\"a@1.0.0\"",
            "\"\\ud800\"",
            "is a string with an escape that means nothing, expected plain text",
        ),
        ("\"\\u00fc\\n\"", "\"\\ud800\"", "key `annotations` is "),
        (
            "{\"modularbase.store\"",
            "[\"modularbase.store\"",
            "index.json:20:",
        ),
        ("\"x\": {", "\"x\": x", "index.json:21:"),
        (
            "[1.50, -0, 1e400]",
            &format!("{}{}", "[".repeat(200), "]".repeat(200)),
            "nesting is deeper than 128",
        ),
    ] {
        assert!(INDEX.contains(from), "{from}");
        let refused = refusal(&INDEX.replacen(from, to, 1));
        assert!(refused.starts_with("index.json:"), "{refused}");
        assert!(refused.contains(words), "{refused}\nexpected: {words}");
    }
    for (text, words) in [
        ("", "index.json:1:0: EOF"),
        (
            "[]",
            "index.json:1:1: document is a list, expected an object",
        ),
        ("{}", "key `schemaVersion` is missing"),
        ("{} {}", "index.json:1:4: trailing"),
        ("{\"a\":1,}", "index.json:1:8: key must be"),
    ] {
        let refused = refusal(text);
        assert!(refused.contains(words), "{refused}\nexpected: {words}");
    }
    for (annotations, words) in [
        ("[]", "key `annotations` is a list, expected an object"),
        ("null", "key `annotations` is null, expected an object"),
    ] {
        let refused = refusal(&format!(
            r#"{{"schemaVersion":2,"manifests":[],"annotations":{annotations}}}"#
        ));
        assert!(refused.ends_with(words), "{refused}\nexpected: {words}");
    }
    let refused = Index::parse(b"{\n  \"\xff\"}", "index.json").unwrap_err();
    assert_eq!(refused.to_string(), "index.json:2:4: text is not UTF-8");
}

#[test]
fn a_document_past_its_limit_is_not_read() {
    let long = vec![b' '; Index::LIMIT + 1];
    let (refused, largest) = largest(|| Index::parse(&long, "x"));
    assert!(matches!(refused, Err(OciError::TooLong { .. })));
    assert!(largest < 4096, "asked for {largest} bytes");
    let long = vec![b' '; Image::LIMIT + 1];
    assert!(matches!(
        Image::parse(&long, "x"),
        Err(OciError::TooLong { .. })
    ));
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let refused = refusal(&format!("{{\"x\":{}", open.repeat(100_000)));
        assert!(refused.contains("nesting is deeper than 128"), "{refused}");
    }
    let brackets = "[".repeat(1000);
    let text = format!(r#"{{"schemaVersion":2,"manifests":[],"x":"\"{brackets}\\"}}"#);
    Index::parse(text.as_bytes(), "x").unwrap();
}

#[test]
fn a_list_of_nothing_costs_nothing() {
    let text = format!(
        r#"{{"schemaVersion":2,"manifests":[{}0]}}"#,
        "0,".repeat(1 << 20)
    );
    let (refused, largest) = largest(|| Index::parse(text.as_bytes(), "x"));
    assert!(refused.is_err());
    assert!(largest < 4096, "asked for {largest} bytes");
}

/// Reads bytes as every kind of document; what is taken survives being written.
fn read_safely(bytes: &[u8]) {
    let file = "f.json";
    let (read, largest) = largest(|| {
        (
            Index::parse(bytes, file),
            Image::parse(bytes, file),
            check_layout(bytes, file),
        )
    });
    let limit = 4096 + 64 * bytes.len();
    assert!(largest <= limit, "asked for {largest} bytes");
    let (index, image, layout) = read;
    let refused = [
        match index {
            Ok(index) => {
                assert_eq!(Index::parse(&index.to_bytes(), file), Ok(index));
                None
            }
            Err(error) => Some(error),
        },
        match image {
            Ok(image) => {
                assert_eq!(Image::parse(&image.to_bytes(), file), Ok(image));
                None
            }
            Err(error) => Some(error),
        },
        layout.err(),
    ];
    for error in refused.into_iter().flatten() {
        let said = error.to_string();
        assert!(said.starts_with("f.json:"), "{said}");
        assert!(!said.contains(char::is_control), "{said:?}");
    }
}

#[test]
fn a_document_cut_or_changed_anywhere_never_panics() {
    for text in [INDEX, IMAGE] {
        for at in 0..text.len() {
            read_safely(&text.as_bytes()[..at]);
            for new in *b"\"{}[]:,\\\0\xff0-.eu " {
                let mut changed = text.as_bytes().to_vec();
                changed[at] = new;
                read_safely(&changed);
            }
        }
    }
}

fn annotations() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(".{0,12}", ".{0,12}", 0..4)
}

fn descriptor() -> impl Strategy<Value = Descriptor> {
    (".{0,20}", any::<[u8; 32]>(), any::<u64>(), annotations()).prop_map(
        |(media_type, digest, size, annotations)| Descriptor {
            media_type,
            digest: BlobDigest::from(Digest::from_bytes(digest)),
            size,
            annotations,
            other: Other::default(),
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        config in descriptor(),
        list in vec(descriptor(), 0..4),
        annotations in annotations(),
    ) {
        let index = Index { manifests: list.clone(), annotations: annotations.clone(), other: Other::default() };
        prop_assert_eq!(Index::parse(&index.to_bytes(), "x"), Ok(index));
        let image = Image { config, layers: list, annotations, other: Other::default() };
        prop_assert_eq!(Image::parse(&image.to_bytes(), "x"), Ok(image));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in vec(any::<u8>(), 0..200),
        text in "[\\[\\]{}:,\"0-9a-z\\\\ .-]{0,80}",
        at in any::<prop::sample::Index>(),
    ) {
        read_safely(&bytes);
        read_safely(text.as_bytes());
        let at = at.index(INDEX.len());
        read_safely(&[&INDEX.as_bytes()[..at], text.as_bytes(), &INDEX.as_bytes()[at..]].concat());
    }
}

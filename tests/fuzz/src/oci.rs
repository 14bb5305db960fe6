//! OCI documents: whatever is read goes back as the same JSON, known or not.

use modularbase_format::oci::{
    BlobDigest, Descriptor, IMAGE_TYPE, INDEX_TYPE, Image, Index, LAYOUT, check_layout,
};
use serde_json::Value;

use crate::{FILE, refused};

/// Reads any bytes as an `index.json`, and as an `oci-layout`.
pub fn read_index(bytes: &[u8]) {
    match Index::parse(bytes, FILE) {
        Ok(index) => {
            let written = index.to_bytes();
            index.manifests.iter().for_each(hold);
            let again = Index::parse(&written, FILE).expect("what was written");
            assert_eq!(again, index);
            assert_eq!(again.to_bytes(), written);
            same(bytes, &written, INDEX_TYPE);
        }
        Err(error) => refused(&error),
    }
    if let Err(error) = check_layout(bytes, FILE) {
        refused(&error);
    }
}

/// Reads any bytes as an image's manifest.
pub fn read_image(bytes: &[u8]) {
    match Image::parse(bytes, FILE) {
        Ok(image) => {
            let written = image.to_bytes();
            image.layers.iter().chain([&image.config]).for_each(hold);
            let again = Image::parse(&written, FILE).expect("what was written");
            assert_eq!(again, image);
            assert_eq!(again.to_bytes(), written);
            same(bytes, &written, IMAGE_TYPE);
        }
        Err(error) => refused(&error),
    }
}

/// No digest can be a path to elsewhere.
fn hold(descriptor: &Descriptor) {
    let text = descriptor.digest.to_string();
    let (algorithm, encoded) = text.split_once(':').expect("an algorithm");
    assert!(!text.contains(['/', '\\', '\0']) && !encoded.contains('.'));
    match &descriptor.digest {
        BlobDigest::Sha256(digest) => assert_eq!(digest.to_string(), encoded),
        BlobDigest::Other(_) => assert_ne!(algorithm, "sha256"),
    }
}

/// Both texts mean the same to a parser that knows nothing of OCI, but for what may be left out.
fn same(before: &[u8], after: &[u8], media_type: &str) {
    // It refuses what is carried through as text, such as numbers of a thousand digits.
    let Ok(mut before) = serde_json::from_slice::<Value>(before) else {
        return;
    };
    let after: Value = serde_json::from_slice(after).expect("what was written");
    before["mediaType"] = media_type.into();
    tidy(&mut before);
    let lists = ["manifests", "layers"].map(|key| before.get(key).is_some().then_some(key));
    for key in lists.into_iter().flatten() {
        if after[key].as_array().is_some_and(Vec::is_empty) && before[key].is_null() {
            before[key] = Vec::<Value>::new().into();
        }
        // What the other kind of document calls its list is unknown to this one, and kept whole.
        let known = (key == "manifests") == (media_type == INDEX_TYPE);
        if known && let Some(list) = before[key].as_array_mut() {
            list.iter_mut().for_each(tidy);
        }
    }
    if media_type == IMAGE_TYPE {
        tidy(&mut before["config"]);
    }
    assert_eq!(before, after);
}

/// Empty annotations are left out.
fn tidy(object: &mut Value) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let empty = |value: &Value| value.as_object().is_some_and(|object| object.is_empty());
    if object.get("annotations").is_some_and(empty) {
        object.remove("annotations");
    }
}

/// An index as other tools write it, the empty one, and a layout.
pub fn index_seeds() -> Vec<Vec<u8>> {
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
      "mediaType": "x",
      "digest": "sha512:AA_=",
      "size": 0,
      "platform": {"os": "wasip2", "os.features": [1.50, -0, true, null]},
      "urls": []
    }
  ],
  "annotations": {"modularbase.store": "1", "\u00fc\n": ""},
  "artifactType": "application/x"
}"#;
    let empty = Index::default().to_bytes();
    let null = br#"{"schemaVersion":2,"manifests":null,"annotations":{}}"#;
    vec![INDEX.into(), empty, null.to_vec(), LAYOUT.to_vec()]
}

/// An image of one layer, and one of none that says more than is known.
pub fn image_seeds() -> Vec<Vec<u8>> {
    const IMAGE: &str = r#"{"schemaVersion":2,
"mediaType":"application/vnd.oci.image.manifest.v1+json",
"config":{"mediaType":"application/vnd.wasm.config.v0+json","size":2,
"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
"layers":[{"mediaType":"application/wasm","digest":"a+b:0","size":18446744073709551615}],
"annotations":{"org.opencontainers.image.title":"a"}}"#;
    const OTHER: &str = r#"{"schemaVersion":2,"config":{"mediaType":"c","digest":"a:b","size":1,
"annotations":{},"data":"AA=="},"layers":[],"subject":{"k":[1]}}"#;
    vec![IMAGE.into(), OTHER.into()]
}

//! What other tools write beside us, and what they read of ours.

use std::fs;

use modularbase_format::Digest;
use modularbase_format::oci::{Image, Index};
use serde_json::{Value, json};

use super::{Home, expected_listing, remove, verify_all};

/// Puts a blob of another tool's into a store, and gives its descriptor.
fn blob(home: &Home, media_type: &str, bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    let path = home.inside(&format!("blobs/sha256/{digest}"));
    fs::write(path, bytes).expect("there is room");
    json!({
        "mediaType": media_type,
        "digest": format!("sha256:{digest}"),
        "size": bytes.len(),
        "platform": {"architecture": "riscv64", "os": "plan9"},
    })
}

#[test]
fn what_another_tool_keeps_here_survives_us() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    let config = blob(&home, "application/vnd.oci.image.config.v1+json", b"{}");
    let layer = blob(
        &home,
        "application/vnd.oci.image.layer.v1.tar",
        b"a tar file",
    );
    let image = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    });
    let image = blob(
        &home,
        "application/vnd.oci.image.manifest.v1+json",
        image.to_string().as_bytes(),
    );
    let signature = blob(&home, "application/vnd.dev.cosign", b"{\"a\": 1}");
    let inner = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [image],
        "strange": [signature],
    });
    let mut inner = blob(
        &home,
        "application/vnd.oci.image.index.v1+json",
        inner.to_string().as_bytes(),
    );
    inner["annotations"] = json!({"org.opencontainers.image.ref.name": "debian:12"});
    home.change_index(|text| {
        let mut index: Value = serde_json::from_str(&text).expect("it is JSON");
        let manifests = index["manifests"].as_array_mut().expect("it is a list");
        manifests.insert(0, inner.clone());
        // Elsewhere, and by a digest that we do not know.
        manifests.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": "sha512:abc123",
            "size": 7,
            "urls": ["https://example.org/x"],
        }));
        index["artifactType"] = json!("application/x");
        index["annotations"]["org.example"] = json!("kept");
        index["manifests"][1]["annotations"]["modularbase.later"] = json!("kept, too");
        index["manifests"][1]["data"] = json!("e30=");
        index.to_string()
    });
    let foreign = home.listing();

    let store = home.store();
    home.keep("b", "1.0.0");
    home.keep("a", "2.0.0");
    assert_eq!(verify_all(&store), 3);
    assert_eq!(store.sweep().expect("the store is sound").files, 0);
    remove(&store, "b").expect("it is kept");
    let text = fs::read_to_string(home.inside("index.json")).expect("it is there");
    let index: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(index["manifests"][0], inner);
    assert_eq!(
        index["manifests"][2]["urls"],
        json!(["https://example.org/x"])
    );
    assert_eq!(index["artifactType"], "application/x");
    assert_eq!(index["annotations"]["org.example"], "kept");
    let ours = &index["manifests"][1];
    assert_eq!(ours["annotations"]["modularbase.later"], "kept, too");
    assert_eq!(ours["data"], "e30=");
    assert!(
        ours["annotations"].get("modularbase.in-use").is_none(),
        "2.0.0 is"
    );
    assert_eq!(store.sweep().expect("the store is sound").files, 0);
    remove(&store, "a").expect("it is kept");
    assert_eq!(store.sweep().expect("the store is sound").files, 0);
    let blobs = foreign.iter().filter(|it| it.len() > 64).count() - 3;
    let left = home.listing();
    assert_eq!(left.iter().filter(|it| it.len() > 64).count(), blobs);
    assert!(left.is_subset(&foreign));

    // Once the other tool lets go of it, it goes.
    home.change_index(|text| {
        let mut index: Value = serde_json::from_str(&text).expect("it is JSON");
        index["manifests"] = json!([]);
        index.to_string()
    });
    assert_eq!(store.sweep().expect("the store is sound").files, blobs);
    assert_eq!(home.listing(), expected_listing(store.root()));
}

#[test]
fn a_layout_of_another_tool_becomes_a_store_when_a_pack_is_added() {
    let home = Home::new();
    fs::create_dir(home.path("store")).expect("there is room");
    fs::write(
        home.inside("oci-layout"),
        r#"{"imageLayoutVersion": "1.0.0"}"#,
    )
    .expect("room");
    fs::write(
        home.inside("index.json"),
        r#"{"schemaVersion":2,"manifests":[]}"#,
    )
    .expect("room");
    assert!(
        home.store()
            .contents()
            .expect("it is empty")
            .entries()
            .is_empty()
    );
    home.keep("a", "1.0.0");
    assert_eq!(home.index().annotations["modularbase.store"], "1");
    assert_eq!(verify_all(&home.store()), 1);
}

#[test]
fn a_pack_is_an_image_of_one_layer() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0-beta.1");
    let again = Home::new();
    again.keep("a", "1.0.0-beta.1");
    let Index { manifests, .. } = home.index();
    let [descriptor] = manifests.as_slice() else {
        panic!("{manifests:?}");
    };
    assert_eq!(
        descriptor.digest,
        again.index().manifests[0].digest,
        "byte for byte"
    );
    assert_eq!(
        descriptor.annotations["org.opencontainers.image.ref.name"],
        "a@1.0.0-beta.1"
    );
    let read = |digest: Option<Digest>| {
        let digest = digest.expect("it is a SHA-256");
        fs::read(home.inside(&format!("blobs/sha256/{digest}"))).expect("it is there")
    };
    let image = Image::parse(&read(descriptor.digest.sha256()), "image").expect("it is sound");
    let [layer] = image.layers.as_slice() else {
        panic!("{image:?}");
    };
    assert_eq!(layer.media_type, "application/wasm");
    assert_eq!(layer.digest.sha256(), Some(entry.digest));
    assert_eq!(image.annotations["org.opencontainers.image.title"], "The a");
    assert_eq!(
        image.annotations["org.opencontainers.image.licenses"],
        "Apache-2.0"
    );
    assert_eq!(
        image.config.media_type,
        "application/vnd.wasm.config.v0+json"
    );
    let config: Value = serde_json::from_slice(&read(image.config.digest.sha256())).expect("JSON");
    let expected = json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [format!("sha256:{}", entry.digest)],
        "component": {
            "exports": ["modularbase:pack/expert@0.1.0"],
            "imports": ["modularbase:pack/tensors@0.1.0"],
        },
    });
    assert_eq!(config, expected);
}

"""skopeo, which knows nothing of packs, reads the store as the OCI image layout that it is."""

import hashlib
import json

from mbhost import WithHome, run

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.wasm.config.v0+json"


class Skopeo(WithHome):
    def setUp(self):
        super().setUp()
        self.file = self.built("dense")
        self.pack = self.inspected(self.file)
        self.mbhost("pack", "add", "--yes", self.file)
        self.name = f"{self.pack['id']}@{self.pack['version']}"
        self.digest = f"sha256:{self.pack['digest']}"

    def test_it_reads_the_manifest_of_a_pack(self):
        text = inspect(self.store, self.name)
        manifest = json.loads(text)
        self.assertEqual(manifest["schemaVersion"], 2)
        self.assertEqual(manifest["mediaType"], MANIFEST)
        self.assertEqual(manifest["config"]["mediaType"], CONFIG)
        layer = {
            "mediaType": "application/wasm",
            "digest": self.digest,
            "size": self.file.stat().st_size,
        }
        self.assertEqual(manifest["layers"], [layer])
        annotations = manifest["annotations"]
        self.assertEqual(annotations["org.opencontainers.image.title"], self.pack["name"])
        self.assertEqual(annotations["org.opencontainers.image.version"], self.pack["version"])
        self.assertEqual(listed(self.store)[self.name], sha256(text))

    def test_it_reads_what_the_component_needs_and_gives(self):
        config = json.loads(inspect(self.store, self.name, "--config"))
        self.assertEqual(config["architecture"], "wasm")
        self.assertEqual(config["os"], "wasip2")
        self.assertEqual(config["layerDigests"], [self.digest])
        code, contract = self.pack["code"], self.pack["contract"]
        for side in ("imports", "exports"):
            names = [f"modularbase:pack/{name}@{contract}" for name in code[side]]
            self.assertCountEqual(config["component"][side], names)

    def test_its_copy_holds_the_same_bytes(self):
        other = self.folder / "other"
        copy(self.store, self.name, other, "renamed")
        self.assertEqual(inspect(other, "renamed"), inspect(self.store, self.name))
        self.assertEqual(blob(other, self.digest).read_bytes(), self.file.read_bytes())

    def test_what_it_puts_into_the_store_stays_there(self):
        # It is no pack, so it is none of our business: not lost, and not collected.
        other = foreign_image(self.folder / "other")
        copy(other, "image", self.store, "image")
        manifest = inspect(other, "image")

        self.mbhost("pack", "verify", self.pack["id"])
        self.mbhost("pack", "rm", self.pack["id"])
        self.mbhost("pack", "gc")

        self.assertFalse(blob(self.store, self.digest).exists())
        self.assertEqual(inspect(self.store, "image"), manifest)
        back = self.folder / "back"
        copy(self.store, "image", back, "image")
        self.assertEqual(inspect(back, "image"), manifest)


def inspect(layout, name, *options):
    """A manifest's or a config's bytes. Without `--raw`, skopeo knows container images alone."""
    return run(["skopeo", "inspect", "--raw", *options, f"oci:{layout}:{name}"])


def copy(source, name, target, new_name):
    """From folder to folder there is no signature to judge, so no policy is asked for."""
    run(["skopeo", "--insecure-policy", "copy", f"oci:{source}:{name}", f"oci:{target}:{new_name}"])


def listed(layout):
    """The names in an index and the digests of the manifests that they mean."""
    index = json.loads((layout / "index.json").read_bytes())
    name = "org.opencontainers.image.ref.name"
    return {it["annotations"][name]: it["digest"] for it in index["manifests"]}


def blob(layout, digest):
    return layout / "blobs" / digest.replace(":", "/")


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def foreign_image(layout):
    """A layout with an image in it that is no pack."""

    def put(media_type, content):
        place = blob(layout, sha256(content))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put("application/vnd.example.config.v1+json", b'{"foreign":true}'),
        "layers": [put("application/vnd.example.notes.v1+text", b"not a pack")],
    }
    entry = put(MANIFEST, json.dumps(manifest).encode())
    entry["annotations"] = {"org.opencontainers.image.ref.name": "image"}
    index = {"schemaVersion": 2, "manifests": [entry]}
    (layout / "index.json").write_text(json.dumps(index))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return layout

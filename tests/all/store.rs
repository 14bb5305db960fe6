//! The store, as those who keep packs in it use it: with good packs and bad, with others at work in
//! it, and with processes that die.

/// What should not be there is refused, and the store stays as it was.
mod bad;
/// A process of its own, which the other modules start, and may kill.
mod child;
/// Commands are killed at any moment.
mod commands;
/// Processes are killed at any moment.
mod crash;
/// Disks that are full, and disks that cannot be written.
mod disks;
/// Documents that cannot be believed.
mod index;
/// What is added, listed, opened, replaced and removed.
mod kept;
/// What other tools write beside us, and what they read of ours.
mod others;
/// Several processes change one store, and others read it.
mod processes;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use modularbase::store::{Added, Entry, Interfaces, Store, StoreError};
use modularbase_format::oci::{Image, Index};
use modularbase_format::{Digest, GgufWriter, PackWriter, PrivateKey, WeightType};
use semver::Version;
use tempfile::TempDir;

/// A pack to be written; without code, which a store does not look at.
pub struct Source<'a> {
    pub id: &'a str,
    pub version: &'a str,
    /// Numbers of its one weight; they differ with `seed`.
    pub weights: usize,
    pub seed: u32,
    pub key: Option<&'a PrivateKey>,
}

impl<'a> Source<'a> {
    pub fn new(id: &'a str, version: &'a str) -> Self {
        Self {
            id,
            version,
            weights: 64,
            seed: 0,
            key: None,
        }
    }

    pub fn write(&self, to: &Path) {
        let Self { id, version, .. } = self;
        let publisher = self.key.map(PrivateKey::publisher);
        let publisher = publisher.map(|it| format!("publisher = \"{it}\"\n"));
        let manifest = format!(
            "id = \"{id}\"\nname = \"The {id}\"\nversion = \"{version}\"\n\
             description = \"For tests.\"\nlicense = \"Apache-2.0\"\nauthors = [\"Tests\"]\n\
             roles = [\"expert\"]\ncontract = \"0.1.0\"\n{}[base]\nwidth = 8\n",
            publisher.unwrap_or_default()
        );
        let number = |i: usize| (i as u32).wrapping_mul(2_654_435_761) ^ self.seed;
        let bytes: Vec<u8> = (0..self.weights)
            .flat_map(|i| (number(i) as f32).to_le_bytes())
            .collect();
        let mut weights = GgufWriter::new();
        let added = weights.tensor("w", &[self.weights], WeightType::F32, &bytes);
        added.expect("the tensor is sound");
        let mut writer = PackWriter::new(b"\0asm\x0d\0\x01\0", &manifest).weights(weights);
        if let Some(key) = self.key {
            writer = writer.sign(key);
        }
        drop(writer.write(to).expect("the pack is sound"));
    }
}

/// A folder of one test: packs to be added, and a store.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        Self { folder }
    }

    /// A path beside the store.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in the store.
    pub fn inside(&self, name: &str) -> PathBuf {
        self.path("store").join(name)
    }

    pub fn store(&self) -> Store {
        self.try_store().expect("the store is sound")
    }

    pub fn try_store(&self) -> Result<Store, StoreError> {
        Store::open(self.path("store"))
    }

    /// Writes a pack beside the store.
    pub fn pack(&self, source: &Source<'_>) -> PathBuf {
        let path = self.path(&format!("{}-{}.wasm", source.id, source.version));
        source.write(&path);
        path
    }

    /// Adds a small pack.
    pub fn keep(&self, id: &str, version: &str) -> Entry {
        let path = self.pack(&Source::new(id, version));
        let store = self.store();
        add(&store, &path).expect("it can be added");
        let contents = store.contents().expect("it can be read");
        let version = version.parse().expect("it is a version");
        contents.find(id, &version).expect("it is kept").clone()
    }

    /// Every file and folder of the store, by its path in it.
    pub fn listing(&self) -> BTreeSet<String> {
        listing(&self.path("store"))
    }

    pub fn index(&self) -> Index {
        let bytes = fs::read(self.inside("index.json")).expect("it is there");
        Index::parse(&bytes, "index.json").expect("it is sound")
    }

    /// Rewrites the index's text.
    pub fn change_index(&self, change: impl FnOnce(String) -> String) {
        let path = self.inside("index.json");
        let text = fs::read_to_string(&path).expect("it is there");
        fs::write(&path, change(text)).expect("it can be written");
    }
}

pub fn listing(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let entry = entry.expect("it can be listed");
            let path = entry.path();
            let name = path.strip_prefix(root).expect("it is inside");
            found.insert(name.display().to_string());
            if entry.file_type().expect("it has one").is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

/// What a store of these packs consists of, and nothing else: worked out from its documents alone.
pub fn expected_listing(root: &Path) -> BTreeSet<String> {
    let fixed = [
        "oci-layout",
        "index.json",
        "blobs",
        "blobs/sha256",
        "staging",
        "lock",
    ];
    let mut expected: BTreeSet<String> = fixed.map(str::to_owned).into();
    let index = fs::read(root.join("index.json")).expect("it is there");
    let index = Index::parse(&index, "index.json").expect("it is sound");
    for descriptor in index.manifests {
        let digest = descriptor.digest.sha256().expect("it is one");
        let blob = |digest: Digest| format!("blobs/sha256/{digest}");
        let image = fs::read(root.join(blob(digest))).expect("it is there");
        let image = Image::parse(&image, "image").expect("it is sound");
        expected.insert(blob(digest));
        for part in image.layers.iter().chain([&image.config]) {
            expected.insert(blob(part.digest.sha256().expect("it is one")));
        }
    }
    expected
}

pub fn unwatched(_: u64, _: u64) {}

pub fn version(text: &str) -> Version {
    text.parse().expect("it is a version")
}

/// Adds a pack as a user does who says yes to everything.
pub fn add(store: &Store, path: &Path) -> Result<Added, StoreError> {
    let staged = store.stage(path, &unwatched)?;
    let mut change = store.change()?;
    let interfaces = Interfaces {
        imports: vec!["modularbase:pack/tensors@0.1.0".to_owned()],
        exports: vec!["modularbase:pack/expert@0.1.0".to_owned()],
    };
    let added = change.add(staged, &interfaces, false)?;
    change.commit()?;
    Ok(added)
}

/// Removes all versions of a pack.
pub fn remove(store: &Store, id: &str) -> Result<Vec<Entry>, StoreError> {
    let mut change = store.change()?;
    let removed = change.remove(id, None)?;
    change.commit()?;
    Ok(removed)
}

/// Holds that everything that is listed is there, byte for byte.
pub fn verify_all(store: &Store) -> usize {
    let contents = store.contents().expect("the index is whole");
    for entry in contents.entries() {
        let (id, version) = (&entry.id, &entry.version);
        let verified = store.verify(entry, &unwatched);
        verified.unwrap_or_else(|error| panic!("{id} {version} is listed: {error}"));
        let opened = store.open_pack(entry);
        let opened = opened.unwrap_or_else(|error| panic!("{id} {version} is listed: {error}"));
        assert_eq!(opened.digest(), entry.digest);
        assert_eq!(opened.manifest().id, *id);
    }
    contents.entries().len()
}

/// An error's message, which has to begin with lower case or a path, and its hint.
pub fn words(error: &StoreError) -> String {
    let hint = error.hint().map(|hint| format!("; hint: {hint}"));
    format!("{error}{}", hint.unwrap_or_default())
}

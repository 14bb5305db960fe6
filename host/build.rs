//! Puts the SDK's source into `mbhost`, for the crates that `pack init` makes.
//!
//! Writes `sdk.rs`: the SDK's files, its manifest with what it takes from the workspace filled
//! in, and the part of `Cargo.lock` that it needs, so that a fresh crate builds with the versions
//! that the SDK was tested with, and without asking a registry when they are there already.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    // Embedders of the library need none of it.
    if env::var_os("CARGO_FEATURE_CLI").is_none() {
        return;
    }
    let host = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where we are"));
    let root = host.parent().expect("the host stands in the workspace");
    let (sdk, wit) = (root.join("pack-sdk"), root.join("wit"));
    for watched in [
        "pack-sdk/src",
        "pack-sdk/README.md",
        "pack-sdk/Cargo.toml",
        "wit",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    for watched in ["Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }

    let mut files = BTreeMap::new();
    collect(&sdk.join("src"), "src", "rs", &mut files);
    collect(&wit, "wit", "wit", &mut files);
    files.insert("README.md".to_owned(), sdk.join("README.md"));
    let mut out = String::from("/// The SDK's files: path and text.\n");
    out.push_str("pub const SDK_FILES: &[(&str, &str)] = &[\n");
    for (name, path) in files {
        writeln!(out, "    ({name:?}, include_str!({path:?})),").expect("a string takes all");
    }
    out.push_str("];\n");
    let manifest = resolved(
        &read(&sdk.join("Cargo.toml")),
        &read(&root.join("Cargo.toml")),
    );
    writeln!(
        out,
        "/// Its manifest.\npub const SDK_MANIFEST: &str = {manifest:?};"
    )
    .expect("a string takes all");
    let lock = closure(&read(&root.join("Cargo.lock")), "modularbase-pack");
    writeln!(
        out,
        "/// Its part of the lock file.\npub const SDK_LOCK: &str = {lock:?};"
    )
    .expect("a string takes all");
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    fs::write(target.join("sdk.rs"), out).expect("cargo's folder takes files");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files of an extension below a folder; frozen copies of the contract are left out.
fn collect(folder: &Path, name: &str, extension: &str, files: &mut BTreeMap<String, PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder's entry").path();
        let file = path
            .file_name()
            .and_then(|it| it.to_str())
            .unwrap_or_default();
        let inner = format!("{name}/{file}");
        if path.is_dir() && file != "released" {
            collect(&path, &inner, extension, files);
        } else if path.extension().is_some_and(|it| it == extension) {
            files.insert(inner, path);
        }
    }
}

/// A member's manifest as it stands alone: `key.workspace = true` becomes the workspace's line.
fn resolved(member: &str, workspace: &str) -> String {
    let mut out = String::new();
    for line in member.lines() {
        let line = match line.strip_suffix(".workspace = true") {
            Some(key) => workspace
                .lines()
                .find(|it| it.starts_with(&format!("{key} = ")))
                .unwrap_or_else(|| panic!("Cargo.toml: `{key}` is not the workspace's")),
            // Lints are the workspace's own business, and so are remarks about its links.
            None if line.starts_with(['#']) || line == "[lints]" || line == "workspace = true" => {
                continue;
            }
            None => line,
        };
        out.push_str(line);
        out.push('\n');
    }
    out.trim_end().to_owned() + "\n"
}

/// The entries of a lock file that a package and what it depends on need. Some name more than the
/// package needs, where other members ask more of a dependency; cargo drops that by itself.
fn closure(lock: &str, package: &str) -> String {
    let mut entries = lock.split("[[package]]\n");
    let head = entries.next().unwrap_or_default();
    let value = |entry: &str, key: &str| {
        let line = entry
            .lines()
            .find_map(|it| it.strip_prefix(&format!("{key} = ")));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let entries: Vec<&str> = entries.collect();
    let (mut wanted, mut kept) = (vec![package.to_owned()], BTreeSet::new());
    while let Some(dependency) = wanted.pop() {
        // A name, followed by a version where there are several.
        let (name, version) = dependency.split_once(' ').unwrap_or((&dependency, ""));
        for (at, entry) in entries.iter().enumerate() {
            let fits = version.is_empty() || value(entry, "version") == version;
            if value(entry, "name") == name && fits && kept.insert(at) {
                let named = entry.lines().filter_map(|it| it.strip_prefix(" \""));
                wanted.extend(named.filter_map(|it| Some(it.strip_suffix("\",")?.to_owned())));
            }
        }
    }
    let kept = kept.into_iter().filter_map(|at| entries.get(at));
    kept.fold(head.to_owned(), |all, entry| {
        format!("{all}[[package]]\n{}\n\n", entry.trim_end())
    })
}

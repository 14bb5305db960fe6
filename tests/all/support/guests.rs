//! Builds the guests: once for each run of the tests, by the `cargo` that runs them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use modularbase::{TARGET, Toolchain};
use serde_json::Value;
use wit_component::ComponentEncoder;

use super::repository;

/// The component of a guest: an example of `tests/guests`, or a crate of `packs/`.
///
/// # Panics
/// When the guests do not build, and when there is none of that name.
pub fn guest(name: &str) -> &'static [u8] {
    static BUILT: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    let built = BUILT.get_or_init(build);
    built
        .get(name)
        .unwrap_or_else(|| panic!("guest `{name}` is not among {:?}", built.keys()))
}

fn build() -> BTreeMap<String, Vec<u8>> {
    ensure_target();
    // A folder of its own: the outer cargo may hold the lock of the one beside it.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("guests");
    let child = Command::new(env!("CARGO"))
        .current_dir(repository(""))
        .args([
            "build",
            "--release",
            "--target",
            TARGET,
            "--lib",
            "--examples",
        ])
        .args(["-p", "guests", "-p", "dense"])
        .args(["-p", "moe", "-p", "prototype-router"])
        .args([
            "--message-format",
            "json-render-diagnostics",
            "--target-dir",
        ])
        .arg(folder)
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
        .env("CARGO_PROFILE_RELEASE_STRIP", "true")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stderr(Stdio::inherit())
        .output();
    let child = child.expect("cargo can be started");
    assert!(child.status.success(), "the guests do not build");
    let messages = String::from_utf8(child.stdout).expect("cargo writes UTF-8");
    messages.lines().filter_map(component).collect()
}

/// The name and the component of a module that cargo says it has built.
fn component(message: &str) -> Option<(String, Vec<u8>)> {
    let message: Value = serde_json::from_str(message).expect("cargo writes JSON");
    let files = message.get("filenames")?.as_array()?;
    let file = files.iter().filter_map(Value::as_str);
    let file = file.into_iter().find(|file| file.ends_with(".wasm"))?;
    let name = message.get("target")?.get("name")?.as_str()?;
    let module = std::fs::read(file).expect("cargo built it");
    Some((name.to_owned(), encode(&module)))
}

/// A core module as a component.
pub fn encode(module: &[u8]) -> Vec<u8> {
    let encoder = ComponentEncoder::default().module(module);
    let encoded = encoder.and_then(|encoder| encoder.validate(true).encode());
    encoded.expect("the module fits its world")
}

/// Gets what Rust needs to build for wasm, where it is missing and can be had.
fn ensure_target() {
    let there = || Toolchain::look(&repository("")).wasm_target;
    if !there() {
        // Whether it helped is what counts, not what it says.
        let _ = Command::new("rustup")
            .args(["target", "add", TARGET])
            .current_dir(repository(""))
            .status();
        assert!(
            there(),
            "the target {TARGET} is missing: `rustup target add {TARGET}`"
        );
    }
}

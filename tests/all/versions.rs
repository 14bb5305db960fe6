//! The contract's past: what was released does not change, and what was built against it runs.

use std::collections::BTreeMap;
use std::path::Path;

use modularbase::pack::Sandbox;
use modularbase::roles::Expert;
use modularbase::tensor::{Device, Ledger, Tensor};
use modularbase_format::Digest;

use crate::hostile::step;
use crate::support::{Source, guest, repository};

/// The files of a contract, by name.
fn contract(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_some_and(|it| it == "wit") {
            let name = path.file_name().expect("it has one").to_string_lossy();
            let text = std::fs::read(&path).expect("it can be read");
            files.insert(name.into_owned(), text);
        }
    }
    files
}

/// Every released version, and what `sha256sum *.wit | sha256sum` says in its folder. Written
/// here once, when the version is released: whoever edits a copy and the live file alike meets
/// this line.
const RELEASED: [(&str, &str); 1] = [(
    "0.1.0",
    "9d91e6f1a663d0ad5e64fb6ed51f3dce448c7a403786b4c0b01b8ae5dc5c3e8e",
)];

/// One digest of all files, their names included.
fn digest(files: &BTreeMap<String, Vec<u8>>) -> String {
    let line = |(name, text): (&String, &Vec<u8>)| format!("{}  {name}\n", Digest::of(text));
    let list: String = files.iter().map(line).collect();
    Digest::of(list.as_bytes()).to_string()
}

#[test]
fn a_released_contract_is_what_it_was() {
    let now = contract(&repository("wit"));
    let package = String::from_utf8_lossy(&now["package.wit"]);
    let folders = std::fs::read_dir(repository("wit/released")).expect("the folder is there");
    let mut versions: Vec<String> = folders
        .map(|entry| entry.expect("it can be listed").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    versions.sort();
    let pinned: Vec<&str> = RELEASED.iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, pinned, "the folders of wit/released");
    for (version, expected) in RELEASED {
        let frozen = contract(&repository("wit/released").join(version));
        assert_eq!(
            digest(&frozen),
            expected,
            "the copy of {version} has changed"
        );
        let line = format!("package modularbase:pack@{version};");
        let says = String::from_utf8_lossy(&frozen["package.wit"]).contains(&line);
        assert!(says, "the copy of {version} says it is another");
        if package.contains(&line) {
            let names = |of: &BTreeMap<String, Vec<u8>>| of.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&now), names(&frozen), "the files of {version}");
            for (name, text) in &now {
                assert!(*text == frozen[name], "{name} of {version} has changed");
            }
        }
    }
}

#[test]
fn a_pack_built_against_the_released_copy_runs() {
    let pack = Source::new("released", guest("released")).open(&Sandbox::default());
    let mut expert = pack
        .expert(&Device::cpu(), &Ledger::new(1 << 20), None)
        .expect("it loads");
    let hidden: Vec<f32> = (0..16).map(|n| n as f32).collect();
    let out = expert
        .begin(&step(&[(0, 0, 2)]), &Tensor::new(8, hidden.clone()))
        .wait();
    let out = out.expect("it runs").to_vec().expect("it is in memory");
    let half: Vec<f32> = hidden.iter().map(|x| x * 0.5).collect();
    assert_eq!(out, half);
}

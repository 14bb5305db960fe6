//! Components out of text, for what no compiler would write.

use std::path::Path;

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{guests, repository};

/// A component out of its text.
pub fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is sound")
}

/// A core module's text as a component of the world `expert-pack` of a contract.
fn module(text: &str, wit: &Path) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the text is sound");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).expect("wit is sound");
    let world = resolve.select_world(&[package], Some("expert-pack"));
    let world = world.expect("the world is there");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("the world can be described");
    guests::encode(&module)
}

/// `tests/guests/expert.wat` with these texts at its places, as a component.
pub fn expert(memory: &str, items: &str, load: &str, forward: &str) -> Vec<u8> {
    let text = include_str!("../../guests/expert.wat")
        .replace("{memory}", memory)
        .replace("{items}", items)
        .replace("{load}", load)
        .replace("{forward}", forward);
    module(&text, &repository("wit"))
}

/// The same, good in all but its face: in the contract it was built for, `expert.wit` says `to`
/// where ours says `from`.
pub fn misread(from: &str, to: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for entry in std::fs::read_dir(repository("wit")).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_some_and(|it| it == "wit") {
            let name = path.file_name().expect("it has one");
            std::fs::copy(&path, folder.path().join(name)).expect("there is room");
        }
    }
    let face = folder.path().join("expert.wit");
    let text = std::fs::read_to_string(&face).expect("it was copied");
    assert!(text.contains(from), "`{from}` is not in expert.wit");
    std::fs::write(&face, text.replace(from, to)).expect("there is room");
    let text = include_str!("../../guests/expert.wat").replace("{memory}", "1");
    let text = ["{items}", "{load}", "{forward}"]
        .iter()
        .fold(text, |text, place| text.replace(place, ""));
    module(&text, folder.path())
}

//! Components out of text, for what no compiler would write.

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{guests, repository};

/// A component out of its text.
pub fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is sound")
}

/// A core module's text as a component of the world `expert-pack`.
fn module(text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("the text is sound");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(repository("wit")).expect("wit is sound");
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
    module(&text)
}

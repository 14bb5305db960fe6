//! Pack files that were cut, damaged or forged.

use std::ops::Range;
use std::panic::AssertUnwindSafe;

use super::case::Case;
use super::case::End::{Refusal, Unsound};
use super::world::{World, good};
use crate::support::try_open;

pub fn cases() -> Vec<Case> {
    let bytes = good().bytes();
    let mut cases = cuts(&bytes);
    cases.extend(forgeries(&bytes));
    cases
}

/// A section of a component: its name or its number, and where it is.
fn sections(bytes: &[u8]) -> Vec<(String, Range<usize>)> {
    let number = |mut at: usize| {
        let (mut value, mut shift) = (0usize, 0);
        loop {
            let byte = bytes[at];
            value |= usize::from(byte & 0x7f) << shift;
            (at, shift) = (at + 1, shift + 7);
            if byte < 0x80 {
                return (value, at);
            }
        }
    };
    let (mut at, mut found) = (8, Vec::new());
    while at < bytes.len() {
        let (len, data) = number(at + 1);
        let name = match bytes[at] {
            0 => {
                let (len, name) = number(data);
                String::from_utf8_lossy(&bytes[name..name + len]).into_owned()
            }
            id => format!("component section {id}"),
        };
        found.push((name, at..data + len));
        at = data + len;
    }
    found
}

/// A cut inside the first section of each kind, and before the weights.
fn cuts(bytes: &[u8]) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (name, range) in sections(bytes) {
        if !seen.insert(name.clone()) {
            continue;
        }
        let half = range.start + range.len() / 2;
        let name = name.replace("modularbase:", "");
        let cut = bytes[..half].to_vec();
        cases.push(Case::open(&format!("cut in {name}"), Unsound, "", cut));
        if name == "padding" {
            let cut = bytes[..range.start].to_vec();
            let words = "weight `norm` is missing";
            cases.push(Case::open("cut before its weights", Refusal, words, cut));
        }
    }
    cases
}

/// Counts, lengths and places that are lies.
fn forgeries(bytes: &[u8]) -> Vec<Case> {
    let find = |what: &[u8]| {
        let at = bytes.windows(what.len()).position(|it| it == what);
        at.expect("it is in the pack")
    };
    let gguf = find(b"GGUF");
    let named = |name: &str| {
        let text = [&(name.len() as u64).to_le_bytes(), name.as_bytes()].concat();
        find(&text)
    };
    // A tensor's entry: name, dims u32, dim u64 each, type u32, offset u64.
    let module = sections(bytes)
        .into_iter()
        .find(|(name, _)| name == "component section 1");
    let module = module.expect("there is a core module").1.start;
    let (norm, q) = (named("norm"), named("q"));
    let (norm_dims, q_dims) = (norm + 8 + 4, q + 8 + 1);
    let of = |behaviour: &str, words, at: usize, with: &[u8]| {
        let mut forged = bytes.to_vec();
        forged[at..at + with.len()].copy_from_slice(with);
        Case::open(behaviour, Unsound, words, forged)
    };
    let most = &u64::MAX.to_le_bytes();
    vec![
        of(
            "weights of no known version",
            "GGUF version is 77",
            gguf + 4,
            &[77],
        ),
        of("2^64 tensors", "18446744073709551615", gguf + 8, most),
        of(
            "2^40 tensors",
            "1099511627776",
            gguf + 8,
            &(1u64 << 40).to_le_bytes(),
        ),
        of("2^64 keys", "18446744073709551615", gguf + 16, most),
        of("a name of 2^64 bytes", "18446744073709551615", norm, most),
        of("a name twice", "appears again", named("k") + 8, b"q"),
        of(
            "a tensor of 2^32 dimensions",
            "4294967295",
            norm_dims,
            &[0xff; 4],
        ),
        of("a tensor of 2^64 numbers", "expected", norm_dims + 4, most),
        of("a tensor of none", "no zeros", norm_dims + 4, &[0; 8]),
        of(
            "a tensor of no known type",
            "is of type 999",
            norm_dims + 12,
            &[0xe7, 3],
        ),
        of(
            "a tensor of all there is",
            "tensor `q`",
            q_dims + 4,
            &(1u64 << 50).to_le_bytes(),
        ),
        of(
            "tensors in each other",
            "inside tensor",
            q_dims + 4 + 16 + 4,
            &[0; 8],
        ),
        of(
            "a tensor outside the file",
            "tensor `q`",
            q_dims + 4 + 16 + 4,
            &(1u64 << 20).to_le_bytes(),
        ),
        of(
            "a tensor at an odd place",
            "tensor `q`",
            q_dims + 4 + 16 + 4,
            &[33],
        ),
        of(
            "a misspelt key",
            "key `versoin` is unknown",
            find(b"\nversion") + 1,
            b"versoin",
        ),
        of(
            "a manifest that is no text",
            "not UTF-8",
            find(b"For tests"),
            &[0xff],
        ),
        // The third byte of its length, which makes it a hundred times as long.
        of("a section past the end", "at most the", module + 3, &[0x7f]),
    ]
}

/// Opens what may be a pack and runs it, if it can be: whatever comes of it, nobody panics.
fn survives(world: &World, bytes: &[u8], what: &str) -> bool {
    let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let message = match try_open(bytes, &world.sandbox) {
            Err(refused) => refused.to_string(),
            Ok(pack) => match world.run(&pack) {
                Err(failed) => failed.to_string(),
                Ok(()) => return true,
            },
        };
        let named = message.contains("pack.wasm: ") || message.starts_with("pack `");
        assert!(named, "{what}: says `{message}`");
        assert!(!message.contains(char::is_control), "{what}: {message:?}");
        false
    }));
    done.unwrap_or_else(|_| panic!("{what}: the host panics"))
}

#[test]
fn a_pack_cut_at_any_byte_does_not_run() {
    let (world, bytes) = (World::new(), good().bytes());
    let borders = sections(&bytes).into_iter().map(|(_, range)| range.start);
    let near = borders.flat_map(|at| at.saturating_sub(2)..at + 3);
    let cuts: std::collections::BTreeSet<usize> =
        near.chain((0..bytes.len()).step_by(101)).collect();
    for cut in cuts {
        let ran = survives(&world, &bytes[..cut], &format!("cut at {cut}"));
        assert!(!ran, "cut at {cut}: it runs");
    }
    assert!(world.serves() && world.loads());
}

#[test]
fn a_pack_with_any_byte_changed_harms_nobody() {
    let (world, bytes) = (World::new(), good().bytes());
    // A prime step, so that all parts of the file and all bits get their turn.
    for (turn, at) in (0..bytes.len()).step_by(bytes.len() / 96).enumerate() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (turn % 8);
        survives(&world, &damaged, &format!("changed at {at}"));
    }
    assert!(world.serves() && world.loads());
}

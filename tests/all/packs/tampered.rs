//! Bytes of a signed pack that are not what its publisher signed: none comes in, wherever they
//! are. What a stored pack is afterwards is `store`'s.

use modularbase::Error;
use modularbase::packs::Allow;
use modularbase::store::StoreError;
use modularbase_format::PackFile;
use proptest::prelude::*;

use super::{Home, good, key, weighted};

/// The top-level sections of a component, as ranges of its bytes.
fn sections(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut at, mut found) = (8, Vec::new());
    while at < bytes.len() {
        let (mut length, mut shift, mut end) = (0, 0, at + 1);
        loop {
            length |= usize::from(bytes[end] & 0x7f) << shift;
            shift += 7;
            end += 1;
            if bytes[end - 1] & 0x80 == 0 {
                break;
            }
        }
        found.push(at..end + length);
        at = end + length;
    }
    found
}

/// A home in which the id's key is pinned, and a newer pack that its publisher signed.
fn signed() -> (Home, Vec<u8>) {
    let (home, ours) = (Home::new(), key());
    home.add(&good("1.0.0").sign(&ours)).expect("the first");
    (home, weighted("1.1.0").sign(&ours).bytes())
}

/// Tries to add bytes; says why they were refused.
fn refusal(home: &Home, bytes: &[u8]) -> Result<String, String> {
    let source = home.bytes(bytes);
    let candidate = home.packs.consider(&source, Allow::default(), &|_, _| {});
    match candidate.and_then(|it| it.install(true)) {
        Ok(added) => Err(format!("{} {} was added", added.id, added.version)),
        // Because of the file, and for no other reason.
        Err(Error::Store(StoreError::Pack(error))) => Ok(error.to_string()),
        Err(other) => Err(other.to_string()),
    }
}

#[test]
fn no_changed_byte_and_no_other_order_of_sections_comes_in() {
    let (home, pack) = signed();
    let before = home.state();
    let parts = sections(&pack);
    assert!(parts.len() > 8, "{parts:?}");
    let unsigned_ok = PackFile::from_bytes(&pack, "pack.wasm".as_ref());
    unsigned_ok.expect("unchanged it is sound");

    let flips = (0..pack.len(), 1..=255u8).prop_map(|(at, mask)| (0, at, mask, 0, 0));
    let moves = (1..6u8, 0..parts.len(), 0..parts.len())
        .prop_map(|(how, one, other)| (how, 0, 0, one, other));
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    runner
        .run(&prop_oneof![flips, moves], |(how, at, mask, one, other)| {
            let part = |i: usize| &pack[parts[i].clone()];
            let mut order: Vec<&[u8]> = (0..parts.len()).map(part).collect();
            let changed = match how {
                0 => {
                    let mut bytes = pack.clone();
                    bytes[at] ^= mask;
                    bytes
                }
                1 => {
                    order.remove(one);
                    [&pack[..8], &order.concat()].concat()
                }
                2 => {
                    order.insert(other, part(one));
                    [&pack[..8], &order.concat()].concat()
                }
                3 => {
                    order.swap(one, other);
                    [&pack[..8], &order.concat()].concat()
                }
                4 => {
                    let moved = order.remove(one);
                    order.insert(other, moved);
                    [&pack[..8], &order.concat()].concat()
                }
                // A custom section of somebody's, in between or behind.
                _ => {
                    order.insert(one + usize::from(one + 1 == parts.len()), b"\0\x03\x01xy");
                    [&pack[..8], &order.concat()].concat()
                }
            };
            prop_assume!(changed != pack);
            refusal(&home, &changed).map_err(TestCaseError::fail)?;
            Ok(())
        })
        .expect("none comes in");
    assert_eq!(home.state(), before);
    // And the pack itself does.
    refusal(&home, &pack).expect_err("the publisher's own bytes are added");
}

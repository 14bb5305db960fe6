use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use modularbase_format::manifest::set_publisher;
use modularbase_format::{Digest, Mapping, PackFile, PackFileError, PackWriter, PrivateKey};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::key::OPENSSL;
use crate::manifest::SAMPLE;
use crate::pack::{COMPONENT, PREAMBLE, add_weights, custom, gguf, open, refusal};

/// The publisher of this file's packs.
pub fn private_key() -> PrivateKey {
    PrivateKey::from_pem(OPENSSL, "k.pem").unwrap()
}

/// The secret of [`private_key`], for signing apart from the crate's own writer.
const SECRET: [u8; 32] = [
    0x63, 0x9c, 0xcd, 0x2b, 0xc5, 0xba, 0x02, 0xaf, 0xf7, 0x96, 0xa2, 0x3c, 0x5f, 0x00, 0x1f, 0x77,
    0xcf, 0xbb, 0xbd, 0xf2, 0x60, 0x32, 0x12, 0x69, 0x5c, 0x1c, 0x23, 0x1e, 0xa4, 0x4b, 0x53, 0xd1,
];

fn sign_with(pack: &[u8], secret: [u8; 32]) -> Vec<u8> {
    let digest = Digest::of(pack);
    let message = [b"modularbase pack v1", &digest.as_bytes()[..]].concat();
    let signature = SigningKey::from_bytes(&secret).sign(&message);
    let data = [&[1], &signature.to_bytes()[..]].concat();
    [pack, &custom("modularbase:signature", &data)].concat()
}

/// `pack` with the publisher's signature after it.
pub fn sign(pack: &[u8]) -> Vec<u8> {
    sign_with(pack, SECRET)
}

/// A manifest that names the publisher.
fn manifest() -> String {
    set_publisher(SAMPLE, "x", &private_key().publisher()).unwrap()
}

/// A pack whose manifest names the publisher; not signed.
fn published() -> Vec<u8> {
    let head = custom("modularbase:manifest", manifest().as_bytes());
    add_weights(&[PREAMBLE, &head, &COMPONENT[8..]].concat(), &gguf("a"))
}

/// A signed pack with everything in it: code on both sides of two shards.
fn whole() -> Vec<u8> {
    let pack = add_weights(&published(), &gguf("b"));
    sign(&[&*pack, &custom("producers", b"x")].concat())
}

/// The sections of a sound pack; what they are is told by their first bytes.
fn sections(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = PREAMBLE.len();
    while at < bytes.len() {
        let (mut length, mut used) = (0, 0);
        loop {
            let byte = usize::from(bytes[at + 1 + used]);
            length |= (byte & 0x7f) << (7 * used);
            used += 1;
            if byte < 0x80 {
                break;
            }
        }
        let end = at + 1 + used + length;
        found.push(at..end);
        at = end;
    }
    found
}

#[test]
fn a_publisher_and_a_valid_signature_go_together() {
    let pack = published();
    let signed = sign(&pack);
    let opened = open(&signed).unwrap();
    assert_eq!(opened.signed_by(), Some(&private_key().publisher()));
    assert_eq!(opened.digest(), Digest::of(&signed));

    assert!(refusal(&pack).contains("signature is missing, expected one by `ed25519:"));
    let unpublished = [PREAMBLE, &custom("modularbase:manifest", SAMPLE.as_bytes())];
    assert!(refusal(&sign(&unpublished.concat())).contains("names no `publisher`"));
    assert!(refusal(&sign_with(&pack, [8; 32])).contains("signature is not valid"));

    let with = |data: &[u8]| [&*pack, &custom("modularbase:signature", data)].concat();
    assert!(refusal(&with(&[])).contains("signature is empty"));
    assert!(refusal(&with(&[2; 65])).contains("of version 2"));
    assert!(refusal(&with(&[1; 64])).contains("63 bytes long"));
    assert!(refusal(&with(&[1; 66])).contains("65 bytes long"));
    assert!(refusal(&with(&[1; 65])).contains("not valid"));
}

#[test]
fn a_weak_key_signs_nothing() {
    // The neutral point as key and as R, with S = 0, satisfies the lax equation for any message.
    let weak = "01".to_string() + &"00".repeat(31);
    let text = SAMPLE.replace("[dep", &format!("publisher = \"ed25519:{weak}\"\n[dep"));
    let pack = [PREAMBLE, &custom("modularbase:manifest", text.as_bytes())].concat();
    let mut data = [0; 65];
    data[0] = 1;
    data[1] = 1;
    let forged = [&*pack, &custom("modularbase:signature", &data)].concat();
    assert!(refusal(&forged).contains("signature is not valid"));
}

#[test]
fn the_writer_signs_as_anybody_would() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("pack.wasm");
    let (a, text, key) = (gguf("a"), manifest(), private_key());
    let pack = PackWriter::new(COMPONENT, &text)
        .weights_bytes(&a)
        .sign(&key)
        .write(&target)
        .unwrap();
    let bytes = std::fs::read(&target).unwrap();
    assert_eq!(bytes, sign(&published()));
    assert_eq!(pack.digest(), Digest::of(&bytes));
    assert_eq!(pack.path(), target);
    assert_eq!(pack.signed_by(), Some(&key.publisher()));
    assert_eq!(PackFile::open(&target).unwrap().digest(), pack.digest());
}

#[test]
fn who_vouches_for_a_pack_has_it_opened_without_hashing() {
    let known = Digest::of(b"anything");
    let open_known = |bytes: &[u8]| {
        let map = Arc::new(Mapping::copy_of(bytes).unwrap());
        PackFile::open_known(map, Path::new("x.wasm"), known)
    };
    let mut damaged = whole();
    let tensor = open(&damaged).unwrap().tensor("b").unwrap().range;
    damaged[tensor.start] ^= 1;
    let pack = open_known(&damaged).unwrap();
    assert_eq!(pack.digest(), known);
    assert_eq!(pack.signed_by(), Some(&private_key().publisher()));
    assert!(refusal(&damaged).contains("signature is not valid"));

    // What costs no hashing is checked all the same.
    let refused = open_known(&published()).unwrap_err();
    assert!(
        matches!(refused, PackFileError::Unsigned { .. }),
        "{refused}"
    );
    assert!(open_known(&damaged[..damaged.len() - 1]).is_err());
}

#[test]
fn any_byte_that_is_another_makes_it_refused() {
    let signed = whole();
    assert!(open(&signed).is_ok());
    for at in 0..signed.len() {
        let mut damaged = signed.clone();
        for pattern in [1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xff, 0x55, 0xaa] {
            damaged[at] = signed[at] ^ pattern;
            assert!(open(&damaged).is_err(), "{pattern:#x} at {at}");
        }
    }
}

#[test]
fn any_byte_too_few_or_too_many_makes_it_refused() {
    let signed = whole();
    for at in 0..signed.len() {
        assert!(open(&signed[..at]).is_err(), "cut at {at}");
        let without = [&signed[..at], &signed[at + 1..]].concat();
        assert!(open(&without).is_err(), "without {at}");
        for byte in [0, 1, 0x80, 0xff, signed[at]] {
            let with = [&signed[..at], &[byte], &signed[at..]].concat();
            assert!(open(&with).is_err(), "{byte:#x} before {at}");
        }
    }
    for more in [&b"\0"[..], b"\0\0", &custom("x", b""), &[0; 64], PREAMBLE] {
        assert!(open(&[&*signed, more].concat()).is_err());
    }
}

#[test]
fn a_signature_taken_off_or_put_elsewhere_is_refused() {
    let signed = whole();
    let all = sections(&signed);
    let signature = all.last().unwrap().clone();
    let rest = &signed[..signature.start];
    assert!(refusal(rest).contains("signature is missing, expected one by `ed25519:7e20"));
    for section in &all[..all.len() - 1] {
        let moved = [
            &rest[..section.start],
            &signed[signature.clone()],
            &rest[section.start..],
        ]
        .concat();
        assert!(open(&moved).is_err(), "signature at {}", section.start);
        if section.end == rest.len() {
            let words = "`modularbase:signature` at byte";
            assert!(refusal(&moved).contains(words), "{}", refusal(&moved));
            assert!(refusal(&moved).contains("is not the last section"));
        }
    }
    let other = sign(&published());
    let grafted = [rest, &other[sections(&other).last().unwrap().clone()]];
    assert!(refusal(&grafted.concat()).contains("signature is not valid"));
}

#[test]
fn without_publisher_and_signature_it_is_another_pack() {
    // Nothing in the file can tell: whoever keeps packs keeps the keys that they came with.
    let head = custom("modularbase:manifest", SAMPLE.as_bytes());
    let pack = [PREAMBLE, &head, &COMPONENT[8..]].concat();
    let stripped = open(&add_weights(&pack, &gguf("a"))).unwrap();
    let signed = open(&sign(&published())).unwrap();
    assert_eq!(stripped.signed_by(), None);
    assert_ne!(stripped.digest(), signed.digest());
    assert_eq!(stripped.code_digest(), signed.code_digest());
}

/// What is done to a list of sections.
#[derive(Debug, Clone)]
enum Change {
    Remove(prop::sample::Index),
    Duplicate(prop::sample::Index, prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Move(prop::sample::Index, prop::sample::Index),
    Add(prop::sample::Index, Vec<u8>),
    /// A section of another pack of the same publisher in the place of one.
    Graft(prop::sample::Index, prop::sample::Index),
    Trail(Vec<u8>),
}

impl Change {
    fn make(&self, sections: &mut Vec<Vec<u8>>, others: &[Vec<u8>]) {
        let count = sections.len();
        if count == 0 {
            return;
        }
        match self {
            Self::Remove(at) => drop(sections.remove(at.index(count))),
            Self::Duplicate(from, to) => {
                let copy = sections[from.index(count)].clone();
                sections.insert(to.index(count + 1), copy);
            }
            Self::Swap(one, two) => sections.swap(one.index(count), two.index(count)),
            Self::Move(from, to) => {
                let taken = sections.remove(from.index(count));
                sections.insert(to.index(count), taken);
            }
            Self::Add(at, section) => sections.insert(at.index(count + 1), section.clone()),
            Self::Graft(at, from) => sections[at.index(count)] = from.get(others).clone(),
            Self::Trail(bytes) => sections.push(bytes.clone()),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let name = prop_oneof![
        "[a-z]{0,8}".boxed(),
        Just("modularbase:padding".to_string()).boxed(),
        Just("modularbase:weights".to_string()).boxed(),
        Just("modularbase:signature".to_string()).boxed(),
        Just("modularbase:manifest".to_string()).boxed(),
    ];
    let added = (name, vec(any::<u8>(), 0..80)).prop_map(|(name, data)| custom(&name, &data));
    prop_oneof![
        at().prop_map(Change::Remove),
        (at(), at()).prop_map(|(from, to)| Change::Duplicate(from, to)),
        (at(), at()).prop_map(|(one, two)| Change::Swap(one, two)),
        (at(), at()).prop_map(|(from, to)| Change::Move(from, to)),
        (at(), added).prop_map(|(at, section)| Change::Add(at, section)),
        (at(), at()).prop_map(|(at, from)| Change::Graft(at, from)),
        vec(any::<u8>(), 1..80).prop_map(Change::Trail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn any_change_to_the_sections_makes_it_refused(changes in vec(change(), 1..4)) {
        let signed = whole();
        let cut = |bytes: &[u8]| -> Vec<Vec<u8>> {
            let part = |range: Range<usize>| bytes[range].to_vec();
            sections(bytes).into_iter().map(part).collect()
        };
        let other = sign(&add_weights(&published(), &gguf("c")));
        let (mut list, others) = (cut(&signed), cut(&other));
        for change in &changes {
            change.make(&mut list, &others);
        }
        let changed = [PREAMBLE, &list.concat()].concat();
        prop_assume!(changed != signed && changed != other);
        prop_assert!(open(&changed).is_err());
    }
}

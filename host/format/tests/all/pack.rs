use std::path::Path;

use modularbase_format::manifest::set_publisher;
use modularbase_format::{
    Digest, GgufWriter, PackFile, PackFileError, PackWriter, PrivateKey, WeightType,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::allocations::largest;
use crate::gguf::{ALLOCATION_LIMIT, tensors, written};
use crate::manifest::SAMPLE;
use crate::signed::{private_key, sign};

pub const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

/// A component of one custom section and one empty type section.
pub const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0\x00\x06\x04name\x07\x07\x01\x00";

/// A custom section, spelled apart from the crate's own writer.
pub fn custom(name: &str, data: &[u8]) -> Vec<u8> {
    let payload = [&leb128(name.len()), name.as_bytes(), data].concat();
    [&[0], &*leb128(payload.len()), &payload].concat()
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

fn manifest() -> Vec<u8> {
    custom("modularbase:manifest", SAMPLE.as_bytes())
}

/// `pack` with an aligned weights section after it.
pub fn add_weights(pack: &[u8], gguf: &[u8]) -> Vec<u8> {
    let head = custom("modularbase:weights", gguf).len() - gguf.len();
    let zeros = (0..64)
        .find(|zeros| (pack.len() + 22 + zeros + head).is_multiple_of(64))
        .unwrap();
    let padding = custom("modularbase:padding", &vec![0; zeros]);
    [pack, &padding, &custom("modularbase:weights", gguf)].concat()
}

pub fn gguf(name: &str) -> Vec<u8> {
    let tensor = (name.to_string(), vec![2], WeightType::F32, vec![1; 8]);
    written(&[("k".to_string(), 7u8.into())], &[tensor])
}

/// A pack with code on both sides of its weights.
fn sample() -> Vec<u8> {
    let pack = [PREAMBLE, &manifest(), &COMPONENT[8..]].concat();
    let pack = add_weights(&pack, &gguf("a"));
    let pack = add_weights(&pack, &gguf("b"));
    [&*pack, &custom("producers", b"x")].concat()
}

pub fn open(bytes: &[u8]) -> Result<PackFile, PackFileError> {
    PackFile::from_bytes(bytes, Path::new("x.wasm"))
}

pub fn refusal(bytes: &[u8]) -> String {
    open(bytes).unwrap_err().to_string()
}

#[test]
fn everything_in_a_pack_is_found() {
    let bytes = sample();
    let pack = open(&bytes).unwrap();
    assert_eq!(pack.manifest().id, "rust-expert");
    assert_eq!(pack.manifest_text(), SAMPLE);
    assert_eq!(
        pack.component(),
        [COMPONENT, &custom("producers", b"x")].concat()
    );
    assert_eq!(pack.code_len(), pack.component().len());
    assert_eq!(pack.code_digest(), Digest::of(&pack.component()));
    assert_eq!(pack.digest(), Digest::of(&bytes));
    assert_eq!(pack.signed_by(), None);
    assert_eq!(pack.metadata("k").and_then(|value| value.as_u64()), Some(7));
    assert_eq!(pack.weight_shards().len(), 2);
    let names: Vec<_> = pack
        .tensors()
        .map(|tensor| tensor.info.name.clone())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let b = pack.tensor("b").unwrap();
    assert_eq!(b.bytes, [1; 8]);
    assert_eq!(pack.map()[b.range.clone()], [1; 8]);
    assert_eq!(b.bytes.as_ptr().align_offset(64), 0);
    assert!(pack.tensor("c").is_none());
    for shard in pack.weight_shards() {
        assert_eq!(shard.start % 64, 0);
        assert_eq!(shard.bytes, &bytes[shard.start..][..shard.bytes.len()]);
    }
}

#[test]
fn arrays_in_all_weights_of_a_pack_share_one_limit() {
    let head = [PREAMBLE, &manifest()].concat();
    let few = written(&[("k".to_string(), vec![1u8; 8].into())], &[]);
    // It claims what a file may hold at most; the claim is judged before the bytes are missed.
    let mut most = b"GGUF\x03\0\0\0".to_vec();
    most.extend([0, 1, 1u64].map(u64::to_le_bytes).concat());
    most.extend(b"k\x09\0\0\0\0\0\0\0");
    most.extend((1u64 << 22).to_le_bytes());
    assert!(refusal(&add_weights(&head, &most)).contains("bytes are left"));
    let refused = refusal(&add_weights(&add_weights(&head, &few), &most));
    let words = "x.wasm: weights 1: key `k`: array length is 4194304";
    assert!(refused.starts_with(words), "{refused}");
    assert!(refused.ends_with("expected at most 4194296"), "{refused}");
}

/// A pack may be shared between threads, or this does not compile.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<PackFile>();
};

#[test]
fn an_empty_file_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = PackFile::open(file.path()).unwrap_err().to_string();
    assert!(refused.contains("begins with nothing"), "{refused}");
}

#[test]
fn a_pack_needs_no_weights() {
    let pack = open(&[PREAMBLE, &manifest(), &COMPONENT[8..]].concat()).unwrap();
    assert_eq!(pack.tensors().count(), 0);
    assert!(pack.metadata("k").is_none());
}

#[test]
fn what_is_no_component_is_refused_in_words() {
    assert!(refusal(b"").contains("begins with nothing"));
    assert!(refusal(b"\0asm\x01\0\0\0").contains("a core module"));
    assert!(refusal(b"PK\x03\x04").contains("`PK\\x03\\x04`"));
    assert_eq!(
        refusal(COMPONENT),
        "x.wasm: section `modularbase:manifest` is missing"
    );
}

#[test]
fn sections_of_ours_have_their_places() {
    let weights = custom("modularbase:weights", &gguf("a"));
    let head = [PREAMBLE, &manifest()].concat();
    for (bytes, words) in [
        (
            [COMPONENT, &manifest()].concat(),
            "`modularbase:manifest` at byte 19 is after other sections, expected to be the first",
        ),
        (
            [&*head, &manifest()].concat(),
            "section `modularbase:manifest` appears again",
        ),
        (
            [&*head, &custom("modularbase:weight", b"")].concat(),
            "section `modularbase:weight` at byte",
        ),
        (
            [&*head, &custom("modularbase:\u{1b}[2J", b"")].concat(),
            "section `modularbase:\\u{1b}[2J`",
        ),
        ([&*head, &weights].concat(), "expected a multiple of 64"),
        (
            [&*head, &custom("modularbase:padding", &[0; 64])].concat(),
            "at most 63 zeros",
        ),
        (
            [&*head, &custom("modularbase:padding", &[1])].concat(),
            "at most 63 zeros",
        ),
        (
            [&*head, &custom("modularbase:padding", &[0])].concat(),
            "`modularbase:padding` at byte",
        ),
        (
            [
                &*head,
                &custom("modularbase:padding", &[0]),
                &COMPONENT[8..],
            ]
            .concat(),
            "is not before weights",
        ),
        (
            [sign(&head), custom("modularbase:x", b"")].concat(),
            "is not the last section",
        ),
        (
            [sign(&head), custom("modularbase:signature", b"")].concat(),
            "section `modularbase:signature` appears again",
        ),
        (
            add_weights(&add_weights(&head, &gguf("a")), &gguf("a")),
            "tensor `a` is in weights 0 and 1, expected in one",
        ),
        (
            add_weights(&head, b"GGUF"),
            "x.wasm: weights 0: header: 0 bytes are left at byte 4",
        ),
        (
            [
                PREAMBLE,
                &custom("modularbase:manifest", b"id = \"x\"\nnme = 1"),
            ]
            .concat(),
            "x.wasm: pack.toml:2:1: key `nme` is unknown",
        ),
        (
            [PREAMBLE, &custom("modularbase:manifest", b"#\xff")].concat(),
            "x.wasm: pack.toml:1:2: text is not UTF-8",
        ),
    ] {
        let refused = refusal(&bytes);
        assert!(refused.contains(words), "{refused}\nexpected: {words}");
    }
}

#[test]
fn lengths_have_one_spelling_and_stay_inside() {
    for (section, words) in [
        (&[1][..], "length is cut off"),
        (&[1, 0x80], "length is cut off"),
        (&[1, 0x81, 0x00, 0], "length is overlong"),
        (&[1, 0xff, 0xff, 0xff, 0xff, 0x7f], "more than 32 bits"),
        (&[1, 0xff, 0xff, 0xff, 0xff, 0x8f, 0], "more than 32 bits"),
        (&[1, 0xff, 0xff, 0xff, 0xff, 0x0f], "length is 4294967295"),
        (&[1, 2, 0], "at most the 1 bytes"),
        (&[0, 0], "length of the name is cut off"),
        (
            &[0, 1, 1],
            "length of the name is 1, expected a name inside",
        ),
        (&[0, 2, 1, 0xff], "expected UTF-8"),
    ] {
        let refused = refusal(&[PREAMBLE, &manifest(), section].concat());
        assert!(refused.contains(words), "{section:?}: {refused}");
    }
}

/// Opens a pack that may be damaged: it is refused, or its tensors are inside it.
fn open_safely(bytes: &[u8]) {
    let (opened, largest) = largest(|| open(bytes));
    assert!(largest <= ALLOCATION_LIMIT, "asked for {largest} bytes");
    match opened {
        Ok(pack) => {
            for tensor in pack.tensors() {
                assert_eq!(tensor.bytes, &bytes[tensor.range.clone()]);
                assert_eq!(tensor.bytes.len(), tensor.info.range.len());
            }
            assert!(pack.component().len() <= bytes.len());
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with("x.wasm: "), "{text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}

#[test]
fn a_pack_cut_or_changed_anywhere_never_panics() {
    let bytes = sample();
    for at in 0..bytes.len() {
        open_safely(&bytes[..at]);
        for value in [
            0,
            1,
            0x40,
            0x7f,
            0x80,
            0xff,
            bytes[at] ^ 1,
            bytes[at] ^ 0x10,
        ] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            open_safely(&damaged);
        }
    }
}

#[test]
fn the_writer_writes_what_the_reader_takes() {
    let dir = tempfile::tempdir().unwrap();
    let in_memory = gguf("from-memory");
    let mut made = GgufWriter::new();
    made.tensor_from("made", &[5], WeightType::F32, |out| out.write_all(&[3; 20]))
        .unwrap();
    let target = dir.path().join("pack.wasm");
    let pack = PackWriter::new(COMPONENT, SAMPLE)
        .weights_bytes(&in_memory)
        .weights(made)
        .write(&target)
        .unwrap();
    assert_eq!(pack.path(), target);
    assert_eq!(pack.component(), COMPONENT);
    assert_eq!(pack.manifest_text(), SAMPLE);
    let names: Vec<_> = pack
        .tensors()
        .map(|tensor| tensor.info.name.clone())
        .collect();
    assert_eq!(names, ["from-memory", "made"]);
    for tensor in pack.tensors() {
        assert_eq!(tensor.range.start % 64, 0);
    }
    assert_eq!(pack.weight_shards().next().unwrap().bytes, in_memory);
    assert_eq!(pack.digest(), Digest::of(&std::fs::read(&target).unwrap()));
}

#[test]
fn a_refused_pack_leaves_the_target_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("pack.wasm");
    std::fs::write(&target, "before").unwrap();
    let a = gguf("a");
    let key = private_key();
    let stranger = PrivateKey::generate().unwrap();
    let published = set_publisher(SAMPLE, "x", &key.publisher()).unwrap();
    let ours = [COMPONENT, &manifest()].concat();
    let mut short = GgufWriter::new();
    short
        .tensor_from("t", &[5], WeightType::F32, |_| Ok(()))
        .unwrap();
    for (writer, words) in [
        (PackWriter::new(b"\0asm\x01\0\0\0", SAMPLE), "a core module"),
        (PackWriter::new(&ours, SAMPLE), "is there already"),
        (
            PackWriter::new(COMPONENT, "id = 1"),
            "key `id` is an integer",
        ),
        (
            PackWriter::new(COMPONENT, &published),
            "signature is missing, expected one by `ed25519:7e20",
        ),
        (
            PackWriter::new(COMPONENT, &published).sign(&stranger),
            "expected that of the manifest's `publisher`, `ed25519:7e20",
        ),
        (
            PackWriter::new(COMPONENT, SAMPLE).sign(&key),
            "key is `ed25519:7e20",
        ),
        (
            PackWriter::new(COMPONENT, SAMPLE).weights_bytes(b"x"),
            "expected `GGUF`",
        ),
        (
            PackWriter::new(COMPONENT, SAMPLE)
                .weights_bytes(&a)
                .weights_bytes(&a),
            "tensor `a` is in weights 0 and 1",
        ),
        (
            PackWriter::new(COMPONENT, SAMPLE).weights(short),
            "tensor `t`: data is 0 bytes, expected 20 bytes",
        ),
    ] {
        let refused = writer.write(&target).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    assert_eq!(std::fs::read(&target).unwrap(), b"before");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn weights_past_the_limit_of_a_section_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut huge = GgufWriter::new();
    huge.tensor_from("t", &[1 << 30], WeightType::F32, |_| {
        unreachable!("refused before")
    })
    .unwrap();
    let refused = PackWriter::new(COMPONENT, SAMPLE)
        .weights(huge)
        .write(&dir.path().join("pack.wasm"))
        .unwrap_err();
    assert!(
        matches!(refused, PackFileError::ShardTooLarge { .. }),
        "{refused}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_packed_is_unpacked(
        shard in tensors(),
        code in vec(("[a-z]{0,6}", vec(any::<u8>(), 0..200)), 0..4),
        comment in "[ -~]{0,200}",
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut component = PREAMBLE.to_vec();
        for (name, data) in &code {
            component.extend(custom(name, data));
        }
        let manifest = format!("{SAMPLE}# {comment}");
        let gguf = written(&[], &shard);
        let pack = PackWriter::new(&component, &manifest)
            .weights_bytes(&gguf)
            .write(&dir.path().join("p.wasm"))
            .unwrap();
        prop_assert_eq!(pack.component(), component);
        prop_assert_eq!(pack.manifest_text(), manifest);
        let read: Vec<_> = pack
            .tensors()
            .map(|t| (t.info.name.clone(), t.info.shape.clone(), t.info.kind, t.bytes.to_vec()))
            .collect();
        prop_assert_eq!(read, shard);
    }

    #[test]
    fn random_damage_to_a_pack_never_panics(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
    ) {
        let mut bytes = sample();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        open_safely(&bytes);
    }
}

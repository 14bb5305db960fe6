//! Packs: everything inside the map, nothing of ours in what is compiled, no signature that does
//! not hold.
//!
//! Bytes that do not begin as a component are taken as orders for one, so that the fuzzer gets past
//! lengths and alignments: `tag u8 | length u16 | data`, times any, each a section.

use std::path::Path;
use std::sync::Arc;

use modularbase_format::manifest::set_publisher;
use modularbase_format::{Digest, Mapping, PackFile, PackWriter, PrivateKey};

use crate::{FILE, gguf, manifest, private_key, refused};

const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

/// Reads any bytes as a pack, or as the orders for one.
pub fn read(bytes: &[u8]) {
    if bytes.starts_with(PREAMBLE) {
        open(bytes);
    } else {
        open(&assembled(bytes));
    }
}

fn open(bytes: &[u8]) {
    let path = Path::new(FILE);
    let map = Arc::new(Mapping::copy_of(bytes).expect("memory"));
    let digest = Digest::of(bytes);
    let opened = PackFile::from_bytes(bytes, path);
    match PackFile::open_known(map, path, digest) {
        Ok(known) => {
            walk(&known, bytes);
            match opened {
                Ok(opened) => {
                    assert_eq!(opened.manifest(), known.manifest());
                    assert_eq!(opened.digest(), digest);
                    assert_eq!(opened.code_digest(), known.code_digest());
                }
                // Only a signature's truth is not asked of a known pack.
                Err(error) => {
                    assert!(known.signed_by().is_some(), "{error}");
                    refused(&error);
                }
            }
        }
        Err(error) => {
            refused(&error);
            let same = opened.expect_err("what is refused without hashing is refused with it");
            assert_eq!(same.to_string(), error.to_string());
        }
    }
}

fn walk(pack: &PackFile, bytes: &[u8]) {
    manifest::hold(pack.manifest());
    assert_eq!(pack.digest(), Digest::of(bytes));
    assert_eq!(pack.signed_by(), pack.manifest().publisher.as_ref());
    let text = pack.manifest_text().as_bytes();
    assert!(bytes.windows(text.len()).any(|part| part == text));

    let map = pack.map();
    for shard in pack.weight_shards() {
        assert_eq!(shard.start % 64, 0);
        assert_eq!(shard.bytes, &bytes[shard.start..][..shard.bytes.len()]);
        gguf::hold(shard.gguf, shard.bytes);
    }
    let mut tensors = 0;
    for tensor in pack.tensors() {
        tensors += 1;
        assert_eq!(tensor.bytes, &map[tensor.range.clone()]);
        assert_eq!(tensor.bytes.len(), tensor.info.range.len());
        assert_eq!(tensor.bytes.as_ptr().align_offset(8), 0);
        let found = pack.tensor(&tensor.info.name).expect("it has this tensor");
        assert_eq!(found.range, tensor.range);
    }
    let in_shards = pack.weight_shards().map(|shard| shard.gguf.tensors().len());
    assert_eq!(tensors, in_shards.sum::<usize>());

    let code = pack.component();
    assert_eq!(code.len(), pack.code_len());
    assert_eq!(Digest::of(&code), pack.code_digest());
    assert!(code.starts_with(PREAMBLE) && code.len() <= bytes.len());
    // A component alone is no pack, and there is nothing of ours in it to make it another error.
    let bare = PackFile::from_bytes(&code, Path::new(FILE)).expect_err("it has no manifest");
    assert!(
        bare.to_string()
            .ends_with("`modularbase:manifest` is missing")
    );
}

/// A pack by orders; what cannot be meant is left out.
fn assembled(mut orders: &[u8]) -> Vec<u8> {
    let mut out = PREAMBLE.to_vec();
    while let [tag, low, high, rest @ ..] = orders {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (data, after) = rest.split_at(length);
        orders = after;
        match tag % 9 {
            0 => put(&mut out, "modularbase:manifest", data),
            1 => {
                let text = [manifest::SAMPLE.as_bytes(), data].concat();
                put(&mut out, "modularbase:manifest", &text);
            }
            2 => put_weights(&mut out, data),
            3 => put(&mut out, "modularbase:padding", data),
            4 => put(&mut out, "modularbase:signature", data),
            5 => put(&mut out, &String::from_utf8_lossy(data), b""),
            6 => {
                let name = String::from_utf8_lossy(data);
                let name: String = ['t'].into_iter().chain(name.chars().take(60)).collect();
                put_weights(&mut out, &gguf::small(&name));
            }
            // Wherever it comes to lie.
            7 => put(&mut out, "modularbase:weights", &gguf::small("u")),
            _ => {
                out.push(1 + tag / 9);
                put_length(&mut out, data.len());
                out.extend(data);
            }
        }
    }
    out
}

/// A custom section.
fn put(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut payload = Vec::new();
    put_length(&mut payload, name.len());
    payload.extend(name.as_bytes());
    payload.extend(data);
    out.push(0);
    put_length(out, payload.len());
    out.extend(payload);
}

/// Weights, with the padding that aligns them.
fn put_weights(out: &mut Vec<u8>, data: &[u8]) {
    let mut section = Vec::new();
    put(&mut section, "modularbase:weights", data);
    let head = section.len() - data.len();
    let mut padding = Vec::new();
    for zeros in 0..64 {
        padding.clear();
        put(&mut padding, "modularbase:padding", &vec![0; zeros]);
        if (out.len() + padding.len() + head).is_multiple_of(64) {
            break;
        }
    }
    out.extend(padding);
    out.extend(section);
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Sound packs, signed and not, and orders for some, one of them not aligned.
pub fn seeds() -> Vec<Vec<u8>> {
    let component = [PREAMBLE, b"\x00\x06\x04name\x07\x07\x01\x00"].concat();
    let [one, two] = ["a", "b"].map(gguf::small);
    let key = PrivateKey::from_pem(private_key::KEY, FILE).expect("a sound key");
    let signed = set_publisher(manifest::SAMPLE, FILE, &key.publisher()).expect("sound");
    let folder = tempfile::tempdir().expect("a folder for what is written");
    let target = folder.path().join("pack.wasm");
    let plain = PackWriter::new(&component, manifest::SAMPLE);
    let both = PackWriter::new(&component, &signed).weights_bytes(&one);
    let both = both.weights_bytes(&two).sign(&key);
    let mut seeds = Vec::new();
    for writer in [plain, both] {
        writer.write(&target).expect("a sound pack");
        seeds.push(std::fs::read(&target).expect("it was written"));
    }

    let order = |tag: u8, data: &[u8]| {
        let length = u16::try_from(data.len()).expect("seeds are short");
        [&[tag], &length.to_le_bytes()[..], data].concat()
    };
    let published = order(0, signed.as_bytes());
    let code = order(8, b"\x00");
    seeds.push(
        [
            order(1, b"# more"),
            code.clone(),
            order(6, b"a"),
            order(6, b"b"),
        ]
        .concat(),
    );
    seeds.push([order(1, b"# more"), order(7, b"")].concat());
    seeds.push([published, order(2, &one), code, order(4, &[1; 65])].concat());
    seeds.push(
        [
            order(1, b""),
            order(2, &gguf::seeds()[1]),
            order(5, b"producers"),
        ]
        .concat(),
    );
    seeds
}

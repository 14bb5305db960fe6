use modularbase_format::gguf::{Array, Gguf, GgufWriter, Value, ValueKind, WeightType};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::allocations::largest;

/// The most memory at once that reading a damaged file of some kilobytes may ask for.
pub const ALLOCATION_LIMIT: usize = 1 << 20;

pub type Tensor = (String, Vec<usize>, WeightType, Vec<u8>);

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<u8>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
    ];
    let list = prop_oneof![
        vec(any::<u8>(), 0..5).prop_map(Value::from),
        vec(any::<f64>(), 0..5).prop_map(Value::from),
        vec(any::<bool>(), 0..5).prop_map(Value::from),
        vec(".{0,5}", 0..5).prop_map(Value::from),
    ];
    let lists = vec(list.clone(), 0..4)
        .prop_map(|lists| Value::Array(Array::new(ValueKind::Array, lists).expect("all arrays")));
    prop_oneof![4 => scalar, 2 => list, 1 => lists]
}

fn tensor() -> impl Strategy<Value = (Vec<usize>, WeightType, Vec<u8>)> {
    let kind = proptest::sample::select(WeightType::ALL.to_vec());
    (kind, vec(1..4usize, 1..5)).prop_flat_map(|(kind, mut shape)| {
        if let Some(row) = shape.last_mut() {
            *row *= kind.block_len();
        }
        let elements = shape.iter().product::<usize>() as u64;
        let bytes = kind.bytes(elements).expect("whole blocks") as usize;
        (Just(shape), Just(kind), vec(any::<u8>(), bytes))
    })
}

pub fn tensors() -> impl Strategy<Value = Vec<Tensor>> {
    proptest::collection::btree_map("[a-z.0-9]{1,12}", tensor(), 0..5).prop_map(|tensors| {
        let flat = |(name, (shape, kind, bytes))| (name, shape, kind, bytes);
        tensors.into_iter().map(flat).collect()
    })
}

/// A GGUF file of these keys and tensors; the key `general.alignment` is the writer's.
pub fn written(keys: &[(String, Value)], tensors: &[Tensor]) -> Vec<u8> {
    let mut writer = GgufWriter::new();
    for (key, value) in keys {
        writer.metadata(key, value.clone()).unwrap();
    }
    for (name, shape, kind, bytes) in tensors {
        writer.tensor(name, shape, *kind, bytes).unwrap();
    }
    let mut out = Vec::new();
    let size = writer.size();
    assert_eq!(writer.write_to(&mut out).unwrap(), size);
    assert_eq!(out.len() as u64, size);
    out
}

/// Reads a file that may be damaged: it is refused, or what it says is inside it.
fn read_safely(bytes: &[u8]) {
    let (read, largest) = largest(|| Gguf::parse(bytes, "damaged.gguf"));
    assert!(largest <= ALLOCATION_LIMIT, "asked for {largest} bytes");
    match read {
        Ok(gguf) => {
            for tensor in gguf.tensors() {
                let data = bytes.get(tensor.range.clone()).expect("inside the file");
                assert_eq!(
                    tensor.kind.bytes(tensor.elements() as u64),
                    Some(data.len() as u64)
                );
                assert_eq!(gguf.tensor(&tensor.name), Some(tensor));
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with("damaged.gguf: "), "{text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}

/// A small file with something of everything.
fn sample() -> Vec<u8> {
    let keys = [
        ("general.name", Value::from("sample")),
        ("tokens", Value::from(vec!["a", "b", "é"])),
        ("scores", Value::from(vec![0.5f32, -1.0])),
        ("rows", {
            let rows = vec![Value::from(vec![1u16, 2]), Value::from(vec![true])];
            Value::Array(Array::new(ValueKind::Array, rows).expect("all arrays"))
        }),
        ("eps", Value::from(1e-5f64)),
        ("causal", Value::from(true)),
    ];
    let keys = keys.map(|(key, value)| (key.to_string(), value));
    let tensors = [
        ("norm".to_string(), vec![3], WeightType::F32, vec![1; 12]),
        ("up".to_string(), vec![2, 32], WeightType::Q4_0, vec![2; 36]),
    ];
    written(&keys, &tensors)
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let bytes = sample();
    assert!(Gguf::parse(&bytes, "x").is_ok());
    let padding = bytes.len().next_multiple_of(64) - (bytes.len() - 64 + 36);
    for length in 0..bytes.len() {
        read_safely(&bytes[..length]);
        let whole = Gguf::parse(&bytes[..length], "x").is_ok();
        assert_eq!(whole, length >= bytes.len() - padding, "cut at {length}");
    }
}

#[test]
fn a_file_with_any_byte_changed_never_panics() {
    let bytes = sample();
    for at in 0..bytes.len() {
        for value in [0, 1, 2, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x20] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            read_safely(&damaged);
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        keys in proptest::collection::btree_map("[a-z_.]{1,12}", value(), 0..6),
        tensors in tensors(),
    ) {
        let keys: Vec<(String, Value)> = keys.into_iter().collect();
        let bytes = written(&keys, &tensors);
        let gguf = Gguf::parse(&bytes, "x").unwrap();
        let read = gguf
            .metadata()
            .skip(1)
            .map(|(key, value)| (key.to_string(), value.clone()))
            .collect::<Vec<_>>();
        prop_assert_eq!(format!("{read:?}"), format!("{keys:?}"));
        let read = gguf
            .tensors()
            .iter()
            .map(|t| {
                assert_eq!(t.range.start % 64, 0);
                (t.name.clone(), t.shape.clone(), t.kind, bytes[t.range.clone()].to_vec())
            })
            .collect::<Vec<_>>();
        prop_assert_eq!(read, tensors);
    }

    #[test]
    fn random_damage_never_panics(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = sample();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read_safely(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        read_safely(&bytes);
    }

    #[test]
    fn random_bytes_after_the_magic_never_panic(rest in vec(any::<u8>(), 0..200)) {
        read_safely(&rest);
        read_safely(&[b"GGUF\x03\0\0\0", &rest[..]].concat());
        let counts = b"GGUF\x03\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0";
        read_safely(&[counts, &rest[..]].concat());
    }
}

//! GGUF: every tensor inside the file and apart from the others, and what is read can be written.

use modularbase_format::gguf::{Array, Value, ValueKind};
use modularbase_format::{Gguf, GgufWriter, WeightType};

use crate::{FILE, refused};

/// Reads any bytes as a GGUF file.
pub fn read(bytes: &[u8]) {
    match Gguf::parse(bytes, FILE) {
        Ok(gguf) => {
            hold(&gguf, bytes);
            write_again(&gguf, bytes);
        }
        Err(error) => refused(&error),
    }
}

/// What stays true of a parsed header over the bytes it was read from.
pub fn hold(gguf: &Gguf, bytes: &[u8]) {
    assert!(matches!(gguf.version(), 2 | 3));
    assert!(gguf.alignment().is_power_of_two() && gguf.alignment() >= 8);
    for (key, value) in gguf.metadata() {
        assert!(!key.is_empty());
        assert!(
            gguf.get(key)
                .is_some_and(|found| std::ptr::eq(found, value))
        );
    }
    let mut ranges = Vec::new();
    for tensor in gguf.tensors() {
        let data = bytes.get(tensor.range.clone()).expect("inside the file");
        assert!((1..=4).contains(&tensor.shape.len()) && !tensor.shape.contains(&0));
        let needed = tensor.kind.bytes(tensor.elements() as u64);
        assert_eq!(needed, Some(data.len() as u64));
        assert_eq!(tensor.range.start % 8, 0);
        assert_eq!(gguf.tensor(&tensor.name), Some(tensor));
        ranges.push((tensor.range.start, tensor.range.end));
    }
    ranges.sort();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
}

/// Writes what was read, and reads it again.
fn write_again(gguf: &Gguf, bytes: &[u8]) {
    let mut writer = GgufWriter::new();
    let ours = |key: &str| key != "general.alignment";
    for (key, value) in gguf.metadata().filter(|(key, _)| ours(key)) {
        writer.metadata(key, value.clone()).expect("a sound value");
    }
    for tensor in gguf.tensors() {
        let data = &bytes[tensor.range.clone()];
        writer
            .tensor(&tensor.name, &tensor.shape, tensor.kind, data)
            .expect("a sound tensor");
    }
    let mut written = Vec::new();
    let size = writer.size();
    assert_eq!(writer.write_to(&mut written).expect("memory"), size);
    let again = Gguf::parse(&written, FILE).expect("what was written");
    hold(&again, &written);
    // As text, because a number that is none equals nothing.
    let metadata = |gguf: &Gguf| -> Vec<String> {
        let entries = gguf.metadata().filter(|(key, _)| ours(key));
        entries.map(|entry| format!("{entry:?}")).collect()
    };
    assert_eq!(metadata(&again), metadata(gguf));
    assert_eq!(again.tensors().len(), gguf.tensors().len());
    for (new, old) in again.tensors().iter().zip(gguf.tensors()) {
        assert_eq!(
            (&new.name, &new.shape, new.kind),
            (&old.name, &old.shape, old.kind)
        );
        assert_eq!(written[new.range.clone()], bytes[old.range.clone()]);
    }
}

/// Sound files: nothing, a bit of everything, and one of another version and alignment.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut writer = GgufWriter::new();
    let lists = vec![Value::from(vec![1u8, 2]), Value::from(vec!["x"])];
    let lists = Array::new(ValueKind::Array, lists).expect("arrays all");
    for (key, value) in [
        ("general.name", Value::from("seed")),
        ("u8", 1u8.into()),
        ("i8", (-1i8).into()),
        ("u16", 1u16.into()),
        ("i16", (-1i16).into()),
        ("u32", 1u32.into()),
        ("i32", (-1i32).into()),
        ("u64", 1u64.into()),
        ("i64", (-1i64).into()),
        ("f32", 0.5f32.into()),
        ("f64", 0.5f64.into()),
        ("bool", true.into()),
        ("tokens", Value::from(vec!["a", "b", "é"])),
        ("scores", Value::from(vec![0.5f64])),
        ("lists", Value::Array(lists)),
    ] {
        writer.metadata(key, value).expect("a sound value");
    }
    let data = [7; 288];
    for (index, kind) in WeightType::ALL.into_iter().enumerate() {
        let row = kind.block_len();
        let bytes = kind.bytes(row as u64).expect("one block") as usize;
        let shape = [&[1; 3][..index % 4], &[row]].concat();
        writer
            .tensor(kind.name(), &shape, kind, &data[..bytes])
            .expect("a sound tensor");
    }
    let mut everything = Vec::new();
    writer.write_to(&mut everything).expect("memory");

    // One tensor at the alignment that holds where the file names none.
    let mut old = b"GGUF\x02\0\0\0".to_vec();
    old.extend([1u64, 0].map(u64::to_le_bytes).concat());
    old.extend(b"\x01\0\0\0\0\0\0\0t\x01\0\0\0\x02\0\0\0\0\0\0\0");
    old.extend([0; 12]);
    old.resize(old.len().next_multiple_of(32), 0);
    old.extend([1; 8]);
    vec![small("t"), everything, old]
}

/// A file of one key and one tensor.
pub fn small(name: &str) -> Vec<u8> {
    let mut writer = GgufWriter::new();
    writer.metadata("k", 7u8).expect("a sound value");
    writer
        .tensor(name, &[2], WeightType::F32, &[1; 8])
        .expect("a sound tensor");
    let mut bytes = Vec::new();
    writer.write_to(&mut bytes).expect("memory");
    bytes
}

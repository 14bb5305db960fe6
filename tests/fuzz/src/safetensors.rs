//! Safetensors: the tensors cover the data, one after the other.

use std::collections::BTreeSet;

use modularbase_format::Safetensors;

use crate::{FILE, refused};

/// Reads any bytes as a safetensors file.
pub fn read(bytes: &[u8]) {
    let read = match Safetensors::parse(bytes, FILE) {
        Ok(read) => read,
        Err(error) => return refused(&error),
    };
    assert!(Safetensors::begins(bytes));
    let (length, _) = bytes.split_first_chunk().expect("a sound file has a head");
    let mut at = 8 + u64::from_le_bytes(*length) as usize;
    let mut names = BTreeSet::new();
    for tensor in read.tensors() {
        let data = bytes.get(tensor.range.clone()).expect("inside the file");
        assert_eq!(tensor.range.start, at);
        at = tensor.range.end;
        assert!(names.insert(&tensor.name));
        if let Ok(kind) = tensor.kind {
            let elements: usize = tensor.shape.iter().product();
            assert_eq!(kind.bytes(elements as u64), Some(data.len() as u64));
        }
    }
    assert_eq!(at, bytes.len());
}

/// Sound files: no tensor, some of several types, and what else a header may say.
pub fn seeds() -> Vec<Vec<u8>> {
    let file = |header: &str, data: usize| {
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend(header.as_bytes());
        out.resize(out.len() + data, 7);
        out
    };
    vec![
        file("{}", 0),
        file(
            r#"{"b":{"dtype":"I8","shape":[3],"data_offsets":[8,11]},
            "a":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]}}"#,
            11,
        ),
        file(
            r#"{"__metadata__":{"format":"pt"},"x":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
            "y":{"dtype":"BF16","shape":[0,9],"data_offsets":[4,4]}}   "#,
            4,
        ),
    ]
}

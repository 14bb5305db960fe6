//! From a core module to a component.

use std::path::Path;

use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use super::BuildError;

/// Makes a component of the core module in a file, without its debug information and the names of
/// its functions: nobody reads them in a pack, where a panic says its own place, and they would
/// count as code.
pub(super) fn encode(path: &Path) -> Result<Vec<u8>, BuildError> {
    let module = std::fs::read(path).map_err(|source| BuildError::Io {
        path: path.to_owned(),
        source,
    })?;
    let unfit = |reason: String| BuildError::Component {
        path: path.to_owned(),
        reason,
    };
    let module = without_names(&module).map_err(|error| unfit(said(&error.to_string())))?;
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| unfit(said(&format!("{error:#}"))))
}

/// The encoder's words in one line.
fn said(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The module's sections again, those of names and debug information left out.
fn without_names(module: &[u8]) -> Result<Vec<u8>, wasmparser::BinaryReaderError> {
    let mut kept = module.get(..8).unwrap_or_default().to_vec();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        let is_left_out = matches!(
            &payload,
            Payload::CustomSection(it) if it.name() == "name" || it.name().starts_with(".debug")
        );
        if let (false, Some((id, range))) = (is_left_out, payload.as_section()) {
            kept.push(id);
            put_leb128(&mut kept, range.len());
            kept.extend(module.get(range).unwrap_or_default());
        }
    }
    Ok(kept)
}

fn put_leb128(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A custom section of less than 128 bytes.
    fn custom(name: &str, data: &[u8]) -> Vec<u8> {
        let mut section = vec![0, (1 + name.len() + data.len()) as u8, name.len() as u8];
        section.extend(name.as_bytes());
        section.extend(data);
        section
    }

    #[test]
    fn names_and_debug_information_go_and_all_else_stays() {
        let head = b"\0asm\x01\0\0\0".to_vec();
        let types = vec![1, 4, 1, 0x60, 0, 0];
        let with = [
            head.clone(),
            types.clone(),
            custom(".debug_info", &[7; 40]),
            custom("name", &[1]),
            custom("names", &[1]),
        ];
        let without = [head, types, custom("names", &[1])];
        let stripped = without_names(&with.concat()).expect("a module");
        assert_eq!(stripped, without.concat());
    }

    #[test]
    fn what_is_no_module_is_said_in_one_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("x.wasm");
        std::fs::write(&file, "hello, world").expect("a file");
        let error = encode(&file).expect_err("no module").to_string();
        assert!(
            error.contains("x.wasm: the module does not become"),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
}

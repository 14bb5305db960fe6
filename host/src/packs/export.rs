//! A pack's weights, given back as a plain GGUF file for whatever tool reads one.
//!
//! One section of weights is copied byte for byte, because it is a whole GGUF file. Several become
//! one file: metadata of the first, tensors of all.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;

use modularbase_format::{GgufWriter, PackFile};

use super::PacksError;
use crate::error::{Error, Result};

/// Writes the weights of `pack` to `target`, where nothing may be yet; gives their length.
pub(super) fn weights(pack: &PackFile, target: &Path) -> Result<u64> {
    let manifest = pack.manifest();
    // A pack without weights may have a section all the same, for what its builder measured.
    if pack.tensors().next().is_none() {
        return Err(PacksError::NoWeights {
            id: manifest.id.clone(),
            version: manifest.version.clone(),
        }
        .into());
    }
    let io = |source| Error::Io {
        path: target.to_owned(),
        source,
    };
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".weights-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // Not in the words about the temporary file, which say nothing to anybody.
    let file = builder.tempfile_in(folder);
    let mut file = file.map_err(|error| io(error.kind().into()))?;
    let mut out = BufWriter::new(file.as_file_mut());
    write(pack, &mut out).map_err(io)?;
    out.flush().map_err(io)?;
    drop(out);
    file.as_file().sync_all().map_err(io)?;
    let bytes = file.as_file().metadata().map_err(io)?.len();
    // Never in place of something: what stands there may be weights that exist nowhere else.
    file.persist_noclobber(target)
        .map_err(|error| match error.error.kind() {
            ErrorKind::AlreadyExists => PacksError::InTheWay {
                path: target.to_owned(),
            }
            .into(),
            _ => io(error.error),
        })?;
    Ok(bytes)
}

fn write(pack: &PackFile, out: &mut impl Write) -> std::io::Result<()> {
    let shards: Vec<_> = pack.weight_shards().collect();
    if let [only] = shards.as_slice() {
        return out.write_all(only.bytes);
    }
    let mut whole = GgufWriter::new();
    let unsound = |error: modularbase_format::GgufWriteError| std::io::Error::other(error);
    for (key, value) in shards.iter().take(1).flat_map(|it| it.gguf.metadata()) {
        if key != modularbase_format::gguf::ALIGNMENT_KEY {
            whole.metadata(key, value.clone()).map_err(unsound)?;
        }
    }
    for tensor in pack.tensors() {
        let info = tensor.info;
        whole
            .tensor(&*info.name, &info.shape, info.kind, tensor.bytes)
            .map_err(unsound)?;
    }
    whole.write_to(out).map(drop).map_err(unsound)
}

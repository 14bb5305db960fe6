//! Writes the seeds of every target below a folder: `seeds FOLDER`.

use std::io;
use std::path::Path;

use modularbase_fuzz::{gguf, manifest, oci, pack, private_key, safetensors};

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).expect("a folder is named");
    for (target, seeds) in [
        ("gguf", gguf::seeds()),
        ("manifest", manifest::seeds()),
        ("oci_image", oci::image_seeds()),
        ("oci_index", oci::index_seeds()),
        ("pack", pack::seeds()),
        ("private_key", private_key::seeds()),
        ("safetensors", safetensors::seeds()),
    ] {
        let folder = Path::new(&folder).join(target);
        std::fs::create_dir_all(&folder)?;
        for (index, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{index}")), seed)?;
        }
    }
    Ok(())
}

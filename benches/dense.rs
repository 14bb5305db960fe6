//! Packs of the dense code in any size, with int8 weights.

use std::path::Path;
use std::sync::Arc;

use modularbase::Build;
use modularbase::pack::{Pack, Sandbox};
use modularbase::plan::WeightType;
use modularbase::tensor::quantize;
use modularbase_format::{GgufWriter, PackFile, PackWriter};

/// A shape of the dense pack.
pub struct Shape {
    pub name: &'static str,
    pub width: u32,
    pub layers: usize,
    pub feed_forward: usize,
}

/// About one, ten and a hundred million parameters.
pub const SHAPES: [Shape; 3] = [
    Shape {
        name: "1M",
        width: 128,
        layers: 5,
        feed_forward: 384,
    },
    Shape {
        name: "10M",
        width: 512,
        layers: 3,
        feed_forward: 1536,
    },
    Shape {
        name: "100M",
        width: 1024,
        layers: 8,
        feed_forward: 2816,
    },
];

/// The component of `packs/dense`, built from source.
pub fn component(folder: &Path) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs/dense");
    let built = Build::new(source).out(folder.join("dense.wasm")).start();
    let built = built.expect("packs/dense builds");
    let file = PackFile::open(&built.path).expect("it was just written");
    file.component()
}

/// A pack of that shape. Every weight is random: zeros would be kinder than any real pack.
pub fn pack(component: &[u8], shape: &Shape, folder: &Path, sandbox: &Sandbox) -> Arc<Pack> {
    let Shape {
        name,
        width,
        layers,
        feed_forward,
    } = shape;
    let heads = width / 64;
    let id = format!("dense-{}", name.to_lowercase());
    let manifest = format!(
        "id = \"{id}\"\nname = \"Dense {name}\"\nversion = \"0.1.0\"\ndescription = \"bench\"\n\
         license = \"Apache-2.0\"\nauthors = [\"bench\"]\nroles = [\"expert\"]\ncontract = \"0.1.0\"\n\
         [base]\nwidth = {width}\n[model]\nlayers = {layers}\nheads = {heads}\n\
         feed-forward = {feed_forward}\n"
    );
    let bare = PackWriter::new(component, &manifest)
        .write(&folder.join(format!("{id}.bare.wasm")))
        .expect("the manifest is sound");
    let bare = Pack::from_file(bare, sandbox).expect("the component is sound");
    let described = bare.describe(None).expect("it describes itself");
    let mut state = 1u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 40) as f32 / 8388608.0 - 1.0
    };
    let weights: Vec<_> = described[0]
        .weights
        .iter()
        .map(|weight| {
            let deviation = 1.0 / (weight.shape[weight.shape.len() - 1] as f32).sqrt();
            let numbers: Vec<f32> = (0..weight.elements())
                .map(|_| random() * deviation)
                .collect();
            let (kind, bytes) = match weight.shape.len() {
                1 => (
                    WeightType::F32,
                    numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
                ),
                _ => (
                    WeightType::Q8_0,
                    quantize(WeightType::Q8_0, &numbers).expect("whole blocks"),
                ),
            };
            (weight.name.clone(), weight.shape.clone(), kind, bytes)
        })
        .collect();
    let mut gguf = GgufWriter::new();
    for (name, shape, kind, bytes) in &weights {
        gguf.tensor(name, shape, *kind, bytes)
            .expect("the shape fits the bytes");
    }
    let file = PackWriter::new(component, &manifest)
        .weights(gguf)
        .write(&folder.join(format!("{id}.wasm")))
        .expect("the pack is sound");
    Arc::new(Pack::from_file(file, sandbox).expect("the code is the same"))
}

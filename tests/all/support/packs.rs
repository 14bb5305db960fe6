//! Pack files of components, manifests and weights.

use std::io::Write;
use std::sync::Arc;

use modularbase::pack::{Pack, PackError, Sandbox};
use modularbase_format::manifest::set_publisher;
use modularbase_format::{GgufWriter, PackWriter, PrivateKey, WeightType};

/// Weights that a pack is to have.
#[derive(Clone, Default)]
pub struct Gguf {
    tensors: Vec<(String, WeightType, Vec<usize>, Vec<u8>)>,
}

impl Gguf {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor as it is stored.
    pub fn tensor(&mut self, name: &str, kind: WeightType, shape: &[usize], bytes: Vec<u8>) {
        let tensor = (name.to_owned(), kind, shape.to_vec(), bytes);
        self.tensors.push(tensor);
    }

    /// Adds a tensor of 32-bit floats, each of which `number` gives.
    pub fn floats(mut self, name: &str, shape: &[usize], number: impl Fn(usize) -> f32) -> Self {
        let count = shape.iter().product();
        let bytes = (0..count).flat_map(|i| number(i).to_le_bytes()).collect();
        self.tensor(name, WeightType::F32, shape, bytes);
        self
    }

    /// The stored bytes of a tensor that was added.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn bytes_of(&mut self, name: &str) -> &mut [u8] {
        let found = self.tensors.iter_mut().find(|(known, ..)| known == name);
        &mut found.expect("the tensor was added").3
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut writer = GgufWriter::new();
        for (name, kind, shape, bytes) in &self.tensors {
            let added = writer.tensor(name, shape, *kind, bytes);
            added.expect("the tensor is sound");
        }
        let mut file = Vec::new();
        writer.write_to(&mut file).expect("memory can be written");
        file
    }
}

/// What a pack is made of.
#[derive(Clone)]
pub struct Source {
    component: Vec<u8>,
    id: String,
    name: String,
    version: String,
    description: String,
    key: Option<Arc<PrivateKey>>,
    roles: &'static str,
    contract: &'static str,
    width: usize,
    memory: Option<&'static str>,
    model: String,
    weights: Vec<u8>,
}

impl Source {
    /// A pack called `id`, version 1.2.3, an expert for a base of width 8, without weights.
    pub fn new(id: &str, component: &[u8]) -> Self {
        Self {
            component: component.to_vec(),
            id: id.to_owned(),
            name: id.to_owned(),
            version: "1.2.3".to_owned(),
            description: "For tests.".to_owned(),
            key: None,
            roles: r#""expert""#,
            contract: "0.1.0",
            width: 8,
            memory: None,
            model: String::new(),
            weights: Vec::new(),
        }
    }

    /// What people call it; its id when nothing is said.
    pub fn name(self, name: &str) -> Self {
        let name = name.to_owned();
        Self { name, ..self }
    }

    pub fn version(self, version: &str) -> Self {
        let version = version.to_owned();
        Self { version, ..self }
    }

    /// What it says of itself, as it stands between quotes.
    pub fn description(self, description: &str) -> Self {
        let description = description.to_owned();
        Self {
            description,
            ..self
        }
    }

    /// Signs it.
    pub fn sign(self, key: &Arc<PrivateKey>) -> Self {
        let key = Some(key.clone());
        Self { key, ..self }
    }

    /// The roles that its manifest claims, as they are written there.
    pub fn roles(self, roles: &'static str) -> Self {
        Self { roles, ..self }
    }

    pub fn contract(self, contract: &'static str) -> Self {
        Self { contract, ..self }
    }

    pub fn width(self, width: usize) -> Self {
        Self { width, ..self }
    }

    /// The memory that it asks for.
    pub fn memory(self, memory: &'static str) -> Self {
        let memory = Some(memory);
        Self { memory, ..self }
    }

    /// The text of `[model]`.
    pub fn model(self, model: &str) -> Self {
        let model = model.to_owned();
        Self { model, ..self }
    }

    pub fn weights(self, weights: Gguf) -> Self {
        self.weights_bytes(weights.bytes())
    }

    /// A GGUF file that need not be sound, where the writer allows it.
    pub fn weights_bytes(self, weights: Vec<u8>) -> Self {
        Self { weights, ..self }
    }

    pub fn manifest(&self) -> String {
        let Self {
            id,
            name,
            version,
            description,
            roles,
            contract,
            width,
            model,
            ..
        } = self;
        let memory = self.memory.map(|memory| format!("memory = \"{memory}\""));
        let text = format!(
            "id = \"{id}\"\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"{description}\"\n\
             license = \"Apache-2.0\"\nauthors = [\"Tests\"]\nroles = [{roles}]\n\
             contract = \"{contract}\"\n[base]\nwidth = {width}\n[model]\n{model}\n\
             [limits]\n{}\n",
            memory.unwrap_or_default()
        );
        match &self.key {
            Some(key) => set_publisher(&text, "pack.toml", &key.publisher()).expect("a manifest"),
            None => text,
        }
    }

    /// The pack file.
    pub fn bytes(&self) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("there is room for a file");
        let path = folder.path().join("pack.wasm");
        let manifest = self.manifest();
        let mut writer = PackWriter::new(&self.component, &manifest);
        if !self.weights.is_empty() {
            writer = writer.weights_bytes(&self.weights);
        }
        if let Some(key) = &self.key {
            writer = writer.sign(key);
        }
        drop(writer.write(&path).expect("the pack is sound"));
        std::fs::read(&path).expect("it was written")
    }

    /// Writes the pack and opens it.
    pub fn try_open(&self, sandbox: &Sandbox) -> Result<Pack, PackError> {
        try_open(&self.bytes(), sandbox)
    }

    /// Writes the pack and opens it.
    ///
    /// # Panics
    /// When it is refused.
    pub fn open(&self, sandbox: &Sandbox) -> Pack {
        self.try_open(sandbox)
            .unwrap_or_else(|refused| panic!("{refused}"))
    }
}

/// Opens bytes that may be a pack file, from a file as a user would.
pub fn try_open(bytes: &[u8], sandbox: &Sandbox) -> Result<Pack, PackError> {
    let mut file = tempfile::NamedTempFile::with_suffix("-pack.wasm").expect("there is room");
    file.write_all(bytes).expect("there is room");
    Pack::open(file.path(), sandbox)
}

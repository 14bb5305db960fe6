//! From code that the host brings to a pack file: only weights and a manifest are the author's.

use std::fmt;
use std::path::{Path, PathBuf};

use modularbase_format::WeightType;

use super::assembly::{Order, Unbrought};
use super::source::PackToml;
use super::{BuildError, BuildTimes, Built, PACK_FILE, Stage};
use crate::pack::Builtin;

/// A pack to be made of code that the host brings.
///
/// ```no_run
/// use modularbase::{Builtin, Wrap};
///
/// let built = Wrap::new(Builtin::Dense)
///     .manifest("pack.toml")
///     .weights("weights.gguf")
///     .start()?;
/// println!("{} has {} bytes", built.path.display(), built.bytes);
/// # Ok::<(), modularbase::BuildError>(())
/// ```
pub struct Wrap<'a> {
    code: Builtin,
    manifest: Option<PathBuf>,
    order: Order,
    watch: Box<dyn Fn(Stage) + 'a>,
}

impl<'a> Wrap<'a> {
    /// A pack of this code, with the code's own manifest.
    pub fn new(code: Builtin) -> Self {
        Self {
            code,
            manifest: None,
            order: Order::default(),
            watch: Box::new(|_| {}),
        }
    }

    /// Takes the manifest from this file. Weights need one: the code's own says nothing of them.
    pub fn manifest(mut self, path: impl Into<PathBuf>) -> Self {
        self.manifest = Some(path.into());
        self
    }

    /// Writes the pack there instead of beside the manifest.
    pub fn out(mut self, path: impl Into<PathBuf>) -> Self {
        self.order.out = Some(path.into());
        self
    }

    /// Takes the weights from a GGUF file, a safetensors file or another pack. Never from the
    /// file that the new pack would replace.
    pub fn weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.order.weights = Some(path.into());
        self
    }

    /// Stores matrices as `kind`, where their rows are whole blocks of it. Vectors stay as they
    /// are.
    pub fn quantize(mut self, kind: WeightType) -> Self {
        self.order.quantize = Some(kind);
        self
    }

    /// Signs the pack with the private key in this file, whose public half the pack then names as
    /// its publisher. The manifest on disk stays as it is.
    pub fn sign(mut self, key: impl Into<PathBuf>) -> Self {
        self.order.key = Some(key.into());
        self
    }

    /// Calls `watch` when something begins that may take a while.
    pub fn watch(mut self, watch: impl Fn(Stage) + 'a) -> Self {
        self.watch = Box::new(watch);
        self
    }

    /// Makes the pack.
    ///
    /// # Errors
    /// When the manifest is not sound or not one of this code, weights are declared and none are
    /// given, they do not fit, the key is none or not the publisher's, or the file cannot be
    /// written. When what is at the target is no
    /// pack, is where the weights come from, or holds trained weights and the new pack would not.
    /// The target is then what it was.
    pub fn start(self) -> Result<Built, BuildError> {
        let code = self.code;
        let toml = match &self.manifest {
            Some(path) => PackToml::read(path)?,
            None if self.order.weights.is_some() => {
                return Err(BuildError::WithoutManifest { code: code.name() });
            }
            None => {
                let file = format!("{code}'s own pack.toml");
                PackToml::of_text(code.manifest().to_owned(), file)?
            }
        };
        let beside = match &self.manifest {
            Some(path) => path.with_file_name(PACK_FILE),
            None => PathBuf::from(PACK_FILE),
        };
        self.order.prepare(toml, beside)?.make(
            code.component(),
            Unbrought::Refused,
            BuildTimes::default(),
            &self.watch,
        )
    }
}

impl fmt::Debug for Wrap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = Path::new("its own manifest");
        let manifest = self.manifest.as_deref().unwrap_or(own);
        write!(f, "Wrap({}, {})", self.code, manifest.display())
    }
}

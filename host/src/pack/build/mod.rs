//! From code and weights to a pack file.
//!
//! Two ways lead there. [`Build`] starts from a crate's folder: `mbhost pack build` and `pack test`
//! call it, cargo makes a core module, `component` makes it a component. [`Wrap`] starts from code
//! that the host brings: `mbhost pack wrap` calls it, and nobody needs Rust. From the component on
//! there is one way, `assembly`: the pack says which weights it declares, and these are written
//! behind it. What stays true: what is at the target is either what was there before or a pack
//! that loads; the same code, manifest, weights and seed give the same bytes.

mod assembly;
mod built;
mod cargo;
mod component;
mod error;
mod given;
mod key;
pub(super) mod seeded;
mod source;
mod target;
mod toolchain;
mod weights;
mod wrap;

pub use built::{BuildTimes, Built};
pub(super) use built::{milliseconds, path_text};
pub use error::BuildError;
pub use key::KeyFile;
pub use toolchain::{TARGET, Toolchain};
pub use wrap::Wrap;

use std::fmt;
use std::path::{Path, PathBuf};

use modularbase_format::WeightType;

use assembly::{Order, Unbrought};
use built::clock;
use source::PackToml;

/// The file that a build makes when nobody says another one, beside `pack.toml`.
pub const PACK_FILE: &str = "pack.wasm";

/// A pack to be built.
///
/// ```no_run
/// use modularbase::Build;
///
/// let built = Build::new("packs/dense").seed(7).start()?;
/// println!("{} has {} bytes", built.path.display(), built.bytes);
/// # Ok::<(), modularbase::BuildError>(())
/// ```
pub struct Build<'a> {
    folder: PathBuf,
    order: Order,
    seed: u64,
    watch: Box<dyn Fn(Stage) + 'a>,
}

/// What a build is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Asking rustup for the target that packs are compiled for.
    AddTarget,
    /// Cargo is compiling, and writes about it to standard error.
    Compile,
    /// The core module becomes a component.
    Component,
    /// The pack describes its networks.
    Describe,
    /// Weights are written.
    Weights,
    /// The result is opened and describes itself.
    Verify,
    /// It runs over toy hidden states; not a part of building, but of checking.
    Check,
}

impl<'a> Build<'a> {
    /// A build of the crate in `folder`, whose `pack.toml` stands beside its `Cargo.toml`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            order: Order::default(),
            seed: 0,
            watch: Box::new(|_| {}),
        }
    }

    /// Writes the pack there instead of beside `pack.toml`.
    pub fn out(mut self, path: impl Into<PathBuf>) -> Self {
        self.order.out = Some(path.into());
        self
    }

    /// Takes the weights from a GGUF file, a safetensors file or another pack, instead of making
    /// them up. Never from the file that the new pack would replace.
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

    /// Makes weights up from this seed; the same seed gives the same bytes.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Calls `watch` when something begins that may take a while.
    pub fn watch(mut self, watch: impl Fn(Stage) + 'a) -> Self {
        self.watch = Box::new(watch);
        self
    }

    /// Builds the pack.
    ///
    /// # Errors
    /// When the folder is no pack's crate, cargo is missing or fails, the component is not one
    /// of a pack, the weights do not fit, the key is none or not the publisher's, or the file
    /// cannot be written. When what is at the
    /// target is no pack, is where the weights come from, or holds trained weights that made-up
    /// ones would replace; trained weights do replace older ones. The target is then what it was.
    pub fn start(self) -> Result<Built, BuildError> {
        let toml = PackToml::of_crate(&self.folder)?;
        let assembly = self.order.prepare(toml, beside(&self.folder))?;
        let mut times = BuildTimes::default();
        Toolchain::ensure(&self.folder, &self.watch)?;
        (self.watch)(Stage::Compile);
        let module = clock(&mut times.cargo, || cargo::build(&self.folder))?;
        (self.watch)(Stage::Component);
        let component = clock(&mut times.component, || component::encode(&module))?;
        assembly.make(&component, Unbrought::MadeUp(self.seed), times, &self.watch)
    }
}

/// Where a pack goes when nobody says another place: beside its manifest.
fn beside(folder: &Path) -> PathBuf {
    match folder == Path::new(".") {
        true => PathBuf::from(PACK_FILE),
        false => folder.join(PACK_FILE),
    }
}

impl fmt::Debug for Build<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Build({})", self.folder.display())
    }
}

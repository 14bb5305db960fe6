//! From a crate's folder to a pack file.
//!
//! `mbhost pack build` and `pack test` call it: cargo makes a core module, `component` makes it
//! a component, the pack says which weights it declares, and these are written behind it, from a
//! file or from a seed. What stays true: what is at the target is either what was there before
//! or a pack that loads; the same crate, weights and seed give the same bytes.

mod cargo;
mod component;
mod error;
mod given;
pub(super) mod seeded;
mod source;
mod target;
mod toolchain;
mod weights;

pub use error::BuildError;
pub use toolchain::{TARGET, Toolchain};

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use modularbase_format::manifest::set_trained;
use modularbase_format::{Manifest, PackWriter, Role, WeightType};
use serde::Serialize;

use super::measured::{Measured, measure, variants};
use super::{Description, Pack, Sandbox};
use crate::plan::{Catalog, Weight};
use crate::roles::Failure;
use source::read_manifest;
use target::{keep_what_counts, scratch_beside, write};
use weights::Source;

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
    out: Option<PathBuf>,
    weights: Option<PathBuf>,
    quantize: Option<WeightType>,
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

/// A pack that was built.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Built {
    /// Where it is.
    #[serde(serialize_with = "path_text")]
    pub path: PathBuf,
    /// Its id and version, as messages begin.
    #[serde(rename = "pack")]
    pub who: String,
    /// Its length.
    pub bytes: u64,
    /// How many bytes of it are weights.
    pub weight_bytes: u64,
    /// How many numbers its weights have.
    pub parameters: u64,
    /// Whether this build made its weights up.
    pub seeded: bool,
    /// What its author should know.
    pub warnings: Vec<String>,
    /// How long each part took.
    #[serde(rename = "ms")]
    pub times: BuildTimes,
}

/// How long the parts of a build took.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct BuildTimes {
    /// Cargo.
    pub cargo: Duration,
    /// Making a component of what cargo made.
    pub component: Duration,
    /// Compiling it for this machine, and having it describe itself.
    pub describe: Duration,
    /// Making and writing the weights.
    pub weights: Duration,
    /// Opening the result again.
    pub verify: Duration,
}

impl BuildTimes {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.cargo + self.component + self.describe + self.weights + self.verify
    }
}

impl<'a> Build<'a> {
    /// A build of the crate in `folder`, whose `pack.toml` stands beside its `Cargo.toml`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            out: None,
            weights: None,
            quantize: None,
            seed: 0,
            watch: Box::new(|_| {}),
        }
    }

    /// Writes the pack there instead of beside `pack.toml`.
    pub fn out(mut self, path: impl Into<PathBuf>) -> Self {
        self.out = Some(path.into());
        self
    }

    /// Takes the weights from a GGUF file, a safetensors file or another pack, instead of making
    /// them up. Never from the file that the new pack would replace.
    pub fn weights(mut self, path: impl Into<PathBuf>) -> Self {
        self.weights = Some(path.into());
        self
    }

    /// Stores matrices as `kind`, where their rows are whole blocks of it. Vectors stay as they
    /// are.
    pub fn quantize(mut self, kind: WeightType) -> Self {
        self.quantize = Some(kind);
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
    /// of a pack, the weights do not fit, or the file cannot be written. When what is at the
    /// target is no pack, is where the weights come from, or holds trained weights that made-up
    /// ones would replace; trained weights do replace older ones. The target is then what it was.
    pub fn start(self) -> Result<Built, BuildError> {
        let (manifest_text, manifest) = read_manifest(&self.folder)?;
        let target = self.target();
        // Tried first, so that a folder that takes no file is found out before cargo works;
        // dropped again, so that an interrupted cargo, which takes longest, leaves nothing there.
        drop(scratch_beside(&target)?);
        let source = self
            .weights
            .as_deref()
            .map(given::Given::open)
            .transpose()?;
        keep_what_counts(&target, source.as_ref())?;
        let mut times = BuildTimes::default();

        Toolchain::ensure(&self.folder, &self.watch)?;
        (self.watch)(Stage::Compile);
        let module = clock(&mut times.cargo, || cargo::build(&self.folder))?;
        (self.watch)(Stage::Component);
        let component = clock(&mut times.component, || component::encode(&module))?;

        (self.watch)(Stage::Describe);
        let scratch = scratch_beside(&target)?;
        let bare = scratch.path().join("described.wasm");
        let begun = Instant::now();
        let file = write(PackWriter::new(&component, &manifest_text), &bare, &target)?;
        let pack = Pack::from_file(file, &Sandbox::default())?;
        let declared = declared(&pack, &manifest)?;
        let source = match &source {
            Some(given) => Source::Given(given),
            None => Source::Seeded(self.seed),
        };
        let mut chosen = weights::choose(&declared, &manifest, source, self.quantize)?;
        let mut warnings = std::mem::take(&mut chosen.warnings);
        let measured = measured(&pack, &manifest, chosen.catalog(), &mut warnings)?;
        times.describe = begun.elapsed();

        (self.watch)(Stage::Weights);
        let begun = Instant::now();
        let seeded = matches!(source, Source::Seeded(_)) && !declared.is_empty();
        let manifest_text = match source.trained() || declared.is_empty() {
            true => manifest_text,
            false => set_trained(&manifest_text, "pack.toml", false)?,
        };
        let (weight_bytes, parameters) = (chosen.bytes(), chosen.parameters());
        let new = scratch.path().join(PACK_FILE);
        let mut writer = PackWriter::new(&component, &manifest_text);
        for shard in chosen.shards(&manifest, &measured)? {
            writer = writer.weights(shard);
        }
        let file = write(writer, &new, &target)?;
        times.weights = begun.elapsed();

        (self.watch)(Stage::Verify);
        let begun = Instant::now();
        let bytes = file.map().len() as u64;
        let pack = pack.over(file)?;
        for variant in variants(pack.manifest()) {
            pack.describe(variant)?;
        }
        let io = |source| BuildError::Io {
            path: target.clone(),
            source,
        };
        fs::rename(&new, &target).map_err(io)?;
        times.verify = begun.elapsed();
        Ok(Built {
            who: pack.who().to_owned(),
            path: target,
            bytes,
            weight_bytes,
            parameters,
            seeded,
            warnings,
            times,
        })
    }

    fn target(&self) -> PathBuf {
        match &self.out {
            Some(out) => out.clone(),
            None if self.folder == Path::new(".") => PathBuf::from(PACK_FILE),
            None => self.folder.join(PACK_FILE),
        }
    }
}

impl fmt::Debug for Build<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Build({})", self.folder.display())
    }
}

fn clock<T>(time: &mut Duration, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    *time = begun.elapsed();
    done
}

/// Every weight that any role or variant declares, in the order of the first mention.
fn declared(pack: &Pack, manifest: &Manifest) -> Result<Vec<Weight>, BuildError> {
    let mut declared: Vec<Weight> = Vec::new();
    let mut places = BTreeMap::new();
    for variant in variants(manifest) {
        for description in pack.describe_over(variant, &Catalog::Declare)? {
            for weight in description.weights {
                let place = *places.entry(weight.name.clone()).or_insert(declared.len());
                match declared.get(place) {
                    None => declared.push(weight),
                    Some(first) if first.shape != weight.shape => {
                        return Err(BuildError::Disagree {
                            weight: weight.name,
                            first: first.shape.clone(),
                            second: weight.shape,
                        });
                    }
                    Some(_) => {}
                }
            }
        }
    }
    Ok(declared)
}

fn measured(
    pack: &Pack,
    manifest: &Manifest,
    catalog: Catalog,
    warnings: &mut Vec<String>,
) -> Result<Vec<Measured>, Failure> {
    let mut all = Vec::new();
    for variant in variants(manifest) {
        for description in pack.describe_over(variant, &catalog)? {
            warnings.extend(odd_width(&description).filter(|it| !warnings.contains(it)));
            // Variants are an expert's; a router has none.
            if variant.is_none() || description.role == Role::Expert {
                all.push(measure(&description, variant));
            }
        }
    }
    Ok(all)
}

/// What is odd about an expert whose only plan gives rows that are no hidden states. Of several
/// plans any may feed another.
fn odd_width(description: &Description) -> Option<String> {
    let [plan] = description.plans.as_slice() else {
        return None;
    };
    let (found, expected) = (plan.output_node().width, plan.input_width());
    (description.role == Role::Expert && found != expected).then(|| {
        format!("`net.finish` was given a value of width {found}, expected the base's {expected}")
    })
}

/// A time as listings have it, in milliseconds to the microsecond.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A path as listings have it: any path has one, even where it is no UTF-8.
pub(super) fn path_text<S: serde::Serializer>(path: &Path, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&path.display())
}

impl Serialize for BuildTimes {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = out.serialize_map(None)?;
        for (part, time) in [
            ("cargo", self.cargo),
            ("component", self.component),
            ("describe", self.describe),
            ("weights", self.weights),
            ("verify", self.verify),
            ("total", self.total()),
        ] {
            map.serialize_entry(part, &milliseconds(time))?;
        }
        map.end()
    }
}

//! From a component, a manifest and weights to a pack file, wherever the component comes from.
//!
//! [`Order::prepare`] reads and judges all that was given before a component is made, so that
//! nobody waits for cargo to hear of a misspelt key. [`Assembly::make`] has the pack describe
//! itself, chooses weights, writes, verifies and renames. What stays true: up to the renaming, the
//! target is what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use modularbase_format::manifest::set_trained;
use modularbase_format::{Manifest, PackFile, PackWriter, Role, WeightType};

use super::given::Given;
use super::source::PackToml;
use super::target::{keep_what_counts, scratch_beside, write};
use super::weights::{self, Source, Wanted};
use super::{BuildError, BuildTimes, Built, KeyFile, PACK_FILE, Stage};
use crate::pack::measured::{Measured, measure, variants};
use crate::pack::{Description, Pack, Sandbox};
use crate::plan::{Catalog, Weight};
use crate::roles::Failure;

/// What is asked of a pack besides its code and its manifest.
#[derive(Default)]
pub(super) struct Order {
    /// Where it goes.
    pub(super) out: Option<PathBuf>,
    /// Where its weights come from.
    pub(super) weights: Option<PathBuf>,
    /// What its matrices are stored as.
    pub(super) quantize: Option<WeightType>,
    /// The file of the key that signs it.
    pub(super) key: Option<PathBuf>,
}

/// What becomes of weights that are declared and that nobody brought.
#[derive(Clone, Copy)]
pub(super) enum Unbrought {
    /// They are made up from a seed.
    MadeUp(u64),
    /// There is no pack without them.
    Refused,
}

impl Unbrought {
    /// Where somebody finds the names of all weights.
    fn listed(self) -> &'static str {
        match self {
            Self::MadeUp(_) => {
                "`mbhost pack build --out x.wasm` and then `mbhost pack inspect --tensors x.wasm` \
                 lists the names and shapes"
            }
            Self::Refused => {
                "`[model]` in pack.toml says which weights the code declares; of a pack that has \
                 them, `mbhost pack inspect --tensors` lists the names and shapes"
            }
        }
    }
}

/// A pack to be, whole but for its component.
pub(super) struct Assembly {
    target: PathBuf,
    toml: PackToml,
    given: Option<Given>,
    quantize: Option<WeightType>,
    key: Option<KeyFile>,
}

impl Order {
    /// Reads what was given; the pack goes to `beside` when nobody said another place.
    pub(super) fn prepare(self, toml: PackToml, beside: PathBuf) -> Result<Assembly, BuildError> {
        let key = self.key.as_deref().map(KeyFile::open).transpose()?;
        let toml = toml.signed_with(key.as_ref())?;
        let target = self.out.unwrap_or(beside);
        // Tried first, so that a folder that takes no file is found out before cargo works;
        // dropped again, so that an interrupted cargo, which takes longest, leaves nothing there.
        drop(scratch_beside(&target)?);
        let given = self.weights.as_deref().map(Given::open).transpose()?;
        keep_what_counts(&target, given.as_ref())?;
        Ok(Assembly {
            target,
            toml,
            given,
            quantize: self.quantize,
            key,
        })
    }
}

impl Assembly {
    /// Makes the pack of this component; `times` tells how long that took so far.
    pub(super) fn make(
        self,
        component: &[u8],
        unbrought: Unbrought,
        mut times: BuildTimes,
        watch: &dyn Fn(Stage),
    ) -> Result<Built, BuildError> {
        let PackToml {
            file: toml_file,
            text,
            manifest,
        } = &self.toml;
        watch(Stage::Describe);
        let scratch = scratch_beside(&self.target)?;
        let bare = scratch.path().join("described.wasm");
        let begun = Instant::now();
        let file = self.write(PackWriter::new(component, text), &bare)?;
        let pack = Pack::from_file(file, &Sandbox::default())?;
        let (declared, deciding) = declared(&pack, manifest)?;
        let source = match (&self.given, unbrought, declared.first()) {
            (Some(given), _, _) => Source::Given(given),
            (None, Unbrought::MadeUp(seed), _) => Source::Seeded(seed),
            // Of a seed that nothing is made from.
            (None, Unbrought::Refused, None) => Source::Seeded(0),
            (None, Unbrought::Refused, Some(first)) => {
                return Err(BuildError::WithoutWeights {
                    who: pack.who().to_owned(),
                    declared: declared.len(),
                    first: first.name.clone(),
                    shape: first.shape.clone(),
                });
            }
        };
        let mut chosen = weights::choose(
            &declared,
            manifest,
            source,
            Wanted {
                kind: self.quantize,
                deciding: &deciding,
            },
            unbrought.listed(),
        )?;
        let mut warnings = std::mem::take(&mut chosen.warnings);
        let key_warning = self.key.as_ref().and_then(KeyFile::warning);
        warnings.extend(key_warning.map(str::to_owned));
        let measured = measured(&pack, manifest, chosen.catalog(), &mut warnings)?;
        times.describe = begun.elapsed();

        watch(Stage::Weights);
        let begun = Instant::now();
        let seeded = matches!(source, Source::Seeded(_)) && !declared.is_empty();
        let text = match source.trained() || declared.is_empty() {
            true => text.clone(),
            false => set_trained(text, toml_file, false)?,
        };
        let (weight_bytes, parameters) = (chosen.bytes(), chosen.parameters());
        let new = scratch.path().join(PACK_FILE);
        let mut writer = PackWriter::new(component, &text);
        for shard in chosen.shards(manifest, &measured)? {
            writer = writer.weights(shard);
        }
        let file = self.write(writer, &new)?;
        times.weights = begun.elapsed();

        watch(Stage::Verify);
        let begun = Instant::now();
        let bytes = file.map().len() as u64;
        let pack = pack.over(file)?;
        pack.describe_all()?;
        let io = |source| BuildError::Io {
            path: self.target.clone(),
            source,
        };
        fs::rename(&new, &self.target).map_err(io)?;
        times.verify = begun.elapsed();
        Ok(Built {
            who: pack.who().to_owned(),
            path: self.target,
            bytes,
            weight_bytes,
            parameters,
            signed_by: pack.file().signed_by().map(ToString::to_string),
            seeded,
            warnings,
            times,
        })
    }

    /// Writes a step on the way to the target, signed where there is a key.
    fn write<'a>(&'a self, mut pack: PackWriter<'a>, path: &Path) -> Result<PackFile, BuildError> {
        if let Some(key) = &self.key {
            pack = pack.sign(key.key());
        }
        write(pack, path, &self.target)
    }
}

/// Every weight that any role or variant declares, in the order of the first mention.
fn declared(
    pack: &Pack,
    manifest: &Manifest,
) -> Result<(Vec<Weight>, BTreeSet<String>), BuildError> {
    let mut declared: Vec<Weight> = Vec::new();
    let mut deciding = BTreeSet::new();
    let mut places = BTreeMap::new();
    for variant in variants(manifest) {
        for description in pack.describe_over(variant, &Catalog::Declare)? {
            for plan in &description.plans {
                deciding.extend(plan.deciding().map(str::to_owned));
            }
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
    Ok((declared, deciding))
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

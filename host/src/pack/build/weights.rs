//! What is written behind a component: which weights, of which type, from where.
//!
//! [`choose`] decides it from what the pack declares, before anything is written; then
//! [`Chosen::shards`] makes GGUF files of it that are written a run of rows at a time, so that
//! weights never are in memory as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use modularbase_format::gguf::{GgufWriteError, GgufWriter, Value};
use modularbase_format::manifest::ModelValue;
use modularbase_format::{Manifest, WeightType};

use super::BuildError;
use super::given::{Given, Tensor};
use super::seeded::Numbers;
use crate::pack::measured::Measured;
use crate::plan::{Catalog, Weight};
use crate::tensor::{floats, quantize};

/// How many weights a section may take: a section ends at 4 GiB, and its header needs room.
const SHARD_BYTES: u64 = 3 << 30;

/// Numbers that are made or converted at a time: whole blocks of every type.
const RUN: usize = 1 << 16;

/// How many names a warning repeats.
const SHOWN: usize = 3;

/// The longest name that is compared with a missing one.
const NAME_BYTES: usize = 256;

/// Where weights come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Given(&'a Given),
    Seeded(u64),
}

/// What weights are to be stored as.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The type of matrices, when somebody wants one.
    pub(super) kind: Option<WeightType>,
    /// Weights that keep their own: those that decide what is computed. With fewer bits a row
    /// would go to other experts, where all others only compute a little less exactly.
    pub(super) deciding: &'a BTreeSet<String>,
}

impl Wanted<'_> {
    /// What a weight of the type `own` is stored as: the wanted type, where it is a matrix of
    /// whole blocks.
    fn stored(self, weight: &Weight, own: WeightType) -> WeightType {
        let row = weight.shape.last().copied().unwrap_or(0);
        match self.kind {
            Some(kind)
                if weight.shape.len() >= 2
                    && row.is_multiple_of(kind.block_len())
                    && !self.deciding.contains(&weight.name) =>
            {
                kind
            }
            _ => own,
        }
    }
}

/// What will be written.
pub(super) struct Chosen<'a> {
    weights: Vec<Entry<'a>>,
    pub(super) warnings: Vec<String>,
}

struct Entry<'a> {
    name: String,
    shape: Vec<usize>,
    kind: WeightType,
    from: From<'a>,
}

enum From<'a> {
    Seed(Numbers),
    /// Bytes of a type: the entry's own, or one that is converted to it.
    Bytes(WeightType, &'a [u8]),
}

/// Chooses a source and a type for each declared weight. `listed` says where somebody finds the
/// names of all, when one is missing.
pub(super) fn choose<'a>(
    declared: &[Weight],
    manifest: &Manifest,
    source: Source<'a>,
    wanted: Wanted<'_>,
    listed: &'static str,
) -> Result<Chosen<'a>, BuildError> {
    let mut chosen = match source {
        Source::Seeded(seed) => Chosen::seeded(declared, manifest, seed, wanted),
        Source::Given(given) => Chosen::given(declared, manifest, given, wanted, listed)?,
    };
    if let Some(kind) = wanted.kind {
        let warning = unchanged(&chosen.weights, kind);
        chosen.warnings.extend(warning);
    }
    Ok(chosen)
}

/// What did not become the type that was asked for.
fn unchanged(weights: &[Entry<'_>], kind: WeightType) -> Option<String> {
    let block = kind.block_len();
    if weights.iter().all(|it| it.kind != kind) {
        return Some(format!(
            "no weight became {kind}: that takes matrices with rows of a multiple of {block} numbers"
        ));
    }
    let matrices = weights.iter().filter(|it| it.shape.len() >= 2);
    let all = matrices.clone().count();
    let is_odd = |it: &&Entry<'_>| {
        let row = it.shape.last().copied().unwrap_or(0);
        it.kind != kind && !row.is_multiple_of(block)
    };
    let own: Vec<String> = matrices
        .filter(is_odd)
        .map(|it| it.kind.to_string())
        .collect();
    let kinds: BTreeSet<&str> = own.iter().map(String::as_str).collect();
    let kinds = kinds.into_iter().collect::<Vec<_>>().join(" and ");
    match own.len() {
        0 => None,
        1 => Some(format!(
            "1 of {all} matrices stays {kinds}: its rows are not whole blocks of {block}"
        )),
        n => Some(format!(
            "{n} of {all} matrices stay {kinds}: their rows are not whole blocks of {block}"
        )),
    }
}

impl Source<'_> {
    /// Whether the weights are the fruit of training.
    pub(super) fn trained(&self) -> bool {
        match self {
            Self::Given(given) => given.trained,
            Self::Seeded(_) => false,
        }
    }
}

impl<'a> Chosen<'a> {
    fn seeded(declared: &[Weight], manifest: &Manifest, seed: u64, wanted: Wanted<'_>) -> Self {
        let entry = |weight: &Weight| Entry {
            name: weight.name.clone(),
            shape: weight.shape.clone(),
            kind: wanted.stored(weight, WeightType::F32),
            from: From::Seed(Numbers::new(seed, &weight.name, weight.init)),
        };
        let unmade = manifest.route.signature.iter();
        let unmade = unmade.filter(|name| declared.iter().all(|it| it.name != **name));
        Self {
            weights: declared.iter().map(entry).collect(),
            warnings: unmade
                .map(|name| {
                    format!("the signature `{name}` is not there: it comes with trained weights")
                })
                .collect(),
        }
    }

    fn given(
        declared: &[Weight],
        manifest: &Manifest,
        given: &'a Given,
        wanted: Wanted<'_>,
        listed: &'static str,
    ) -> Result<Self, BuildError> {
        let mut tensors = given.tensors();
        let mut weights = Vec::new();
        let mut faults = Vec::new();
        for weight in declared {
            match fit(weight, tensors.remove(&weight.name), wanted, listed) {
                Ok(entry) => weights.push(entry),
                Err(fault) => faults.push(fault),
            }
        }
        // A signature is read by routers, not by the pack's own networks.
        let signature = manifest.route.signature.as_ref();
        let is_missing = |name: &&String| weights.iter().all(|it| it.name != **name);
        if let Some(name) = signature.filter(is_missing) {
            match tensors.remove(name) {
                None => faults.push(Fault::new(format!(
                    "tensor `{name}` is missing, which pack.toml names as the signature"
                ))),
                Some(Tensor {
                    kind: Err(kind), ..
                }) => {
                    faults.push(Fault::new(format!(
                        "tensor `{name}` is {kind}, expected F32, F16 or BF16"
                    )));
                }
                Some(tensor) => weights.extend(tensor.unchanged(name)),
            }
        }
        let others = faults.len().saturating_sub(1);
        if let Some(fault) = faults.into_iter().next() {
            return Err(BuildError::Unfit {
                path: given.path.clone(),
                undeclared: match &fault.missing {
                    Some(name) => nearest(name, &tensors),
                    None => Vec::new(),
                },
                reason: fault.reason,
                others,
                hint: fault.hint,
            });
        }
        let mut warnings: Vec<String> = unused(&tensors).into_iter().collect();
        if !given.trained && !weights.is_empty() {
            let path = given.path.display();
            warnings.push(format!(
                "{path}: its weights are made up, so the pack is not trained"
            ));
        }
        Ok(Self { weights, warnings })
    }

    /// Names, types and shapes, as a pack will find them in its file.
    pub(super) fn catalog(&self) -> Catalog {
        let entry = |it: &Entry<'_>| (it.name.clone(), (it.kind, it.shape.clone()));
        Catalog::Given(self.weights.iter().map(entry).collect())
    }

    pub(super) fn bytes(&self) -> u64 {
        self.weights.iter().map(Entry::bytes).sum()
    }

    pub(super) fn parameters(&self) -> u64 {
        self.weights.iter().map(Entry::elements).sum()
    }

    /// GGUF files of all that was chosen, none larger than a section can be. The first says
    /// what the pack is; there is one even when there are no weights.
    pub(super) fn shards(
        self,
        manifest: &Manifest,
        measured: &[Measured],
    ) -> Result<Vec<GgufWriter<'a>>, BuildError> {
        let mut first = GgufWriter::new();
        first.metadata("general.architecture", "modularbase-pack")?;
        first.metadata("general.name", manifest.name.as_str())?;
        for (key, value) in &manifest.model {
            first.metadata(format!("modularbase.model.{key}"), gguf_value(value))?;
        }
        for it in measured {
            it.write(&mut first)?;
        }
        let (mut done, mut shard, mut held) = (Vec::new(), first, 0);
        for entry in self.weights {
            let bytes = entry.bytes();
            if held > 0 && held + bytes > SHARD_BYTES {
                done.push(std::mem::take(&mut shard));
                held = 0;
            }
            held += bytes;
            entry.write(&mut shard)?;
        }
        done.push(shard);
        Ok(done)
    }
}

/// Why a weight does not fit.
struct Fault {
    reason: String,
    hint: Option<&'static str>,
    /// The weight, when the file has none of its name.
    missing: Option<String>,
}

impl Fault {
    fn new(reason: String) -> Self {
        Self {
            reason,
            hint: None,
            missing: None,
        }
    }
}

/// The names most like a missing one, the nearest first.
fn nearest(missing: &str, tensors: &BTreeMap<String, Tensor<'_>>) -> Vec<String> {
    // What takes a square of their lengths is not done with names that nobody gives.
    let names = tensors.keys().filter(|it| it.len() <= NAME_BYTES);
    let mut names: Vec<(usize, &String)> = names
        .map(|it| (strsim::damerau_levenshtein(missing, it), it))
        .collect();
    names.sort();
    let names = names.into_iter().take(SHOWN);
    names.map(|(_, it)| crate::pack::log::escaped(it)).collect()
}

/// A declared weight over the tensor that a file has for it, or why that does not fit.
fn fit<'a>(
    weight: &Weight,
    tensor: Option<Tensor<'a>>,
    wanted: Wanted<'_>,
    listed: &'static str,
) -> Result<Entry<'a>, Fault> {
    let Weight { name, shape, .. } = weight;
    let Some(tensor) = tensor else {
        return Err(Fault {
            reason: format!("weight `{name}` is missing, expected {shape:?}"),
            hint: Some(listed),
            missing: Some(name.clone()),
        });
    };
    let found = &tensor.shape;
    if found != shape {
        return Err(Fault {
            reason: format!("weight `{name}` is {found:?}, expected {shape:?}"),
            hint: Some(
                "`[model]` in pack.toml says which weights the pack declares, and their shapes",
            ),
            missing: None,
        });
    }
    let own = match tensor.kind {
        Ok(own) => own,
        Err(kind) => {
            return Err(Fault::new(format!(
                "weight `{name}` is {kind}, expected F32, F16 or BF16"
            )));
        }
    };
    if let Some(at) = first_odd(own, tensor.bytes) {
        let at = place(at, shape);
        return Err(Fault::new(format!(
            "weight `{name}` is not finite at {at:?}"
        )));
    }
    let kind = wanted.stored(weight, own);
    if kind != own && own.block_len() > 1 {
        return Err(Fault::new(format!(
            "weight `{name}` is {own} already, expected F32, F16 or BF16 to make {kind} of"
        )));
    }
    Ok(Entry {
        name: name.clone(),
        shape: shape.clone(),
        kind,
        from: From::Bytes(own, tensor.bytes),
    })
}

/// Where plain numbers have the first NaN or infinity: an exponent of ones alone.
fn first_odd(kind: WeightType, bytes: &[u8]) -> Option<usize> {
    let half = |ones: u16| {
        let (numbers, _) = bytes.as_chunks();
        let is_odd = move |it: &[u8; 2]| u16::from_le_bytes(*it) & ones == ones;
        numbers.iter().position(is_odd)
    };
    match kind {
        WeightType::F32 => {
            let (numbers, _) = bytes.as_chunks();
            numbers
                .iter()
                .position(|it| !f32::from_le_bytes(*it).is_finite())
        }
        WeightType::F16 => half(0x7c00),
        WeightType::Bf16 => half(0x7f80),
        _ => None,
    }
}

/// The place of a number in a tensor, row by row.
fn place(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut place: Vec<usize> = Vec::new();
    for &length in shape.iter().rev() {
        place.push(at % length.max(1));
        at /= length.max(1);
    }
    place.reverse();
    place
}

fn unused(tensors: &BTreeMap<String, Tensor<'_>>) -> Option<String> {
    let names: BTreeSet<String> = tensors
        .keys()
        .map(|it| crate::pack::log::escaped(it))
        .collect();
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|it| format!("`{it}`"))
        .collect();
    let shown = shown.join(", ");
    match names.len() {
        0 => None,
        1 => Some(format!(
            "tensor {shown} is not declared by the pack and was left out"
        )),
        n if n <= SHOWN => Some(format!(
            "{n} tensors are not declared by the pack and were left out: {shown}"
        )),
        n => Some(format!(
            "{n} tensors are not declared by the pack and were left out: {shown} and more"
        )),
    }
}

impl<'a> Tensor<'a> {
    fn unchanged(self, name: &str) -> Option<Entry<'a>> {
        let kind = self.kind.ok()?;
        Some(Entry {
            name: name.to_owned(),
            shape: self.shape,
            kind,
            from: From::Bytes(kind, self.bytes),
        })
    }
}

impl<'a> Entry<'a> {
    fn elements(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }

    fn bytes(&self) -> u64 {
        self.kind.bytes(self.elements()).unwrap_or(u64::MAX)
    }

    fn write(self, gguf: &mut GgufWriter<'a>) -> Result<(), GgufWriteError> {
        let (kind, elements) = (self.kind, self.elements());
        match self.from {
            From::Bytes(own, bytes) if own == kind => {
                gguf.tensor(self.name, &self.shape, kind, bytes)?;
            }
            From::Bytes(own, bytes) => {
                let size = own.bytes(RUN as u64).unwrap_or_default() as usize;
                gguf.tensor_from(self.name, &self.shape, kind, move |out| {
                    bytes.chunks(size.max(1)).try_for_each(|run| {
                        let numbers = floats(own, run);
                        put(out, kind, &numbers.ok_or_else(odd)?)
                    })
                })?;
            }
            From::Seed(mut numbers) => {
                gguf.tensor_from(self.name, &self.shape, kind, move |out| {
                    let mut left = elements;
                    while left > 0 {
                        let run = left.min(RUN as u64);
                        let run_numbers: Vec<f32> = (0..run).map(|_| numbers.next()).collect();
                        put(out, kind, &run_numbers)?;
                        left -= run;
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }
}

fn put(out: &mut dyn Write, kind: WeightType, numbers: &[f32]) -> io::Result<()> {
    out.write_all(&quantize(kind, numbers).ok_or_else(odd)?)
}

/// Rows are whole blocks and so is a run, so a run always has its bytes.
fn odd() -> io::Error {
    io::Error::other("a run of numbers is no whole number of blocks")
}

fn gguf_value(value: &ModelValue) -> Value {
    match value {
        ModelValue::Text(text) => Value::from(text.as_str()),
        ModelValue::Integer(n) => Value::from(*n),
        ModelValue::Float(n) => Value::from(*n),
        ModelValue::Boolean(truth) => Value::from(*truth),
        // As the code sees it: lists may hold values of several kinds, GGUF's may not.
        ModelValue::List(_) => Value::from(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_finite_are_found_in_their_place() {
        let numbers = [
            1.0,
            f32::MAX,
            -0.0,
            f32::MIN_POSITIVE,
            2.0,
            f32::NEG_INFINITY,
        ];
        let bytes = |count| {
            let numbers = numbers.iter().take(count);
            numbers
                .flat_map(|it: &f32| it.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        assert_eq!(first_odd(WeightType::F32, &bytes(5)), None);
        assert_eq!(first_odd(WeightType::F32, &bytes(6)), Some(5));
        assert_eq!(place(5, &[2, 3]), [1, 2]);
        for (kind, largest, odd) in [
            (
                WeightType::F16,
                half::f16::MAX.to_bits(),
                half::f16::NAN.to_bits(),
            ),
            (
                WeightType::Bf16,
                half::bf16::MAX.to_bits(),
                half::bf16::INFINITY.to_bits(),
            ),
        ] {
            let bytes = [largest, odd].map(u16::to_le_bytes);
            assert_eq!(first_odd(kind, bytes.as_flattened()), Some(1), "{kind}");
            let (head, _) = bytes.as_flattened().split_at(2);
            assert_eq!(first_odd(kind, head), None, "{kind}");
        }
        assert_eq!(first_odd(WeightType::Q8_0, &[0xff; 34]), None);
    }
}

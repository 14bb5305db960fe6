//! The executor against a plain computation, on candle's CPU device and on CUDA.
//!
//! Each test has one body that takes a device. Here it runs on candle's CPU device; `on_cuda`
//! runs all bodies on the first CUDA device. The body of each operation compares with
//! [`reference`], over ragged batches.

mod operations;
mod reference;
mod state;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};

use self::reference::Reference;
use super::{Program, Tensor};
use crate::plan::{
    Catalog, Init, Network, Plan, PlanError, Quota, RowKind, ValueId, WeightId, WeightType,
};
use crate::tensor::{Device, Ledger, Span, Step, WeightData, Weights};

/// What a test does on a device.
type Body = fn(&Device);

/// Every body.
const BODIES: &[(&str, Body)] = &[
    ("operations", operations::every_operation),
    ("weight types", operations::every_weight_type),
    ("attend", operations::every_attention),
    ("mix", operations::every_mix),
    ("long prompts", operations::long_prompts),
    ("large weights", operations::a_weight_of_several_slabs),
    ("mixtures", operations::mixtures),
    ("a llama block", operations::a_llama_block),
    ("batch shapes", state::the_same_rows_in_any_batch),
    ("truncate", state::lanes_are_cut_and_read_on),
    ("refusals", state::what_does_not_fit_is_refused),
    ("memory", state::memory_is_granted_first_and_given_back),
    ("devices", state::tensors_come_from_any_device),
];

#[test]
fn on_cuda() {
    let device = match Device::cuda(0) {
        Ok(device) => device,
        Err(reason) => {
            let required = std::env::var("MBHOST_REQUIRE_CUDA").is_ok_and(|v| v == "1");
            assert!(!required, "{reason}");
            println!("skipped: no CUDA device");
            return;
        }
    };
    println!("{} {:?}", device.name(), device.memory());
    for (name, body) in BODIES {
        println!("{name}");
        body(&device);
    }
}

/// Weights by name, as a file has them and as numbers.
#[derive(Default)]
pub struct Store {
    data: BTreeMap<String, WeightData>,
    pub numbers: HashMap<String, Vec<f64>>,
    seed: u64,
}

impl Weights for Store {
    fn weight(&self, name: &str) -> Option<WeightData> {
        self.data.get(name).cloned()
    }
}

/// Numbers between -1 and 1, the same for the same seed.
fn noise(seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
    .skip(8)
}

impl Store {
    /// A weight of that name and type with numbers of about the size that keeps rows as large
    /// as they are.
    fn put(&mut self, name: &str, kind: WeightType, shape: &[usize]) {
        self.seed += 1;
        let row = *shape.last().expect("a weight has a shape");
        let size = if shape.len() == 1 {
            1.0
        } else {
            1.7 / (row as f32).sqrt()
        };
        let count = shape.iter().product();
        let numbers: Vec<f32> = noise(self.seed).map(|x| x * size).take(count).collect();
        let (bytes, numbers) = stored(kind, numbers, row);
        let (memory, len) = (
            Arc::new(bytes),
            kind.bytes(count as u64).expect("whole blocks"),
        );
        let data = WeightData::new(kind, shape.to_vec(), memory, 0..len as usize);
        self.data
            .insert(name.into(), data.expect("the bytes are its size"));
        let numbers = numbers.into_iter().map(f64::from).collect();
        self.numbers.insert(name.into(), numbers);
    }

    fn catalog(&self) -> Catalog {
        let entry =
            |(name, data): (&String, &WeightData)| (name.clone(), (data.kind, data.shape.clone()));
        Catalog::Given(self.data.iter().map(entry).collect())
    }
}

/// Numbers as bytes of a type, and what those bytes say.
fn stored(kind: WeightType, numbers: Vec<f32>, row: usize) -> (Vec<u8>, Vec<f32>) {
    let quantised = match kind {
        WeightType::F32 => {
            return (
                numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
                numbers,
            );
        }
        WeightType::F16 => {
            let halves = numbers.iter().map(|&x| half::f16::from_f32(x));
            return (
                halves.clone().flat_map(|x| x.to_le_bytes()).collect(),
                halves.map(f32::from).collect(),
            );
        }
        WeightType::Bf16 => {
            let halves = numbers.iter().map(|&x| half::bf16::from_f32(x));
            return (
                halves.clone().flat_map(|x| x.to_le_bytes()).collect(),
                halves.map(f32::from).collect(),
            );
        }
        WeightType::Q4_0 => GgmlDType::Q4_0,
        WeightType::Q4_1 => GgmlDType::Q4_1,
        WeightType::Q5_0 => GgmlDType::Q5_0,
        WeightType::Q5_1 => GgmlDType::Q5_1,
        WeightType::Q8_0 => GgmlDType::Q8_0,
        WeightType::Q4K => GgmlDType::Q4K,
        WeightType::Q5K => GgmlDType::Q5K,
        WeightType::Q6K => GgmlDType::Q6K,
    };
    let cpu = candle_core::Device::Cpu;
    let rows = numbers.len() / row;
    let tensor = candle_core::Tensor::from_vec(numbers, (rows, row), &cpu).expect("it fits");
    let blocks = QTensor::quantize(&tensor, quantised).expect("whole blocks");
    let numbers = blocks
        .dequantize(&cpu)
        .and_then(|x| x.flatten_all()?.to_vec1());
    let bytes = blocks.data().expect("they are there").into_owned();
    (bytes, numbers.expect("they are there"))
}

/// A network over a store's weights, for tests: weights are declared by name alone.
pub struct Draft<'a> {
    net: Network,
    store: &'a Store,
}

impl Draft<'_> {
    fn weight(&mut self, name: &str) -> WeightId {
        let shape = &self.store.data[name].shape;
        let weight = self.net.weight(name, shape, Init::Zeros);
        weight.expect("the store has it")
    }
}

/// A plan over `width`, and its weights.
struct Built {
    plan: Arc<Plan>,
    store: Store,
}

fn build(
    width: usize,
    store: Store,
    describe: impl FnOnce(&mut Draft<'_>) -> Result<ValueId, PlanError>,
) -> Built {
    let net = Network::new(width, store.catalog(), Quota::default());
    let mut draft = Draft { net, store: &store };
    let out = describe(&mut draft).expect("the description is sound");
    let plan = Arc::new(draft.net.finish(out).expect("the plan is sound"));
    Built { plan, store }
}

fn load(device: &Device, built: &Built) -> Box<dyn Program> {
    let ledger = Ledger::new(8 << 30);
    device
        .load(&built.plan, &built.store, &ledger, "test")
        .expect("it loads")
}

/// A step of `(sequence, start, rows)`, with token ids below 40.
fn step(spans: &[(u64, usize, usize)]) -> Step {
    let tokens = spans.iter().flat_map(|&(sequence, start, rows)| {
        (0..rows).map(move |i| (sequence as usize * 7 + (start + i) * 3) as u32 % 40)
    });
    let tokens = tokens.collect();
    let span = |&(sequence, start, rows): &(u64, usize, usize)| Span {
        sequence,
        start,
        rows,
    };
    Step::new(spans.iter().map(span).collect(), tokens).expect("the step is sound")
}

/// What the rows of a step hold: a row's numbers follow from its sequence and position.
fn rows_for(step: &Step, width: usize) -> Tensor {
    let rows = step.spans().iter().flat_map(|span| {
        let seed = |row| span.sequence * 1_000_003 + (span.start + row) as u64 + 17;
        (0..span.rows).flat_map(move |row| noise(seed(row)).take(width))
    });
    Tensor::new(width, rows.collect())
}

fn as_rows(tensor: &Tensor) -> Vec<Vec<f64>> {
    let numbers = tensor.to_vec().expect("the device answers");
    let rows = numbers.chunks_exact(tensor.width());
    rows.map(|row| row.iter().map(|&x| f64::from(x)).collect())
        .collect()
}

/// The largest difference, beside the root of the mean square of what is expected.
fn difference(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    assert_eq!(found.len(), expected.len(), "as many rows");
    let pairs = || found.iter().flatten().zip(expected.iter().flatten());
    let count = pairs().count().max(1) as f64;
    let size = (pairs().map(|(_, x)| x * x).sum::<f64>() / count).sqrt();
    let most = pairs().map(|(a, b)| (a - b).abs());
    let most = most.fold(
        0.0,
        |a: f64, b| if b.is_nan() { f64::INFINITY } else { a.max(b) },
    );
    most / size.max(1e-9)
}

/// Runs the same steps through the executor and the reference.
fn compare(
    what: &str,
    device: &Device,
    built: &Built,
    steps: &[&[(u64, usize, usize)]],
    within: f64,
) {
    let mut program = load(device, built);
    let mut reference = Reference {
        plan: &built.plan,
        store: &built.store,
        read: HashMap::new(),
    };
    for (number, spans) in steps.iter().enumerate() {
        let step = step(spans);
        let width = built.plan.input_width();
        let all = rows_for(&step, width);
        let few = all.to_vec().expect("they are here");
        let few = Tensor::new(width, few[..width * spans.len()].to_vec());
        let kinds = built.plan.inputs().iter();
        let inputs = kinds.map(|kind| if *kind == RowKind::Step { &all } else { &few });
        let inputs: Vec<&Tensor> = inputs.collect();
        let found = program.run(&step, &inputs);
        let found = as_rows(&found.unwrap_or_else(|error| panic!("{what}: {error}")));
        let plain: Vec<_> = inputs.iter().map(|input| as_rows(input)).collect();
        let expected = reference.run(&step, &plain);
        let off = difference(&found, &expected);
        assert!(
            off <= within,
            "{what}: step {number} is off by {off:.1e} (of {within:.0e})"
        );
    }
}

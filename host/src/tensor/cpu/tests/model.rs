//! Networks of tests: seeded weights of any type, and programs over them.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::quantized::k_quants::{
    BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0, GgmlType,
};
use half::{bf16, f16};

use crate::plan::{Catalog, Init, Network, Plan, Quota, ValueId, WeightId, WeightType};
use crate::tensor::cpu::Cpu;
use crate::tensor::cpu::program::CpuProgram;
use crate::tensor::{
    Ledger, MemoryCache, Program, Span, Step, Tensor, TensorError, WeightData, Weights,
};

/// Numbers that look random, from -1 to 1.
pub fn wave(seed: u64, n: usize) -> f32 {
    let mut x = (seed << 32) ^ (n as u64 + 1);
    for _ in 0..2 {
        x = (x ^ (x >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
        x = (x ^ (x >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d);
    }
    (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

pub fn waves(seed: u64, count: usize) -> Vec<f32> {
    (0..count).map(|n| wave(seed, n)).collect()
}

/// A plan and its weights, as stored and in double precision.
pub struct Model {
    pub plan: Arc<Plan>,
    pub exact: BTreeMap<String, Vec<f64>>,
    stored: BTreeMap<String, WeightData>,
}

impl Weights for Model {
    fn weight(&self, name: &str) -> Option<WeightData> {
        self.stored.get(name).cloned()
    }
}

/// What describes a network.
pub type Describe<'a> = &'a dyn Fn(&mut Net) -> ValueId;

/// A network that is described in tests: every call must be right.
pub struct Net(pub Network);

impl Net {
    pub fn weight(&mut self, name: &str, shape: &[usize]) -> WeightId {
        let weight = self.0.weight(name, shape, Init::Zeros);
        weight.expect("the test declares what fits")
    }

    pub fn linear(&mut self, name: &str, x: ValueId, out: usize) -> ValueId {
        let width = self.0.width_of(x);
        let w = self.weight(name, &[out, width]);
        self.0.linear(x, w, None).expect("it fits")
    }
}

pub fn options(given: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    given.iter().map(own).collect()
}

impl Model {
    /// The network that `describe` describes, with matrices of `kind`.
    pub fn new(width: usize, kind: WeightType, describe: Describe<'_>) -> Self {
        let mut declared = Net(Network::new(width, Catalog::Declare, Quota::default()));
        describe(&mut declared);
        let (mut given, mut stored, mut exact) = Default::default();
        let insert = |given: &mut BTreeMap<_, _>, name: &str, value| {
            given.insert(name.to_owned(), value);
        };
        for (number, weight) in declared.0.weights().iter().enumerate() {
            let count: usize = weight.shape.iter().product();
            // Norms are about one, biases about zero, and matrices keep the size of their rows.
            let vector = weight.shape.len() == 1;
            let size = match vector {
                true => 0.3,
                false => 1.5 / (weight.shape[weight.shape.len() - 1] as f32).sqrt(),
            };
            let centre = if vector { 1.0 } else { 0.0 };
            let numbers = waves(number as u64 + 1, count);
            let numbers: Vec<f32> = numbers.iter().map(|x| centre + x * size).collect();
            let of = match (vector, kind) {
                (false, kind) => kind,
                (true, WeightType::F16 | WeightType::Bf16) => kind,
                (true, _) => WeightType::F32,
            };
            let (bytes, values) = store(of, &numbers);
            insert(&mut given, &weight.name, (of, weight.shape.clone()));
            let data = in_memory(of, weight.shape.clone(), &bytes, 0);
            BTreeMap::insert(&mut stored, weight.name.clone(), data);
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            BTreeMap::insert(&mut exact, weight.name.clone(), values);
        }
        let mut net = Net(Network::new(width, Catalog::Given(given), Quota::default()));
        let out = describe(&mut net);
        let plan = net.0.finish(out).expect("the test describes what fits");
        Self {
            plan: Arc::new(plan),
            exact,
            stored,
        }
    }

    pub fn load(&self, threads: usize, ledger: &Ledger) -> CpuProgram {
        let cpu = Arc::new(Cpu::new(threads));
        self.load_on(&cpu, ledger).expect("its weights are those")
    }

    pub fn load_on(&self, cpu: &Arc<Cpu>, ledger: &Ledger) -> Result<CpuProgram, TensorError> {
        let widths = self.plan.lanes().iter();
        let widths = widths.map(|lane| (lane.key_width, lane.value_width));
        let cache = MemoryCache::new(widths.collect(), ledger)?;
        CpuProgram::new(cpu, &self.plan, self, ledger, "test", Box::new(cache))
    }

    /// Changes a stored weight.
    pub fn replace(&mut self, name: &str, data: WeightData) {
        self.stored.insert(name.to_owned(), data);
    }
}

/// Bytes as a weight, `offset` bytes past an address that 64 divides.
pub fn in_memory(kind: WeightType, shape: Vec<usize>, bytes: &[u8], offset: usize) -> WeightData {
    let mut all = vec![0; offset];
    all.extend_from_slice(bytes);
    let mapping = modularbase_format::Mapping::copy_of(&all).expect("there is memory");
    let range = offset..all.len();
    WeightData::new(kind, shape, Arc::new(Mapped(mapping)), range).expect("the sizes fit")
}

struct Mapped(modularbase_format::Mapping);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Numbers as a file stores them, and the values that they stand for then.
pub fn store(kind: WeightType, numbers: &[f32]) -> (Vec<u8>, Vec<f32>) {
    fn quantise<T: GgmlType>(numbers: &[f32]) -> (Vec<u8>, Vec<f32>) {
        let mut blocks = vec![T::zeros(); numbers.len() / T::BLCK_SIZE];
        T::from_float(numbers, &mut blocks);
        let mut values = vec![0.0; numbers.len()];
        T::to_float(&blocks, &mut values);
        let size = std::mem::size_of_val(blocks.as_slice());
        // SAFETY: blocks are plain bytes without padding.
        let bytes = unsafe { std::slice::from_raw_parts(blocks.as_ptr().cast::<u8>(), size) };
        (bytes.to_vec(), values)
    }
    let each = |numbers: &[f32], bytes: fn(f32) -> Vec<u8>| {
        numbers.iter().copied().flat_map(bytes).collect()
    };
    match kind {
        WeightType::F32 => (
            each(numbers, |x| x.to_le_bytes().to_vec()),
            numbers.to_vec(),
        ),
        WeightType::F16 => (
            each(numbers, |x| f16::from_f32(x).to_le_bytes().to_vec()),
            numbers.iter().map(|&x| f16::from_f32(x).to_f32()).collect(),
        ),
        WeightType::Bf16 => (
            each(numbers, |x| bf16::from_f32(x).to_le_bytes().to_vec()),
            numbers
                .iter()
                .map(|&x| bf16::from_f32(x).to_f32())
                .collect(),
        ),
        WeightType::Q4_0 => quantise::<BlockQ4_0>(numbers),
        WeightType::Q4_1 => quantise::<BlockQ4_1>(numbers),
        WeightType::Q5_0 => quantise::<BlockQ5_0>(numbers),
        WeightType::Q5_1 => quantise::<BlockQ5_1>(numbers),
        WeightType::Q8_0 => quantise::<BlockQ8_0>(numbers),
        WeightType::Q4K => quantise::<BlockQ4K>(numbers),
        WeightType::Q5K => quantise::<BlockQ5K>(numbers),
        WeightType::Q6K => quantise::<BlockQ6K>(numbers),
    }
}

/// A sequence of a test: rows and tokens that its number seeds.
pub fn rows(width: usize, sequence: u64, from: usize, to: usize) -> Vec<f32> {
    (from * width..to * width)
        .map(|n| wave(1000 + sequence, n) * 2.0)
        .collect()
}

pub fn token(sequence: u64, at: usize) -> u32 {
    ((wave(2000 + sequence, at) + 1.0) * 5.5) as u32
}

/// A step over these spans.
pub fn step(spans: &[(u64, usize, usize)]) -> Step {
    let tokens = spans
        .iter()
        .flat_map(|&(sequence, from, to)| (from..to).map(move |at| token(sequence, at)));
    let tokens = tokens.collect();
    let spans = spans.iter().map(|&(sequence, start, end)| Span {
        sequence,
        start,
        rows: end - start,
    });
    Step::new(spans.collect(), tokens).expect("the test's spans are whole")
}

/// Runs a program with one input over these spans; the numbers of each span.
pub fn run(
    program: &mut CpuProgram,
    spans: &[(u64, usize, usize)],
) -> Result<Vec<Vec<f32>>, TensorError> {
    let width = program.plan().input_width();
    let inputs = spans
        .iter()
        .flat_map(|&(sequence, from, to)| rows(width, sequence, from, to));
    let input = Tensor::new(width, inputs.collect());
    let inputs = vec![&input; program.plan().inputs().len()];
    let out = program.run(&step(spans), &inputs)?;
    let (width, numbers) = (out.width(), out.to_vec()?);
    let pooled = out.rows() != spans.iter().map(|(_, from, to)| to - from).sum::<usize>();
    let mut rest = numbers.as_slice();
    Ok(spans
        .iter()
        .map(|(_, from, to)| {
            let rows = if pooled { 1 } else { to - from };
            let (span, after) = rest.split_at(rows * width);
            rest = after;
            span.to_vec()
        })
        .collect())
}

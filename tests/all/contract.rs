//! A pack computes what its checkpoint computes: `packs/dense`, built from source, through wasm,
//! against the middle blocks of real architectures.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};

use modularbase::pack::{GuestExpert, Pack, Sandbox};
use modularbase::plan::WeightType;
use modularbase::roles::Expert;
use modularbase::tensor::{Device, Ledger, Span, Step, Tensor, quantize};
use proptest::prelude::*;
use safetensors::Dtype;

use crate::reference::{ALL, Checkpoint};
use crate::support;

/// Blocks that stay with the base before and after the pack's.
const UNDERSTANDING: usize = 2;
const FUSION: usize = 1;

const NAMES: [(&str, &str); 14] = [
    ("input_layernorm.weight", "attn_norm.weight"),
    ("self_attn.q_proj.weight", "attn_q.weight"),
    ("self_attn.q_proj.bias", "attn_q.bias"),
    ("self_attn.k_proj.weight", "attn_k.weight"),
    ("self_attn.k_proj.bias", "attn_k.bias"),
    ("self_attn.v_proj.weight", "attn_v.weight"),
    ("self_attn.v_proj.bias", "attn_v.bias"),
    ("self_attn.o_proj.weight", "attn_output.weight"),
    ("self_attn.q_norm.weight", "attn_q_norm.weight"),
    ("self_attn.k_norm.weight", "attn_k_norm.weight"),
    ("post_attention_layernorm.weight", "ffn_norm.weight"),
    ("mlp.gate_proj.weight", "ffn_gate.weight"),
    ("mlp.up_proj.weight", "ffn_up.weight"),
    ("mlp.down_proj.weight", "ffn_down.weight"),
];

/// The checkpoint's middle blocks as a pack of the dense code. `store` says how a matrix is kept.
fn middle(
    checkpoint: &Checkpoint,
    sandbox: &Sandbox,
    store: impl Fn(&[f32]) -> Option<(WeightType, Vec<u8>)>,
) -> Pack {
    let layers = checkpoint.number("num_hidden_layers") - UNDERSTANDING - FUSION;
    let mut weights = support::Gguf::new();
    for layer in 0..layers {
        for (theirs, ours) in NAMES {
            let from = format!("model.layers.{}.{theirs}", UNDERSTANDING + layer);
            let Some(stored) = checkpoint.tensors.get(&from) else {
                continue;
            };
            let kept = match stored.dtype {
                Dtype::F32 => WeightType::F32,
                Dtype::F16 => WeightType::F16,
                Dtype::BF16 => WeightType::Bf16,
                other => panic!("no checkpoint here holds {other:?}"),
            };
            let numbers: Vec<f32> = stored.numbers.iter().map(|&x| x as f32).collect();
            let (kind, bytes) = match store(&numbers) {
                Some(quantised) if stored.shape.len() == 2 => quantised,
                _ => (kept, stored.bytes.clone()),
            };
            weights.tensor(&format!("blk.{layer}.{ours}"), kind, &stored.shape, bytes);
        }
    }
    let get = |key: &str| checkpoint.config["rope_parameters"][key].as_f64();
    let bias = checkpoint
        .tensors
        .contains_key("model.layers.0.self_attn.q_proj.bias");
    let norm = checkpoint
        .tensors
        .contains_key("model.layers.0.self_attn.q_norm.weight");
    let mut model = format!(
        "layers = {layers}\nheads = {}\nkv-heads = {}\nhead-size = {}\nfeed-forward = {}\n\
         norm-eps = 1e-5\nrope = \"halves\"\nrope-base = {:?}\nqkv-bias = {bias}\nqk-norm = {norm}\n",
        checkpoint.number("num_attention_heads"),
        checkpoint.number("num_key_value_heads"),
        checkpoint.number("head_dim"),
        checkpoint.number("intermediate_size"),
        get("rope_theta").expect("it is there"),
    );
    if let Some(window) = checkpoint.config["sliding_window"].as_u64() {
        model += &format!("window = {window}\n");
    }
    if let (Some(factor), Some(context)) = (get("factor"), get("original_max_position_embeddings"))
    {
        let kind = checkpoint.config["rope_parameters"]["rope_type"]
            .as_str()
            .expect("it is there");
        model += &format!(
            "rope-scaling = \"{kind}\"\nrope-factor = {factor:?}\nrope-original-context = {context}\n"
        );
    }
    support::dense(checkpoint.number("hidden_size"), &model, weights).open(sandbox)
}

/// The hidden rows that go into the middle blocks, and those that come out of them.
fn through(checkpoint: &Checkpoint, most: usize) -> (Vec<f32>, Vec<f64>) {
    let prompt = checkpoint.expected["prompt"]
        .as_array()
        .expect("it is a list");
    let prompt: Vec<usize> = prompt
        .iter()
        .take(most)
        .map(|id| id.as_u64().expect("it is an id") as usize)
        .collect();
    let mut rows = checkpoint.embed(&prompt);
    for layer in 0..UNDERSTANDING {
        rows = checkpoint.block(layer, &rows);
    }
    // What goes in is rounded to what a pack gets, so that only the pack's work is compared.
    let into: Vec<f32> = rows.iter().flatten().map(|&x| x as f32).collect();
    let width = checkpoint.number("hidden_size");
    rows = into
        .chunks_exact(width)
        .map(|row| row.iter().map(|&x| f64::from(x)).collect())
        .collect();
    for layer in UNDERSTANDING..checkpoint.number("num_hidden_layers") - FUSION {
        rows = checkpoint.block(layer, &rows);
    }
    (into, rows.into_iter().flatten().collect())
}

/// The numbers that candle finds in quantised bytes.
fn candles_numbers(kind: WeightType, bytes: &[u8], count: usize) -> Vec<f32> {
    let kind = match kind {
        WeightType::Q8_0 => GgmlDType::Q8_0,
        WeightType::Q5_1 => GgmlDType::Q5_1,
        WeightType::Q4_0 => GgmlDType::Q4_0,
        other => panic!("no test here asks for {other}"),
    };
    let cpu = candle_core::Device::Cpu;
    let read = || {
        let stored = QStorage::from_data(Cow::Borrowed(bytes), &cpu, kind)?;
        QTensor::new(stored, count)?.dequantize(&cpu)?.to_vec1()
    };
    read().expect("candle reads what candle wrote")
}

fn load(pack: &Pack) -> GuestExpert {
    pack.expert(&Device::cpu(), &Ledger::new(1 << 30), None)
        .expect("the pack loads")
}

fn step(spans: &[(u64, usize, usize)]) -> Arc<Step> {
    let spans: Vec<Span> = spans
        .iter()
        .map(|&(sequence, start, rows)| Span {
            sequence,
            start,
            rows,
        })
        .collect();
    let tokens = vec![0; spans.iter().map(|span| span.rows).sum()];
    Arc::new(Step::new(spans, tokens).expect("the step is sound"))
}

fn run(
    expert: &mut GuestExpert,
    spans: &[(u64, usize, usize)],
    rows: Vec<f32>,
    width: usize,
) -> Vec<f32> {
    let hidden = Tensor::new(width, rows);
    let done = expert.begin(&step(spans), &hidden).wait();
    done.expect("the step runs")
        .to_vec()
        .expect("it is in memory")
}

/// The distance of two results, relative to the size of the expected one.
fn distance(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let apart = found
        .iter()
        .zip(expected)
        .map(|(f, e)| (f64::from(*f) - e).powi(2));
    let size: f64 = expected.iter().map(|e| e * e).sum();
    (apart.sum::<f64>() / size).sqrt()
}

#[test]
fn the_dense_pack_agrees_with_the_middle_blocks_of_real_architectures() {
    let sandbox = Sandbox::default();
    for name in ALL {
        let checkpoint = Checkpoint::open(name);
        let width = checkpoint.number("hidden_size");
        let (into, expected) = through(&checkpoint, 300);
        let mut expert = load(&middle(&checkpoint, &sandbox, |_| None));
        let rows = into.len() / width;
        let found = run(&mut expert, &[(7, 0, rows)], into, width);
        let apart = distance(&found, &expected);
        println!("{name}: {rows} rows, {apart:.1e} apart");
        assert!(
            apart < 1e-5,
            "{name}: {apart:.1e} apart, expected at most 1e-5"
        );
    }
}

#[test]
fn quantised_weights_agree_with_the_numbers_they_stand_for() {
    let sandbox = Sandbox::default();
    let checkpoint = Checkpoint::open("llama-gqa-tied");
    let width = checkpoint.number("hidden_size");
    let (into, _) = through(&checkpoint, 24);
    // Activations are rounded to 8 bits beside these types, which sets the distance.
    for (kind, most) in [
        (WeightType::Q8_0, 0.02),
        (WeightType::Q5_1, 0.02),
        (WeightType::Q4_0, 0.02),
    ] {
        let exact = |numbers: &[f32]| {
            let packed = quantize(kind, numbers).expect("rows are whole blocks");
            let back = candles_numbers(kind, &packed, numbers.len());
            let bytes = back.iter().flat_map(|x| x.to_le_bytes()).collect();
            Some((WeightType::F32, bytes))
        };
        let packed = |numbers: &[f32]| Some((kind, quantize(kind, numbers).expect("whole blocks")));
        let mut plain = load(&middle(&checkpoint, &sandbox, exact));
        let mut quantised = load(&middle(&checkpoint, &sandbox, packed));
        let rows = into.len() / width;
        let expected = run(&mut plain, &[(1, 0, rows)], into.clone(), width);
        let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
        let found = run(&mut quantised, &[(1, 0, rows)], into.clone(), width);
        let apart = distance(&found, &expected);
        println!("{kind}: {apart:.1e} apart");
        assert!(
            apart < most,
            "{kind}: {apart:.1e} apart, expected at most {most}"
        );
    }
}

#[test]
fn a_ragged_batch_gives_every_row_the_bits_it_has_alone() {
    let sandbox = Sandbox::default();
    for (name, kind) in [
        ("mistral-window", WeightType::F32),
        ("llama-mha-f16-sharded", WeightType::F16),
        ("llama-gqa-tied", WeightType::Q8_0),
        ("qwen2-bias-bf16", WeightType::Q4_0),
    ] {
        let checkpoint = Checkpoint::open(name);
        let width = checkpoint.number("hidden_size");
        let pack = middle(&checkpoint, &sandbox, |numbers| match kind {
            WeightType::Q8_0 | WeightType::Q4_0 => {
                Some((kind, quantize(kind, numbers).expect("whole blocks")))
            }
            _ => None,
        });
        let (into, _) = through(&checkpoint, 24);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 12,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let lengths = prop::collection::vec(1usize..90, 8);
        let cuts = prop::collection::vec(1usize..17, 8);
        runner
            .run(&(lengths, cuts), |(lengths, cuts)| {
                // Rows of the prompt over and over, shifted so that no two sequences are alike.
                let sequence = |s: usize| -> Vec<f32> {
                    let rows = (0..lengths[s]).map(|i| (i * 5 + s) % (into.len() / width));
                    rows.flat_map(|r| into[r * width..(r + 1) * width].to_vec())
                        .collect()
                };
                let mut expert = load(&pack);
                let alone: Vec<Vec<f32>> = (0..8)
                    .map(|s| {
                        run(
                            &mut expert,
                            &[(s as u64, 0, lengths[s])],
                            sequence(s),
                            width,
                        )
                    })
                    .collect();
                let mut expert = load(&pack);
                let spans: Vec<_> = (0..8).map(|s| (s as u64, 0, lengths[s])).collect();
                let rows: Vec<f32> = (0..8).flat_map(sequence).collect();
                let together = run(&mut expert, &spans, rows, width);
                prop_assert_eq!(bits(&together), bits(&alone.concat()), "together");

                // In chunks, several sequences a step, as long as any has rows left.
                let mut expert = load(&pack);
                let mut done = [0; 8];
                let mut parts = vec![Vec::new(); 8];
                while (0..8).any(|s| done[s] < lengths[s]) {
                    let spans: Vec<(u64, usize, usize)> = (0..8)
                        .filter(|&s| done[s] < lengths[s])
                        .map(|s| (s as u64, done[s], cuts[s].min(lengths[s] - done[s])))
                        .collect();
                    let rows = spans
                        .iter()
                        .flat_map(|&(s, start, n)| {
                            sequence(s as usize)[start * width..(start + n) * width].to_vec()
                        })
                        .collect();
                    let mut out = run(&mut expert, &spans, rows, width).into_iter();
                    for (s, _, n) in spans {
                        parts[s as usize].extend(out.by_ref().take(n * width));
                        done[s as usize] += n;
                    }
                }
                prop_assert_eq!(bits(&parts.concat()), bits(&alone.concat()), "in chunks");

                // One row at a time.
                let mut expert = load(&pack);
                let rows = sequence(0);
                let single: Vec<f32> = (0..lengths[0])
                    .flat_map(|i| {
                        let row = rows[i * width..(i + 1) * width].to_vec();
                        run(&mut expert, &[(0, i, 1)], row, width)
                    })
                    .collect();
                prop_assert_eq!(bits(&single), bits(&alone[0]), "row by row");
                Ok(())
            })
            .unwrap_or_else(|failure| panic!("{name} in {kind}: {failure}"));
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

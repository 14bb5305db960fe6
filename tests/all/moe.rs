//! `packs/moe` computes what plain 64-bit arithmetic says of the same numbers, and runs the
//! experts that its rows chose: no other costs an operation or is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use half::f16;
use modularbase::pack::{GuestExpert, Pack, Sandbox};
use modularbase::plan::{Init, WeightType};
use modularbase::roles::{Expert, Failure};
use modularbase::tensor::{Device, Ledger, Span, Step, Tensor, quantize};

use crate::support::{self, Gguf};

mod plain;
use plain::{Numbers, Shape, run};

/// Weights of the numbers that `Numbers::random` draws, stored as `kind` says for each name.
fn stored(shape: &Shape, seed: u64, kind: impl Fn(&str) -> WeightType) -> (Gguf, Numbers) {
    let mut numbers = Numbers::random(shape, seed);
    let mut file = Gguf::new();
    for (name, (dims, values)) in &mut numbers.tensors {
        let kind = match dims.len() {
            1 => WeightType::F32,
            _ => kind(name),
        };
        let floats: Vec<f32> = values.iter().map(|&x| x as f32).collect();
        let bytes: Vec<u8> = match kind {
            WeightType::F32 => floats.iter().flat_map(|x| x.to_le_bytes()).collect(),
            WeightType::F16 => floats
                .iter()
                .flat_map(|&x| f16::from_f32(x).to_le_bytes())
                .collect(),
            WeightType::Q8_0 => quantize(kind, &floats).expect("rows are whole blocks"),
            other => panic!("no test here stores {other}"),
        };
        // What is computed with is what stands in the file.
        *values = match kind {
            WeightType::F32 => floats.iter().map(|&x| f64::from(x)).collect(),
            WeightType::F16 => bytes.chunks_exact(2).map(half_of).collect(),
            _ => bytes.chunks_exact(34).flat_map(block_of).collect(),
        };
        file.tensor(name, kind, dims, bytes);
    }
    (file, numbers)
}

fn half_of(bytes: &[u8]) -> f64 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f64()
}

/// A block of Q8_0: a 16-bit scale and 32 whole numbers of 8 bits.
fn block_of(block: &[u8]) -> impl Iterator<Item = f64> {
    let scale = half_of(block);
    block[2..].iter().map(move |&x| f64::from(x as i8) * scale)
}

fn pack(shape: &Shape, weights: Gguf, sandbox: &Sandbox) -> Pack {
    let source = support::Source::new("moe", support::guest("moe"));
    let source = source.width(shape.base).model(&shape.model());
    source.weights(weights).open(sandbox)
}

fn load(pack: &Pack) -> Result<GuestExpert, Failure> {
    pack.expert(&Device::cpu(), &Ledger::new(1 << 30), None)
}

/// A step over parts of sequences: id, first row, rows.
fn step(
    expert: &mut GuestExpert,
    spans: &[(u64, usize, usize)],
    rows: Vec<f32>,
    width: usize,
) -> Result<Vec<f32>, Failure> {
    let span = |&(sequence, start, rows): &(u64, usize, usize)| Span {
        sequence,
        start,
        rows,
    };
    let tokens = vec![0; rows.len() / width];
    let step = Step::new(spans.iter().map(span).collect(), tokens).expect("the step is sound");
    let out = expert.begin(&Arc::new(step), &Tensor::new(width, rows));
    Ok(out.wait()?.to_vec().expect("it is in memory"))
}

/// One sequence in one step.
fn whole(pack: &Pack, rows: &[f32], width: usize) -> Result<Vec<f32>, Failure> {
    let spans = [(1, 0, rows.len() / width)];
    step(&mut load(pack)?, &spans, rows.to_vec(), width)
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// The farthest that a row lies from what is expected, relative to the row's size.
fn distance(found: &[f32], expected: &[Vec<f64>], width: usize) -> f64 {
    assert_eq!(found.len(), expected.len() * width);
    let rows = found.chunks_exact(width).zip(expected);
    let apart = |(found, expected): (&[f32], &Vec<f64>)| {
        let pairs = found.iter().zip(expected);
        let apart: f64 = pairs.map(|(f, e)| (f64::from(*f) - e).powi(2)).sum();
        let size: f64 = expected.iter().map(|e| e * e).sum();
        (apart / size).sqrt()
    };
    rows.map(apart).fold(0.0, f64::max)
}

/// Shapes that differ in everything that a mixture's shape has.
fn shapes() -> [Shape; 4] {
    let toy = Shape::default();
    [
        toy.clone(),
        Shape {
            base: 96,
            width: 64,
            ..toy.clone()
        },
        Shape {
            adapters: false,
            kv_heads: 4,
            experts: 5,
            active: 3,
            ..toy.clone()
        },
        Shape {
            layers: 1,
            experts: 16,
            active: 1,
            inner: 96,
            ..toy
        },
    ]
}

#[test]
fn the_moe_pack_agrees_with_plain_arithmetic() {
    let sandbox = Sandbox::default();
    for (at, shape) in shapes().iter().enumerate() {
        for kind in [WeightType::F32, WeightType::F16] {
            let (weights, numbers) = stored(shape, at as u64, |_| kind);
            let hidden = plain::hidden(shape, 40, at as u64);
            let expected = run(shape, &numbers, &hidden);
            // Nearer to a tie, 32 bits might choose another expert than 64.
            assert!(
                expected.margin > 1e-5,
                "row too near a tie, take another seed"
            );
            let found = whole(&pack(shape, weights, &sandbox), &hidden, shape.base);
            let apart = distance(&found.expect("it runs"), &expected.rows, shape.base);
            let Shape {
                experts, active, ..
            } = shape;
            println!("{active} of {experts} experts, {kind}: 40 rows, {apart:.1e} apart");
            assert!(apart < 1e-5, "{apart:.1e} apart, expected at most 1e-5");
        }
    }
}

#[test]
fn quantised_experts_agree_with_the_numbers_they_stand_for() {
    // Beside Q8_0 activations are rounded to 8 bits, which sets the distance; what comes before
    // the experts is exact, so that rows choose the same ones.
    let shape = Shape {
        layers: 1,
        ..Shape::default()
    };
    let kind = |name: &str| match name.contains("_exps") {
        true => WeightType::Q8_0,
        false => WeightType::F32,
    };
    let (weights, numbers) = stored(&shape, 3, kind);
    let hidden = plain::hidden(&shape, 40, 3);
    let expected = run(&shape, &numbers, &hidden);
    assert!(
        expected.margin > 1e-5,
        "row too near a tie, take another seed"
    );
    let found = whole(
        &pack(&shape, weights, &Sandbox::default()),
        &hidden,
        shape.base,
    );
    let apart = distance(&found.expect("it runs"), &expected.rows, shape.base);
    println!("Q8_0: {apart:.1e} apart");
    assert!(apart < 0.02, "{apart:.1e} apart, expected at most 0.02");
}

#[test]
fn a_row_costs_its_active_experts_and_no_more() {
    let sandbox = Sandbox::default();
    for (experts, active) in [(8, 2), (8, 1), (8, 8), (32, 2)] {
        let shape = Shape {
            base: 96,
            experts,
            active,
            ..Shape::default()
        };
        let (weights, _) = stored(&shape, 0, |_| WeightType::F32);
        let described = pack(&shape, weights, &sandbox).describe(None);
        let described = described.expect("it can be described");
        let found = described[0].plans[0].cost().operations as usize;

        let Shape { base, width, .. } = shape;
        let (q, kv) = (shape.heads * shape.head, shape.kv_heads * shape.head);
        // A multiplication and an addition for each number of a matrix; four operations for each
        // number that is normalised, three for each that is turned, one for each residual.
        let adapters = 2 * 2 * base * width + base;
        let projections = 2 * (q * width + 2 * kv * width + width * q);
        let attention = 4 * width + projections + 3 * (q + kv) + width;
        let router = 2 * experts * width;
        let all_experts = experts * 2 * 3 * shape.inner * width;
        let mixture = 4 * width + router + all_experts * active / experts + width;
        let expected = adapters + shape.layers * (attention + mixture);
        println!(
            "{active} of {experts} experts: {found} operations a row; adapters {adapters}, and in \
             each of {} blocks attention {attention}, router {router}, experts {} of {all_experts}",
            shape.layers,
            all_experts * active / experts,
        );
        assert_eq!(found, expected);
    }
}

#[test]
fn experts_that_no_row_chose_are_not_read() {
    let sandbox = Sandbox::default();
    let shape = Shape::default();
    for kind in [WeightType::F32, WeightType::F16, WeightType::Q8_0] {
        // The router's matrix says who is chosen, and is exact.
        let of = |name: &str| match name.contains("_exps") {
            true => kind,
            false => WeightType::F32,
        };
        let (weights, numbers) = stored(&shape, 5, of);
        // Three rows choose six experts of eight at most.
        let hidden = plain::hidden(&shape, 3, 5);
        let chosen = run(&shape, &numbers, &hidden).chosen;
        let clean = whole(
            &pack(&shape, weights.clone(), &sandbox),
            &hidden,
            shape.base,
        );
        let clean = bits(&clean.expect("it runs"));

        let all = |layer| (0..shape.experts).map(move |expert| (layer, expert));
        let all: BTreeSet<_> = (0..shape.layers).flat_map(all).collect();
        let idle: BTreeSet<_> = all.difference(&chosen).copied().collect();
        println!(
            "{kind}: {} experts work, {} are poisoned",
            chosen.len(),
            idle.len()
        );
        assert!(idle.len() >= 2 * shape.layers);
        let poisoned = poison(weights.clone(), kind, &shape, &idle);
        let found = whole(&pack(&shape, poisoned, &sandbox), &hidden, shape.base);
        assert_eq!(bits(&found.expect("it runs")), clean, "{kind}");

        // The poison is one: an expert that works and holds it spoils the result.
        let worker = *chosen.first().expect("some expert works");
        let poisoned = poison(weights, kind, &shape, &[worker].into());
        let found = whole(&pack(&shape, poisoned, &sandbox), &hidden, shape.base);
        let spoiled = found.expect_err("an expert of NaN was run").to_string();
        assert!(spoiled.contains("not finite"), "{kind}: {spoiled}");
    }
}

/// The weights with NaN for every number of these experts, each a layer and a place in it.
fn poison(
    mut weights: Gguf,
    kind: WeightType,
    shape: &Shape,
    experts: &BTreeSet<(usize, usize)>,
) -> Gguf {
    let nan: Vec<u8> = match kind {
        WeightType::F32 => f32::NAN.to_le_bytes().into(),
        WeightType::F16 => f16::NAN.to_le_bytes().into(),
        // A block's scale, and its whole numbers.
        _ => [&f16::NAN.to_le_bytes()[..], &[1; 32]].concat(),
    };
    for &(layer, expert) in experts {
        for part in ["gate", "up", "down"] {
            let name = format!("blk.{layer}.ffn_{part}_exps.weight");
            let bytes = weights.bytes_of(&name);
            let one = bytes.len() / shape.experts;
            let its = &mut bytes[expert * one..(expert + 1) * one];
            for (byte, &nan) in its.iter_mut().zip(nan.iter().cycle()) {
                *byte = nan;
            }
        }
    }
    weights
}

#[test]
fn every_row_has_the_bits_it_has_alone() {
    let sandbox = Sandbox::default();
    let shape = Shape::default();
    let width = shape.base;
    for kind in [WeightType::F32, WeightType::F16, WeightType::Q8_0] {
        let (weights, _) = stored(&shape, 7, |name| match name.contains("gate_inp") {
            true => WeightType::F32,
            false => kind,
        });
        let pack = pack(&shape, weights, &sandbox);
        let lengths = [3, 1, 70, 2, 17];
        let sequences: Vec<Vec<f32>> = (0..lengths.len())
            .map(|s| plain::hidden(&shape, lengths[s], s as u64))
            .collect();
        let alone: Vec<f32> = sequences
            .iter()
            .flat_map(|rows| whole(&pack, rows, width).expect("it runs"))
            .collect();

        let mut expert = load(&pack).expect("it loads");
        let spans: Vec<_> = (0..lengths.len())
            .map(|s| (s as u64, 0, lengths[s]))
            .collect();
        let together = step(&mut expert, &spans, sequences.concat(), width);
        assert_eq!(bits(&together.expect("it runs")), bits(&alone), "{kind}");

        let mut expert = load(&pack).expect("it loads");
        let mut row_by_row = Vec::new();
        for (s, rows) in sequences.iter().enumerate() {
            for (at, row) in rows.chunks_exact(width).enumerate() {
                let out = step(&mut expert, &[(s as u64, at, 1)], row.to_vec(), width);
                row_by_row.extend(out.expect("it runs"));
            }
        }
        assert_eq!(bits(&row_by_row), bits(&alone), "{kind}");
    }
}

#[test]
fn a_fresh_pack_is_the_identity() {
    let sandbox = Sandbox::default();
    for adapters in [true, false] {
        let shape = Shape {
            adapters,
            ..Shape::default()
        };
        let source = support::Source::new("moe", support::guest("moe"));
        let source = source.width(shape.base).model(&shape.model());
        let described = source.open(&sandbox).describe(None);
        let described = described.expect("it can be described");
        let declared = &described[0].weights;
        let names: BTreeSet<&str> = declared.iter().map(|it| it.name.as_str()).collect();
        let random = Numbers::random(&shape, 0);
        let expected: BTreeSet<&str> = random.tensors.keys().map(String::as_str).collect();
        assert_eq!(names, expected, "llama.cpp's names");

        let mut weights = Gguf::new();
        for weight in declared {
            let (shape, of) = &random.tensors[&weight.name];
            assert_eq!(weight.shape, *shape, "{}", weight.name);
            weights = weights.floats(&weight.name, shape, |at| match weight.init {
                Init::Zeros => 0.0,
                Init::Ones => 1.0,
                Init::Normal(_) => of[at] as f32,
            });
        }
        let hidden = plain::hidden(&shape, 9, 0);
        let found = whole(&pack(&shape, weights, &sandbox), &hidden, shape.base);
        assert_eq!(found.expect("it runs"), hidden, "adapters = {adapters}");
    }
}

#[test]
fn eight_experts_of_which_two_are_active_when_nothing_is_said() {
    let source = support::Source::new("moe", support::guest("moe"));
    let source = source
        .width(64)
        .model("layers = 1\nheads = 4\nfeed-forward = 32");
    let described = source.open(&Sandbox::default()).describe(None);
    let form = serde_json::to_value(&*described.expect("it is whole")[0].plans[0]);
    let form = form.expect("a plan is data").to_string();
    assert!(form.contains("\"top_k\":2"), "{form}");
    assert!(form.contains("[8,64,32]"), "{form}");
}

#[test]
fn a_mixture_that_cannot_be_is_refused_in_words() {
    let sandbox = Sandbox::default();
    let toy = "layers = 1\nheads = 4\nfeed-forward = 32\n";
    let cases = [
        (
            "active = 9",
            "configuration `active` is 9, expected at most `experts`, which is 8",
        ),
        (
            "experts = 4\nactive = 5",
            "configuration `active` is 5, expected at most `experts`, which is 4",
        ),
        (
            "experts = 0",
            "configuration `experts` is 0, expected at least 1",
        ),
        (
            "active = 0",
            "configuration `active` is 0, expected at least 1",
        ),
        (
            "experts = -8",
            "`[model]`: `experts` is `-8`, expected a whole number",
        ),
    ];
    for (model, words) in cases {
        let source = support::Source::new("moe", support::guest("moe"));
        let source = source.width(64).model(&format!("{toy}{model}"));
        let refused = source.open(&sandbox).describe(None);
        let refused = refused.err().unwrap_or_else(|| panic!("{model}: it loads"));
        assert!(
            matches!(refused, Failure::Refusal { .. }),
            "{model}: {refused:?}"
        );
        assert!(refused.to_string().ends_with(words), "{model}: {refused}");
    }

    // Weights of another count of experts than the configuration says.
    let shape = Shape::default();
    let (weights, _) = stored(&shape, 0, |_| WeightType::F32);
    let fewer = Shape {
        experts: 4,
        ..shape
    };
    let refused = load(&pack(&fewer, weights, &sandbox)).err();
    let refused = refused.expect("the weights are of eight").to_string();
    assert!(refused.contains("blk.0.ffn_gate_inp.weight"), "{refused}");
}

//! Each operation against the plain computation, and what is refused.

use std::sync::Arc;

use super::model::{Describe, Model, Net, in_memory, options, run, store};
use super::reference::forward;
use crate::plan::{ValueId, WeightType};
use crate::tensor::cpu::Cpu;
use crate::tensor::{Ledger, Program, Tensor, TensorError};

pub const ALL: u64 = 1 << 40;

/// Compares a network over two sequences with the plain computation; `far` is how far apart
/// they may be, as a part of the values' size.
fn compare(width: usize, kind: WeightType, far: f64, describe: Describe<'_>) {
    let model = Model::new(width, kind, describe);
    let ledger = Ledger::new(ALL);
    let mut program = model.load(2, &ledger);
    let spans = [(1, 0, 70), (2, 0, 3)];
    let found = run(&mut program, &spans).expect("the step fits");
    for ((sequence, _, rows), found) in spans.into_iter().zip(found) {
        let exact: Vec<f64> = forward(&model, sequence, rows).concat();
        assert_eq!(found.len(), exact.len());
        let size = (exact.iter().map(|x| x * x).sum::<f64>() / exact.len() as f64).sqrt();
        assert!(size > 1e-3, "the test computes something");
        for (at, (&found, &exact)) in found.iter().zip(&exact).enumerate() {
            let apart = (f64::from(found) - exact).abs() / size.max(exact.abs());
            assert!(
                apart <= far,
                "{sequence} {at}: {found}, expected {exact} ({kind})"
            );
        }
    }
}

fn exactly(width: usize, describe: Describe<'_>) {
    compare(width, WeightType::F32, 2e-5, describe);
}

#[test]
fn linear_with_and_without_bias() {
    exactly(24, &|net| {
        let x = net.0.hidden().expect("an input");
        let (w, bias) = (net.weight("w", &[37, 24]), net.weight("b", &[37]));
        let x = net.0.linear(x, w, Some(bias)).expect("it fits");
        net.linear("v", x, 5)
    });
}

#[test]
fn linear_of_every_type() {
    for kind in WeightType::ALL {
        let far = if kind.block_len() == 1 { 2e-5 } else { 0.05 };
        compare(256, kind, far, &|net| {
            let x = net.0.hidden().expect("an input");
            net.linear("w", x, 19)
        });
    }
}

#[test]
fn embed_of_every_type_and_past_the_table() {
    for kind in WeightType::ALL {
        compare(256, kind, 1e-5, &|net| {
            // Tokens go up to eleven.
            let table = net.weight("table", &[9, 256]);
            let tokens = net.0.tokens().expect("they are there");
            net.0.embed(tokens, table).expect("it fits")
        });
    }
}

#[test]
fn norms_over_rows_and_over_runs() {
    exactly(24, &|net| {
        let x = net.0.hidden().expect("an input");
        let (row, run) = (net.weight("row", &[24]), net.weight("run", &[8]));
        let bias = net.weight("bias", &[8]);
        let a = net.0.rms_norm(x, row, 1e-5).expect("it fits");
        let b = net.0.rms_norm(x, run, 1e-6).expect("it fits");
        let c = net.0.layer_norm(x, run, Some(bias), 1e-5).expect("it fits");
        let d = net.0.layer_norm(x, row, None, 1e-5).expect("it fits");
        net.0.concat(&[a, b, c, d]).expect("they fit")
    });
}

#[test]
fn single_numbers_pairs_and_rows() {
    exactly(24, &|net| {
        let x = net.0.hidden().expect("an input");
        let y = net.linear("w", x, 24);
        let one = net.0.slice(y, 3, 1).expect("it is there");
        let parts = [
            net.0.add(x, y),
            net.0.mul(x, y),
            net.0.mul(x, one),
            net.0.scale(x, -1.5),
            net.0.silu(x),
            net.0.gelu(x, true),
            net.0.gelu(x, false),
            net.0.swiglu(x, y),
            net.0.softmax(x),
            net.0.slice(y, 20, 4),
        ];
        let parts: Vec<ValueId> = parts.into_iter().map(|x| x.expect("it fits")).collect();
        net.0.concat(&parts).expect("they fit")
    });
}

#[test]
fn pooling() {
    for how in ["mean", "max", "first", "last"] {
        exactly(24, &|net| {
            let x = net.0.hidden().expect("an input");
            let pooled = net.0.pool(x, how).expect("it fits");
            net.linear("w", pooled, 7)
        });
    }
}

fn attention(net: &mut Net, heads: usize, kv_heads: usize, head: usize) -> [ValueId; 3] {
    let x = net.0.hidden().expect("an input");
    let q = net.linear("q", x, heads * head);
    let k = net.linear("k", x, kv_heads * head);
    let v = net.linear("v", x, kv_heads * (head + 2));
    [q, k, v]
}

#[test]
fn attention_with_every_rope_window_and_cap() {
    let yarn = [
        ("rope", "halves"),
        ("rope-scaling", "yarn"),
        ("rope-factor", "4"),
        ("rope-original-context", "32"),
    ];
    let llama3 = [
        ("rope", "pairs"),
        ("rope-scaling", "llama3"),
        ("rope-factor", "8"),
        ("rope-original-context", "64"),
        ("rope-dim", "6"),
    ];
    let linear = [
        ("rope", "halves"),
        ("rope-scaling", "linear"),
        ("rope-factor", "2"),
    ];
    let none = [("scale", "0.2"), ("softcap", "0.5")];
    let kinds: [&[(&str, &str)]; 4] = [&yarn, &llama3, &linear, &none];
    for (number, kind) in kinds.into_iter().enumerate() {
        for (heads, kv) in [(4, 4), (6, 2), (11, 1)] {
            for window in [None, Some("1"), Some("5"), Some("66")] {
                let (heads_text, kv_text) = (heads.to_string(), kv.to_string());
                let mut how = options(kind);
                how.extend(options(&[("heads", &heads_text), ("kv-heads", &kv_text)]));
                how.extend(window.map(|window| ("window".to_owned(), window.to_owned())));
                exactly(16, &|net| {
                    let [q, k, v] = attention(net, heads, kv, 8);
                    net.0.attend("a", q, k, v, &how).expect("it fits")
                });
                let causal = if number % 2 == 0 { "true" } else { "false" };
                how.push(("causal".into(), causal.into()));
                exactly(16, &|net| {
                    let [q, k, v] = attention(net, heads, kv, 8);
                    net.0.mix(q, k, v, &how).expect("it fits")
                });
            }
        }
    }
}

#[test]
fn a_mixture_of_experts() {
    for (top_k, normalise) in [("1", "true"), ("3", "true"), ("2", "false"), ("5", "true")] {
        let describe = |net: &mut Net| {
            let x = net.0.hidden().expect("an input");
            let router = net.weight("router", &[5, 32]);
            let gate = net.weight("gate", &[5, 64, 32]);
            let up = net.weight("up", &[5, 64, 32]);
            let down = net.weight("down", &[5, 32, 64]);
            let how = options(&[("top-k", top_k), ("normalise", normalise)]);
            let weights = [router, gate, up, down];
            net.0.moe(x, weights, &how).expect("it fits")
        };
        exactly(32, &describe);
        let model = Model::new(32, WeightType::Q8_0, &describe);
        let mut program = model.load(1, &Ledger::new(ALL));
        run(&mut program, &[(1, 0, 7), (2, 0, 2)]).expect("the step fits");
        let top_k: u64 = top_k.parse().expect("a number");
        assert_eq!(program.passed(), 9 * top_k, "only the chosen compute");
    }
}

#[test]
fn of_equal_experts_the_first_are_chosen() {
    let mut model = Model::new(32, WeightType::F32, &|net| {
        let x = net.0.hidden().expect("an input");
        let router = net.weight("router", &[4, 32]);
        let gate = net.weight("gate", &[4, 8, 32]);
        let up = net.weight("up", &[4, 8, 32]);
        let down = net.weight("down", &[4, 32, 8]);
        let how = options(&[("top-k", "2")]);
        net.0
            .moe(x, [router, gate, up, down], &how)
            .expect("it fits")
    });
    let (bytes, _) = store(WeightType::F32, &[0.0; 4 * 32]);
    model.replace("router", in_memory(WeightType::F32, vec![4, 32], &bytes, 0));
    let first = run(&mut model.load(1, &Ledger::new(ALL)), &[(1, 0, 1)]).expect("it fits");
    let mut down = vec![0.0; 4 * 32 * 8];
    down[..2 * 32 * 8].copy_from_slice(
        &model.exact["down"][..2 * 32 * 8]
            .iter()
            .map(|&x| x as f32)
            .collect::<Vec<_>>(),
    );
    let (bytes, _) = store(WeightType::F32, &down);
    model.replace(
        "down",
        in_memory(WeightType::F32, vec![4, 32, 8], &bytes, 0),
    );
    let only = run(&mut model.load(1, &Ledger::new(ALL)), &[(1, 0, 1)]).expect("it fits");
    assert_eq!(first, only, "experts 2 and 3 are not asked");
}

/// A block of a Llama-like decoder.
pub fn llama(net: &mut Net, x: ValueId, name: &str, inner: usize, how: &[(&str, &str)]) -> ValueId {
    let width = net.0.width_of(x);
    let count = |key: &str| {
        let found = how.iter().find(|(k, _)| *k == key);
        found.map_or(1, |(_, value)| value.parse::<usize>().expect("a count"))
    };
    let head = width / count("heads");
    let norm = net.weight(&format!("{name}.attn_norm"), &[width]);
    let h = net.0.rms_norm(x, norm, 1e-5).expect("it fits");
    let q = net.linear(&format!("{name}.q"), h, width);
    let k = net.linear(&format!("{name}.k"), h, head * count("kv-heads"));
    let v = net.linear(&format!("{name}.v"), h, head * count("kv-heads"));
    let heads = net.0.attend(name, q, k, v, &options(how)).expect("it fits");
    let o = net.linear(&format!("{name}.o"), heads, width);
    let x = net.0.add(x, o).expect("it fits");
    let norm = net.weight(&format!("{name}.ffn_norm"), &[width]);
    let h = net.0.rms_norm(x, norm, 1e-5).expect("it fits");
    let gate = net.linear(&format!("{name}.gate"), h, inner);
    let up = net.linear(&format!("{name}.up"), h, inner);
    let gated = net.0.swiglu(gate, up).expect("it fits");
    let down = net.linear(&format!("{name}.down"), gated, width);
    net.0.add(x, down).expect("it fits")
}

#[test]
fn three_llama_blocks_of_every_type() {
    let how = [("heads", "8"), ("kv-heads", "2"), ("rope", "halves")];
    for kind in WeightType::ALL {
        let far = if kind.block_len() == 1 { 5e-5 } else { 0.06 };
        compare(256, kind, far, &|net| {
            let mut x = net.0.hidden().expect("an input");
            for name in ["a", "b", "c"] {
                x = llama(net, x, name, 512, &how);
            }
            x
        });
    }
}

#[test]
fn a_plan_that_returns_its_input_touches_nothing() {
    let model = Model::new(8, WeightType::F32, &|net| net.0.hidden().expect("an input"));
    let mut program = model.load(1, &Ledger::new(ALL));
    let out = run(&mut program, &[(1, 0, 2)]).expect("it fits");
    assert_eq!(out, [super::model::rows(8, 1, 0, 2)]);
}

fn linear(kind: WeightType, width: usize) -> Model {
    Model::new(width, kind, &|net| {
        let x = net.0.hidden().expect("an input");
        net.linear("w", x, 2)
    })
}

#[test]
fn weights_that_do_not_fit_are_refused_in_words() {
    let cpu = Arc::new(Cpu::new(1));
    let refused = |model: &Model| {
        let ledger = Ledger::new(ALL);
        let error = model.load_on(&cpu, &ledger).err().expect("it is refused");
        assert_eq!(ledger.free(), ALL, "what was granted is given back");
        error.to_string()
    };
    let mut model = linear(WeightType::F32, 4);
    model.replace("w", in_memory(WeightType::F32, vec![2, 4], &[0; 32], 2));
    assert_eq!(
        refused(&model),
        "weight `w` is F32 [2, 4] at an address that 4 does not divide, \
         expected one that it divides, to be used where it is mapped"
    );
    model.replace("w", in_memory(WeightType::F16, vec![2, 4], &[0; 16], 0));
    assert_eq!(
        refused(&model),
        "weight `w` is F16 [2, 4], expected F32 [2, 4]"
    );
    // Quantised blocks are bytes: they may lie anywhere.
    let mut model = linear(WeightType::Q8_0, 32);
    model.replace("w", in_memory(WeightType::Q8_0, vec![2, 32], &[0; 68], 3));
    model.load(1, &Ledger::new(ALL));
}

#[test]
fn rows_of_broken_blocks_are_refused_in_words() {
    // Two rows of 48 are three whole blocks, but no row is.
    let kind = WeightType::Q8_0;
    let wanted = crate::plan::Weight {
        name: "w".into(),
        shape: vec![2, 48],
        kind,
        init: crate::plan::Init::Zeros,
    };
    let data = in_memory(kind, vec![2, 48], &[0; 102], 0);
    let error = crate::tensor::cpu::matrix::Matrix::open(&wanted, data).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "weight `w` is Q8_0 [2, 48], expected rows of whole blocks of 32"
    );
}

#[test]
fn inputs_that_do_not_fit_are_refused_in_words() {
    let model = linear(WeightType::F32, 4);
    let mut program = model.load(1, &Ledger::new(ALL));
    let step = super::model::step(&[(1, 0, 2)]);
    let mut refused = |inputs: &[&Tensor]| match program.run(&step, inputs) {
        Err(TensorError::Step(words)) => words,
        other => panic!("{other:?}"),
    };
    let (narrow, short) = (Tensor::new(3, vec![0.0; 6]), Tensor::new(4, vec![0.0; 4]));
    assert_eq!(
        refused(&[]),
        "run: 0 inputs are given, expected 1: each call of `hidden` or `pooled` that the output \
         uses declares one"
    );
    assert_eq!(
        refused(&[&narrow]),
        "run: input 0 is [2, 3], expected [2, 4]"
    );
    assert_eq!(
        refused(&[&short]),
        "run: input 0 is [1, 4], expected [2, 4]"
    );
}

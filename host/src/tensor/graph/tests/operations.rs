//! Each operation, each weight type and a whole block, against the reference.

use super::*;

use crate::plan::WeightType::{Bf16, F16, F32};

type Options = Vec<(String, String)>;

fn options(text: &str) -> Options {
    let pair = |word: &str| {
        let (key, value) = word.split_once('=').expect("key=value");
        (key.to_owned(), value.to_owned())
    };
    text.split_whitespace().map(pair).collect()
}

/// Prompts of several lengths, then single rows beside a prompt, then only single rows.
const RAGGED: &[&[(u64, usize, usize)]] = &[
    &[(1, 0, 3), (2, 0, 1), (9, 0, 70)],
    &[(2, 1, 1), (1, 3, 1), (4, 0, 5)],
    &[(9, 70, 1), (1, 4, 1), (2, 2, 1), (4, 5, 1)],
];

fn check(
    device: &Device,
    what: &str,
    weights: &[(&str, WeightType, &[usize])],
    within: f64,
    describe: impl FnOnce(&mut Draft<'_>) -> Result<ValueId, PlanError>,
) {
    let mut store = Store::default();
    for (name, kind, shape) in weights {
        store.put(name, *kind, shape);
    }
    let built = build(12, store, describe);
    compare(what, device, &built, RAGGED, within);
}

#[test]
fn every_operation_is_what_the_reference_says() {
    every_operation(&Device::cpu_as_graph());
}

pub fn every_operation(device: &Device) {
    let weights: &[(&str, WeightType, &[usize])] = &[
        ("w", F32, &[5, 12]),
        ("one", F16, &[1, 12]),
        ("bias", Bf16, &[5]),
        ("norm", F16, &[12]),
        ("short", F32, &[4]),
        ("shift", F32, &[4]),
        ("table", F32, &[30, 12]),
    ];
    let check = |what: &str, describe: &dyn Fn(&mut Draft<'_>) -> Result<ValueId, PlanError>| {
        super::operations::check(device, what, weights, 1e-5, describe);
    };
    check("hidden", &|d| d.net.hidden());
    check("linear", &|d| {
        let (x, w) = (d.net.hidden()?, d.weight("w"));
        d.net.linear(x, w, None)
    });
    check("linear with a bias", &|d| {
        let (x, w, bias) = (d.net.hidden()?, d.weight("w"), d.weight("bias"));
        d.net.linear(x, w, Some(bias))
    });
    check("rms-norm", &|d| {
        let (x, w) = (d.net.hidden()?, d.weight("norm"));
        d.net.rms_norm(x, w, 1e-5)
    });
    check("rms-norm in runs", &|d| {
        let (x, w) = (d.net.hidden()?, d.weight("short"));
        d.net.rms_norm(x, w, 1e-2)
    });
    check("layer-norm", &|d| {
        let (x, w) = (d.net.hidden()?, d.weight("norm"));
        d.net.layer_norm(x, w, None, 1e-5)
    });
    check("layer-norm in runs with a bias", &|d| {
        let (x, w, bias) = (d.net.hidden()?, d.weight("short"), d.weight("shift"));
        d.net.layer_norm(x, w, Some(bias), 1e-5)
    });
    check("add", &|d| {
        let (a, b) = (d.net.hidden()?, d.net.hidden()?);
        d.net.add(a, b)
    });
    check("mul", &|d| {
        let (a, b) = (d.net.hidden()?, d.net.hidden()?);
        d.net.mul(a, b)
    });
    check("mul by one number a row", &|d| {
        let (x, w) = (d.net.hidden()?, d.weight("one"));
        let gate = d.net.linear(x, w, None)?;
        d.net.mul(x, gate)
    });
    check("scale", &|d| {
        let x = d.net.hidden()?;
        d.net.scale(x, -2.5)
    });
    check("silu", &|d| {
        let x = d.net.hidden()?;
        let x = d.net.scale(x, 3.0)?;
        d.net.silu(x)
    });
    for approximate in [false, true] {
        check("gelu", &|d| {
            let x = d.net.hidden()?;
            let x = d.net.scale(x, 3.0)?;
            d.net.gelu(x, approximate)
        });
    }
    check("swiglu", &|d| {
        let (gate, up) = (d.net.hidden()?, d.net.hidden()?);
        d.net.swiglu(gate, up)
    });
    check("softmax", &|d| {
        let x = d.net.hidden()?;
        d.net.softmax(x)
    });
    for how in ["mean", "max", "first", "last"] {
        check("pool", &|d| {
            let x = d.net.hidden()?;
            d.net.pool(x, how)
        });
    }
    check("pooled rows in and beside a pool", &|d| {
        let (x, pooled) = (d.net.hidden()?, d.net.pooled()?);
        let mean = d.net.pool(x, "mean")?;
        d.net.add(mean, pooled)
    });
    check("concat and slice", &|d| {
        let x = d.net.hidden()?;
        let part = d.net.slice(x, 3, 4)?;
        let all = d.net.concat(&[part, x, part])?;
        let last = d.net.slice(all, 13, 5)?;
        d.net.silu(last)
    });
    check("a slice of a slice as the result", &|d| {
        let x = d.net.hidden()?;
        let part = d.net.slice(x, 1, 7)?;
        d.net.slice(part, 2, 3)
    });
    check("embed, some ids past the table", &|d| {
        let (tokens, table) = (d.net.tokens()?, d.weight("table"));
        d.net.embed(tokens, table)
    });
}

#[test]
fn every_weight_type_multiplies_and_embeds() {
    every_weight_type(&Device::cpu_as_graph());
}

/// 16 and 32 bits to within rounding; quantised ones to within the 8 bits to which candle
/// rounds the rows.
pub fn every_weight_type(device: &Device) {
    for kind in WeightType::ALL {
        let mut store = Store::default();
        store.put("w", kind, &[48, 256]);
        store.put("table", kind, &[30, 256]);
        let product = kind.block_len() > 1;
        let built = build(256, store, |d| {
            let (x, w) = (d.net.hidden()?, d.weight("w"));
            d.net.linear(x, w, None)
        });
        let within = if product { 3e-2 } else { 1e-5 };
        // Few rows, many rows and one row take different kernels.
        let steps: &[&[_]] = &[&[(1, 0, 3)], &[(1, 3, 40)], &[(1, 43, 1)]];
        compare(
            &format!("linear over {kind}"),
            device,
            &built,
            steps,
            within,
        );

        let built = build(256, built.store, |d| {
            let (tokens, table) = (d.net.tokens()?, d.weight("table"));
            d.net.embed(tokens, table)
        });
        compare(&format!("embed from {kind}"), device, &built, RAGGED, 1e-5);
    }
}

/// Every setting of an attention: queries of width 24, keys and values from the same rows.
const SETTINGS: &[&str] = &[
    "heads=6",
    "heads=6 kv-heads=3 scale=0.9",
    "heads=6 kv-heads=1 softcap=0.7 scale=2",
    "heads=3 kv-heads=3 rope=halves",
    "heads=3 kv-heads=1 rope=pairs rope-base=50",
    "heads=3 kv-heads=3 rope=halves rope-dim=4",
    "heads=3 kv-heads=3 rope=pairs rope-dim=6",
    "heads=3 kv-heads=3 rope=halves rope-scaling=linear rope-factor=4",
    "heads=3 kv-heads=1 rope=halves rope-scaling=llama3 rope-factor=8 rope-original-context=64",
    "heads=3 kv-heads=3 rope=pairs rope-scaling=yarn rope-factor=4 rope-original-context=32",
    "heads=6 kv-heads=2 window=1",
    "heads=6 kv-heads=2 window=3 rope=halves",
    "heads=6 kv-heads=3 window=65 softcap=5 rope=pairs",
];

fn qkv(d: &mut Draft<'_>, how: &str) -> Result<[ValueId; 3], PlanError> {
    let x = d.net.hidden()?;
    let count = |key: &str| {
        let found = how
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key));
        found.map(|n| n.parse::<usize>().expect("a number"))
    };
    let heads = count("heads=").expect("they are given");
    let kv_heads = count("kv-heads=").unwrap_or(heads);
    // Queries are as wide as the rows; values have a head of 5, which is nobody else's size.
    let (key_width, value_width) = (24 / heads * kv_heads, 5 * kv_heads);
    let (q, k, v) = (d.weight("q"), d.weight("k"), d.weight("v"));
    let (q, k, v) = (
        d.net.linear(x, q, None)?,
        d.net.linear(x, k, None)?,
        d.net.linear(x, v, None)?,
    );
    let k = d.net.slice(k, 0, key_width)?;
    let v = d.net.slice(v, 0, value_width)?;
    Ok([q, k, v])
}

fn attention_store() -> Store {
    let mut store = Store::default();
    store.put("q", F32, &[24, 24]);
    store.put("k", F32, &[24, 24]);
    store.put("v", F32, &[30, 24]);
    store
}

#[test]
fn every_attention_reads_its_lane() {
    every_attention(&Device::cpu_as_graph());
}

pub fn every_attention(device: &Device) {
    for how in SETTINGS {
        let built = build(24, attention_store(), |d| {
            let [q, k, v] = qkv(d, how)?;
            d.net.attend("a", q, k, v, &options(how))
        });
        compare(&format!("attend {how}"), device, &built, RAGGED, 1e-4);
    }
}

#[test]
fn every_mix_stays_within_the_step() {
    every_mix(&Device::cpu_as_graph());
}

pub fn every_mix(device: &Device) {
    for how in SETTINGS {
        for causal in ["", " causal=false"] {
            let how = format!("{how}{causal}");
            let built = build(24, attention_store(), |d| {
                let [q, k, v] = qkv(d, &how)?;
                d.net.mix(q, k, v, &options(&how))
            });
            compare(&format!("mix {how}"), device, &built, RAGGED, 1e-4);
        }
    }
}

#[test]
fn long_prompts_are_attended_in_chunks() {
    long_prompts(&Device::cpu_as_graph());
}

/// 128 heads over 400 rows make more scores than one chunk holds.
pub fn long_prompts(device: &Device) {
    for how in ["heads=128 rope=halves", "heads=128 kv-heads=64 window=130"] {
        let built = build(256, Store::default(), |d| {
            let x = d.net.hidden()?;
            let half = d.net.slice(x, 0, 128)?;
            let keys = if how.contains("kv-heads") { half } else { x };
            d.net.attend("a", x, keys, keys, &options(how))
        });
        let steps: &[&[_]] = &[&[(1, 0, 400), (2, 0, 2)], &[(1, 400, 1)]];
        compare(how, device, &built, steps, 1e-4);
    }
}

#[test]
fn a_large_weight_is_widened_in_slabs() {
    a_weight_of_several_slabs(&Device::cpu_as_graph());
}

pub fn a_weight_of_several_slabs(device: &Device) {
    let mut store = Store::default();
    store.put("w", Bf16, &[4200, 4096]);
    let built = build(4096, store, |d| {
        let (x, w) = (d.net.hidden()?, d.weight("w"));
        d.net.linear(x, w, None)
    });
    compare("slabs", device, &built, &[&[(1, 0, 2)], &[(1, 2, 1)]], 1e-4);
}

#[test]
fn mixtures_of_every_kind_of_expert() {
    mixtures(&Device::cpu_as_graph());
}

/// Quantised experts round twice, the second time what two rounded factors made.
pub fn mixtures(device: &Device) {
    let kinds = [
        (F32, 1e-4),
        (F16, 1e-4),
        (WeightType::Q8_0, 1e-1),
        (WeightType::Q4K, 1e-1),
    ];
    for (kind, within) in kinds {
        for how in [
            "top-k=2",
            "top-k=1 normalise=false",
            "top-k=3 normalise=false",
        ] {
            let mut store = Store::default();
            store.put("router", F32, &[5, 256]);
            store.put("gate", kind, &[5, 256, 256]);
            store.put("up", kind, &[5, 256, 256]);
            store.put("down", kind, &[5, 256, 256]);
            let built = build(256, store, |d| {
                let x = d.net.hidden()?;
                let weights = ["router", "gate", "up", "down"].map(|name| d.weight(name));
                d.net.moe(x, weights, &options(how))
            });
            let steps: &[&[_]] = &[&[(1, 0, 9), (2, 0, 1)], &[(1, 9, 1)]];
            compare(
                &format!("moe of {kind}, {how}"),
                device,
                &built,
                steps,
                within,
            );
        }
    }
}

/// Tokens to logits through two blocks as Llama has them, over weights of that type.
pub fn llama(kind: WeightType) -> Built {
    let mut store = Store::default();
    store.put("embed", kind, &[40, 256]);
    store.put("norm", F32, &[256]);
    for layer in ["0", "1"] {
        for (name, shape) in [
            ("q", [256, 256]),
            ("k", [64, 256]),
            ("v", [64, 256]),
            ("o", [256, 256]),
            ("gate", [512, 256]),
            ("up", [512, 256]),
            ("down", [256, 512]),
        ] {
            store.put(&format!("{layer}.{name}"), kind, &shape);
        }
    }
    build(256, store, |d| {
        let (tokens, table, norm) = (d.net.tokens()?, d.weight("embed"), d.weight("norm"));
        let mut x = d.net.embed(tokens, table)?;
        for layer in ["0", "1"] {
            let of = |d: &mut Draft<'_>, name: &str| d.weight(&format!("{layer}.{name}"));
            let (q, k, v, o) = (of(d, "q"), of(d, "k"), of(d, "v"), of(d, "o"));
            let (gate, up, down) = (of(d, "gate"), of(d, "up"), of(d, "down"));
            let y = d.net.rms_norm(x, norm, 1e-5)?;
            let (q, k, v) = (
                d.net.linear(y, q, None)?,
                d.net.linear(y, k, None)?,
                d.net.linear(y, v, None)?,
            );
            let how = options("heads=8 kv-heads=2 rope=pairs");
            let y = d.net.attend(layer, q, k, v, &how)?;
            let y = d.net.linear(y, o, None)?;
            x = d.net.add(x, y)?;
            let y = d.net.rms_norm(x, norm, 1e-5)?;
            let (gate, up) = (d.net.linear(y, gate, None)?, d.net.linear(y, up, None)?);
            let y = d.net.swiglu(gate, up)?;
            let y = d.net.linear(y, down, None)?;
            x = d.net.add(x, y)?;
        }
        let y = d.net.rms_norm(x, norm, 1e-5)?;
        d.net.linear(y, table, None)
    })
}

#[test]
fn a_llama_block_is_what_the_reference_says() {
    a_llama_block(&Device::cpu_as_graph());
}

pub fn a_llama_block(device: &Device) {
    for (kind, within) in [(F32, 1e-4), (Bf16, 1e-4), (WeightType::Q8_0, 1e-1)] {
        let what = format!("a llama of {kind}");
        compare(&what, device, &llama(kind), RAGGED, within);
    }
}

//! What a network may be, what it costs, and the words with which it is refused.

use std::collections::BTreeMap;

use super::*;

fn network(width: usize) -> Network {
    Network::new(width, Catalog::Declare, Quota::default())
}

fn options(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn said<T: std::fmt::Debug>(refused: Result<T, PlanError>) -> String {
    refused.expect_err("it is refused").to_string()
}

/// One attention and one SwiGLU around the residual stream, as most packs have them.
fn block(net: &mut Network, inner: usize) -> Plan {
    let width = net.width();
    let weight = |net: &mut Network, name: &str, shape: &[usize]| {
        net.weight(name, shape, Init::Zeros)
            .expect("it is declared once")
    };
    let norm = weight(net, "norm", &[width]);
    let [q, k, v, o] = ["q", "k", "v", "o"].map(|name| weight(net, name, &[width, width]));
    let gate = weight(net, "gate", &[inner, width]);
    let up = weight(net, "up", &[inner, width]);
    let down = weight(net, "down", &[width, inner]);
    let hidden = net.hidden().expect("an input");
    let build = |net: &mut Network| -> Result<Plan, PlanError> {
        let x = net.rms_norm(hidden, norm, 1e-5)?;
        let (q, k, v) = (
            net.linear(x, q, None)?,
            net.linear(x, k, None)?,
            net.linear(x, v, None)?,
        );
        let a = net.attend("a", q, k, v, &options(&[("heads", "2")]))?;
        let a = net.linear(a, o, None)?;
        let hidden = net.add(hidden, a)?;
        let x = net.rms_norm(hidden, norm, 1e-5)?;
        let (gate, up) = (net.linear(x, gate, None)?, net.linear(x, up, None)?);
        let x = net.swiglu(gate, up)?;
        let x = net.linear(x, down, None)?;
        let out = net.add(hidden, x)?;
        net.finish(out)
    };
    build(net).expect("it fits together")
}

#[test]
fn a_plan_knows_what_it_costs_before_it_computes() {
    let plan = block(&mut network(8), 16);
    let cost = plan.cost();
    let parameters = 8 + 4 * 64 + 3 * 128;
    assert_eq!(cost.weight_bytes, 4 * parameters);
    assert_eq!(cost.lane_bytes, 4 * (8 + 8));
    assert_eq!(cost.attention_operations, 2 * 2 * (4 + 4));
    // Two a weight of a matrix, four a number of a norm, five of a gate, one of an addition.
    assert_eq!(
        cost.operations,
        2 * (256 + 384) + 2 * 4 * 8 + 5 * 16 + 2 * 8
    );
    // The residual stream, the gate, the way up, and what comes of the two.
    assert_eq!(cost.activation_bytes, 4 * (8 + 3 * 16));
    assert!(plan.is_stateful());
}

#[test]
fn what_leads_nowhere_is_left_out_of_a_plan() {
    let mut net = network(4);
    let x = net.hidden().expect("an input");
    let unused = net
        .weight("unused", &[4, 4], Init::Zeros)
        .expect("declared");
    net.linear(x, unused, None).expect("it fits");
    let y = net.scale(x, 2.0).expect("it fits");
    let plan = net.finish(y).expect("it is a plan");
    assert_eq!((plan.nodes().len(), plan.weights().len()), (2, 0));
    assert_eq!(plan.last_use(plan.output()), 2);
    assert_eq!(net.weights().len(), 1);
}

#[test]
fn the_digest_follows_what_is_computed_and_not_how_it_was_built() {
    let plain = block(&mut network(8), 16);
    let mut detour = network(8);
    let x = detour.hidden().expect("an input");
    detour.silu(x).expect("it fits");
    // Another input was declared before, which the plan does not use.
    assert_eq!(plain.digest(), block(&mut detour, 16).digest());
    assert_ne!(plain.digest(), block(&mut network(8), 24).digest());
    let catalog: BTreeMap<_, _> = plain
        .weights()
        .iter()
        .map(|w| (w.name.clone(), (WeightType::F16, w.shape.clone())))
        .collect();
    let mut stored = Network::new(8, Catalog::Given(catalog), Quota::default());
    assert_ne!(plain.digest(), block(&mut stored, 16).digest());
}

#[test]
fn the_digest_of_a_plan_is_for_good() {
    // Blocks on disk are named after it: a change here makes every cache miss.
    let digest = block(&mut network(8), 16).digest();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "ac09cee0f21ceda966a2ffd9c954d4be67da1bab4d485f68e7be9ab126fa676e"
    );
}

#[test]
fn shapes_that_do_not_fit_are_refused_in_words() {
    let mut net = network(8);
    let x = net.hidden().expect("an input");
    let wide = net.weight("wide", &[16, 8], Init::Zeros).expect("declared");
    let wrong = net.weight("wrong", &[8, 9], Init::Zeros).expect("declared");
    let short = net.weight("short", &[3], Init::Ones).expect("declared");
    let y = net.linear(x, wide, None).expect("it fits");
    let pooled = net.pool(x, "mean").expect("it fits");
    let tokens = net.tokens().expect("they are there");
    let found = [
        said(net.linear(x, wrong, None)),
        said(net.linear(x, wide, Some(short))),
        said(net.linear(x, short, None)),
        said(net.rms_norm(x, short, 1e-5)),
        said(net.add(x, y)),
        said(net.add(x, pooled)),
        said(net.silu(tokens)),
        said(net.embed(x, wide)),
        said(net.slice(x, 6, 3)),
        said(net.concat(&[])),
        said(net.pool(pooled, "mean")),
        said(net.pool(x, "median")),
        said(net.scale(x, f32::NAN)),
        said(net.finish(tokens)),
    ];
    let expected = [
        "linear: x has width 8, weight `wrong` takes 9",
        "linear: weight `short` is [3], expected [16]",
        "linear: w is weight `short` [3], expected 2 dimensions",
        "rms-norm: x has width 8, not a multiple of weight `short`'s 3",
        "add: the widths are 8 and 16",
        "add: step rows and pooled rows do not go together",
        "silu: tokens are good for `embed` alone",
        "embed: x is step rows, expected tokens",
        "slice: 3 values from 6, expected some of the 8 that x has",
        "concat: there are no parts",
        "pool: x has pooled rows, expected step rows",
        "pool: how is `median`, expected mean, max, first or last",
        "scale: factor is NaN, expected a finite number",
        "finish: tokens are good for `embed` alone",
    ];
    assert_eq!(found, expected);
}

#[test]
fn options_are_read_strictly_and_unknown_ones_named() {
    let mut net = network(8);
    let x = net.hidden().expect("an input");
    let mut refused = |pairs: &[(&str, &str)]| said(net.attend("a", x, x, x, &options(pairs)));
    let found = [
        refused(&[]),
        refused(&[("heads", "3")]),
        refused(&[("heads", "zero")]),
        refused(&[("heads", "2"), ("windw", "4")]),
        refused(&[("heads", "2"), ("causal", "true")]),
        refused(&[("heads", "2"), ("flash", "true")]),
        refused(&[("heads", "2"), ("heads", "2")]),
        refused(&[("heads", "2"), ("kv-heads", "1")]),
        refused(&[("heads", "2"), ("rope", "spiral")]),
        refused(&[("heads", "2"), ("rope", "halves"), ("rope-dim", "3")]),
        refused(&[("heads", "2"), ("rope", "halves"), ("rope-scaling", "yarn")]),
        refused(&[("heads", "2"), ("scale", "inf")]),
        refused(&[("x", "1"); 33]),
        refused(&[(&"windw".repeat(20), "1")]),
    ];
    let expected = [
        "attend: `heads` is missing",
        "attend: q has width 8, not a multiple of 3 heads",
        "attend: `heads` is `zero`, expected a whole number from 1 to 1048576",
        "attend: there is no option `windw`, the nearest is `window`",
        "attend: there is no option `causal`, `attend` is always causal",
        "attend: there is no option `flash`",
        "attend: `heads` is given twice",
        "attend: k has width 8, expected 4 (1 kv-heads of 4)",
        "attend: `rope` is `spiral`, expected none, halves or pairs",
        "attend: `rope-dim` is `3`, expected an even number up to the head's size, 4",
        "attend: `rope-factor` is missing",
        "attend: `scale` is `inf`, expected a finite number above zero",
        "attend: 33 options are given, expected at most 32",
        "attend: there is no option `windwwindwwindwwindwwindwwindwwindwwindwwindwwindwwindwwindwwind…`",
    ];
    assert_eq!(found, expected);
}

#[test]
fn weights_are_held_to_the_file_where_there_is_one() {
    let file = BTreeMap::from([("w".to_owned(), (WeightType::Q8_0, vec![4, 32]))]);
    let mut net = Network::new(32, Catalog::Given(file), Quota::default());
    let found = [
        said(net.weight("v", &[4, 32], Init::Zeros)),
        said(net.weight("w", &[32, 4], Init::Zeros)),
        said(net.weight("", &[4], Init::Zeros)),
        said(net.weight("a\nb", &[4], Init::Zeros)),
        said(net.weight("w", &[4, 0], Init::Zeros)),
        said(net.weight("w", &[usize::MAX, 2], Init::Zeros)),
        said(net.weight("w", &[4, 32], Init::Normal(f32::NAN))),
    ];
    let expected = [
        "weight `v` is not among the pack's 1 weights",
        "weight `w` is [4, 32], expected [32, 4]",
        "weight `` has a name of 0 bytes, expected 1 to 128",
        "weight `a\\nb` has control characters in its name",
        "weight `w` is [4, 0], expected 1 to 2^40 numbers",
        "weight `w` is [18446744073709551615, 2], expected 1 to 2^40 numbers",
        "weight `w` starts with deviation NaN, expected a finite one of at least zero",
    ];
    assert_eq!(found, expected);
    let w = net.weight("w", &[4, 32], Init::Zeros).expect("it is there");
    assert_eq!(net.weight_of(w).kind, WeightType::Q8_0);
    assert_eq!(net.weight("w", &[4, 32], Init::Ones).expect("again"), w);
}

#[test]
fn quotas_end_a_network_that_grows_without_end() {
    let quota = Quota {
        operations: 3,
        weights: 1,
        weight_bytes: 100,
        activation_bytes: 64,
        width: 20,
        ..Quota::default()
    };
    let mut net = Network::new(8, Catalog::Declare, quota);
    assert_eq!(
        said(net.weight("big", &[26], Init::Zeros)),
        "weights take 104 bytes with `big`, the quota is 100"
    );
    let mut net = Network::new(8, Catalog::Declare, net.quota.clone());
    net.weight("a", &[4], Init::Zeros).expect("it fits");
    assert_eq!(
        said(net.weight("b", &[4], Init::Zeros)),
        "weight `b` is past the quota of 1 weights"
    );
    let x = net.hidden().expect("an input");
    assert_eq!(
        said(net.concat(&[x, x, x])),
        "concat: the result has width 24, expected 1 to 20"
    );
    let y = net.concat(&[x, x]).expect("it fits");
    assert_eq!(
        said(net.finish(y)),
        "finish: the plan needs 96 bytes for each row, the quota is 64"
    );
    net.silu(x).expect("it fits");
    assert_eq!(
        said(net.silu(x)),
        "silu: the quota of 3 operations is spent"
    );
}

#[test]
fn work_for_each_row_has_a_quota_too() {
    let quota = Quota {
        row_operations: 100,
        attention_operations: 16,
        ropes: 1,
        ..Quota::default()
    };
    let mut net = Network::new(8, Catalog::Declare, quota);
    let x = net.hidden().expect("an input");
    let w = net.weight("w", &[8, 8], Init::Zeros).expect("declared");
    let y = net.linear(x, w, None).expect("it fits");
    assert_eq!(
        said(net.finish(y)),
        "finish: the plan needs 128 operations for each row, the quota is 100"
    );
    let how = options(&[("heads", "2")]);
    let y = net.attend("a", x, x, x, &how).expect("it fits");
    assert_eq!(
        said(net.finish(y)),
        "finish: the plan needs 32 operations of attention for each row and each earlier one, \
         the quota is 16"
    );
    let quota = Quota {
        ropes: 1,
        ..Quota::default()
    };
    let mut net = Network::new(8, Catalog::Declare, quota);
    let x = net.hidden().expect("an input");
    let turned = |base| options(&[("heads", "2"), ("rope", "halves"), ("rope-base", base)]);
    let y = net.mix(x, x, x, &turned("100")).expect("it fits");
    let z = net.mix(y, y, y, &turned("100")).expect("it fits");
    assert_eq!(net.finish(z).expect("one rope").ropes().len(), 1);
    let z = net.mix(y, y, y, &turned("101")).expect("it fits");
    assert_eq!(
        said(net.finish(z)),
        "finish: the plan needs 2 ropes, the quota is 1"
    );
}

#[test]
fn an_expert_has_one_stateful_plan_and_any_number_of_others() {
    let mut net = network(8);
    let x = net.hidden().expect("an input");
    let how = options(&[("heads", "2")]);
    let a = net.attend("a", x, x, x, &how).expect("it fits");
    assert_eq!(
        said(net.attend("a", x, x, x, &how)),
        "attend: the name `a` is taken"
    );
    let b = net.attend("b", a, a, a, &how).expect("it fits");
    assert!(!net.finish(x).expect("a plan").is_stateful());
    let plan = net.finish(b).expect("a plan");
    let lanes: Vec<&str> = plan.lanes().iter().map(|lane| lane.name.as_str()).collect();
    assert_eq!(lanes, ["a", "b"]);
    assert_eq!(
        said(net.finish(a)),
        "finish: an expert has at most one plan with `attend`, this is the second"
    );
}

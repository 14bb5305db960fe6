//! What the border costs: a pack through wasm against the same plan run natively.
//!
//! `cargo bench -p modularbase --bench packs`. Figures and what they mean: `README.md` beside
//! this file. With `-- --test` everything runs once on the smallest shape, to see that it does.

mod dense;
mod paired;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::Criterion;
use modularbase::pack::{Pack, Sandbox};
use modularbase::roles::Expert;
use modularbase::tensor::{Device, Ledger, Program, Span, Step, Tensor};

/// A sequence starts anew after so many rows, so that attention costs the same throughout.
const ROWS: usize = 64;

fn step(start: usize) -> Arc<Step> {
    let span = Span {
        sequence: 1,
        start,
        rows: 1,
    };
    Arc::new(Step::new(vec![span], vec![0]).expect("one row"))
}

fn hidden(width: usize) -> Tensor {
    Tensor::new(width, (0..width).map(|i| (i as f32 * 0.7).sin()).collect())
}

fn ledger() -> Ledger {
    Ledger::new(8 << 30)
}

/// One row a call through the pack.
fn through_wasm(pack: &Pack) -> impl FnMut() + use<> {
    let mut expert = pack
        .expert(&Device::cpu(), &ledger(), None)
        .expect("it loads");
    let hidden = hidden(pack.manifest().base.width as usize);
    let steps: Vec<_> = (0..ROWS).map(step).collect();
    let mut at = 0;
    move || {
        if at == ROWS {
            expert.truncate(1, 0);
            at = 0;
        }
        black_box(expert.begin(&steps[at], &hidden).wait().expect("it runs"));
        at += 1;
    }
}

/// One row a call through the same plan over the same weights.
fn natively(pack: &Pack) -> impl FnMut() + use<> {
    let described = pack.describe(None).expect("it describes itself");
    let plan = &described[0].plans[0];
    let mut program: Box<dyn Program> = Device::cpu()
        .load(plan, &*pack.weights(), &ledger(), "native")
        .expect("it loads");
    let hidden = hidden(pack.manifest().base.width as usize);
    let steps: Vec<_> = (0..ROWS).map(step).collect();
    let mut at = 0;
    move || {
        if at == ROWS {
            program.truncate(1, 0);
            at = 0;
        }
        let out = program.run(&steps[at], &[&hidden]).expect("it runs");
        // A caller holds a result to the same: `is_finite` is part of a step, not of the border.
        assert!(out.is_finite().expect("it is in memory"));
        black_box(out);
        at += 1;
    }
}

/// Whether to run only, and measure nothing; criterion reads the same flag.
fn is_test() -> bool {
    std::env::args().any(|it| it == "--test")
}

/// Times wasm against native and says what came out; or does each once and says nothing.
fn compare(pack: &Pack, pairs: usize, say: impl FnOnce(paired::Compared)) {
    let (mut wasm, mut native) = (through_wasm(pack), natively(pack));
    if is_test() {
        wasm();
        return native();
    }
    say(paired::compare(pairs, wasm, native));
}

/// A step so small that the border shows: one narrow block.
fn crossing(criterion: &mut Criterion, component: &[u8], folder: &Path, sandbox: &Sandbox) {
    let shape = dense::Shape {
        name: "least",
        width: 64,
        layers: 1,
        feed_forward: 64,
    };
    let pack = dense::pack(component, &shape, folder, sandbox);
    let mut wasm = through_wasm(&pack);
    criterion.bench_function("crossing: a step of a tiny pack", |b| b.iter(&mut wasm));
    let mut native = natively(&pack);
    criterion.bench_function("crossing: the same plan natively", |b| b.iter(&mut native));
    compare(&pack, 200, |it| {
        println!(
            "crossing: {:.2} us a step through wasm, {:.2} us natively; the border costs {:.2} us",
            micro(it.a),
            micro(it.b),
            (it.a.median - it.b.median) * 1e6,
        );
    });
}

fn micro(it: paired::Interval) -> paired::Interval {
    paired::Interval {
        low: it.low * 1e6,
        median: it.median * 1e6,
        high: it.high * 1e6,
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = Sandbox::default();
    let component = dense::component(folder.path());
    let mut criterion = Criterion::default().configure_from_args();
    crossing(&mut criterion, &component, folder.path(), &sandbox);

    // The smallest comes first.
    let shapes = if is_test() { 1 } else { dense::SHAPES.len() };
    for shape in dense::SHAPES.iter().take(shapes) {
        let pack = dense::pack(&component, shape, folder.path(), &sandbox);
        let mut instantiate = || {
            black_box(
                pack.expert(&Device::cpu(), &ledger(), None)
                    .expect("it loads"),
            );
        };
        let name = format!("instantiate {}: guest, load, program", shape.name);
        criterion.bench_function(&name, |b| b.iter(&mut instantiate));
        let pairs = if shape.name == "100M" { 100 } else { 200 };
        compare(&pack, pairs, |it| {
            let speed = |it: paired::Interval| 1.0 / it.median;
            println!(
                "{} int8: {:.0} tokens/s through wasm, {:.0} natively; ratio {:.4}",
                shape.name,
                speed(it.a),
                speed(it.b),
                paired::Interval {
                    low: 1.0 / it.b_over_a.high,
                    median: 1.0 / it.b_over_a.median,
                    high: 1.0 / it.b_over_a.low,
                },
            );
        });
    }
    criterion.final_summary();
}

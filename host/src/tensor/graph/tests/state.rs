//! Lanes, memory, refusals, and what batches and devices must not change.

use super::operations::llama;
use super::*;
use crate::tensor::TensorError;

fn run(
    program: &mut dyn Program,
    spans: &[(u64, usize, usize)],
) -> Result<Vec<Vec<f64>>, TensorError> {
    program.run(&step(spans), &[]).map(|out| as_rows(&out))
}

#[test]
fn the_same_rows_come_out_of_any_batch() {
    the_same_rows_in_any_batch(&Device::cpu_as_graph());
}

/// Alone and whole, in pieces beside others, and row by row: 1e-3 apart at most, and a tenth of
/// that where no row is rounded to 8 bits on its way.
pub fn the_same_rows_in_any_batch(device: &Device) {
    for (kind, within) in [
        (WeightType::F32, 1e-4),
        (WeightType::F16, 1e-4),
        (WeightType::Q8_0, 1e-3),
        (WeightType::Q4K, 1e-3),
    ] {
        let built = llama(kind);
        let mut program = load(device, &built);
        let whole = run(&mut *program, &[(1, 0, 90)]).expect("it runs");
        let again = run(&mut *load(device, &built), &[(1, 0, 90)]).expect("it runs");
        assert_eq!(whole, again, "{kind}: the same step gives the same bits");

        // Other spans of sequence 1 make its rows the same tokens as above.
        let mut program = load(device, &built);
        let mut pieces = run(&mut *program, &[(1, 0, 20)]).expect("it runs");
        let beside = run(&mut *program, &[(5, 0, 30), (1, 20, 60), (6, 0, 1)]).expect("it runs");
        pieces.extend_from_slice(&beside[30..90]);
        for at in 80..90 {
            let rows = run(&mut *program, &[(5, at - 50, 1), (1, at, 1)]).expect("it runs");
            pieces.extend_from_slice(&rows[1..]);
        }
        let off = difference(&pieces, &whole);
        println!("{kind}: {off:.1e} between batch shapes");
        assert!(off <= within, "{kind}: off by {off:.1e} (of {within:.0e})");
    }
}

#[test]
fn lanes_are_cut_back_and_read_on_from_there() {
    lanes_are_cut_and_read_on(&Device::cpu_as_graph());
}

pub fn lanes_are_cut_and_read_on(device: &Device) {
    let built = llama(WeightType::F32);
    let mut program = load(device, &built);
    run(&mut *program, &[(1, 0, 300), (2, 0, 4)]).expect("it runs");
    assert_eq!(
        (program.rows(1), program.rows(2), program.rows(3)),
        (300, 4, 0)
    );
    let straight = run(&mut *program, &[(1, 300, 1)]).expect("it runs");
    program.truncate(1, 300);
    let again = run(&mut *program, &[(1, 300, 1)]).expect("it runs");
    assert_eq!(straight, again, "a rollback by one row");

    // Far enough back to give room away, then on over the edge of a block.
    program.truncate(1, 60);
    assert_eq!(program.rows(1), 60);
    let on = run(&mut *program, &[(1, 60, 241)]).expect("it runs");
    let off = difference(&on[240..], &straight);
    assert!(off <= 1e-4, "off by {off:.1e}");

    program.truncate(1, 1000);
    assert_eq!(program.rows(1), 301, "there is nothing to cut");
    program.truncate(2, 0);
    assert_eq!(program.rows(2), 0);
    run(&mut *program, &[(2, 0, 4)]).expect("a forgotten sequence starts again");
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    what_does_not_fit_is_refused(&Device::cpu_as_graph());
}

pub fn what_does_not_fit_is_refused(device: &Device) {
    let built = llama(WeightType::F32);
    let mut program = load(device, &built);
    run(&mut *program, &[(1, 0, 2)]).expect("it runs");
    let error = run(&mut *program, &[(2, 0, 1), (1, 5, 2)]).expect_err("its lanes end at 2");
    assert_eq!(
        error.to_string(),
        "step: sequence 1 starts at row 5, expected 2, where its lanes end"
    );
    assert_eq!((program.rows(1), program.rows(2)), (2, 0));

    let row = Tensor::new(256, vec![0.0; 256]);
    let error = program
        .run(&step(&[(1, 2, 1)]), &[&row])
        .expect_err("it takes no input");
    assert_eq!(
        error.to_string(),
        "step: 1 input is given, expected 0: each call of `hidden` or `pooled` that the output \
         uses declares one"
    );
    let plain = build(12, Store::default(), |d| d.net.hidden());
    let error = load(device, &plain).run(&step(&[(1, 2, 1)]), &[&row]);
    assert_eq!(
        error.expect_err("it is too wide").to_string(),
        "step: input 0 is (1, 256), expected (1, 12) (step rows)"
    );

    let ledger = Ledger::new(1 << 30);
    let mut others = Store::default();
    let error = device.load(&built.plan, &others, &ledger, "test").err();
    let error = error.expect("the weights are missing").to_string();
    assert_eq!(error, "weight `embed` is missing, expected F32 [40, 256]");
    others.put("embed", WeightType::F16, &[40, 256]);
    let error = device.load(&built.plan, &others, &ledger, "test").err();
    let error = error.expect("the type is another").to_string();
    assert_eq!(
        error,
        "weight `embed` is F16 [40, 256], expected F32 [40, 256]"
    );
    assert_eq!(ledger.free(), ledger.budget());
}

#[test]
fn memory_is_granted_before_and_given_back_after() {
    memory_is_granted_first_and_given_back(&Device::cpu_as_graph());
}

pub fn memory_is_granted_first_and_given_back(device: &Device) {
    let built = llama(WeightType::F32);
    let weights = built.plan.cost().weight_bytes;
    let block = 64 * built.plan.cost().lane_bytes;
    let small = Ledger::new(weights - 1);
    let error = device
        .load(&built.plan, &built.store, &small, "pack `a`")
        .err();
    let error = error.expect("it does not fit").to_string();
    assert!(error.starts_with("memory: `pack `a`` wants "), "{error}");

    // Enough for one row's scratch beside one block of each lane, not for many.
    let scratch = super::super::scratch::bytes(&built.plan, &step(&[(1, 64, 1)]));
    let ledger = Ledger::new(weights + block + scratch);
    let owners = |ledger: &Ledger| {
        let mut owners = ledger.owners();
        owners.retain(|(_, bytes)| *bytes > 0);
        owners
    };
    let load = || device.load(&built.plan, &built.store, &ledger, "base");
    let mut program = load().expect("it fits");
    assert_eq!(owners(&ledger), [("base".to_owned(), weights)]);
    let first = run(&mut *program, &[(1, 0, 1)]).expect("it fits");
    for at in 1..64 {
        run(&mut *program, &[(1, at, 1)]).expect("it fits");
    }
    let held = [("base".to_owned(), weights), ("kv".to_owned(), block)];
    assert_eq!(owners(&ledger), held);

    run(&mut *program, &[(1, 64, 1)]).expect_err("a second block does not fit");
    run(&mut *program, &[(2, 0, 1)]).expect_err("nor does another sequence");
    run(&mut *program, &[(1, 64, 60)]).expect_err("nor does the scratch");
    assert_eq!(
        (program.rows(1), program.rows(2)),
        (64, 0),
        "lanes are as they were"
    );
    assert_eq!(owners(&ledger), held);

    program.truncate(1, 0);
    assert_eq!(owners(&ledger), held[..1]);
    let again = run(&mut *program, &[(1, 0, 1)]).expect("there is room again");
    assert_eq!(first, again);
    drop(program);
    assert_eq!(owners(&ledger), []);
}

#[test]
fn tensors_come_from_any_device_and_say_whether_they_are_finite() {
    tensors_come_from_any_device(&Device::cpu_as_graph());
}

pub fn tensors_come_from_any_device(device: &Device) {
    let built = build(12, Store::default(), |d| {
        let x = d.net.hidden()?;
        d.net.scale(x, 2.0)
    });
    let rows = step(&[(1, 0, 2), (2, 0, 1)]);
    let here = rows_for(&rows, 12);
    let other = Device::cpu_as_graph();
    let there = load(&other, &built).run(&rows, &[&here]).expect("it runs");
    let found = load(device, &built).run(&rows, &[&there]).expect("it runs");
    let expected: Vec<f32> = here.to_vec().expect("they are here");
    let expected: Vec<f32> = expected.iter().map(|x| 4.0 * x).collect();
    assert_eq!(found.to_vec().expect("it answers"), expected);
    assert!(found.is_finite().expect("it answers"));

    for (number, finite) in [(f32::MAX / 4.0, true), (f32::NAN, false), (f32::MAX, false)] {
        let mut numbers = vec![f32::MAX / 8.0; 36];
        numbers[17] = number;
        let rows = load(device, &built).run(&rows, &[&Tensor::new(12, numbers)]);
        let found = rows.and_then(|rows| rows.is_finite()).expect("it answers");
        assert_eq!(found, finite, "{number:e} twice");
    }
}

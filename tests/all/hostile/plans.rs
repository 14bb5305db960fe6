//! Networks and numbers that break the rules.

use std::time::Instant;

use modularbase::roles::Expert;
use modularbase_format::WeightType;

use super::case::Case;
use super::case::End::{Breach, Refusal};
use super::case::told;
use super::world::{rows, step};
use crate::support::Gguf;

pub fn cases() -> Vec<Case> {
    let of = |behave, end, words| Case::expert("plans", behave, end, words);
    let number = |behave, end, words| Case::expert("numbers", behave, end, words);
    let norm = || Gguf::new().floats("norm", &[8], |_| 1.0);
    vec![
        of("a giant weight", Refusal, "expected 1 to 2^40 numbers"),
        of(
            "a weight past the quota",
            Refusal,
            "weights take 4398046511104 bytes with `w`",
        ),
        of("a weight of nothing", Refusal, "weight `w` is [4, 0]"),
        of(
            "a weight without dimensions",
            Refusal,
            "weight `w` has 0 dimensions",
        ),
        of(
            "a weight with a nameless name",
            Refusal,
            "has a name of 0 bytes",
        ),
        of(
            "a weight with a long name",
            Refusal,
            "has a name of 1048576 bytes",
        ),
        Case::expert_with(
            "plans",
            "a weight that is not there",
            Refusal,
            "weight `ghost` is not among the pack's 1 weights",
            |source| source.weights(norm()),
        ),
        Case::expert_with(
            "plans",
            "a weight of another shape",
            Refusal,
            "weight `norm` is [8], expected [4]",
            |source| source.weights(norm()),
        ),
        Case::expert_with(
            "plans",
            "a norm that is quantised",
            Refusal,
            "weight `norm` is Q8_0, expected F32, F16 or BF16",
            |source| {
                let mut weights = Gguf::new();
                weights.tensor("norm", WeightType::Q8_0, &[32], vec![0; 34]);
                source.width(32).weights(weights)
            },
        ),
        Case::expert_with(
            "good",
            "a weight whose shape lies",
            Refusal,
            "weight `q` is [4, 16], expected [8, 8]",
            |source| source.weights(norm().floats("q", &[4, 16], |_| 0.0)),
        ),
        Case::expert(
            "good",
            "weights that are missing",
            Refusal,
            "weight `norm` is missing",
        ),
        of(
            "a million weights",
            Refusal,
            "past the quota of 4096 weights",
        ),
        of(
            "a million operations",
            Refusal,
            "the quota of 4096 operations is spent",
        ),
        of("a million plans", Refusal, "`load` refused: "),
        of("the same plan a million times", Refusal, "`load` refused: "),
        of("a row of millions", Refusal, "expected 1 to 65536"),
        of(
            "a row past the quota",
            Refusal,
            "bytes for each row, the quota is 1048576",
        ),
        of("options nobody knows", Refusal, "attend: "),
        of(
            "two stateful plans",
            Refusal,
            "at most one plan with `attend`, this is the second",
        ),
        of("run twice", Breach, "`forward` ran its stateful plan twice"),
        of(
            "run never",
            Breach,
            "`forward` did not run its stateful plan, expected once",
        ),
        of(
            "swallow a refusal",
            Breach,
            "`forward` did not run its stateful plan",
        ),
        of("no input", Refusal, "run: 0 inputs are given, expected 1"),
        of("two inputs", Refusal, "run: 2 inputs are given, expected 1"),
        number(
            "infinity",
            Breach,
            "`forward` returned numbers that are not finite",
        ),
        number(
            "not a number",
            Breach,
            "`forward` returned numbers that are not finite",
        ),
        number(
            "one number that is none",
            Breach,
            "returned numbers that are not finite",
        ),
        number("a factor that is none", Refusal, "scale: factor is NaN"),
        number(
            "rows too narrow",
            Breach,
            "`forward` returned [3, 1], expected [3, 8]",
        ),
        number(
            "rows too wide",
            Breach,
            "`forward` returned [3, 16], expected [3, 8]",
        ),
        number(
            "rows too few",
            Breach,
            "`forward` returned [1, 8], expected [3, 8]",
        ),
        number("tokens", Refusal, "tokens are good for `embed` alone"),
        beyond_memory("much scratch", 20_000),
        beyond_memory("hoard tensors", 1_000),
    ]
}

/// A step for which there is no memory is refused; a smaller one runs in the same guest.
fn beyond_memory(behave: &'static str, many: usize) -> Case {
    let source = told("plans", behave);
    let words = "memory: `scratch` wants";
    Case::new(behave, Refusal, words, move |world, watch| {
        let pack = source.try_open(&world.sandbox)?;
        let mut expert = pack.expert(&world.device, &world.ledger, None)?;
        *watch = Instant::now();
        let refused = expert.begin(&step(&[(1, 0, many)]), &rows(many, 1)).wait();
        let few = expert.begin(&step(&[(1, 0, 3)]), &rows(3, 1)).wait();
        assert_eq!(few.map(|out| out.rows()), Ok(3));
        Ok(refused.map(drop)?)
    })
}

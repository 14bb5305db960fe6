//! What an expert must do: give every row the bits it has alone, whatever it arrives with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stirred::Stirred;
use super::toy::{LENGTHS, Out, Toy};
use super::{Bench, Book, Finding, Times, failed, found, passed, share, warned};
use crate::pack::measured::variants;
use crate::pack::{GuestExpert, Outcome, Used};
use crate::plan::Op;
use crate::roles::Failure;

/// How many steps of one row are timed.
const TIMED: usize = 21;

/// Rows of a chunk: no divisor of a block of keys.
const CHUNK: usize = 9;

/// What needs a run of the expert.
const AFTER_A_RUN: [&str; 5] = [
    "deterministic",
    "row-invariant",
    "cached",
    "identity",
    "limits",
];

pub(super) fn check(bench: &Bench, book: &mut Book, times: &mut Times) {
    let Some(mut fresh) = loads(bench, book, times) else {
        skip_all(book, &["runs"], "it does not load");
        return skip_all(book, &AFTER_A_RUN, "it does not load");
    };
    let loading = fresh.used();
    let toy = Toy::new(bench.width(), fresh.plans());
    times.batch_rows = toy.rows();
    let begun = Instant::now();
    let ran = bench.load_stirred().and_then(|(mut expert, is_stirred)| {
        let whole = toy.whole(&mut expert, 0)?;
        toy.forget(&mut expert, 0);
        Ok((expert, is_stirred, whole))
    });
    let (mut expert, is_stirred, whole) = match ran {
        Ok(ran) => ran,
        Err(failure) => {
            book.add("runs", begun, failure.into());
            return skip_all(book, &AFTER_A_RUN, "it does not run");
        }
    };
    let running = expert.used();
    book.add("runs", begun, passed(runs(&toy, &whole, is_stirred)));

    book.check("deterministic", || {
        deterministic(bench, &toy, &whole, times)
    });
    book.check("row-invariant", || {
        let alone = toy.alone(&mut expert, 1)?;
        toy.forget(&mut expert, 1);
        Ok(same(
            &whole,
            &alone,
            toy.width(),
            "every row has the bits it has alone",
            "in the batch, alone",
        ))
    });
    book.check("cached", || cached(&mut expert, &toy, &whole));
    book.check("identity", || identity(bench, &toy, &mut fresh));
    book.check("limits", || Ok(limits(bench, loading, running)));
    times.one_row = one_row(&mut expert, &toy);
    for variant in variants(bench.pack.manifest()).flatten() {
        book.check(&format!("variant {variant}"), || {
            let mut expert = bench.load(Some(variant))?;
            toy.whole(&mut expert, 0)?;
            Ok(passed("loads and runs"))
        });
    }
}

impl Bench {
    fn width(&self) -> usize {
        self.pack.manifest().base.width as usize
    }

    fn load(&self, variant: Option<&str>) -> Result<GuestExpert, Failure> {
        self.pack.expert(&self.device, &self.ledger, variant)
    }

    /// Loads the expert so that what it computes shows, and says whether its weights had to be
    /// stirred for that.
    fn load_stirred(&self) -> Result<(GuestExpert, bool), Failure> {
        let mut onto = self.pack.loader(&self.device, &self.ledger);
        let mut is_stirred = false;
        if !self.pack.manifest().trained {
            let described = self.pack.describe(None)?.into_iter();
            let declared: Vec<_> = described.flat_map(|it| it.weights).collect();
            let weights = Stirred::over(onto.weights.clone(), &declared);
            is_stirred = weights.is_stirred();
            onto.weights = Arc::new(weights);
        }
        Ok((self.pack.expert_over(None, onto)?, is_stirred))
    }
}

fn skip_all(book: &mut Book, names: &[&str], why: &str) {
    for name in names {
        book.skip(name, why);
    }
}

fn loads(bench: &Bench, book: &mut Book, times: &mut Times) -> Option<GuestExpert> {
    let begun = Instant::now();
    let expert = match bench.load(None) {
        Ok(expert) => expert,
        Err(failure) => {
            book.add("loads", begun, failure.into());
            return None;
        }
    };
    times.load = Some(begun.elapsed());
    let count = |each: fn(&crate::plan::Plan) -> usize| -> usize {
        expert.plans().iter().map(|plan| each(plan)).sum()
    };
    let detail = format!(
        "{} weights, {} operations, {} attentions",
        count(|plan| plan.weights().len()),
        count(|plan| plan.nodes().len()),
        count(|plan| plan.lanes().len()),
    );
    book.add("loads", begun, passed(detail));
    Some(expert)
}

/// What ran. The host ends a guest whose rows are of another shape or not finite, so what came
/// out is neither.
fn runs(toy: &Toy, out: &Out, is_stirred: bool) -> String {
    let lengths: Vec<String> = LENGTHS.iter().map(usize::to_string).collect();
    let (lengths, rows, width) = (lengths.join(", "), toy.rows(), toy.width());
    let largest = out.iter().flatten().fold(0f32, |most, x| most.max(x.abs()));
    let stirred = match is_stirred {
        true => "; seeded numbers for weights that start as zeros",
        false => "",
    };
    format!(
        "sequences of {lengths} rows in one step, [{rows}, {width}] in and out, all finite, up to \
         {largest:.3}{stirred}"
    )
}

fn deterministic(
    bench: &Bench,
    toy: &Toy,
    whole: &Out,
    times: &mut Times,
) -> Result<Finding, Failure> {
    let (mut other, _) = bench.load_stirred()?;
    let begun = Instant::now();
    let again = toy.whole(&mut other, 0)?;
    times.batch = Some(begun.elapsed());
    Ok(same(
        whole,
        &again,
        toy.width(),
        "two fresh guests give the same bits",
        "in one guest, in another",
    ))
}

/// Whether rows arrive in one step, in chunks, or one by one, and are cut back and come again.
fn cached(expert: &mut GuestExpert, toy: &Toy, whole: &Out) -> Result<Finding, Failure> {
    let mixes = expert
        .plans()
        .iter()
        .flat_map(|plan| plan.nodes())
        .find_map(|node| match node.op {
            Op::Mix { .. } => Some("mix"),
            Op::Pool { .. } => Some("pool"),
            _ => None,
        });
    if let Some(op) = mixes {
        let why = format!("`{op}` sees the rows of one step only, so steps of other sizes differ");
        return Ok(found(Outcome::Skipped, why));
    }
    for (run, rows, what) in [(2, CHUNK, "in chunks"), (3, 1, "row by row")] {
        let parts = toy.in_chunks(expert, run, rows)?;
        toy.forget(expert, run);
        let finding = same(
            whole,
            &parts,
            toy.width(),
            "",
            &format!("in one step, {what}"),
        );
        if finding.outcome != Outcome::Passed {
            return Ok(finding);
        }
    }
    let keep = 40;
    let again = toy.cut_back(expert, 4, keep)?;
    toy.forget(expert, 4);
    let last = whole.last().and_then(|it| it.get(keep * toy.width()..));
    let last = last.unwrap_or_default().to_vec();
    Ok(same(
        &vec![last],
        &vec![again],
        toy.width(),
        "one step, chunks, row by row, and cut back: the same bits",
        "in one step, after it was cut back",
    ))
}

fn identity(bench: &Bench, toy: &Toy, fresh: &mut GuestExpert) -> Result<Finding, Failure> {
    if bench.pack.manifest().trained {
        let why = match bench.pack.file().tensors().next() {
            Some(_) => "the pack is trained",
            None => "the pack has no weights to be trained",
        };
        return Ok(found(Outcome::Skipped, why));
    }
    let (out, hidden) = (toy.whole(fresh, 0)?, toy.hidden());
    let pairs = out.iter().flatten().zip(hidden.iter().flatten());
    let furthest = pairs.fold(0f32, |most, (y, u)| most.max((y - u).abs()));
    Ok(match furthest {
        0.0 => passed("untrained, it gives back what it is given"),
        _ => warned(format!(
            "untrained, it moves a number by up to {furthest:.3}"
        ))
        .hint("end what is added to the hidden state in a weight that starts as `Init::Zeros`"),
    })
}

fn limits(bench: &Bench, loading: Used, running: Used) -> Finding {
    let limits = bench.pack.sandbox.limits();
    let parts = [
        ("fuel of `load`", loading.fuel, limits.load.fuel),
        ("fuel of `forward`", running.fuel, limits.forward.fuel),
        ("bytes of memory", running.memory, bench.memory()),
    ];
    let said: Vec<String> = parts
        .iter()
        .map(|(what, used, most)| format!("{what} {used} of {most} ({})", share(*used, *most)))
        .collect();
    let said = said.join(", ");
    match parts.iter().all(|(_, used, most)| used / 4 < most / 5) {
        true => passed(said),
        false => warned(said).hint("a guest that reaches a limit ends"),
    }
}

/// The time of a step of one row: the median of several.
fn one_row(expert: &mut GuestExpert, toy: &Toy) -> Option<Duration> {
    let mut times = Vec::new();
    for run in 0..TIMED as u64 {
        let begun = Instant::now();
        toy.one(expert, 10 + run).ok()?;
        times.push(begun.elapsed());
        toy.forget(expert, 10 + run);
    }
    times.sort();
    times.get(TIMED / 2).copied()
}

/// Compares bit for bit.
fn same(one: &Out, other: &Out, width: usize, words: &str, which: &str) -> Finding {
    for (sequence, (one, other)) in one.iter().zip(other).enumerate() {
        if one.len() != other.len() {
            return failed(format!(
                "sequence {sequence} has {} and {} numbers: {which}",
                one.len(),
                other.len()
            ));
        }
        let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
        if let Some(at) = one.iter().zip(other).position(differs) {
            let (row, column) = (at / width, at % width);
            let (a, b) = (one.get(at), other.get(at));
            let (a, b) = (
                a.copied().unwrap_or_default(),
                b.copied().unwrap_or_default(),
            );
            return failed(format!(
                "row {row} of sequence {sequence} has {a:e} and {b:e} at {column}: {which}"
            ));
        }
    }
    passed(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_compared_by_their_bits() {
        let one = vec![vec![0.0, 1.0, 2.0, 3.0]];
        assert_eq!(same(&one, &one, 2, "same", "").outcome, Outcome::Passed);
        let other = vec![vec![-0.0, 1.0, 2.0, 3.0]];
        let found = same(&one, &other, 2, "", "here, there");
        assert_eq!(found.outcome, Outcome::Failed);
        assert_eq!(
            found.detail,
            "row 0 of sequence 0 has 0e0 and -0e0 at 0: here, there"
        );
        let found = same(&one, &vec![vec![0.0, 1.0]], 2, "", "here, there");
        assert_eq!(found.detail, "sequence 0 has 4 and 2 numbers: here, there");
        let other = vec![vec![0.0, 1.0, 2.0, f32::NAN]];
        let found = same(&one, &other, 2, "", "here, there");
        assert!(
            found
                .detail
                .starts_with("row 1 of sequence 0 has 3e0 and NaN at 1")
        );
    }
}

//! Two ways of doing the same thing, timed in turn.
//!
//! Machines drift: a neighbour wakes up, a clock changes. So A and B are timed in slices of some
//! milliseconds, one after the other, and compared pair by pair; what is reported is the median
//! of the pairs' ratios with a 95 % interval by resampling them.

#![allow(dead_code, reason = "each bench uses what it needs")]

use std::time::{Duration, Instant};

/// How long a slice takes, about.
const SLICE: Duration = Duration::from_millis(20);

/// A median with its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

/// What a comparison gives: seconds a call for each side, and how much faster B is than A.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    pub a: Interval,
    pub b: Interval,
    pub b_over_a: Interval,
}

/// Times `a` and `b` in `pairs` pairs of slices.
pub fn compare(pairs: usize, mut a: impl FnMut(), mut b: impl FnMut()) -> Compared {
    let (calls_a, calls_b) = (calls_in_a_slice(&mut a), calls_in_a_slice(&mut b));
    alternate(pairs, || slice(&mut a, calls_a), || slice(&mut b, calls_b))
}

/// Does `a` and `b` in turn, once for each of `pairs`; each says how many seconds it took.
pub fn alternate(pairs: usize, mut a: impl FnMut() -> f64, mut b: impl FnMut() -> f64) -> Compared {
    let (mut times_a, mut times_b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..pairs {
        // Who goes first changes, so that neither always finds the caches of the other.
        let (ta, tb) = match pair % 2 {
            0 => {
                let ta = a();
                (ta, b())
            }
            _ => {
                let tb = b();
                (a(), tb)
            }
        };
        times_a.push(ta);
        times_b.push(tb);
        ratios.push(ta / tb);
    }
    Compared {
        a: interval(&times_a),
        b: interval(&times_b),
        b_over_a: interval(&ratios),
    }
}

fn calls_in_a_slice(work: &mut impl FnMut()) -> usize {
    for _ in 0..3 {
        work();
    }
    let start = Instant::now();
    let mut calls = 0;
    while start.elapsed() < SLICE {
        work();
        calls += 1;
    }
    calls
}

/// Seconds a call.
fn slice(work: &mut impl FnMut(), calls: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        work();
    }
    start.elapsed().as_secs_f64() / calls as f64
}

/// The median, and between which values it lies in 95 % of 2000 resamplings.
pub fn interval(values: &[f64]) -> Interval {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut medians: Vec<f64> = (0..2000)
        .map(|_| {
            let drawn = values.iter().map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                values[(state >> 33) as usize % values.len()]
            });
            median(drawn.collect())
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    Interval {
        low: medians[50],
        median: median(values.to_vec()),
        high: medians[1949],
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = f.precision().unwrap_or(3);
        let Self { low, median, high } = self;
        write!(f, "{median:.digits$} [{low:.digits$}, {high:.digits$}]")
    }
}

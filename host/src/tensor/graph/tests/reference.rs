//! What a plan computes, written out plainly in f64: loops over rows, heads and keys.

use std::collections::HashMap;

use super::Store;
use crate::plan::{Attention, Layout, Op, Plan, Pooling, Rope, RowKind, ValueId, WeightId};
use crate::tensor::Step;

type Rows = Vec<Vec<f64>>;

/// A key and a value.
type Pair = (Vec<f64>, Vec<f64>);

/// A plan with its weights and what its sequences have read.
pub struct Reference<'a> {
    pub plan: &'a Plan,
    pub store: &'a Store,
    /// Keys and values by sequence and lane, not turned yet.
    pub read: HashMap<(u64, usize), Vec<Pair>>,
}

impl Reference<'_> {
    pub fn run(&mut self, step: &Step, inputs: &[Rows]) -> Rows {
        let mut values: Vec<Rows> = Vec::new();
        for node in self.plan.nodes() {
            let value = |id: &ValueId| &values[id.index()];
            let map = |id: &ValueId, f: &dyn Fn(f64) -> f64| -> Rows {
                let rows = value(id).iter();
                rows.map(|row| row.iter().map(|&x| f(x)).collect())
                    .collect()
            };
            let both = |a: &ValueId, b: &ValueId, f: &dyn Fn(f64, f64) -> f64| -> Rows {
                let pairs = value(a).iter().zip(value(b));
                let row = |(a, b): (&Vec<f64>, &Vec<f64>)| {
                    let b = b.iter().cycle();
                    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
                };
                pairs.map(row).collect()
            };
            let out = match &node.op {
                Op::Input(number) => inputs[*number].clone(),
                Op::Tokens => Vec::new(),
                Op::Embed { table, .. } => {
                    let rows = matrix(self.weight(*table), node.width);
                    let row = |id: &u32| rows.get(*id as usize).map(|row| row.to_vec());
                    let zeros = || vec![0.0; node.width];
                    let ids = step.tokens().iter();
                    ids.map(|id| row(id).unwrap_or_else(zeros)).collect()
                }
                Op::Linear { x, w, bias } => {
                    let mut y = times(value(x), self.weight(*w));
                    if let Some(bias) = bias {
                        let bias = self.weight(*bias);
                        let rows = y.iter_mut();
                        rows.for_each(|row| row.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
                    }
                    y
                }
                Op::RmsNorm { x, w, eps } => {
                    norm(value(x), self.weight(*w), &[], f64::from(*eps), false)
                }
                Op::LayerNorm { x, w, bias, eps } => {
                    let bias = bias.map_or(&[][..], |bias| self.weight(bias));
                    norm(value(x), self.weight(*w), bias, f64::from(*eps), true)
                }
                Op::Add { a, b } => both(a, b, &|a, b| a + b),
                Op::Mul { a, b } => both(a, b, &|a, b| a * b),
                Op::Scale { x, factor } => map(x, &|x| x * f64::from(*factor)),
                Op::Silu { x } => map(x, &silu),
                Op::Gelu { x, approximate } => map(x, if *approximate { &gelu } else { &gelu_erf }),
                Op::SwiGlu { gate, up } => both(gate, up, &|gate, up| silu(gate) * up),
                Op::Softmax { x } => value(x).iter().map(|row| softmax(row)).collect(),
                Op::Attend { lane, q, k, v, how } => {
                    let (q, k, v) = (value(q).clone(), value(k), value(v));
                    let mut at = 0;
                    let mut out = Rows::new();
                    for span in step.spans() {
                        let read = self.read.entry((span.sequence, *lane)).or_default();
                        let new = k.iter().cloned().zip(v.iter().cloned());
                        read.extend(new.skip(at).take(span.rows));
                        for i in 0..span.rows {
                            let seen = span.start + i + 1;
                            out.push(attention(&q[at + i], seen - 1, &read[..seen], 0, how));
                        }
                        at += span.rows;
                    }
                    out
                }
                Op::Mix {
                    q,
                    k,
                    v,
                    how,
                    causal,
                } => {
                    let (q, k, v) = (value(q), value(k), value(v));
                    let mut at = 0;
                    let mut out = Rows::new();
                    for span in step.spans() {
                        let all: Vec<_> = k.iter().cloned().zip(v.iter().cloned()).collect();
                        for i in 0..span.rows {
                            let seen = if *causal { i + 1 } else { span.rows };
                            let keys = &all[at..at + seen];
                            let position = span.start + i;
                            out.push(attention(&q[at + i], position, keys, span.start, how));
                        }
                        at += span.rows;
                    }
                    out
                }
                Op::Moe {
                    x,
                    router,
                    gate,
                    up,
                    down,
                    top_k,
                    normalise,
                } => {
                    let scores = times(value(x), self.weight(*router));
                    let rows = value(x).iter().zip(&scores);
                    rows.map(|(x, scores)| {
                        let stacks = [gate, up, down].map(|w| self.weight(*w));
                        mixture(x, &softmax(scores), stacks, *top_k, *normalise)
                    })
                    .collect()
                }
                Op::Pool { x, how } => {
                    let mut rows = value(x).iter();
                    let spans = step.spans().iter();
                    spans
                        .map(|span| pool(&rows.by_ref().take(span.rows).collect::<Vec<_>>(), *how))
                        .collect()
                }
                Op::Concat { parts } => {
                    let row = |i: usize| parts.iter().flat_map(move |x| value(x)[i].clone());
                    (0..value(&parts[0]).len())
                        .map(|i| row(i).collect())
                        .collect()
                }
                Op::Slice { x, start, len } => {
                    let rows = value(x).iter();
                    rows.map(|row| row[*start..start + len].to_vec()).collect()
                }
            };
            assert!(
                node.rows == RowKind::Tokens || out.iter().all(|row| row.len() == node.width),
                "the reference gives the width the plan says"
            );
            values.push(out);
        }
        values.swap_remove(self.plan.output().index())
    }

    fn weight(&self, id: WeightId) -> &[f64] {
        &self.store.numbers[&self.plan.weights()[id.index()].name]
    }
}

fn matrix(w: &[f64], width: usize) -> Vec<&[f64]> {
    w.chunks_exact(width).collect()
}

fn times(x: &Rows, w: &[f64]) -> Rows {
    x.iter().map(|x| row_times(x, w)).collect()
}

fn row_times(x: &[f64], w: &[f64]) -> Vec<f64> {
    let w = matrix(w, x.len());
    w.iter().map(|w| dot(x, w)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(x: &Rows, w: &[f64], bias: &[f64], eps: f64, centred: bool) -> Rows {
    let one = |run: &[f64]| -> Vec<f64> {
        let n = run.len() as f64;
        let mean = if centred {
            run.iter().sum::<f64>() / n
        } else {
            0.0
        };
        let square = run.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let by = (square + eps).sqrt();
        let y = run.iter().zip(w).map(|(x, w)| (x - mean) / by * w);
        let bias = bias.iter().copied().chain(std::iter::repeat(0.0));
        y.zip(bias).map(|(y, b)| y + b).collect()
    };
    let rows = x.iter();
    rows.map(|row| row.chunks_exact(w.len()).flat_map(one).collect())
        .collect()
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn gelu(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    0.5 * x * (1.0 + inner.tanh())
}

/// `x · Φ(x)`, with the error function as its series.
fn gelu_erf(x: f64) -> f64 {
    let z = x / std::f64::consts::SQRT_2;
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / n as f64;
        sum += term / (2 * n + 1) as f64;
    }
    0.5 * x * (1.0 + sum * 2.0 / std::f64::consts::PI.sqrt())
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let most = row.iter().copied().fold(f64::MIN, f64::max);
    let shares: Vec<f64> = row.iter().map(|x| (x - most).exp()).collect();
    let all: f64 = shares.iter().sum();
    shares.iter().map(|x| x / all).collect()
}

/// One row at `position` over keys of which the first is at position `from`.
fn attention(q: &[f64], position: usize, read: &[Pair], from: usize, how: &Attention) -> Vec<f64> {
    let mut out = Vec::new();
    for (head, q) in q.chunks_exact(how.key_head).enumerate() {
        let shared = head / (how.heads / how.kv_heads);
        let q = turned(q, position, how.rope);
        let near = |i: usize| how.window.is_none_or(|window| from + i + window > position);
        let seen: Vec<usize> = (0..read.len()).filter(|&i| near(i)).collect();
        let score = |&i: &usize| {
            let key = &read[i].0[shared * how.key_head..(shared + 1) * how.key_head];
            let score = dot(&q, &turned(key, from + i, how.rope)) * f64::from(how.scale);
            how.softcap.map_or(score, |cap| {
                f64::from(cap) * (score / f64::from(cap)).tanh()
            })
        };
        let shares = softmax(&seen.iter().map(score).collect::<Vec<_>>());
        let mut sum = vec![0.0; how.value_head];
        for (share, &i) in shares.iter().zip(&seen) {
            let value = &read[i].1[shared * how.value_head..];
            sum.iter_mut().zip(value).for_each(|(y, x)| *y += share * x);
        }
        out.extend(sum);
    }
    out
}

fn turned(x: &[f64], position: usize, rope: Option<Rope>) -> Vec<f64> {
    let mut out = x.to_vec();
    let Some(rope) = rope else { return out };
    for (pair, frequency) in rope.frequencies().into_iter().enumerate() {
        let (i, j) = match rope.layout {
            Layout::Halves => (pair, pair + rope.dim / 2),
            Layout::Pairs => (2 * pair, 2 * pair + 1),
        };
        let (sin, cos) = (position as f64 * f64::from(frequency)).sin_cos();
        let magnitude = f64::from(rope.magnitude());
        out[i] = magnitude * (x[i] * cos - x[j] * sin);
        out[j] = magnitude * (x[i] * sin + x[j] * cos);
    }
    out
}

fn mixture(
    x: &[f64],
    scores: &[f64],
    [gate, up, down]: [&[f64]; 3],
    top_k: usize,
    normalise: bool,
) -> Vec<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(top_k);
    let sum: f64 = order.iter().map(|&e| scores[e]).sum();
    let one = gate.len() / scores.len();
    let mut out = vec![0.0; x.len()];
    for e in order {
        let [gate, up, down] = [gate, up, down].map(|w| &w[e * one..(e + 1) * one]);
        let (gate, up) = (row_times(x, gate), row_times(x, up));
        let inner: Vec<f64> = gate.iter().zip(&up).map(|(g, u)| silu(*g) * u).collect();
        let share = scores[e] / if normalise { sum } else { 1.0 };
        let y = row_times(&inner, down);
        out.iter_mut().zip(y).for_each(|(out, y)| *out += share * y);
    }
    out
}

fn pool(rows: &[&Vec<f64>], how: Pooling) -> Vec<f64> {
    let column = |i: usize| rows.iter().map(move |row| row[i]);
    let one = |i: usize| match how {
        Pooling::Mean => column(i).sum::<f64>() / rows.len() as f64,
        Pooling::Max => column(i).fold(f64::MIN, f64::max),
        Pooling::First => rows[0][i],
        Pooling::Last => rows[rows.len() - 1][i],
    };
    (0..rows[0].len()).map(one).collect()
}

//! The plain computation: one sequence, all its rows at once, in double precision.

use crate::plan::{Attention, Layout, Op, Pooling, RowKind, WeightId};

use super::model::{Model, rows, token};

type Rows = Vec<Vec<f64>>;

/// What the plan gives for the first `count` rows of a sequence.
pub fn forward(model: &Model, sequence: u64, count: usize) -> Rows {
    let plan = &model.plan;
    let weight = |id: WeightId| {
        let weight = &plan.weights()[id.index()];
        (
            model.exact[&weight.name].as_slice(),
            weight.shape.as_slice(),
        )
    };
    let mut values: Vec<Rows> = Vec::new();
    for node in plan.nodes() {
        let of = |id: crate::plan::ValueId| &values[id.index()];
        let each = |x: &Rows, f: &dyn Fn(&[f64]) -> Vec<f64>| -> Rows {
            x.iter().map(|row| f(row)).collect()
        };
        let singles =
            |x: &Rows, f: &dyn Fn(f64) -> f64| each(x, &|row| row.iter().map(|&x| f(x)).collect());
        let pairs = |a: &Rows, b: &Rows, f: &dyn Fn(f64, f64) -> f64| -> Rows {
            let row = |(a, b): (&Vec<f64>, &Vec<f64>)| {
                let b = (0..a.len()).map(|i| b[i % b.len()]);
                a.iter().zip(b).map(|(&a, b)| f(a, b)).collect()
            };
            a.iter().zip(b).map(row).collect()
        };
        let value = match &node.op {
            Op::Input(_) => {
                let width = plan.input_width();
                let numbers = rows(width, sequence, 0, count);
                let wide: Rows = numbers
                    .chunks(width)
                    .map(|row| row.iter().map(|&x| f64::from(x)).collect())
                    .collect();
                match node.rows {
                    RowKind::Pooled => vec![wide[0].clone()],
                    _ => wide,
                }
            }
            Op::Tokens => Vec::new(),
            Op::Embed { table, .. } => {
                let (table, shape) = weight(*table);
                let row = |at: usize| {
                    let id = token(sequence, at) as usize;
                    match id < shape[0] {
                        true => table[id * shape[1]..][..shape[1]].to_vec(),
                        false => vec![0.0; shape[1]],
                    }
                };
                (0..count).map(row).collect()
            }
            Op::Linear { x, w, bias } => {
                let w = weight(*w);
                let bias = bias.map(|bias| weight(bias).0);
                each(of(*x), &|row| {
                    let mut out = matvec(w.0, row);
                    if let Some(bias) = bias {
                        out.iter_mut()
                            .zip(bias)
                            .for_each(|(out, bias)| *out += bias);
                    }
                    out
                })
            }
            Op::RmsNorm { x, w, eps } => each(of(*x), &|row| {
                let w = weight(*w).0;
                let run = |run: &[f64]| {
                    let mean = run.iter().map(|x| x * x).sum::<f64>() / w.len() as f64;
                    let scale = (mean + f64::from(*eps)).sqrt();
                    run.iter()
                        .zip(w)
                        .map(|(x, w)| x / scale * w)
                        .collect::<Vec<_>>()
                };
                row.chunks(w.len()).flat_map(run).collect()
            }),
            Op::LayerNorm { x, w, bias, eps } => each(of(*x), &|row| {
                let w = weight(*w).0;
                let bias = bias.map_or(vec![0.0; w.len()], |bias| weight(bias).0.to_vec());
                let run = |run: &[f64]| {
                    let mean = run.iter().sum::<f64>() / w.len() as f64;
                    let variance = run.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
                    let scale = (variance / w.len() as f64 + f64::from(*eps)).sqrt();
                    (0..w.len())
                        .map(|i| (run[i] - mean) / scale * w[i] + bias[i])
                        .collect::<Vec<_>>()
                };
                row.chunks(w.len()).flat_map(run).collect()
            }),
            Op::Add { a, b } => pairs(of(*a), of(*b), &|a, b| a + b),
            Op::Mul { a, b } => pairs(of(*a), of(*b), &|a, b| a * b),
            Op::Scale { x, factor } => singles(of(*x), &|x| x * f64::from(*factor)),
            Op::Silu { x } => singles(of(*x), &silu),
            Op::Gelu {
                x,
                approximate: true,
            } => singles(of(*x), &|x| {
                let root = (2.0 / std::f64::consts::PI).sqrt();
                0.5 * x * (1.0 + (root * (x + 0.044715 * x.powi(3))).tanh())
            }),
            Op::Gelu { x, .. } => singles(of(*x), &|x| x * normal(x)),
            Op::SwiGlu { gate, up } => pairs(of(*gate), of(*up), &|gate, up| silu(gate) * up),
            Op::Softmax { x } => each(of(*x), &softmax),
            Op::Attend { q, k, v, how, .. } => attention(how, of(*q), of(*k), of(*v), true),
            Op::Mix {
                q,
                k,
                v,
                how,
                causal,
            } => attention(how, of(*q), of(*k), of(*v), *causal),
            Op::Moe {
                x,
                router,
                gate,
                up,
                down,
                top_k,
                normalise,
            } => {
                let [router, gate, up, down] = [*router, *gate, *up, *down].map(|w| weight(w).0);
                each(of(*x), &|row| {
                    let shares = softmax(&matvec(router, row));
                    let mut order: Vec<usize> = (0..shares.len()).collect();
                    order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]).then(a.cmp(&b)));
                    order.truncate(*top_k);
                    let all: f64 = order.iter().map(|&e| shares[e]).sum();
                    let all = if *normalise { all } else { 1.0 };
                    let mut out = vec![0.0; row.len()];
                    for expert in order {
                        let part = |w: &[f64], x: &[f64]| {
                            let size = w.len() / shares.len();
                            matvec(&w[expert * size..][..size], x)
                        };
                        let gated = part(gate, row).into_iter().zip(part(up, row));
                        let gated: Vec<f64> = gated.map(|(gate, up)| silu(gate) * up).collect();
                        let result = part(down, &gated);
                        let share = shares[expert] / all;
                        out.iter_mut()
                            .zip(result)
                            .for_each(|(out, x)| *out += share * x);
                    }
                    out
                })
            }
            Op::Pool { x, how } => {
                let x = of(*x);
                let column = |i: usize| x.iter().map(move |row| row[i]);
                let one = |i| match how {
                    Pooling::First => x[0][i],
                    Pooling::Last => x[x.len() - 1][i],
                    Pooling::Mean => column(i).sum::<f64>() / x.len() as f64,
                    Pooling::Max => column(i).fold(f64::NEG_INFINITY, f64::max),
                };
                vec![(0..node.width).map(one).collect()]
            }
            Op::Concat { parts } => {
                let row = |at: usize| -> Vec<f64> {
                    let parts = parts.iter().map(|part| &values[part.index()][at]);
                    parts.flatten().copied().collect()
                };
                (0..of(parts[0]).len()).map(row).collect()
            }
            Op::Slice { x, start, len } => each(of(*x), &|row| row[*start..start + len].to_vec()),
        };
        values.push(value);
    }
    values.swap_remove(plan.output().index())
}

fn matvec(w: &[f64], x: &[f64]) -> Vec<f64> {
    let dot = |w: &[f64]| w.iter().zip(x).map(|(w, x)| w * x).sum();
    w.chunks(x.len()).map(dot).collect()
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let all: f64 = x.iter().map(|x| (x - most).exp()).sum();
    x.iter().map(|x| (x - most).exp() / all).collect()
}

/// The normal distribution's integral, by its series.
fn normal(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= x * x / f64::from(2 * n + 1);
        sum += term;
    }
    0.5 + sum * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

fn attention(how: &Attention, q: &Rows, k: &Rows, v: &Rows, causal: bool) -> Rows {
    let turn = |x: &Rows| -> Rows {
        let turned = |(at, row): (usize, &Vec<f64>)| {
            row.chunks(how.key_head)
                .flat_map(|head| rotate(how, at, head))
                .collect()
        };
        x.iter().enumerate().map(turned).collect()
    };
    let (q, k) = (turn(q), turn(k));
    let row = |at: usize| {
        let first = how
            .window
            .map_or(0, |window| (at + 1).saturating_sub(window));
        let end = if causal { at + 1 } else { k.len() };
        let head = |head: usize| {
            let kv = head / (how.heads / how.kv_heads);
            let scores: Vec<f64> = (first..end)
                .map(|j| {
                    let q = &q[at][head * how.key_head..][..how.key_head];
                    let k = &k[j][kv * how.key_head..][..how.key_head];
                    let dot: f64 = q.iter().zip(k).map(|(q, k)| q * k).sum();
                    let score = dot * f64::from(how.scale);
                    how.softcap.map_or(score, |cap| {
                        f64::from(cap) * (score / f64::from(cap)).tanh()
                    })
                })
                .collect();
            let shares = softmax(&scores);
            (0..how.value_head)
                .map(|i| {
                    let of = |j: usize| v[j][kv * how.value_head + i];
                    (first..end)
                        .zip(&shares)
                        .map(|(j, share)| share * of(j))
                        .sum()
                })
                .collect::<Vec<f64>>()
        };
        (0..how.heads).flat_map(head).collect()
    };
    (0..q.len()).map(row).collect()
}

fn rotate(how: &Attention, at: usize, head: &[f64]) -> Vec<f64> {
    let mut out = head.to_vec();
    let Some(rope) = how.rope else {
        return out;
    };
    for (i, frequency) in rope.frequencies().into_iter().enumerate() {
        let (a, b) = match rope.layout {
            Layout::Halves => (i, i + rope.dim / 2),
            Layout::Pairs => (2 * i, 2 * i + 1),
        };
        let (sin, cos) = (at as f64 * f64::from(frequency)).sin_cos();
        let size = f64::from(rope.magnitude());
        out[a] = (head[a] * cos - head[b] * sin) * size;
        out[b] = (head[b] * cos + head[a] * sin) * size;
    }
    out
}

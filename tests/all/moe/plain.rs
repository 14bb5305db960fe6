//! A mixture's arithmetic in plain 64-bit floats, row by row, as its papers write it down.

use std::collections::{BTreeMap, BTreeSet};

/// What `[model]` says, and the base's width.
#[derive(Clone)]
pub struct Shape {
    pub base: usize,
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head: usize,
    pub inner: usize,
    pub experts: usize,
    pub active: usize,
    pub adapters: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            base: 64,
            width: 64,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head: 16,
            inner: 32,
            experts: 8,
            active: 2,
            adapters: true,
        }
    }
}

impl Shape {
    pub fn model(&self) -> String {
        let Self {
            width,
            layers,
            heads,
            kv_heads,
            head,
            inner,
            experts,
            active,
            adapters,
            ..
        } = self;
        format!(
            "width = {width}\nlayers = {layers}\nheads = {heads}\nkv-heads = {kv_heads}\n\
             head-size = {head}\nfeed-forward = {inner}\nexperts = {experts}\n\
             active = {active}\nadapters = {adapters}\nnorm-eps = 1e-5\nrope = \"halves\"\n\
             rope-base = 10000.0\n"
        )
    }
}

/// Tensors by the names that llama.cpp gives them: shape and numbers.
pub struct Numbers {
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Numbers {
    /// Random ones, of a size that keeps rows about as large as they are.
    pub fn random(shape: &Shape, seed: u64) -> Self {
        let mut random = Random(seed);
        let mut tensors = BTreeMap::new();
        let mut add = |name: String, dims: &[usize]| {
            let size = match dims {
                [_] => 0.1,
                dims => 1.0 / (*dims.last().expect("it has some") as f64).sqrt(),
            };
            let about = if dims.len() == 1 { 1.0 } else { 0.0 };
            let count = dims.iter().product();
            let numbers = (0..count).map(|_| about + size * random.normal());
            tensors.insert(name, (dims.to_vec(), numbers.collect()));
        };
        let Shape {
            base,
            width,
            inner,
            experts,
            ..
        } = *shape;
        let (q, kv) = (shape.heads * shape.head, shape.kv_heads * shape.head);
        for layer in 0..shape.layers {
            let mut add = |name: &str, dims: &[usize]| add(format!("blk.{layer}.{name}"), dims);
            add("attn_norm.weight", &[width]);
            add("attn_q.weight", &[q, width]);
            add("attn_k.weight", &[kv, width]);
            add("attn_v.weight", &[kv, width]);
            add("attn_output.weight", &[width, q]);
            add("ffn_norm.weight", &[width]);
            add("ffn_gate_inp.weight", &[experts, width]);
            add("ffn_gate_exps.weight", &[experts, inner, width]);
            add("ffn_up_exps.weight", &[experts, inner, width]);
            add("ffn_down_exps.weight", &[experts, width, inner]);
        }
        if shape.adapters {
            add("adapter.in.weight".to_owned(), &[width, base]);
            add("adapter.out.weight".to_owned(), &[base, width]);
        }
        Self { tensors }
    }

    fn get(&self, name: &str) -> &[f64] {
        &self.tensors[name].1
    }
}

/// Random hidden rows of the base's width.
pub fn hidden(shape: &Shape, rows: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed ^ 0x5eed);
    (0..rows * shape.base)
        .map(|_| random.normal() as f32)
        .collect()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// By Box and Muller.
    fn normal(&mut self) -> f64 {
        let (size, turn) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * size.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
    }
}

/// What comes out, and how.
pub struct Ran {
    pub rows: Vec<Vec<f64>>,
    /// Layer and place of every expert that some row chose.
    pub chosen: BTreeSet<(usize, usize)>,
    /// The least by which a share of a chosen expert was above the best that was not.
    pub margin: f64,
}

/// `u + Out(Blocks(In(u)))` over the rows of one sequence, or the blocks alone.
pub fn run(shape: &Shape, numbers: &Numbers, hidden: &[f32]) -> Ran {
    let u: Vec<Vec<f64>> = hidden
        .chunks_exact(shape.base)
        .map(|row| row.iter().map(|&x| f64::from(x)).collect())
        .collect();
    let through = |name: &str, rows: &[Vec<f64>]| -> Vec<Vec<f64>> {
        rows.iter()
            .map(|row| times(numbers.get(name), row))
            .collect()
    };
    let mut ran = Ran {
        rows: match shape.adapters {
            true => through("adapter.in.weight", &u),
            false => u.clone(),
        },
        chosen: BTreeSet::new(),
        margin: f64::INFINITY,
    };
    for layer in 0..shape.layers {
        let weight = |name: &str| numbers.get(&format!("blk.{layer}.{name}.weight"));
        attention(shape, weight, &mut ran.rows);
        mixture(shape, weight, layer, &mut ran);
    }
    if shape.adapters {
        let out = through("adapter.out.weight", &ran.rows);
        ran.rows = u.iter().zip(out).map(|(u, out)| plus(u, &out)).collect();
    }
    ran
}

fn attention<'a>(shape: &Shape, weight: impl Fn(&str) -> &'a [f64], x: &mut [Vec<f64>]) {
    let head = shape.head;
    let mut keys: Vec<Vec<f64>> = Vec::new();
    let mut values: Vec<Vec<f64>> = Vec::new();
    for (position, x) in x.iter_mut().enumerate() {
        let h = normed(x, weight("attn_norm"));
        let mut q = times(weight("attn_q"), &h);
        let mut k = times(weight("attn_k"), &h);
        turn(&mut q, head, position);
        turn(&mut k, head, position);
        keys.push(k);
        values.push(times(weight("attn_v"), &h));
        let mut mixed = Vec::new();
        for (at, q) in q.chunks_exact(head).enumerate() {
            let group = at / (shape.heads / shape.kv_heads) * head;
            let score = |k: &Vec<f64>| dot(q, &k[group..group + head]) / (head as f64).sqrt();
            let shares = softmax(&keys.iter().map(score).collect::<Vec<f64>>());
            for i in group..group + head {
                mixed.push(shares.iter().zip(&values).map(|(s, v)| s * v[i]).sum());
            }
        }
        *x = plus(x, &times(weight("attn_output"), &mixed));
    }
}

/// Turns each head's first half against its second.
fn turn(row: &mut [f64], head: usize, position: usize) {
    let half = head / 2;
    for head in row.chunks_exact_mut(head) {
        for i in 0..half {
            let angle = position as f64 * 10_000f64.powf(-(i as f64) / half as f64);
            let (a, b) = (head[i], head[i + half]);
            head[i] = a * angle.cos() - b * angle.sin();
            head[i + half] = a * angle.sin() + b * angle.cos();
        }
    }
}

fn mixture<'a>(shape: &Shape, weight: impl Fn(&str) -> &'a [f64], layer: usize, ran: &mut Ran) {
    let size = shape.inner * shape.width;
    let of = |name: &str, expert: usize| &weight(name)[expert * size..(expert + 1) * size];
    for x in &mut ran.rows {
        let h = normed(x, weight("ffn_norm"));
        let shares = softmax(&times(weight("ffn_gate_inp"), &h));
        let mut order: Vec<usize> = (0..shape.experts).collect();
        order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
        let (chosen, rest) = order.split_at(shape.active);
        if let Some(&next) = rest.first() {
            let last = *chosen.last().expect("one at least is active");
            ran.margin = ran.margin.min(shares[last] - shares[next]);
        }
        let all: f64 = chosen.iter().map(|&expert| shares[expert]).sum();
        let mut sum = x.clone();
        for &expert in chosen {
            ran.chosen.insert((layer, expert));
            let gate = times(of("ffn_gate_exps", expert), &h);
            let up = times(of("ffn_up_exps", expert), &h);
            let gated: Vec<f64> = gate
                .iter()
                .zip(&up)
                .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
                .collect();
            let out = times(of("ffn_down_exps", expert), &gated);
            let share = shares[expert] / all;
            sum = sum.iter().zip(out).map(|(s, o)| s + share * o).collect();
        }
        *x = sum;
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn plus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// A matrix of rows as long as `x`, times `x`.
fn times(matrix: &[f64], x: &[f64]) -> Vec<f64> {
    matrix
        .chunks_exact(x.len())
        .map(|row| dot(row, x))
        .collect()
}

fn normed(x: &[f64], weight: &[f64]) -> Vec<f64> {
    let size = (dot(x, x) / x.len() as f64 + 1e-5).sqrt();
    x.iter().zip(weight).map(|(x, w)| x / size * w).collect()
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
    let all: f64 = powers.iter().sum();
    powers.iter().map(|p| p / all).collect()
}

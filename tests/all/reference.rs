//! Real architectures, computed by nobody's code but this file's: a plain forward pass in 64-bit
//! floats over the checkpoints of `tests/fixtures/reference`.
//!
//! Held to what transformers says of the same files, so that what the tests compare packs with
//! is itself checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// A tensor of a checkpoint: its stored type, its shape, its numbers.
pub struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
    pub numbers: Vec<f64>,
}

/// A checkpoint in memory.
pub struct Checkpoint {
    pub config: Value,
    pub expected: Value,
    pub tensors: BTreeMap<String, Stored>,
}

/// The checkpoints there are.
pub const ALL: [&str; 7] = [
    "llama-gqa-tied",
    "llama-mha-f16-sharded",
    "llama-yarn",
    "llama3-rope",
    "mistral-window",
    "qwen2-bias-bf16",
    "qwen3-qknorm",
];

fn numbers(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    let pairs = || bytes.as_chunks::<2>().0.iter();
    match dtype {
        Dtype::F32 => {
            let fours = bytes.as_chunks::<4>().0.iter();
            fours.map(|b| f64::from(f32::from_le_bytes(*b))).collect()
        }
        Dtype::F16 => pairs()
            .map(|b| half::f16::from_le_bytes(*b).to_f64())
            .collect(),
        Dtype::BF16 => pairs()
            .map(|b| half::bf16::from_le_bytes(*b).to_f64())
            .collect(),
        other => panic!("no checkpoint here holds {other:?}"),
    }
}

impl Checkpoint {
    pub fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/fixtures/reference")
            .join(name);
        let json = |file: &str| -> Value {
            let text = std::fs::read_to_string(folder.join(file)).expect("the fixture is there");
            serde_json::from_str(&text).expect("the fixture is JSON")
        };
        let mut tensors = BTreeMap::new();
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
            .expect("the fixture is there")
            .map(|entry| entry.expect("it can be listed").path())
            .filter(|path| path.extension().is_some_and(|it| it == "safetensors"))
            .collect();
        files.sort();
        for file in files {
            let bytes = std::fs::read(file).expect("it can be read");
            let shard = SafeTensors::deserialize(&bytes).expect("it is sound");
            for (name, view) in shard.tensors() {
                let stored = Stored {
                    dtype: view.dtype(),
                    shape: view.shape().to_vec(),
                    bytes: view.data().to_vec(),
                    numbers: numbers(view.dtype(), view.data()),
                };
                tensors.insert(name, stored);
            }
        }
        Self {
            config: json("config.json"),
            expected: json("expected.json"),
            tensors,
        }
    }

    pub fn number(&self, key: &str) -> usize {
        let value = self.config[key].as_u64().expect("the key is a number");
        usize::try_from(value).expect("it is small")
    }

    fn tensor(&self, name: &str) -> Option<&[f64]> {
        self.tensors
            .get(name)
            .map(|stored| stored.numbers.as_slice())
    }

    pub fn embed(&self, tokens: &[usize]) -> Vec<Vec<f64>> {
        let width = self.number("hidden_size");
        let table = self
            .tensor("model.embed_tokens.weight")
            .expect("it is there");
        let row = |&token: &usize| table[token * width..(token + 1) * width].to_vec();
        tokens.iter().map(row).collect()
    }

    /// The rows after block `layer`, from the rows before it.
    pub fn block(&self, layer: usize, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let at = |name: &str| self.tensor(&format!("model.layers.{layer}.{name}"));
        let must = |name: &str| at(name).expect("the tensor is there");
        let linear = |rows: &[Vec<f64>], name: &str| -> Vec<Vec<f64>> {
            let weight = must(&format!("{name}.weight"));
            let bias = at(&format!("{name}.bias"));
            rows.iter().map(|row| project(row, weight, bias)).collect()
        };
        let eps = self.config["rms_norm_eps"]
            .as_f64()
            .expect("it is a number");
        let (heads, kv) = (
            self.number("num_attention_heads"),
            self.number("num_key_value_heads"),
        );
        let size = self.number("head_dim");
        let window = self.config["sliding_window"]
            .as_u64()
            .map_or(usize::MAX, |w| w as usize);

        let normed: Vec<_> = rows
            .iter()
            .map(|r| norm(r, must("input_layernorm.weight"), eps))
            .collect();
        let (mut q, mut k) = (
            linear(&normed, "self_attn.q_proj"),
            linear(&normed, "self_attn.k_proj"),
        );
        let v = linear(&normed, "self_attn.v_proj");
        for (rows, weight) in [
            (&mut q, at("self_attn.q_norm.weight")),
            (&mut k, at("self_attn.k_norm.weight")),
        ] {
            for (position, row) in rows.iter_mut().enumerate() {
                for head in row.chunks_exact_mut(size) {
                    if let Some(weight) = weight {
                        head.copy_from_slice(&norm(head, weight, eps));
                    }
                    self.turn(head, position);
                }
            }
        }
        let mut attended = Vec::new();
        for (i, q) in q.iter().enumerate() {
            let mut out = vec![0.0; heads * size];
            for head in 0..heads {
                let group = head / (heads / kv) * size;
                let query = &q[head * size..(head + 1) * size];
                let first = (i + 1).saturating_sub(window);
                let scores: Vec<f64> = (first..=i)
                    .map(|j| dot(query, &k[j][group..group + size]) / (size as f64).sqrt())
                    .collect();
                let most = scores.iter().copied().fold(f64::MIN, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for (j, weight) in (first..=i).zip(&weights) {
                    for (d, out) in out[head * size..(head + 1) * size].iter_mut().enumerate() {
                        *out += weight / sum * v[j][group + d];
                    }
                }
            }
            attended.push(out);
        }
        let after: Vec<Vec<f64>> = add(rows, &linear(&attended, "self_attn.o_proj"));
        let normed: Vec<_> = after
            .iter()
            .map(|r| norm(r, must("post_attention_layernorm.weight"), eps))
            .collect();
        let (gate, up) = (
            linear(&normed, "mlp.gate_proj"),
            linear(&normed, "mlp.up_proj"),
        );
        let inner: Vec<Vec<f64>> = gate
            .iter()
            .zip(&up)
            .map(|(gate, up)| {
                gate.iter()
                    .zip(up)
                    .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
                    .collect()
            })
            .collect();
        add(&after, &linear(&inner, "mlp.down_proj"))
    }

    /// Turns one head's pairs to their position.
    fn turn(&self, head: &mut [f64], position: usize) {
        let half = head.len() / 2;
        let rope = &self.config["rope_parameters"];
        let get = |key: &str| rope[key].as_f64();
        let (theta, dim) = (get("rope_theta").expect("it is there"), head.len() as f64);
        let factor = get("factor").unwrap_or(1.0);
        let context = get("original_max_position_embeddings").unwrap_or(0.0);
        let mut magnitude = 1.0;
        for i in 0..half {
            let plain = theta.powf(-(2.0 * i as f64) / dim);
            let wavelength = std::f64::consts::TAU / plain;
            let frequency = match rope["rope_type"].as_str() {
                Some("llama3") => {
                    let (low, high) = (
                        get("low_freq_factor").unwrap(),
                        get("high_freq_factor").unwrap(),
                    );
                    if wavelength > context / low {
                        plain / factor
                    } else if wavelength < context / high {
                        plain
                    } else {
                        let smooth = (context / wavelength - low) / (high - low);
                        (1.0 - smooth) * plain / factor + smooth * plain
                    }
                }
                Some("yarn") => {
                    magnitude = 0.1 * factor.ln() + 1.0;
                    let corner = |turns: f64| {
                        dim * (context / (turns * std::f64::consts::TAU)).ln() / (2.0 * theta.ln())
                    };
                    let (low, high) = (
                        corner(32.0).floor().max(0.0),
                        corner(1.0).ceil().min(dim - 1.0),
                    );
                    let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                    plain / factor * ramp + plain * (1.0 - ramp)
                }
                _ => plain,
            };
            let (sin, cos) = (position as f64 * frequency).sin_cos();
            let (a, b) = (head[i], head[i + half]);
            head[i] = (a * cos - b * sin) * magnitude;
            head[i + half] = (b * cos + a * sin) * magnitude;
        }
    }

    /// The logits of the last row.
    pub fn logits(&self, row: &[f64]) -> Vec<f64> {
        let eps = self.config["rms_norm_eps"]
            .as_f64()
            .expect("it is a number");
        let row = norm(
            row,
            self.tensor("model.norm.weight").expect("it is there"),
            eps,
        );
        let head = self
            .tensor("lm_head.weight")
            .or_else(|| self.tensor("model.embed_tokens.weight"));
        project(&row, head.expect("it is there"), None)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn project(row: &[f64], weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let out = weight.chunks_exact(row.len()).map(|w| dot(row, w));
    match bias {
        Some(bias) => out.zip(bias).map(|(x, b)| x + b).collect(),
        None => out.collect(),
    }
}

fn norm(row: &[f64], weight: &[f64], eps: f64) -> Vec<f64> {
    let mean = dot(row, row) / row.len() as f64;
    let scale = 1.0 / (mean + eps).sqrt();
    row.iter().zip(weight).map(|(x, w)| x * scale * w).collect()
}

fn add(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let row = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
    a.iter().zip(b).map(row).collect()
}

#[test]
fn the_plain_forward_pass_gives_the_logits_of_transformers() {
    for name in ALL {
        let checkpoint = Checkpoint::open(name);
        let prompt: Vec<usize> = checkpoint.expected["prompt"]
            .as_array()
            .expect("it is a list")
            .iter()
            .map(|id| id.as_u64().expect("it is an id") as usize)
            .collect();
        let mut rows = checkpoint.embed(&prompt);
        for layer in 0..checkpoint.number("num_hidden_layers") {
            rows = checkpoint.block(layer, &rows);
        }
        let logits = checkpoint.logits(rows.last().expect("the prompt is not empty"));
        let expected = checkpoint.expected["last_logits"]
            .as_array()
            .expect("it is a list");
        assert_eq!(logits.len(), expected.len());
        for (found, expected) in logits.iter().zip(expected) {
            let expected = expected.as_f64().expect("it is a number");
            assert!(
                (found - expected).abs() < 2e-3,
                "{name}: {found}, transformers says {expected}"
            );
        }
    }
}

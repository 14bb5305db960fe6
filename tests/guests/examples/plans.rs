//! Experts whose networks break the rules of plans.

use guests::{asked, stateful, stateless};
use modularbase_pack::prelude::*;

struct Plans {
    behaviour: String,
    plan: Plan,
}

fn describe(net: &Network, behaviour: &str) -> Result<Plan> {
    let weight = |name: &str, shape: &[u32]| net.weights().get(name, shape, Init::Zeros);
    let hidden = net.hidden()?;
    match behaviour {
        "a giant weight" => drop(weight("w", &[u32::MAX, u32::MAX, u32::MAX, u32::MAX])?),
        "a weight past the quota" => drop(weight("w", &[1 << 20, 1 << 20])?),
        "a weight of nothing" => drop(weight("w", &[4, 0])?),
        "a weight without dimensions" => drop(weight("w", &[])?),
        "a weight with a nameless name" => drop(weight("", &[4])?),
        "a weight with a long name" => drop(weight(&"w".repeat(1 << 20), &[4])?),
        "a weight that is not there" => drop(weight("ghost", &[4])?),
        "a weight of another shape" => drop(weight("norm", &[4])?),
        "a norm that is quantised" => {
            drop(hidden.rms_norm(&weight("norm", &[net.width()])?, 1e-5)?);
        }
        "a million weights" => {
            for i in 0..1_000_000 {
                weight(&format!("w{i}"), &[1])?;
            }
        }
        "a million operations" => {
            for _ in 0..1_000_000 {
                hidden.scale(0.5)?;
            }
        }
        "a million plans" => {
            for _ in 0..1_000_000 {
                net.finish(&hidden.scale(0.5)?)?;
            }
        }
        "the same plan a million times" => {
            let out = (0..500).try_fold(hidden.scale(0.5)?, |x, _| x.scale(0.5))?;
            for _ in 0..1_000_000 {
                net.finish(&out)?;
            }
        }
        "a row of millions" => {
            let mut x = hidden;
            loop {
                x = x.concat(&[&x, &x, &x])?;
            }
        }
        "a row past the quota" => {
            let wide = hidden.concat(&[&hidden; 255])?;
            let all: Vec<Value> = (0..200).map(|_| wide.scale(0.5)).collect::<Result<_>>()?;
            let sum = all.iter().try_fold(wide.scale(1.0)?, |sum, x| sum.add(x))?;
            return net.finish(&sum.slice(0, net.width())?);
        }
        "much scratch" => {
            let wide = hidden.concat(&[&hidden; 255])?;
            let wide = wide.add(&wide.scale(0.0)?)?;
            return net.finish(&wide.slice(0, net.width())?);
        }
        "hoard tensors" => return net.finish(&hidden.concat(&[&hidden; 255])?),
        "options nobody knows" => {
            let how = Attention::new(4_000_000_000);
            drop(hidden.attend("a", &hidden, &hidden, &how)?);
        }
        "two stateful plans" => {
            stateful(net, "a")?;
            return stateful(net, "b");
        }
        "run twice" | "run never" | "swallow a refusal" | "run and refuse two rows" => {
            return stateful(net, "a");
        }
        _ => {}
    }
    stateless(net)
}

impl Expert for Plans {
    fn load(net: &Network) -> Result<Self> {
        let behaviour = asked(net);
        let plan = describe(net, &behaviour)?;
        Ok(Self { behaviour, plan })
    }

    fn forward(&self, step: &Step, hidden: Tensor) -> Result<Tensor> {
        match self.behaviour.as_str() {
            "run never" => return Ok(hidden),
            "run twice" => {
                let once = self.plan.run(step, &[&hidden])?;
                return self.plan.run(step, &[&once]);
            }
            "run and refuse two rows" => {
                let out = self.plan.run(step, &[&hidden])?;
                return match hidden.rows() {
                    2 => Err("not two rows".into()),
                    _ => Ok(out),
                };
            }
            "hoard tensors" => {
                let run = |_| self.plan.run(step, &[&hidden]);
                let all = (0..60).map(run).collect::<Result<Vec<_>>>()?;
                drop(all);
                return Ok(hidden);
            }
            "no input" => return self.plan.run(step, &[]),
            "two inputs" => return self.plan.run(step, &[&hidden, &hidden]),
            // The plan takes one input: refused, as if nothing had happened.
            "swallow a refusal" => {
                drop(self.plan.run(step, &[]));
                return Ok(hidden);
            }
            _ => {}
        }
        self.plan.run(step, &[&hidden])
    }
}

modularbase_pack::export_expert!(Plans);

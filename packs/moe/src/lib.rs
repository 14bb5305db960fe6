//! A mixture-of-experts pack: in each block a router chooses, for each row by itself, the few
//! experts whose feed-forwards it runs through.
//!
//! Its shape is whatever `[model]` in `pack.toml` says; see `modularbase_pack::BlockConfig` for
//! the keys. The host loads it once, calls `forward` at every step, and reads the weights of no
//! expert that no row has chosen.

use modularbase_pack::prelude::*;

/// Experts in a block when nothing is said.
const EXPERTS: &str = "8";

struct Moe {
    plan: Plan,
}

impl Expert for Moe {
    /// Describes the network: weights by name, then what is computed with them.
    fn load(net: &Network) -> Result<Self> {
        let said = |key: &str| match key {
            "experts" => net.config(key).or_else(|| Some(EXPERTS.to_owned())),
            key => net.config(key),
        };
        let config = BlockConfig::read(net.width(), said)?;
        let blocks = Blocks::declare(&net.weights(), &config)?;
        let out = blocks.apply(&net.hidden()?)?;
        Ok(Self {
            plan: net.finish(&out)?,
        })
    }

    /// Runs the plan over the step's rows: `[rows, width]` in and out.
    fn forward(&self, step: &Step, hidden: Tensor) -> Result<Tensor> {
        self.plan.run(step, &[&hidden])
    }
}

modularbase_pack::export_expert!(Moe);

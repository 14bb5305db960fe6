//! A transformer expert: the base's hidden rows through a stack of pre-norm blocks.
//!
//! Its shape is whatever `[model]` in `pack.toml` says; see `modularbase_pack::BlockConfig` for
//! the keys. The host loads it once and calls `forward` at every step.

use modularbase_pack::prelude::*;

struct Dense {
    plan: Plan,
}

impl Expert for Dense {
    /// Describes the network: weights by name, then what is computed with them.
    fn load(net: &Network) -> Result<Self> {
        let config = BlockConfig::from_network(net)?;
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

modularbase_pack::export_expert!(Dense);

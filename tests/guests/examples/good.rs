//! The pack that every hostile one is followed by: one attention with weights of its own. What
//! it computes must come out the same to the bit, whatever ran before or beside it.

use modularbase_pack::prelude::*;

struct Good {
    plan: Plan,
}

impl Expert for Good {
    fn load(net: &Network) -> Result<Self> {
        let (width, weights) = (net.width(), net.weights());
        let square = |name| weights.get(name, &[width, width], Init::fan_in(width));
        let norm = weights.get("norm", &[width], Init::Ones)?;
        let hidden = net.hidden()?;
        let x = hidden.rms_norm(&norm, 1e-5)?;
        let (q, k, v) = (
            x.linear(&square("q")?)?,
            x.linear(&square("k")?)?,
            x.linear(&square("v")?)?,
        );
        let x = q.attend("a", &k, &v, &Attention::new(2))?;
        let x = x.linear(&square("out")?)?;
        let plan = net.finish(&hidden.add(&x)?)?;
        Ok(Self { plan })
    }

    fn forward(&self, step: &Step, hidden: Tensor) -> Result<Tensor> {
        self.plan.run(step, &[&hidden])
    }
}

modularbase_pack::export_expert!(Good);

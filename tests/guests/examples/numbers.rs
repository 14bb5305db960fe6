//! Experts that give numbers, or shapes, that are none.

use guests::asked;
use modularbase_pack::prelude::*;

struct Numbers {
    plan: Plan,
}

impl Expert for Numbers {
    fn load(net: &Network) -> Result<Self> {
        let hidden = net.hidden()?;
        let huge = hidden.scale(3e38)?.scale(3e38)?;
        let out = match asked(net).as_str() {
            "infinity" => huge,
            "not a number" => huge.scale(0.0)?,
            "one number that is none" => {
                let rest = hidden.slice(1, net.width() - 1)?;
                huge.slice(0, 1)?.concat(&[&rest])?
            }
            "a factor that is none" => hidden.scale(f32::NAN)?,
            "rows too narrow" => hidden.slice(0, 1)?,
            "rows too wide" => hidden.concat(&[&hidden])?,
            "rows too few" => hidden.pool(Pool::Mean)?,
            "tokens" => net.tokens()?,
            _ => hidden,
        };
        let plan = net.finish(&out)?;
        Ok(Self { plan })
    }

    fn forward(&self, step: &Step, hidden: Tensor) -> Result<Tensor> {
        self.plan.run(step, &[&hidden])
    }
}

modularbase_pack::export_expert!(Numbers);

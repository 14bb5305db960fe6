//! Routers whose answers are none.

use std::sync::atomic::{AtomicU32, Ordering};

use guests::{asked, forever};
use modularbase_pack::prelude::*;

/// How often this guest was asked.
static ASKED: AtomicU32 = AtomicU32::new(0);

struct Routes {
    behaviour: String,
    plan: Plan,
}

impl Router for Routes {
    fn load(net: &Network) -> Result<Self> {
        let plan = net.finish(&net.pooled()?.scale(0.5)?)?;
        let behaviour = asked(net);
        Ok(Self { behaviour, plan })
    }

    fn route(&self, query: &Query) -> Result<Answer> {
        let before = ASKED.fetch_add(1, Ordering::Relaxed);
        let answer = Answer::new();
        Ok(match self.behaviour.as_str() {
            "not a number" => answer.choose("a", f32::NAN),
            "infinity" => answer.choose("a", f32::INFINITY),
            "negative" => answer.runner_up("a", -1.0),
            "a million choices" => (0..1_000_000).fold(answer, |answer, _| answer.choose("a", 1.0)),
            "long names" => answer.choose(&"a\n".repeat(2 << 20), 1.0),
            "loop" => forever(),
            "compute forever" => loop {
                query.run(&self.plan)?;
            },
            "panic" => panic!("in a router"),
            // Honest: the first number of what the plan makes of the pooled state.
            _ => answer.choose("a", query.run(&self.plan)?[0] + before as f32),
        })
    }
}

modularbase_pack::export_router!(Routes);

//! An expert with hooks, in one component: what one half remembers, the other must not know.
//! The hooks do what the turn's text says.

use std::sync::Mutex;

use guests::forever;
use modularbase_pack::prelude::*;

/// All that anybody ever said to this guest.
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn heard() -> String {
    HEARD
        .lock()
        .map_or(String::new(), |heard| heard.join(" | "))
}

struct Hooks;

impl Conversation for Hooks {
    fn start() -> Result<Self> {
        Ok(Self)
    }

    fn prepare(&mut self, turn: &Turn<'_>) -> Result<Advice> {
        let text = turn.text();
        let advice = Advice::new();
        let advice = match text.as_str() {
            "loop" => forever(),
            "panic" => panic!("in a hook"),
            "refuse" => return Err("not to you".into()),
            "megabytes" => advice.context(&"x".repeat(4 << 20)),
            "crumbs" => (0..1_000_000).fold(advice, |advice, _| advice.context("")),
            "hoard" => {
                std::mem::forget(Advice::new().context(&"x".repeat(1 << 18)));
                advice
            }
            _ => advice.context(&heard()),
        };
        if let Ok(mut heard) = HEARD.lock() {
            heard.push(text);
        }
        Ok(advice)
    }

    fn finish(&mut self, reply: &Reply<'_>) -> Result<Verdict> {
        match reply.text().as_str() {
            "loop" => forever(),
            "megabytes" => Ok(Verdict::new().note(&"x".repeat(4 << 20))),
            _ => Ok(Verdict::new().note(&heard())),
        }
    }
}

/// Says what it heard, if it heard anything.
struct Listener;

impl Expert for Listener {
    fn load(_: &Network) -> Result<Self> {
        Ok(Self)
    }

    fn forward(&self, _: &Step, hidden: Tensor) -> Result<Tensor> {
        match heard().as_str() {
            "" => Ok(hidden),
            heard => Err(format!("heard: {heard}").into()),
        }
    }
}

modularbase_pack::export_hooks!(Hooks);
modularbase_pack::export_expert!(Listener);

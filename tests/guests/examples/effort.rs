//! Experts that use up what they are given: time, stack, memory, the log.

use std::hint::black_box;

use guests::{asked, forever};
use modularbase_pack::prelude::*;

struct Effort {
    behaviour: String,
}

/// Words that clear a screen, name a window, colour, turn text around and write over it.
const STEERING: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}dessap\r\u{8}";

/// Panics when it goes.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[expect(unconditional_recursion, reason = "it is what it is for")]
fn recurse(depth: u64) -> u64 {
    let frame = [black_box(depth); 64];
    black_box(recurse(depth + 1)) + black_box(frame)[0]
}

fn hoard() -> ! {
    let mut all = Vec::new();
    loop {
        all.push(black_box(vec![0u8; 1 << 20]));
    }
}

impl Expert for Effort {
    fn load(net: &Network) -> Result<Self> {
        let behaviour = asked(net);
        match behaviour.as_str() {
            "loop in load" => forever(),
            "call the host forever" => loop {
                black_box(net.width());
            },
            "allocate 8 MiB" => drop(black_box(vec![1u8; 8 << 20])),
            "refuse" => return Err("not today\u{1b}[2J".into()),
            _ => {}
        }
        Ok(Self { behaviour })
    }

    fn forward(&self, _: &Step, hidden: Tensor) -> Result<Tensor> {
        match self.behaviour.as_str() {
            "loop in forward" => forever(),
            "call the host in forward" => loop {
                black_box(hidden.rows());
            },
            "recurse" => drop(black_box(recurse(0))),
            "hoard" => hoard(),
            "log a million lines" => (0..1_000_000).for_each(|_| log::info("line")),
            "log megabytes" => loop {
                log::error(&"x".repeat(4 << 20));
            },
            "steer the terminal" => {
                log::error(STEERING);
                panic!("{STEERING}");
            }
            "panic" => panic!("a reason\u{1b}[2J"),
            "panic while dropping" => drop(Grenade),
            "panic twice" => {
                let _second = Grenade;
                panic!("the first");
            }
            _ => {}
        }
        Ok(hidden)
    }
}

modularbase_pack::export_expert!(Effort);

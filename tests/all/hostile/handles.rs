//! Handles that are made up, dropped, kept and hoarded.

use super::case::Case;
use super::case::End::{Breach, Nothing, Refusal};
use crate::support::{Source, expert};

pub fn cases() -> Vec<Case> {
    let of = |behave, end, words| Case::expert("handles", behave, end, words);
    let by_hand = |behaviour: &str, words, items: &str, load: &str, forward: &str| {
        let component = expert("1", items, load, forward);
        let source = Source::new("hostile", &component);
        Case::open(behaviour, Breach, words, source)
    };
    vec![
        of(
            "forge a tensor",
            Breach,
            "`forward` unknown handle index 4321",
        ),
        of(
            "forge a result",
            Breach,
            "`forward` unknown handle index 4321",
        ),
        of("take a step for a tensor", Breach, "`forward` "),
        of(
            "use a dropped tensor",
            Breach,
            "`forward` unknown handle index",
        ),
        of(
            "drop a tensor twice",
            Breach,
            "`forward` unknown handle index",
        ),
        of("use the network in forward", Breach, "`forward` "),
        of("use a value in forward", Refusal, "the value has width 0"),
        of(
            "keep a tensor",
            Breach,
            "`forward` kept 1 tensors after it returned",
        ),
        of("use a tensor of an earlier step", Breach, "`forward` "),
        of(
            "flood weights",
            Refusal,
            "the guest holds 5000 handles, that is the limit",
        ),
        of(
            "flood tensors",
            Breach,
            "`forward` kept 64 tensors after it returned",
        ),
        of("flood and swallow", Nothing, ""),
        of(
            "run without an end",
            Refusal,
            "64 plans have run in this call, that is the limit",
        ),
        of("trap in a destructor", Breach, "`load` gave up"),
        by_hand(
            "flood handles without the host",
            "`load` ",
            "",
            "(loop $on (drop (call $new-expert (i32.const 0))) (br $on))",
            "",
        ),
        by_hand(
            "keep the step's handle",
            "`forward` ",
            "",
            "",
            "(i32.store8 (i32.const 16) (i32.const 0))
             (i32.store (i32.const 20) (local.get $hidden))
             (return (i32.const 16))",
        ),
        by_hand(
            "return a pointer to nowhere",
            "`forward` ",
            "",
            "",
            "(return (i32.const -4))",
        ),
        by_hand(
            "return a case that is none",
            "`forward` ",
            "",
            "",
            "(i32.store8 (i32.const 16) (i32.const 9)) (call $drop-step (local.get $step))
             (return (i32.const 16))",
        ),
    ]
}

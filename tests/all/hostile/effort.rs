//! Time, stack, memory, the log: what is used up.

use std::time::Duration;

use super::case::End::{Breach, NotOpened, Nothing, Refusal};
use super::case::{Case, told};
use crate::support::{Source, expert};

/// Fuel without end, so that the deadline must hold.
const NO_END: u64 = 1 << 60;

pub fn cases() -> Vec<Case> {
    let patient = |behave: &str, words| {
        let case = Case::expert_within("effort", behave, Breach, words, |limits| {
            limits.load.fuel = NO_END;
            limits.forward.fuel = NO_END;
        });
        case.called(&format!("{behave}, with fuel"))
    };
    let by_hand = |behaviour: &str, words, memory: &str, items: &str, forward: &str| {
        let component = expert(memory, items, "", forward);
        let source = Source::new("hostile", &component);
        Case::open(behaviour, Breach, words, source)
    };
    vec![
        Case::expert(
            "effort",
            "loop in load",
            Breach,
            "`load` used up its 50000000 units of fuel",
        ),
        Case::expert(
            "effort",
            "loop in forward",
            Breach,
            "`forward` used up its 20000000 units",
        ),
        patient("loop in load", "`load` passed its deadline of 250ms"),
        patient("loop in forward", "`forward` passed its deadline of 250ms"),
        Case::expert("effort", "call the host forever", Breach, "`load` "),
        patient("call the host forever", "`load` passed its deadline"),
        patient("call the host in forward", "`forward` passed its deadline"),
        Case::expert("effort", "recurse", Breach, "`forward` "),
        by_hand(
            "recurse by hand",
            "`forward` overflowed its stack",
            "1",
            "(func $deeper (call $deeper))",
            "(call $deeper)",
        ),
        patient("hoard", "bytes of memory, the limit is 67108864"),
        Case::expert_with(
            "effort",
            "allocate 8 MiB",
            Breach,
            "the limit is 4194304",
            |source| source.memory("4MiB"),
        ),
        Case::expert_with("effort", "allocate 8 MiB", Nothing, "", |source| {
            source.memory("16MiB")
        })
        .called("allocate 8 MiB of 16"),
        Case::open(
            "ask for more memory than there is",
            NotOpened,
            "it asks for 1073741824 bytes of memory, this host gives at most 67108864",
            told("effort", "be good").memory("1GiB"),
        ),
        by_hand("start with 4 GiB of memory", "memory", "65536", "", ""),
        by_hand(
            "start with a table of millions",
            "table",
            "1",
            "(table 10000000 funcref)",
            "",
        ),
        by_hand(
            "start with many tables",
            "table",
            "1",
            &"(table 90000 funcref)".repeat(60),
            "",
        ),
        by_hand(
            "grow a table forever",
            "used up",
            "1",
            "(table $t 1 funcref)",
            "(loop $on (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $on))",
        ),
        by_hand(
            "loop in the start function",
            "`start` used up its 50000000 units of fuel",
            "1",
            "(func $forever (loop $on (br $on))) (start $forever)",
            "",
        ),
        by_hand(
            "fill memory forever",
            "`forward` ",
            "1000",
            "",
            "(loop $on (memory.fill (i32.const 1024) (i32.const 7) (i32.const 60000000)) (br $on))",
        ),
        Case::expert_within(
            "effort",
            "log a million lines",
            Breach,
            "`forward` used up its 5000000 units of fuel",
            |limits| limits.forward.fuel = 5_000_000,
        ),
        Case::expert("effort", "log megabytes", Breach, "`forward` "),
        patient("log megabytes", "`forward` passed its deadline"),
        Case::expert(
            "effort",
            "panic",
            Breach,
            "`forward` panicked: tests/guests/",
        ),
        Case::expert("effort", "panic while dropping", Breach, "dropped"),
        Case::expert("effort", "panic twice", Breach, "`forward` panicked"),
        Case::expert(
            "effort",
            "refuse",
            Refusal,
            "`load` refused: not today\\u{1b}[2J",
        ),
        Case::expert("effort", "nothing wrong", Nothing, "").within(Duration::from_millis(50)),
    ]
}

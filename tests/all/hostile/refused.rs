//! A step that was refused, and the one after it.

use modularbase::roles::{Expert, Failure};

use super::case::told;
use super::world::{World, bits, rows, step};

#[test]
fn a_refused_step_leaves_the_lanes_as_they_were() {
    let world = World::new();
    let pack = told("plans", "run and refuse two rows").open(&world.sandbox);
    let load = || {
        let expert = pack.expert(&world.device, &world.ledger, None);
        expert.expect("it loads")
    };
    let (mut plain, mut tried) = (load(), load());
    for expert in [&mut plain, &mut tried] {
        let begun = expert.begin(&step(&[(1, 0, 70)]), &rows(70, 1)).wait();
        begun.expect("it runs");
    }
    let wrong = [
        // The guest runs its plan, then says no.
        (vec![(1, 70, 2)], "not two rows"),
        (vec![(2, 0, 1), (1, 70, 1)], "not two rows"),
        // The host says no, because the caller is mistaken about where the sequence is.
        (vec![(1, 0, 1)], "starts at row 0, expected 70"),
        (vec![(1, 71, 3)], "starts at row 71, expected 70"),
    ];
    for (spans, words) in wrong {
        let step = step(&spans);
        let refused = tried.begin(&step, &rows(step.rows(), 2)).wait();
        let refused = refused.expect_err("it is refused");
        assert!(matches!(refused, Failure::Refusal { .. }), "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
        assert_eq!((tried.rows(1), tried.rows(2)), (70, 0), "{words}");
    }
    let next = |expert: &mut modularbase::pack::GuestExpert| {
        let out = expert.begin(&step(&[(1, 70, 3)]), &rows(3, 3)).wait();
        bits(&out.expect("it runs"))
    };
    assert_eq!(next(&mut tried), next(&mut plain));
}

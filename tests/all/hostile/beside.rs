//! A guest that breaks beside one that does not, in the same step.

use modularbase::roles::{Expert, Failure};
use modularbase::tensor::Tensor;
use proptest::prelude::*;

use super::case::told;
use super::world::{World, bits, good, rows, step};

/// Guests that get through `load` and not through `forward`.
const BROKEN: [(&str, &str); 8] = [
    ("effort", "loop in forward"),
    ("effort", "recurse"),
    ("effort", "hoard"),
    ("effort", "panic"),
    ("plans", "run twice"),
    ("numbers", "infinity"),
    ("handles", "forge a tensor"),
    ("handles", "flood tensors"),
];

/// Spans of up to three sequences that read on from where they are.
fn spans(at: &mut [usize; 3], wanted: [usize; 3]) -> Vec<(u64, usize, usize)> {
    let mut spans = Vec::new();
    for (sequence, (at, rows)) in at.iter_mut().zip(wanted).enumerate() {
        if rows > 0 {
            spans.push((sequence as u64, *at, rows));
            *at += rows;
        }
    }
    spans
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_breach_changes_no_bit_of_what_another_pack_computes_in_the_same_step(
        broken in 0..BROKEN.len(),
        steps in proptest::collection::vec([1..90usize, 0..3usize, 0..70usize], 1..4),
        seed in any::<u16>(),
    ) {
        let world = World::new();
        let (name, behave) = BROKEN[broken];
        let (hostile, good) = (told(name, behave).open(&world.sandbox), good().open(&world.sandbox));
        let load = |pack: &modularbase::pack::Pack| {
            pack.expert(&world.device, &world.ledger, None).expect("it loads")
        };
        let (mut alone, mut beside) = (load(&good), load(&good));
        let mut at = [0; 3];
        for (number, wanted) in steps.into_iter().enumerate() {
            let step = step(&spans(&mut at, wanted));
            let hidden = rows(step.rows(), u64::from(seed) + number as u64);
            let expected = alone.begin(&step, &hidden).wait().expect("it runs");
            let mut breaking = load(&hostile);
            let (broke, found): (Result<Tensor, Failure>, Tensor) = std::thread::scope(|scope| {
                let (broken, sound) = (breaking.begin(&step, &hidden), beside.begin(&step, &hidden));
                let broken = scope.spawn(|| broken.wait());
                let sound = sound.wait().expect("it runs");
                (broken.join().expect("the host does not panic"), sound)
            });
            // A fresh guest cannot read on where another stopped; that is refused.
            let broke = broke.map(|out| out.rows());
            let breach = matches!(broke, Err(Failure::Breach { .. }));
            prop_assert!(breach || number > 0 && broke.is_err(), "{}: {:?}", behave, broke);
            prop_assert_eq!(bits(&found), bits(&expected), "{}", behave);
        }
    }
}

//! A row's bits are its own; a failed run never was; memory comes back.

use proptest::prelude::*;

use super::model::{Model, options, run};
use super::operations::{ALL, llama};
use crate::plan::WeightType;
use crate::tensor::{Ledger, Program, TensorError};

/// A network whose every choice is random.
#[derive(Clone, Debug)]
struct Choice {
    kind: WeightType,
    heads: usize,
    kv_heads: usize,
    rope: Vec<(&'static str, &'static str)>,
    window: Option<usize>,
    softcap: bool,
    experts: bool,
}

fn choices() -> impl Strategy<Value = Choice> {
    let rope = prop_oneof![
        Just(vec![]),
        Just(vec![("rope", "halves")]),
        Just(vec![
            ("rope", "pairs"),
            ("rope-dim", "8"),
            ("rope-base", "500000")
        ]),
        Just(vec![
            ("rope", "halves"),
            ("rope-scaling", "yarn"),
            ("rope-factor", "4"),
            ("rope-original-context", "64"),
        ]),
    ];
    let heads = prop_oneof![Just((16, 1)), Just((8, 4)), Just((4, 4)), Just((16, 2))];
    let window = prop_oneof![Just(None), (1usize..150).prop_map(Some)];
    (
        0..WeightType::ALL.len(),
        heads,
        rope,
        window,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(kind, (heads, kv_heads), rope, window, softcap, experts)| Choice {
                kind: WeightType::ALL[kind],
                heads,
                kv_heads,
                rope,
                window,
                softcap,
                experts,
            },
        )
}

fn model(choice: &Choice) -> Model {
    Model::new(256, choice.kind, &|net| {
        let counts = [choice.heads, choice.kv_heads].map(|n| n.to_string());
        let window = choice.window.map(|window| window.to_string());
        let mut how = choice.rope.clone();
        let mut given: Vec<(&str, &str)> = vec![("heads", &counts[0]), ("kv-heads", &counts[1])];
        given.append(&mut how);
        given.extend(window.as_deref().map(|window| ("window", window)));
        if choice.softcap {
            given.push(("softcap", "3"));
        }
        let mut x = net.0.hidden().expect("an input");
        if choice.experts {
            let router = net.weight("router", &[3, 256]);
            let gate = net.weight("gate", &[3, 256, 256]);
            let up = net.weight("up", &[3, 256, 256]);
            let down = net.weight("down", &[3, 256, 256]);
            let how = options(&[("top-k", "2")]);
            let y = net
                .0
                .moe(x, [router, gate, up, down], &how)
                .expect("it fits");
            x = net.0.add(x, y).expect("it fits");
        }
        for name in ["a", "b"] {
            x = llama(net, x, name, 256, &given);
        }
        x
    })
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// Every row of a sequence, from a program that has read nothing of it, in steps of these rows.
fn alone(model: &Model, threads: usize, sequence: u64, steps: &[usize]) -> Vec<u32> {
    let mut program = model.load(threads, &Ledger::new(ALL));
    let (mut at, mut all) = (0, Vec::new());
    for rows in steps {
        let span = (sequence, at, at + rows);
        let out = run(&mut program, &[span]).expect("the step fits");
        all.extend(bits(&out[0]));
        at += rows;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_row_has_the_bits_that_it_has_alone(
        choice in choices(),
        cuts in prop::collection::vec(prop::collection::vec(1usize..75, 1..5), 1..5),
        threads in 1usize..4,
    ) {
        let model = model(&choice);
        let mut together = model.load(threads, &Ledger::new(ALL));
        let mut found = vec![Vec::new(); cuts.len()];
        let mut at = vec![0; cuts.len()];
        for turn in 0..4 {
            let spans: Vec<_> = (0..cuts.len())
                .filter_map(|s| cuts[s].get(turn).map(|rows| (s as u64, at[s], at[s] + rows)))
                .collect();
            if spans.is_empty() {
                break;
            }
            let out = run(&mut together, &spans).expect("the step fits");
            for ((s, _, end), out) in spans.into_iter().zip(out) {
                found[s as usize].extend(bits(&out));
                at[s as usize] = end;
            }
        }
        for (s, found) in found.iter().enumerate() {
            let rows: usize = cuts[s].iter().sum();
            prop_assert!(found == &alone(&model, 1, s as u64, &[rows]), "in one step: {choice:?}");
            let one_by_one = vec![1; rows];
            prop_assert!(found == &alone(&model, 2, s as u64, &one_by_one), "by ones: {choice:?}");
        }
    }

    #[test]
    fn rows_that_were_cut_back_leave_no_trace(
        choice in choices(),
        kept in 1usize..140,
        cut in 1usize..80,
    ) {
        let model = model(&choice);
        let ledger = Ledger::new(ALL);
        let mut program = model.load(1, &ledger);
        run(&mut program, &[(1, 0, kept)]).expect("the step fits");
        let held = ledger.owners();
        let first = run(&mut program, &[(1, kept, kept + cut)]).expect("the step fits");
        program.truncate(1, kept);
        prop_assert_eq!(program.rows(1), kept);
        let again = run(&mut program, &[(1, kept, kept + cut)]).expect("the step fits");
        prop_assert_eq!(bits(&first[0]), bits(&again[0]));
        program.truncate(1, kept);
        let kv = |owners: &[(String, u64)]| owners.iter().find(|(o, _)| o == "kv").cloned();
        prop_assert_eq!(kv(&ledger.owners()), kv(&held));
        drop(program);
        prop_assert_eq!(ledger.owners(), vec![]);
    }
}

fn plain(kind: WeightType) -> Model {
    model(&Choice {
        kind,
        heads: 4,
        kv_heads: 2,
        rope: vec![("rope", "halves")],
        window: None,
        softcap: false,
        experts: false,
    })
}

#[test]
fn a_span_that_does_not_read_on_is_refused_in_words() {
    let mut program = plain(WeightType::Q8_0).load(1, &Ledger::new(ALL));
    run(&mut program, &[(5, 0, 3)]).expect("the step fits");
    for (start, end) in [(0, 1), (2, 3), (4, 5)] {
        let error = run(&mut program, &[(6, 0, 1), (5, start, end)]).expect_err("a gap");
        let expected =
            format!("run: sequence 5 starts at row {start}, expected 3, where its lane `a` ends");
        assert_eq!(error.to_string(), expected);
        assert_eq!((program.rows(5), program.rows(6)), (3, 0));
    }
}

#[test]
fn a_run_that_fails_leaves_the_lanes_as_they_were() {
    let model = plain(WeightType::F32);
    let wide = Ledger::new(ALL);
    let mut untouched = model.load(1, &wide);
    let expected = run(&mut untouched, &[(1, 0, 60)]).expect("it fits");
    let expected_next = run(&mut untouched, &[(1, 60, 70)]).expect("it fits");

    // Room for two lanes of one block, and not for a second block in either or in both.
    for spare in [0, 64 * 256 * 4, 64 * 256 * 4 + 8] {
        let ledger = Ledger::new(ALL);
        let mut program = model.load(1, &ledger);
        let found = run(&mut program, &[(1, 0, 60)]).expect("it fits");
        assert_eq!(bits(&found[0]), bits(&expected[0]));
        let hog = ledger
            .grant("hog", ledger.free() - spare)
            .expect("it is free");
        let before = ledger.owners();
        let error = run(&mut program, &[(1, 60, 70)]).expect_err("no room");
        assert!(matches!(error, TensorError::Memory(_)), "{error}");
        assert_eq!(program.rows(1), 60);
        let kv = |owners: Vec<(String, u64)>| owners.into_iter().find(|(o, _)| o == "kv");
        assert_eq!(kv(ledger.owners()), kv(before));
        drop(hog);
        let found = run(&mut program, &[(1, 60, 70)]).expect("there is room again");
        assert_eq!(bits(&found[0]), bits(&expected_next[0]));
        drop(program);
        assert_eq!(ledger.owners(), []);
    }
}

#[test]
fn what_is_granted_covers_what_is_held() {
    let model = plain(WeightType::Q8_0);
    let ledger = Ledger::new(ALL);
    let mut program = model.load(1, &ledger);
    let ropes = model.plan.ropes().into_iter();
    let ropes: u64 = ropes.map(|rope| 2 * rope.dim as u64).sum();
    let weights = model.plan.cost().weight_bytes + 4 * 4 * 256 + ropes;
    assert_eq!(ledger.owners(), [("test".to_owned(), weights)]);
    run(&mut program, &[(1, 0, 1)]).expect("it fits");
    let small = ledger.owners();
    run(&mut program, &[(1, 1, 500)]).expect("it fits");
    let scratch = |owners: &[(String, u64)]| {
        owners
            .iter()
            .find(|(o, _)| o == "scratch")
            .map_or(0, |(_, b)| *b)
    };
    assert!(scratch(&small) >= model.plan.cost().activation_bytes);
    assert_eq!(
        scratch(&ledger.owners()),
        0,
        "a long step's scratch is given back"
    );
}

#[test]
fn two_devices_share_nothing() {
    let model = plain(WeightType::Q4K);
    let expected = alone(&model, 1, 3, &[90]);
    std::thread::scope(|scope| {
        for threads in [1, 2, 3] {
            let (model, expected) = (&model, &expected);
            scope.spawn(move || {
                for _ in 0..3 {
                    assert_eq!(&alone(model, threads, 3, &[40, 50]), expected);
                }
            });
        }
    });
}

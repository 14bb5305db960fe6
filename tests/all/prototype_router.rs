//! `packs/prototype-router`, built from source, through wasm: turns go where they belong, noise
//! goes nowhere, and candidates gain nothing by claiming more than they are.

use std::sync::Arc;

use modularbase::pack::{Limits, Pack, Sandbox};
use modularbase::roles::{Answer, Candidate, Failure, Query, Router};
use modularbase::tensor::{Device, Ledger};

use crate::support;

const WIDTH: usize = 64;

/// Six fields, two words for each.
const DOMAINS: [(&str, [&str; 2]); 6] = [
    ("cooking", ["recipe", "simmer"]),
    ("law", ["contract", "tenant"]),
    ("medical", ["fever", "dose"]),
    ("music", ["chord", "tempo"]),
    ("rust", ["borrow checker", "cargo"]),
    ("travel", ["visa", "itinerary"]),
];

fn open(model: &str, sandbox: &Sandbox) -> Arc<Pack> {
    let source = support::Source::new("prototype-router", support::guest("prototype_router"));
    let source = source.roles(r#""router""#).width(WIDTH).model(model);
    Arc::new(source.open(sandbox))
}

fn ask(pack: &Arc<Pack>, query: Query) -> Result<Answer, Failure> {
    pack.router(&Device::cpu(), &Ledger::new(1 << 20))
        .route(query)
}

/// Random numbers around zero, of variance 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        // Twelve uniform numbers, by SplitMix64: their sum is near enough to normal.
        let mut sum = -6.0;
        for _ in 0..12 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            sum += ((x ^ (x >> 31)) >> 40) as f32 / (1 << 24) as f32;
        }
        sum
    }

    fn vector(&mut self, width: usize) -> Vec<f32> {
        (0..width).map(|_| self.next()).collect()
    }

    /// A vector, and noise of so many times its size.
    fn around(&mut self, vector: &[f32], size: f32) -> Vec<f32> {
        vector.iter().map(|x| x + size * self.next()).collect()
    }
}

fn candidate(id: &str, keywords: &[&str], signatures: Vec<Vec<f32>>) -> Candidate {
    Candidate {
        id: id.to_owned(),
        version: "1.0.0".to_owned(),
        name: id.to_uppercase(),
        domain: id.to_owned(),
        keywords: keywords.iter().map(|&it| it.to_owned()).collect(),
        signatures,
    }
}

/// A candidate for each field, with three signatures around a direction of its own.
fn candidates(noise: &mut Noise) -> (Vec<Candidate>, Vec<Vec<f32>>) {
    let directions: Vec<Vec<f32>> = DOMAINS.iter().map(|_| noise.vector(WIDTH)).collect();
    let of = |((id, keywords), direction): (&(&str, [&str; 2]), &Vec<f32>)| {
        let signatures = (0..3).map(|_| noise.around(direction, 0.3)).collect();
        candidate(id, keywords, signatures)
    };
    let candidates = DOMAINS.iter().zip(&directions).map(of).collect();
    (candidates, directions)
}

fn query(text: &str, pooled: Vec<f32>, candidates: &[Candidate]) -> Query {
    Query {
        text: text.to_owned(),
        pooled,
        candidates: candidates.to_vec(),
    }
}

fn ids(named: &[(String, f32)]) -> Vec<&str> {
    named.iter().map(|(id, _)| id.as_str()).collect()
}

/// A state that has this cosine with `direction`.
fn at_cosine(noise: &mut Noise, direction: &[f32], cosine: f32) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let other = noise.vector(direction.len());
    let along = dot(&other, direction) / dot(direction, direction);
    let across: Vec<f32> = other
        .iter()
        .zip(direction)
        .map(|(o, d)| o - along * d)
        .collect();
    let sine = (1.0 - cosine * cosine).sqrt();
    let (long, wide) = (
        dot(direction, direction).sqrt(),
        dot(&across, &across).sqrt(),
    );
    let parts = direction.iter().zip(&across);
    parts
        .map(|(d, a)| cosine * d / long + sine * a / wide)
        .collect()
}

#[test]
fn noisy_turns_go_to_their_own_field() {
    let pack = open("", &Sandbox::default());
    let mut noise = Noise(1);
    let (candidates, directions) = candidates(&mut noise);
    for size in [0.3, 1.0, 1.5] {
        let (mut right, mut wrong, mut nobody, mut several) = (0, 0, 0, 0);
        for (candidate, direction) in candidates.iter().zip(&directions) {
            for _ in 0..20 {
                let pooled = noise.around(direction, size);
                let answer = ask(&pack, query("", pooled, &candidates)).expect("it answers");
                match ids(&answer.chosen).as_slice() {
                    [] => nobody += 1,
                    [first, rest @ ..] => {
                        several += usize::from(!rest.is_empty());
                        match *first == candidate.id {
                            true => right += 1,
                            false => wrong += 1,
                        }
                    }
                }
            }
        }
        println!(
            "noise of {size} times the signal: {right} of 120 turns go to their field, {wrong} to \
             another, {nobody} to nobody, {several} to two"
        );
        let least = if size > 1.0 { 100 } else { 120 };
        assert!(right >= least && wrong <= 1 && several <= 1, "{size}");
    }
}

#[test]
fn noise_and_an_empty_house_are_general_chats() {
    let pack = open("", &Sandbox::default());
    let mut noise = Noise(2);
    let (candidates, directions) = candidates(&mut noise);
    let mut routed = 0;
    for _ in 0..200 {
        let pooled = noise.vector(WIDTH);
        let answer = ask(&pack, query("", pooled, &candidates)).expect("it answers");
        routed += usize::from(answer != Answer::default());
    }
    println!("{routed} of 200 turns of noise go to a pack");
    assert!(routed <= 4, "{routed}");

    let home = directions[0].clone();
    for (text, pooled) in [
        ("a fever", home),
        ("", vec![]),
        ("dose", vec![f32::NAN; WIDTH]),
    ] {
        let answer = ask(&pack, query(text, pooled, &[])).expect("it answers");
        assert_eq!(answer, Answer::default());
    }
    for pooled in [
        vec![0.0; WIDTH],
        vec![f32::NAN; WIDTH],
        vec![],
        vec![1.0; 8],
    ] {
        let answer = ask(&pack, query("", pooled, &candidates)).expect("it answers");
        assert_eq!(answer, Answer::default());
    }
}

#[test]
fn one_pack_is_named_and_the_next_few_are_runners_up() {
    let pack = open("threshold = 0.2\nrunners-up = 3", &Sandbox::default());
    let mut noise = Noise(3);
    let (all, directions) = candidates(&mut noise);
    let answer = ask(&pack, query("a dose", directions[2].clone(), &all)).expect("it answers");
    assert_eq!(ids(&answer.chosen), ["medical"]);
    assert!(answer.runners_up.len() <= 3 && answer.strategy.is_none());
    let scores = answer.chosen.iter().chain(&answer.runners_up);
    let scores: Vec<f32> = scores.map(|(_, score)| *score).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    let sound = |score: &f32| score.is_finite() && (0.0..=1.0).contains(score);
    assert!(scores.iter().all(sound), "{scores:?}");

    // About two fields at once: both.
    let middle = |of: &[usize]| -> Vec<f32> {
        let sum = |i: usize| of.iter().map(|&d| unit(&directions[d])[i]).sum();
        (0..WIDTH).map(sum).collect()
    };
    let exact: Vec<Candidate> = all
        .iter()
        .zip(&directions)
        .map(|(it, direction)| candidate(&it.id, &[], vec![direction.clone()]))
        .collect();
    let both = ask(&pack, query("", middle(&[2, 4]), &exact)).expect("it answers");
    let mut named = ids(&both.chosen);
    named.sort_unstable();
    assert_eq!(named, ["medical", "rust"]);
    let alone = open("threshold = 0.2\nmix-margin = 0", &Sandbox::default());
    let one = ask(&alone, query("", middle(&[2, 4]), &exact)).expect("it answers");
    assert_eq!(one.chosen.len(), 1);
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

#[test]
fn keywords_tip_a_balance_and_no_more() {
    let sandbox = Sandbox::default();
    let pack = open("", &sandbox);
    let mut noise = Noise(4);
    let honest = noise.vector(WIDTH);
    let text = "a b c d e: my tenant, with a fever, asks for a recipe";
    let everything: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .map(str::to_owned)
        .chain((0..500).map(|i| format!("word{i}")))
        .chain(["".to_owned(), " ".to_owned(), ",".to_owned()])
        .collect();
    let everything: Vec<&str> = everything.iter().map(String::as_str).collect();
    let greedy = |signatures| candidate("greedy", &everything, signatures);
    let chosen = |text: &str, cosine: f32, greedy: Candidate, noise: &mut Noise| {
        let all = [
            greedy,
            candidate("honest", &["fever"], vec![honest.clone()]),
        ];
        let pooled = at_cosine(noise, &honest, cosine);
        let answer = ask(&pack, query(text, pooled, &all)).expect("it answers");
        let chosen = ids(&answer.chosen);
        chosen.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };

    // A cosine of 0.3 is too little, with a keyword it is enough; hundreds of keywords without one
    // choose nobody.
    assert_eq!(chosen("hello", 0.3, greedy(vec![]), &mut noise), [""; 0]);
    assert_eq!(chosen(text, 0.3, greedy(vec![]), &mut noise), ["honest"]);
    assert_eq!(chosen(text, 0.0, greedy(vec![]), &mut noise), [""; 0]);

    // What three keywords gain is all that there is to gain.
    let modest = candidate("modest", &["fever", "tenant", "recipe"], vec![]);
    let honest_too = candidate("honest", &[], vec![honest.clone()]);
    let all = [greedy(vec![]), honest_too, modest];
    let answer = ask(&pack, query(text, honest.clone(), &all)).expect("it answers");
    let runners_up = &answer.runners_up;
    assert_eq!(ids(runners_up), ["greedy", "modest"]);
    assert_eq!(runners_up[0].1, runners_up[1].1);

    // Signatures that are none, or immense, add nothing to that.
    let huge = at_cosine(&mut noise, &honest, 0.0);
    let huge = huge.iter().map(|x| x * 1e38).collect();
    let odd: Vec<Vec<f32>> = vec![
        vec![0.0; WIDTH],
        vec![f32::NAN; WIDTH],
        vec![f32::INFINITY; WIDTH],
        vec![f32::MAX; 2 * WIDTH],
        vec![],
    ];
    assert_eq!(chosen(text, 0.3, greedy(odd), &mut noise), ["honest"]);
    assert_eq!(
        chosen(text, 0.9, greedy(vec![huge]), &mut noise),
        ["honest"]
    );

    // Whoever trusts all packs may let keywords choose.
    let trusting = open("keyword-cap = 0.5\nkeyword-bonus = 0.2", &sandbox);
    let alone = [candidate("law", &["tenant", "recipe"], vec![])];
    let pooled = noise.vector(WIDTH);
    let answer = ask(&trusting, query("the TENANT left", pooled.clone(), &alone));
    assert_eq!(answer.expect("it answers"), Answer::default());
    let answer = ask(&trusting, query(text, pooled, &alone)).expect("it answers");
    assert_eq!(ids(&answer.chosen), ["law"]);
}

#[test]
fn the_order_of_candidates_changes_nothing() {
    let pack = open("threshold = 0.1", &Sandbox::default());
    let mut noise = Noise(5);
    let (mut all, directions) = candidates(&mut noise);
    // One that is another's equal in all but its id.
    let twin = candidate("twin", &["fever", "dose"], all[2].signatures.clone());
    all.push(twin);
    for direction in &directions {
        let pooled = noise.around(direction, 0.8);
        let first = ask(&pack, query("a recipe", pooled.clone(), &all)).expect("it answers");
        for _ in 0..all.len() {
            all.rotate_left(1);
            let turned = ask(&pack, query("a recipe", pooled.clone(), &all));
            assert_eq!(turned.expect("it answers"), first);
        }
        all.reverse();
        let turned = ask(&pack, query("a recipe", pooled, &all));
        assert_eq!(turned.expect("it answers"), first);
    }
}

/// The least of some shares of a turn's fuel, in hundredths, within which the router answers.
fn share_of_fuel(query: &Query) -> (u64, Answer) {
    let within = |share: u64| {
        let mut limits = Limits::default();
        limits.turn.fuel = limits.turn.fuel / 100 * share;
        let pack = open("", &Sandbox::new(limits));
        Some((share, ask(&pack, query.clone()).ok()?))
    };
    let found = [10, 20, 30, 50].into_iter().find_map(within);
    found.expect("half of the fuel is enough")
}

#[test]
fn a_full_house_stays_within_the_limits() {
    const WIDE: usize = 4096;
    let mut noise = Noise(6);
    let house = |keywords: &dyn Fn(usize) -> String, noise: &mut Noise| -> Vec<Candidate> {
        let keywords: Vec<String> = (0..256).map(keywords).collect();
        let keywords: Vec<&str> = keywords.iter().map(String::as_str).collect();
        let signatures = |noise: &mut Noise| (0..8).map(|_| noise.vector(WIDE)).collect();
        let pack = |i| candidate(&format!("pack-{i:02}"), &keywords, signatures(noise));
        (0..50).map(pack).collect()
    };

    let plain = house(&|i| format!("keyword {i}"), &mut noise);
    let text = "A turn as long as a page of a book, with no word in it that is told twice. ";
    let pooled = plain[31].signatures[5].clone();
    let (share, answer) = share_of_fuel(&query(&text.repeat(40), pooled.clone(), &plain));
    println!("50 candidates, 8 signatures of width {WIDE}: at most {share} % of the fuel");
    assert_eq!(ids(&answer.chosen), ["pack-31"]);

    // Keywords that the text nearly has, everywhere: eight words that are all `a` or `b`.
    let word = |bit: bool| if bit { "a " } else { "b " };
    let nearly = |i: usize| (0..8).map(|bit| word(i >> bit & 1 == 1)).collect();
    let greedy = house(&nearly, &mut noise);
    let text: String = (0..20_000).map(|i| word(i % 2 == 0)).collect();
    let pooled = greedy[31].signatures[5].clone();
    let (share, answer) = share_of_fuel(&query(&text, pooled, &greedy));
    println!("50 greedy candidates, a turn of 20000 words: at most {share} % of the fuel");
    assert_eq!(ids(&answer.chosen), ["pack-31"]);
}

#[test]
fn constants_that_make_no_sense_are_refused_in_words() {
    let sandbox = Sandbox::default();
    for (model, words) in [
        (
            "temperature = 0",
            "`[model]`: `temperature` is 0, expected a number from 0.001 to 100",
        ),
        (
            "threshold = 1.5",
            "`[model]`: `threshold` is 1.5, expected a number from 0 to 1",
        ),
        (
            "keyword-cap = \"NaN\"",
            "`[model]`: `keyword-cap` is NaN, expected a number from 0 to 1",
        ),
        (
            "mix-margin = -1",
            "`[model]`: `mix-margin` is -1, expected a number from 0 to 1",
        ),
        (
            "runners-up = -1",
            "`[model]`: `runners-up` is `-1`, expected a whole number",
        ),
        (
            "keyword-bonus = \"much\"",
            "`[model]`: `keyword-bonus` is `much`, expected a number",
        ),
    ] {
        let refused = ask(&open(model, &sandbox), Query::default());
        let refused = refused.expect_err("its constants make no sense");
        assert!(
            matches!(refused, Failure::Refusal { .. }),
            "{model}: {refused:?}"
        );
        assert!(refused.to_string().ends_with(words), "{model}: {refused}");
    }
}

#[test]
fn more_signatures_than_a_router_could_hold_harm_nobody() {
    let domain = |at: usize| {
        (0..64)
            .map(|i| f32::from(i % 6 == at))
            .collect::<Vec<f32>>()
    };
    // 100 MB, where a guest has 64 MiB.
    let greedy = candidate("greedy", &[], vec![domain(1); 400_000]);
    let honest = candidate("honest", &[], vec![domain(2)]);
    let pack = open("", &Sandbox::default());
    let answer = ask(&pack, query("a recipe", domain(2), &[greedy, honest]));
    assert_eq!(ids(&answer.expect("it answers").chosen), ["honest"]);
}

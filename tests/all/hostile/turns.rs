//! Hooks and routers: endless, immense, and curious about other users.

use std::sync::Arc;
use std::time::Instant;

use modularbase::pack::Pack;
use modularbase::roles::{Expert, Failure, Query, Reply, Router, Turn};

use super::case::End::{Breach, Refusal};
use super::case::{Case, told};
use super::world::{World, rows, step};

pub fn cases() -> Vec<Case> {
    vec![
        prepare(
            "loop",
            Breach,
            "`prepare` used up its 50000000 units of fuel",
        ),
        prepare("panic", Breach, "`prepare` panicked"),
        prepare("refuse", Refusal, "`prepare` refused: not to you"),
        prepare(
            "megabytes",
            Breach,
            "`prepare` said more than 1048576 bytes in one answer",
        ),
        prepare(
            "crumbs",
            Breach,
            "`prepare` said more than 1048576 bytes in one answer",
        ),
        prepare("hoard", Breach, "`prepare` kept "),
        finish(
            "loop",
            Breach,
            "`finish` used up its 50000000 units of fuel",
        ),
        finish(
            "megabytes",
            Breach,
            "`finish` said more than 1048576 bytes in one answer",
        ),
        route("not a number", Breach, "gave pack `a` the score NaN"),
        route("infinity", Breach, "gave pack `a` the score inf"),
        route("negative", Breach, "gave pack `a` the score -1"),
        route(
            "a million choices",
            Breach,
            "`route` said more than 1048576 bytes",
        ),
        route("long names", Breach, "`route` said more than 1048576 bytes"),
        route("loop", Breach, "`route` used up its 50000000 units of fuel"),
        route("compute forever", Refusal, "`route` refused: "),
        route("panic", Breach, "`route` panicked"),
    ]
}

type End = super::case::End;

fn turn(text: &str) -> Turn {
    Turn {
        text: text.to_owned(),
        ..Turn::default()
    }
}

fn reply(text: &str) -> Reply {
    Reply {
        text: text.to_owned(),
        ..Reply::default()
    }
}

/// A hook before the turn, five times over.
fn prepare(text: &'static str, end: End, words: &'static str) -> Case {
    let source = told("hooks", "be good");
    let name = format!("a hook before the turn: {text}");
    Case::new(&name, end, words, move |world, watch| {
        let pack = source.try_open(&world.sandbox)?;
        *watch = Instant::now();
        let mut conversation = pack.conversation()?;
        for _ in 0..5 {
            conversation.prepare(turn(text))?;
        }
        Ok(())
    })
}

/// A hook after the reply.
fn finish(text: &'static str, end: End, words: &'static str) -> Case {
    let source = told("hooks", "be good");
    let name = format!("a hook after the reply: {text}");
    Case::new(&name, end, words, move |world, watch| {
        let pack = source.try_open(&world.sandbox)?;
        *watch = Instant::now();
        pack.conversation()?.finish(reply(text))?;
        Ok(())
    })
}

/// A router's answer.
fn route(behave: &'static str, end: End, words: &'static str) -> Case {
    let source = told("router", behave).roles(r#""router""#);
    let name = format!("a router: {behave}");
    Case::new(&name, end, words, move |world, watch| {
        let pack = Arc::new(source.try_open(&world.sandbox)?);
        *watch = Instant::now();
        ask(&pack, world).map(drop)?;
        Ok(())
    })
}

fn ask(pack: &Arc<Pack>, world: &World) -> Result<f32, Failure> {
    let query = Query {
        text: "which?".into(),
        pooled: vec![3.0; super::world::WIDTH],
        ..Query::default()
    };
    let answer = pack.router(&world.device, &world.ledger).route(query)?;
    Ok(answer.chosen.first().map_or(f32::NAN, |(_, score)| *score))
}

#[test]
fn what_one_user_says_reaches_no_other_user_and_no_expert() {
    let world = World::new();
    let pack = told("hooks", "be good").open(&world.sandbox);
    let mut expert = pack
        .expert(&world.device, &world.ledger, None)
        .expect("it loads");
    let mut alice = pack.conversation().expect("it starts");
    let mut bob = pack.conversation().expect("it starts");
    let said = |advice: modularbase::roles::Advice| advice.context.join("");
    assert_eq!(
        alice.prepare(turn("my secret")).map(said),
        Ok(String::new())
    );
    // It does remember: the same conversation hears of it again.
    assert_eq!(
        alice.prepare(turn("more")).map(said),
        Ok("my secret".into())
    );
    assert_eq!(bob.prepare(turn("hello")).map(said), Ok(String::new()));
    let notes = bob.finish(reply("hi")).map(|verdict| verdict.notes);
    assert_eq!(notes, Ok(vec!["hello".into()]));
    let mut carol = pack.conversation().expect("it starts");
    assert_eq!(carol.prepare(turn("hi")).map(said), Ok(String::new()));
    // The expert answers with what it heard, if it heard anything.
    let out = expert.begin(&step(&[(1, 0, 1)]), &rows(1, 1)).wait();
    assert!(out.is_ok(), "{:?}", out.err());
}

#[test]
fn a_router_remembers_no_turn() {
    let world = World::new();
    let pack = told("router", "be good").roles(r#""router""#);
    let pack = Arc::new(pack.open(&world.sandbox));
    let mut router = pack.router(&world.device, &world.ledger);
    for _ in 0..3 {
        let query = Query {
            pooled: vec![3.0; super::world::WIDTH],
            ..Query::default()
        };
        let answer = router.route(query).expect("it answers");
        assert_eq!(answer.chosen, [("a".to_owned(), 1.5)]);
    }
}

#[test]
fn after_a_breach_a_conversation_says_so_and_another_goes_on() {
    let world = World::new();
    let pack = told("hooks", "be good").open(&world.sandbox);
    let mut broken = pack.conversation().expect("it starts");
    let mut sound = pack.conversation().expect("it starts");
    let first = broken.prepare(turn("panic")).expect_err("it panics");
    let second = broken.prepare(turn("hello")).expect_err("it is gone");
    assert_eq!(first, second);
    assert!(sound.prepare(turn("hello")).is_ok());
}

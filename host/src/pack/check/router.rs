//! What a router must do: answer every turn, with packs that are there, the same each time.

use std::collections::BTreeSet;

use super::toy::{TEXTS, query};
use super::{Bench, Book, Finding, failed, passed, share, warned};
use crate::pack::Used;
use crate::pack::router::Loaded;
use crate::roles::{Answer, Failure};

/// The fusions that a router may ask for.
const STRATEGIES: [&str; 3] = ["weighted", "primary-secondary", "attention"];

pub(super) fn check(bench: &Bench, book: &mut Book) {
    let mut answers = Vec::new();
    let mut used = Used::default();
    book.check("router answers", || {
        for text in TEXTS {
            let (answer, now) = ask(bench, text)?;
            used.fuel = used.fuel.max(now.fuel);
            used.memory = used.memory.max(now.memory);
            answers.push(answer);
        }
        let most = bench.pack.sandbox.limits().turn.fuel;
        Ok(passed(format!(
            "{} turns, {} of the fuel, {} of the memory",
            TEXTS.len(),
            share(used.fuel, most),
            share(used.memory, bench.memory())
        )))
    });
    if answers.len() < TEXTS.len() {
        book.skip("router choices", "it does not answer");
        return book.skip("router deterministic", "it does not answer");
    }
    book.check("router choices", || Ok(judge(&answers)));
    book.check("router deterministic", || {
        for (text, first) in TEXTS.iter().zip(&answers) {
            let (again, _) = ask(bench, text)?;
            if again != *first {
                return Ok(failed(format!(
                    "asked twice, it answered {first:?} and {again:?}"
                )));
            }
        }
        Ok(passed("asked twice, it answers the same"))
    });
}

/// Asks a fresh guest, as each turn does.
fn ask(bench: &Bench, text: &str) -> Result<(Answer, Used), Failure> {
    let pack = &bench.pack;
    let onto = pack.loader(&bench.device, &bench.ledger);
    let building = pack.building(None, Some(onto), pack.catalog());
    let (mut loaded, _) = Loaded::load(pack, building)?;
    let width = pack.manifest().base.width as usize;
    let answer = loaded.route(pack.sandbox.limits().turn, query(text, width))?;
    Ok((answer, loaded.used()))
}

/// The host has seen to it that scores are finite and not negative.
fn judge(answers: &[Answer]) -> Finding {
    let candidates = query("", 1).candidates;
    let known: BTreeSet<&str> = candidates.iter().map(|it| it.id.as_str()).collect();
    let mut chosen = 0;
    for answer in answers {
        for (id, _) in answer.chosen.iter().chain(&answer.runners_up) {
            if !known.contains(id.as_str()) {
                let id = crate::pack::log::escaped(id);
                return failed(format!(
                    "it chose `{id}`, which is not among the candidates"
                ));
            }
        }
        if let Some(name) = &answer.strategy
            && !STRATEGIES.contains(&name.as_str())
        {
            let name = crate::pack::log::escaped(name);
            let known = STRATEGIES.join("`, `");
            return failed(format!(
                "it asks for the fusion `{name}`, expected `{known}`"
            ));
        }
        chosen += answer.chosen.len();
    }
    match chosen {
        0 => warned("it chose no pack for any turn, which leaves all to general chat"),
        n => passed(format!("{n} choices, all among the candidates")),
    }
}

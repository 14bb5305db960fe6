//! What hooks must do: answer every turn, the same each time, and keep conversations apart.

use super::toy::TEXTS;
use super::{Bench, Book, Finding, failed, passed, share, warned};
use crate::pack::{Conversation, Used};
use crate::roles::{Advice, Failure, Reply, Turn, Verdict};

/// What hooks said in one turn; a refusal is an answer too.
#[derive(PartialEq)]
struct Said {
    advice: Result<Advice, Failure>,
    verdict: Result<Verdict, Failure>,
}

pub(super) fn check(bench: &Bench, book: &mut Book) {
    let mut alone = Vec::new();
    book.check("hooks answer", || {
        let mut conversation = bench.pack.conversation()?;
        for index in 0..TEXTS.len() {
            alone.push(turn(&mut conversation, index, 0)?);
        }
        Ok(judge(bench, &alone, conversation.used()))
    });
    if alone.len() < TEXTS.len() {
        return book.skip("hooks apart", "they do not answer");
    }
    book.check("hooks apart", || {
        let mut ours = bench.pack.conversation()?;
        let mut others = bench.pack.conversation()?;
        for (index, said) in alone.iter().enumerate() {
            // The other user says other things, before and after each of ours.
            turn(&mut others, index, 1)?;
            if turn(&mut ours, index, 0)? != *said {
                return Ok(failed(format!(
                    "turn {index} was answered otherwise beside another conversation"
                )));
            }
            turn(&mut others, index, 2)?;
        }
        Ok(passed(
            "two conversations in turns: each answered as if alone",
        ))
    });
}

/// A turn of a conversation, in which texts come in the order that `shift` says. Ends with a
/// breach only: a pack may refuse a turn.
fn turn(conversation: &mut Conversation, index: usize, shift: usize) -> Result<Said, Failure> {
    let text = TEXTS.iter().cycle().nth(index + shift).copied();
    let text = text.unwrap_or_default().to_owned();
    let advice = conversation.prepare(Turn {
        text: text.clone(),
        index: index as u32,
        gate: 1.0,
    });
    if let Err(failure @ (Failure::Breach { .. } | Failure::Outage { .. })) = advice {
        return Err(failure);
    }
    let verdict = conversation.finish(Reply {
        text: format!("You asked: {text}"),
        may_retry: index == 0,
    });
    if let Err(failure @ (Failure::Breach { .. } | Failure::Outage { .. })) = verdict {
        return Err(failure);
    }
    Ok(Said { advice, verdict })
}

fn judge(bench: &Bench, said: &[Said], used: Used) -> Finding {
    let variants = &bench.pack.manifest().variants;
    for said in said {
        if let Ok(Advice {
            variant: Some(name),
            ..
        }) = &said.advice
            && !variants.contains(name)
        {
            let name = crate::pack::log::escaped(name);
            return failed(format!("`prepare` asks for the variant `{name}`"))
                .hint("list it under `variants` in pack.toml");
        }
    }
    let refusal = said
        .iter()
        .find_map(|it| it.advice.as_ref().err().or(it.verdict.as_ref().err()));
    if let Some(failure) = refusal {
        let Finding { detail, .. } = failure.clone().into();
        return warned(format!("a turn was refused: {detail}"));
    }
    let limits = bench.pack.sandbox.limits();
    passed(format!(
        "{} turns, {} of the fuel in the last, {} of the memory",
        said.len(),
        share(used.fuel, limits.turn.fuel),
        share(used.memory, bench.memory())
    ))
}

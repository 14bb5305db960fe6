//! A router without weights: a turn goes to the pack whose signature it is nearest to, and to
//! general chat when none is near.
//!
//! `score.rs` says how near and who is chosen, `words.rs` which keywords a text has,
//! `settings.rs` what `pack.toml` may say about both. They know nothing of the host, so their
//! tests run anywhere; this file reads the host's question and writes its answer. What stays
//! true: whatever candidates say of themselves, the answer is finite, the same in any order of
//! theirs, and a pack gains no more by its keywords than `keyword-cap`.

mod score;
mod settings;
mod words;

use modularbase_pack::prelude::*;

use score::{Fit, Turn, decide};
use settings::Settings;
use words::Words;

struct PrototypeRouter {
    settings: Settings,
}

impl Router for PrototypeRouter {
    /// Computes no network: what it compares are a few rows, read back.
    fn load(net: &Network) -> Result<Self> {
        let settings = Settings::from_network(net)?;
        Ok(Self { settings })
    }

    fn route(&self, query: &Query) -> Result<Answer> {
        let turn = Turn::new(&query.pooled());
        let text = Words::of(&query.text());
        let candidates = query.candidates();
        let fit = |(index, candidate): (u32, &Candidate)| Fit {
            id: candidate.id.clone(),
            fit: turn.similarity(&query.signatures(index))
                + self.settings.bonus(text.found(&candidate.keywords)),
        };
        let fits = (0..).zip(&candidates).map(fit).collect();
        let decided = decide(fits, &self.settings);
        let mut answer = Answer::new();
        for (id, score) in &decided.chosen {
            answer = answer.choose(id, *score);
        }
        for (id, score) in &decided.runners_up {
            answer = answer.runner_up(id, *score);
        }
        Ok(answer)
    }
}

modularbase_pack::export_router!(PrototypeRouter);

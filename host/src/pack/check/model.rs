//! Does somebody read every hyper-parameter? A misspelt one that may be left out would otherwise
//! change nothing, and nobody would say so.

use std::collections::BTreeSet;

use super::{Bench, Book, Finding, passed, warned};
use crate::pack::measured::variants;

pub(super) fn check(bench: &Bench, book: &mut Book) {
    let manifest = bench.pack.manifest();
    if manifest.model.is_empty() {
        return;
    }
    let mut asked = BTreeSet::new();
    for variant in variants(manifest) {
        match bench.pack.describe(variant) {
            Ok(all) => asked.extend(all.into_iter().flat_map(|it| it.asked)),
            Err(_) => return book.skip("model", "it does not load"),
        }
    }
    let given = manifest.model.keys().map(String::as_str);
    book.check("model", || Ok(judge(given.collect(), &asked)));
}

fn judge(given: Vec<&str>, asked: &BTreeSet<String>) -> Finding {
    let Some(unread) = given.iter().find(|key| !asked.contains(**key)) else {
        return passed(format!("all {} hyper-parameters are read", given.len()));
    };
    let mut finding = warned(format!("`load` does not ask for `{unread}`"));
    let free = asked.iter().filter(|key| !given.contains(&key.as_str()));
    let likeness = |key: &&String| strsim::jaro_winkler(unread, key);
    finding.hint = free
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|key| likeness(key) > 0.7)
        .map(|key| format!("it asks for `{}`", crate::pack::log::escaped(key)));
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Outcome;

    #[test]
    fn a_key_that_nobody_reads_is_named_with_the_one_that_was_meant() {
        let asked = ["layers", "heads", "window"].map(str::to_owned).into();
        let found = judge(vec!["layers", "heads"], &asked);
        assert_eq!(found.outcome, Outcome::Passed);
        let found = judge(vec!["layers", "heads", "windw"], &asked);
        assert_eq!(found.outcome, Outcome::Warned);
        assert_eq!(found.detail, "`load` does not ask for `windw`");
        assert_eq!(found.hint.as_deref(), Some("it asks for `window`"));
        let found = judge(vec!["layers", "heads", "zzz"], &asked);
        assert_eq!(found.hint, None);
    }
}

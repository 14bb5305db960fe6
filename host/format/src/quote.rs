//! How names from foreign files stand in messages: in backticks, escaped, and cut when long.
//!
//! Every error of this crate that repeats a name goes through here, so that a file cannot write
//! terminal escapes, or pages of text, into somebody's log.

/// Characters of a name that a message repeats.
const SHOWN: usize = 80;

/// `name` in backticks, with everything that is not plain text escaped.
pub(crate) fn quote(name: &str) -> Box<str> {
    format!("`{}`", cut(name, SHOWN)).into()
}

/// Characters of a sentence that a message repeats.
const SENTENCE: usize = 300;

/// A sentence that may repeat what stands in a file, escaped and cut likewise.
pub(crate) fn escaped(sentence: &str) -> String {
    cut(sentence, SENTENCE)
}

fn cut(text: &str, limit: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(limit)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_length_are_tamed() {
        assert_eq!(&*quote("a.b"), "`a.b`");
        assert_eq!(&*quote("a\u{1b}[31m\n"), "`a\\u{1b}[31m\\n`");
        assert_eq!(quote(&"x".repeat(1000)).chars().count(), SHOWN + 3);
    }
}

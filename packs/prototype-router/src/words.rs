//! Which keywords a text has, as whole words.
//!
//! `route` is the caller. Case does not count; what a word is does not depend on a language: a
//! run of letters, digits and `_` is one, and so is every other sign, and every letter of a
//! script that is written without spaces. A keyword may be several words in a row (`C++` is
//! three). What stays true: what a candidate's keywords cost has a bound, whatever they are and
//! whatever the text is.

use std::collections::{BTreeMap, BTreeSet};

/// Keywords of a candidate that are looked for.
const MOST_KEYWORDS: usize = 256;

/// Letters of a keyword; a longer one is no word.
const LONGEST_KEYWORD: usize = 64;

/// Places where a keyword is looked for: what stands in a text more often tells nothing.
const MOST_PLACES: usize = 64;

/// The words of a text and where they stand.
pub struct Words {
    /// A number for each word that the text has.
    numbers: BTreeMap<String, usize>,
    /// The text, word by word.
    text: Vec<usize>,
    /// Where in the text each word stands.
    places: Vec<Vec<usize>>,
}

impl Words {
    pub fn of(text: &str) -> Self {
        let mut words = Self {
            numbers: BTreeMap::new(),
            text: Vec::new(),
            places: Vec::new(),
        };
        split(text, |word| words.push(word));
        words
    }

    fn push(&mut self, word: &str) {
        let number = match self.numbers.get(word) {
            Some(&number) => number,
            None => {
                self.numbers.insert(word.to_owned(), self.places.len());
                self.places.push(Vec::new());
                self.places.len() - 1
            }
        };
        if let Some(places) = self.places.get_mut(number) {
            places.push(self.text.len());
        }
        self.text.push(number);
    }

    /// How many of the keywords the text has. The same one in another case or spacing counts
    /// once; one without a letter or a digit does not count.
    pub fn found(&self, keywords: &[String]) -> usize {
        let mut found = BTreeSet::new();
        let is_sound = |keyword: &&String| {
            keyword.chars().nth(LONGEST_KEYWORD).is_none()
                && keyword.chars().any(char::is_alphanumeric)
        };
        for keyword in keywords.iter().take(MOST_KEYWORDS).filter(is_sound) {
            if let Some(numbers) = self.numbers(keyword)
                && self.stands(&numbers)
            {
                found.insert(numbers);
            }
        }
        found.len()
    }

    /// The words of a keyword, if the text has all of them somewhere.
    fn numbers(&self, keyword: &str) -> Option<Vec<usize>> {
        let mut numbers = Some(Vec::new());
        split(keyword, |word| {
            let number = self.numbers.get(word);
            if let Some(known) = &mut numbers
                && let Some(&number) = number
            {
                known.push(number);
            } else {
                numbers = None;
            }
        });
        numbers
    }

    /// Whether these words stand in a row: looked for around the rarest of them.
    fn stands(&self, words: &[usize]) -> bool {
        let places = |(at, &word): (usize, &usize)| Some((at, self.places.get(word)?));
        let rarest = words.iter().enumerate().filter_map(places);
        let Some((at, places)) = rarest.min_by_key(|(_, places)| places.len()) else {
            return false;
        };
        places.iter().take(MOST_PLACES).any(|&place| {
            let start = place.checked_sub(at);
            let row = start.and_then(|start| self.text.get(start..start + words.len()));
            // Word by word: the first that differs ends it.
            row.is_some_and(|row| row.iter().eq(words))
        })
    }
}

/// Calls `take` with each word of a text, in one case.
fn split(text: &str, mut take: impl FnMut(&str)) {
    let mut word = String::new();
    // Up and down again: letters with two small forms become one.
    let letters = text.chars().flat_map(char::to_uppercase);
    for letter in letters.flat_map(char::to_lowercase) {
        let joins = joins(letter);
        if !joins && !word.is_empty() {
            take(&word);
            word.clear();
        }
        if letter.is_whitespace() || letter.is_control() {
            continue;
        }
        word.push(letter);
        if !joins {
            take(&word);
            word.clear();
        }
    }
    if !word.is_empty() {
        take(&word);
    }
}

/// Whether a letter is one with its neighbours.
fn joins(letter: char) -> bool {
    match letter {
        'a'..='z' | '0'..='9' | '_' => true,
        // Thai, Lao, Myanmar, Khmer, kana and Han put no spaces between words.
        '\u{e00}'..='\u{eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}'
        | '\u{20000}'..='\u{3ffff}' => false,
        // Dots that end sentences, among signs that belong to letters.
        '\u{964}' | '\u{965}' => false,
        '\u{300}'..='\u{36f}' | '\u{900}'..='\u{dff}' | '\u{200c}' | '\u{200d}' => true,
        other => other.is_alphanumeric(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, keywords: &[&str]) -> usize {
        let keywords: Vec<String> = keywords.iter().map(|&it| it.to_owned()).collect();
        Words::of(text).found(&keywords)
    }

    #[test]
    fn keywords_are_whole_words() {
        let text = "Why does the borrow checker refuse this?";
        assert_eq!(found(text, &["borrow", "cargo", "why", "this"]), 3);
        assert_eq!(found(text, &["row", "borrowed", "check", "his"]), 0);
        assert_eq!(found(text, &["borrow checker", "the  BORROW\tchecker"]), 2);
        assert_eq!(found(text, &["checker borrow", "borrow refuse"]), 0);
        assert_eq!(found("checker borrow checker", &["borrow checker"]), 1);
        assert_eq!(found("", &["borrow"]), 0);
        assert_eq!(found("snake_case", &["snake", "snake_case"]), 1);
    }

    #[test]
    fn case_does_not_count_in_any_script() {
        assert_eq!(
            found("Температура и СТРАСТЬ", &["ТЕМПЕРАТУРА", "страсть"]),
            2
        );
        assert_eq!(found("die Straße", &["STRASSE", "strasse"]), 1);
        assert_eq!(found("ὀδυσσεύς", &["ὈΔΥΣΣΕΎΣ"]), 1);
    }

    #[test]
    fn signs_belong_to_a_keyword_that_has_them() {
        assert_eq!(found("I write C++.", &["c++"]), 1);
        assert_eq!(found("take vitamin C", &["c++", "c#"]), 0);
        assert_eq!(found("```rust\nfn main()", &["rust", "fn main()"]), 2);
    }

    #[test]
    fn scripts_without_spaces_have_words_anywhere() {
        assert_eq!(
            found("为什么借用检查器拒绝", &["借用", "检查器", "用借"]),
            2
        );
        assert_eq!(found("มีไข้สูง", &["ไข้"]), 1);
        // The sign that joins two letters is no border of a word.
        assert_eq!(found("हिन्दी।", &["दी", "हिन"]), 0);
        assert_eq!(found("हिन्दी।", &["हिन्दी"]), 1);
    }

    #[test]
    fn the_same_keyword_counts_once() {
        let same = ["Rust", "rust", "RUST", " rust ", "rust\n"];
        assert_eq!(found("rust, rust and Rust", &same), 1);
    }

    #[test]
    fn what_names_nothing_is_not_found() {
        let nothing = ["", " ", "?", "...", "\u{0}", "🩺", "\u{301}"];
        assert_eq!(found("? ... 🩺 \u{0} e\u{301}", &nothing), 0);
    }

    #[test]
    fn a_keyword_is_looked_for_around_its_rarest_word() {
        let text = format!("{} the end", "the ".repeat(2 * MOST_PLACES));
        assert_eq!(found(&text, &["the end"]), 1);
        let text = format!("{} the the end end", "the end ".repeat(2 * MOST_PLACES));
        assert_eq!(found(&text, &["the the end end"]), 0);
    }

    #[test]
    fn keywords_past_the_most_and_overlong_ones_are_not_looked_for() {
        let mut many: Vec<String> = (0..MOST_KEYWORDS).map(|i| format!("x{i}")).collect();
        many.push("rust".to_owned());
        assert_eq!(Words::of("rust").found(&many), 0);
        let fits = "x".repeat(LONGEST_KEYWORD);
        assert_eq!(found(&fits, &[&fits]), 1);
        let long = "x".repeat(LONGEST_KEYWORD + 1);
        assert_eq!(found(&long, &[&long]), 0);
    }
}

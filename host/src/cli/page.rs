//! A page about one thing: lines of a name and what it is, the names aligned.
//!
//! `inspect`, `show` and `add` fill it. What stays true: a stranger's words are escaped, and on a
//! terminal they stay within their column, so that none of them can look like a line of ours.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;

use modularbase::{Code, Inspection, Measured};
use unicode_width::UnicodeWidthChar;

use super::output::{bytes, number, shown};

/// Where the text of a line begins.
const COLUMN: usize = 15;
/// A terminal that does not say how wide it is.
const USUAL: usize = 80;

/// What is printed.
pub struct Page {
    out: String,
    /// How wide a text may be; nothing where lines have no end.
    width: Option<usize>,
    /// How many lines a text may take.
    most: usize,
}

impl Page {
    /// A page for standard output: all of everything.
    pub fn for_output() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        Self {
            out: String::new(),
            width: is_terminal.then(|| columns(&std::io::stdout())),
            most: usize::MAX,
        }
    }

    /// A page above a question, on standard error: nothing on it is so long that the rest is
    /// pushed out of sight.
    pub fn for_question() -> Self {
        Self {
            out: String::new(),
            width: Some(columns(&std::io::stderr())),
            most: 5,
        }
    }

    /// What was filled in.
    pub fn text(self) -> String {
        self.out
    }

    /// A line that stands for itself.
    pub fn title(&mut self, text: &str) {
        writeln!(self.out, "{}", shown(text)).expect("a string takes all");
    }

    /// The title of what follows.
    pub fn head(&mut self, text: &str) {
        writeln!(self.out, "\n{}", shown(text)).expect("a string takes all");
    }

    /// A name and what it is, each of its lines below the other.
    pub fn line(&mut self, name: &str, text: impl AsRef<str>) {
        self.lines(name, text.as_ref(), self.most);
    }

    /// A name and our own words about it, all of them.
    pub fn ours(&mut self, name: &str, text: &str) {
        self.lines(name, text, usize::MAX);
    }

    fn lines(&mut self, name: &str, text: &str, most: usize) {
        let lines = text.lines().map(shown);
        let mut lines: Vec<String> = match self.width {
            Some(width) => {
                let width = width.saturating_sub(COLUMN).max(20);
                lines.flat_map(|it| wrapped(&it, width)).collect()
            }
            None => lines.collect(),
        };
        if lines.len() > most {
            lines.truncate(most);
            lines.push("…".to_owned());
        }
        if lines.is_empty() {
            lines.push(String::new());
        }
        for (at, line) in lines.iter().enumerate() {
            self.put(if at == 0 { name } else { "" }, line);
        }
    }

    /// A name and what it is, for what is copied from a terminal as a whole: keys and digests.
    pub fn whole(&mut self, name: &str, text: impl AsRef<str>) {
        self.put(name, &shown(text.as_ref()));
    }

    /// A name and several things, where there are any.
    pub fn list<T: AsRef<str>>(&mut self, name: &str, texts: &[T]) {
        if !texts.is_empty() {
            let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
            self.line(name, texts.join(", "));
        }
    }

    fn put(&mut self, name: &str, line: &str) {
        let line = format!("  {name:<13}{line}");
        writeln!(self.out, "{}", line.trim_end()).expect("a string takes all");
    }

    /// What every page about a pack begins with.
    pub fn pack(&mut self, pack: &Inspection) {
        let path = pack.path.display();
        self.title(&format!("pack `{}` {}: {path}", pack.id, pack.version));
        self.line("name", &pack.name);
        self.line("description", &pack.description);
        self.list("roles", &pack.roles);
        self.list("domain", pack.domain.as_slice());
        self.line("license", &pack.license);
        self.list("authors", &pack.authors);
        self.whole("signed by", pack.signed_by.as_deref().unwrap_or("nobody"));
        self.line("trained", if pack.trained { "yes" } else { "no" });
        self.line("base", base(pack));
        self.list("variants", &pack.variants);
        self.list("fallback", &pack.fallback);
        self.list("conflicts", &pack.conflicts);
        self.list("needs", &pairs(&pack.dependencies, " "));
        self.list("keywords", &pack.keywords);
        self.list("model", &pairs(&pack.model, " = "));
        if let Some(memory) = pack.memory {
            self.line("asks for", format!("{} of memory", bytes(memory)));
        }
        self.line("size", bytes(pack.bytes as u64));
        self.whole("digest", format!("sha256:{}", pack.digest));
    }

    /// What somebody must know who is asked whether to add it: a stranger's words first, what is
    /// known of them last. `origin` is where it comes from.
    pub fn preview(&mut self, pack: &Inspection, origin: &str) {
        self.title(&format!("pack `{}` {}: {origin}", pack.id, pack.version));
        self.line("name", &pack.name);
        self.line("description", &pack.description);
        self.list("needs", &pairs(&pack.dependencies, " "));
        self.list("conflicts", &pack.conflicts);
        self.line("base", base(pack));
        self.line("size", bytes(pack.bytes as u64));
        if let Some(memory) = pack.memory {
            self.line("asks for", format!("{} of memory", bytes(memory)));
        }
        self.whole("signed by", pack.signed_by.as_deref().unwrap_or("nobody"));
        if let Some(code) = &pack.code {
            self.ours("can", &code.abilities.join("; "));
        }
    }

    /// What is inside of it.
    pub fn contents(&mut self, pack: &Inspection, with_tensors: bool) {
        if let Some(objection) = &pack.objection {
            self.head("this host refuses it");
            self.line("because", objection);
        }
        if let Some(code) = &pack.code {
            self.code(code, &pack.contract);
        }
        self.weights(pack, with_tensors);
        for measured in &pack.measured {
            self.measured(measured);
        }
    }

    fn code(&mut self, code: &Code, contract: &str) {
        self.head("code");
        self.line("can", code.abilities.join("; "));
        self.list("exports", &code.exports);
        self.list("imports", &code.imports);
        self.line("contract", contract);
        let size = bytes(code.bytes as u64);
        self.line("size", format!("{size} in {} functions", code.functions));
    }

    fn weights(&mut self, pack: &Inspection, with_tensors: bool) {
        self.head("weights");
        let all = &pack.weights;
        let (count, size) = (all.tensors.len(), bytes(all.bytes as u64));
        let numbers = number(all.parameters);
        self.line(
            "all",
            format!("{numbers} numbers in {count} tensors, {size}"),
        );
        for (kind, it) in &all.by_type {
            let (numbers, size) = (number(it.parameters), bytes(it.bytes as u64));
            let text = format!("{numbers} numbers in {} tensors, {size}", it.tensors);
            self.line(kind, text);
        }
        if with_tensors {
            self.head("tensors");
            for it in &all.tensors {
                self.line("", format!("{:<5} {:?} {}", it.kind, it.shape, it.name));
            }
        }
    }

    fn measured(&mut self, it: &Measured) {
        let variant = it.variant.as_ref().map(|name| format!(" as `{name}`"));
        self.head(&format!(
            "cost of its {}{}, as its builder measured it",
            it.role,
            variant.unwrap_or_default()
        ));
        let cost = &it.cost;
        self.line("weights", bytes(cost.weight_bytes));
        let operations = number(cost.operations);
        let (values, kept) = (bytes(cost.activation_bytes), bytes(cost.lane_bytes));
        let row = format!("{operations} operations, {values} of values, {kept} kept");
        self.line("each row", row);
        let operations = number(cost.attention_operations);
        let attention = format!("{operations} operations for each earlier row");
        self.line("attention", attention);
        for digest in &it.digests {
            self.whole("plan", format!("sha256:{digest}"));
        }
    }
}

fn base(pack: &Inspection) -> String {
    let accepts = pairs(&pack.base.accepts, " ").join(", ");
    match accepts.as_str() {
        "" => format!("any of width {}", pack.base.width),
        ids => format!("width {}: {ids}", pack.base.width),
    }
}

fn pairs(map: &BTreeMap<String, String>, between: &str) -> Vec<String> {
    map.iter()
        .map(|(key, value)| format!("{key}{between}{value}"))
        .collect()
}

/// Lines of at most `width` columns: broken between words, and within those that are longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let needed: usize = word.trim_end_matches(' ').chars().map(columns_of).sum();
        if used > 0 && used + needed > width {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let needed = columns_of(c);
            if used + needed > width {
                if c == ' ' {
                    continue;
                }
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().expect("there is one").push(c);
            used += needed;
        }
    }
    lines
        .into_iter()
        .map(|it| it.trim_end().to_owned())
        .collect()
}

/// How many columns a character takes that stands for itself.
fn columns_of(c: char) -> usize {
    c.width().unwrap_or(1)
}

#[cfg(unix)]
fn columns(terminal: &impl std::os::fd::AsFd) -> usize {
    match rustix::termios::tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => USUAL,
    }
}

#[cfg(not(unix))]
fn columns<T>(_: &T) -> usize {
    USUAL
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: Option<usize>, most: usize) -> Page {
        Page {
            out: String::new(),
            width,
            most,
        }
    }

    #[test]
    fn words_stay_in_their_column() {
        assert_eq!(wrapped("", 10), [""]);
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrapped("日本語 日本", 5), ["日本", "語", "日本"]);
        let lie = format!("{}  signed by    a friend", "x".repeat(65));
        let mut page = page(Some(80), usize::MAX);
        page.line("name", &lie);
        for line in page.text().lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(!line.trim_start().starts_with("signed by") || line.starts_with("     "));
        }
    }

    #[test]
    fn a_page_above_a_question_is_short() {
        let mut page = page(Some(80), 5);
        page.line("description", "word ".repeat(4000) + &"\nx".repeat(4000));
        let text = page.text();
        assert_eq!(text.lines().count(), 6, "{text}");
        assert!(text.ends_with("               …\n"), "{text}");
    }

    #[test]
    fn what_is_no_terminals_is_not_wrapped() {
        let mut page = page(None, usize::MAX);
        page.line("name", "word ".repeat(40) + "\u{1b}[2J\nnext");
        assert_eq!(page.text().lines().count(), 2);
    }
}

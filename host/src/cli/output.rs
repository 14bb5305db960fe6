//! What goes to standard output: text, JSON, and how numbers and strangers' words look in it.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use serde::Serialize;

use super::Failed;

/// Where and how a listing is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Format {
    /// Print JSON instead of text for people
    #[arg(long, env = "MBHOST_JSON", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub json: bool,
}

impl Format {
    /// Prints `thing` as JSON, or the text for people.
    pub fn print(
        self,
        thing: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failed> {
        match self.json {
            true => print(&json(thing)?),
            false => print(&text()),
        }
    }
}

/// Writes to standard output. A reader that has gone away, as `head` does, is no error.
pub fn print(text: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failed::new(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Text for people, beside the data, that is fit for a terminal already.
pub fn tell(text: &str) {
    // When standard error is gone there is nobody to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Something for people, beside the data.
pub fn note(text: &str) {
    // When standard error is gone there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{}", plain(text));
}

fn json(thing: &impl Serialize) -> Result<String, Failed> {
    let text = serde_json::to_string_pretty(thing)
        .map_err(|error| Failed::new(format!("the answer is no JSON: {error}")))?;
    Ok(printable_json(&text) + "\n")
}

/// JSON whose strings are escaped further, so that what a stranger wrote cannot steer a terminal:
/// outside of strings there is nothing to escape.
fn printable_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let is_plain = c == '\n' || (c.is_ascii() && !c.is_ascii_control());
        if is_plain || is_shown(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// A stranger's words, fit for a terminal.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_shown(c) {
            true => out.push(c),
            false => out.extend(c.escape_debug()),
        }
    }
    out
}

/// A message, fit for a terminal: paths and parsers' words in it may be a stranger's. Most of them
/// come escaped already, and stay as they are.
pub fn plain(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for c in message.chars() {
        match c == '\\' || is_shown(c) {
            true => out.push(c),
            false => out.extend(c.escape_debug()),
        }
    }
    out
}

/// Whether a character stands for itself on a terminal, and does nothing else.
pub fn is_shown(c: char) -> bool {
    matches!(c, '"' | '\'') || c.escape_debug().eq([c])
}

/// A number of bytes for people.
pub fn bytes(count: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB"];
    let mut size = count as f64;
    let mut at = 0;
    while size >= 1024.0 && at + 1 < units.len() {
        size /= 1024.0;
        at += 1;
    }
    match units.get(at) {
        Some(unit) if at > 0 => format!("{size:.1} {unit}"),
        _ => format!("{count} bytes"),
    }
}

/// A number with its thousands apart.
pub fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A time for people.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s >= 10.0 => format!("{s:.0} s"),
        s if s >= 1.0 => format!("{s:.1} s"),
        s if s >= 1e-2 => format!("{:.0} ms", s * 1e3),
        s if s >= 1e-3 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}

/// How long ago something was, for people; both in seconds since 1970.
pub fn ago(then: u64, now: u64) -> String {
    let units = [
        (365 * 86_400, "year"),
        (30 * 86_400, "month"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
    ];
    // A clock that was set back makes the past the future.
    let seconds = now.saturating_sub(then);
    let unit = units.into_iter().find(|(length, _)| seconds >= *length);
    match unit.map(|(length, name)| (seconds / length, name)) {
        None => "just now".to_owned(),
        Some((1, name)) => format!("1 {name} ago"),
        Some((count, name)) => format!("{count} {name}s ago"),
    }
}

/// The time, in seconds since 1970.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |it| it.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_words_do_nothing_to_a_terminal() {
        assert_eq!(
            shown("a\u{1b}[2J\u{202e}b\n'ö'"),
            "a\\u{1b}[2J\\u{202e}b\\n'ö'"
        );
        assert_eq!(
            plain("x\u{1b}[2J\u{202e}\n: `a\\u{1b}`, C:\\x"),
            "x\\u{1b}[2J\\u{202e}\\n: `a\\u{1b}`, C:\\x"
        );
        let text = json(&"a\u{1b}\u{9b}\u{202e}ö\u{1f48a}\n").expect("a string is JSON");
        assert_eq!(text, "\"a\\u001b\\u009b\\u202eö\u{1f48a}\\n\"\n");
        let back: String = serde_json::from_str(&text).expect("it is still JSON");
        assert_eq!(back, "a\u{1b}\u{9b}\u{202e}ö\u{1f48a}\n");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1 << 20), "1.0 MiB");
        assert_eq!(bytes(5 << 40), "5120.0 GiB");
        assert_eq!(number(0), "0");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(ago(100, 159), "just now");
        assert_eq!(ago(100, 160), "1 minute ago");
        assert_eq!(ago(0, 7200), "2 hours ago");
        assert_eq!(ago(0, 400 * 86_400), "1 year ago");
        assert_eq!(ago(500, 100), "just now");
        assert_eq!(time(Duration::from_micros(41)), "41 µs");
        assert_eq!(time(Duration::from_micros(4100)), "4.1 ms");
        assert_eq!(time(Duration::from_millis(412)), "412 ms");
        assert_eq!(time(Duration::from_millis(4120)), "4.1 s");
    }
}

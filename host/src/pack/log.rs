//! A guest's messages: attributed, escaped, capped; and the words of its last panic.
//!
//! A guest may write so many lines in a while, whatever it is doing; what is past that is dropped
//! and counted, and the count is written when the while is over or the guest ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bindings::modularbase::pack::log::Level;

/// How long a while is.
const WHILE: Duration = Duration::from_secs(10);

/// The longest message that is kept.
const MESSAGE_CHARS: usize = 1024;

/// The log of one guest.
pub(super) struct Log {
    who: Arc<str>,
    limit: usize,
    lines: usize,
    since: Instant,
    last_error: Option<String>,
}

impl Log {
    pub(super) fn new(who: Arc<str>, limit: usize) -> Self {
        Self {
            who,
            limit,
            lines: 0,
            since: Instant::now(),
            last_error: None,
        }
    }

    /// Forgets the words of an earlier call.
    pub(super) fn begin(&mut self) {
        self.last_error = None;
    }

    /// Says how many lines were dropped, if any were, and starts counting anew.
    fn account(&mut self) {
        if let Some(dropped) = self.lines.checked_sub(self.limit).filter(|n| *n > 0) {
            tracing::warn!(target: "pack", "{}: {dropped} log lines were dropped", self.who);
        }
        self.lines = 0;
        self.since = Instant::now();
    }

    pub(super) fn write(&mut self, level: Level, message: &str) {
        if self.lines >= self.limit && self.since.elapsed() > WHILE {
            self.account();
        }
        self.lines += 1;
        if self.lines > self.limit && level != Level::Error {
            return;
        }
        let message = escaped(message);
        let who = &self.who;
        if self.lines <= self.limit {
            match level {
                Level::Error => tracing::error!(target: "pack", "{who}: {message}"),
                Level::Warn => tracing::warn!(target: "pack", "{who}: {message}"),
                Level::Info => tracing::info!(target: "pack", "{who}: {message}"),
                Level::Debug => tracing::debug!(target: "pack", "{who}: {message}"),
            }
        }
        if level == Level::Error {
            self.last_error = Some(message);
        }
    }

    /// What it said last at `error` in this call: a panic's words, when a trap follows.
    pub(super) fn take_error(&mut self) -> Option<String> {
        self.last_error.take()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.account();
    }
}

/// A stranger's words, fit for a terminal and of bounded length.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == MESSAGE_CHARS {
            out.push('…');
            break;
        }
        match c {
            '"' | '\'' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_messages_cut() {
        assert_eq!(escaped("a\u{1b}[2Jb\n'c'"), "a\\u{1b}[2Jb\\n'c'");
        assert_eq!(
            escaped(&"x".repeat(5000)).chars().count(),
            MESSAGE_CHARS + 1
        );
    }

    #[test]
    fn a_panic_is_remembered_past_the_cap() {
        let mut log = Log::new("pack `a` 0.1.0".into(), 2);
        log.begin();
        for _ in 0..10 {
            log.write(Level::Info, "noise");
        }
        log.write(Level::Error, "panicked");
        assert_eq!(log.take_error().as_deref(), Some("panicked"));
        log.write(Level::Error, "before");
        log.begin();
        assert_eq!(log.take_error(), None);
    }
}

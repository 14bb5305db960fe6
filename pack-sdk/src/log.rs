//! Messages to whoever runs the host, and the hook that makes a panic one of them.
//!
//! Pack authors call the four functions; the export macros' glue calls `report_panics` before
//! anything of the author's runs. The host attributes, escapes and caps what is written, so a
//! message never fails.

use std::panic::Location;
use std::sync::Once;

use crate::bindings::lent::modularbase::pack::log::{Level, write};

/// Something is wrong and the pack cannot go on.
///
/// ```no_run
/// modularbase_pack::log::error("the table of terms is empty");
/// ```
pub fn error(message: &str) {
    write(Level::Error, message);
}

/// Something is odd and the pack goes on.
///
/// ```no_run
/// modularbase_pack::log::warn("no signature for `medicine`, scoring it by keywords");
/// ```
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Something worth knowing.
///
/// ```no_run
/// modularbase_pack::log::info(&format!("{} candidates", 3));
/// ```
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Something for the pack's author.
///
/// ```no_run
/// modularbase_pack::log::debug("blk.0 described");
/// ```
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Makes a panic's message the explanation of the trap that follows it. Calling it again does
/// nothing.
pub(crate) fn report_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            error(&on_one_line(panic.location(), panic.payload_as_str()));
        }));
    });
}

/// Where it panicked, then with what words: the host says before it who panicked doing what.
fn on_one_line(location: Option<&Location<'_>>, words: Option<&str>) -> String {
    let words = words.unwrap_or("a value that is not text");
    let words: Vec<&str> = words.lines().map(str::trim).collect();
    let words = words.join(" ");
    match location {
        Some(location) => format!("{location}: {words}"),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_one_line_that_begins_with_its_place() {
        let here = Location::caller();
        let words = "assertion failed\n  left: 1\n right: 2";
        let found = on_one_line(Some(here), Some(words));
        let expected = format!("{here}: assertion failed left: 1 right: 2");
        assert_eq!(found, expected);
        assert_eq!(on_one_line(None, None), "a value that is not text");
    }
}

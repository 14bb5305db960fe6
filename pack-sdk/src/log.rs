//! Messages to whoever runs the host, and the hook that makes a panic one of them.
//!
//! Pack authors call the four functions; the export macros' glue calls `report_panics` before
//! anything of the author's runs. The host attributes, escapes and caps what is written, so a
//! message never fails.

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
        std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
    });
}

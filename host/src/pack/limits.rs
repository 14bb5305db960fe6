//! What a guest may use. Deny by default.

use std::time::Duration;

use crate::plan::Quota;

/// Limits of guests and of the components they come from.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Linear memory of a guest.
    pub memory_bytes: usize,
    /// Elements of all tables of a guest.
    pub table_elements: usize,
    /// Handles that a guest may hold.
    pub handles: usize,
    /// Bytes of strings and lists that cross the border in one call.
    pub hostcall_bytes: usize,
    /// Bytes of text in what a hook or a router answers.
    pub text_bytes: usize,
    /// Runs of plans in one call: they take the host's time, which no deadline counts.
    pub runs: usize,
    /// Log lines that a guest may write in ten seconds.
    pub log_lines: usize,
    /// Work of a `load`.
    pub load: Work,
    /// Work of a `forward`.
    pub forward: Work,
    /// Work of a hook or a `route`.
    pub turn: Work,
    /// Size of a network.
    pub quota: Quota,
    /// Size of the code.
    pub code: CodeLimits,
}

/// How much a call into a guest may do.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Instructions, more or less: the limit that counts, the same on every machine.
    pub fuel: u64,
    /// A generous bound in time for what fuel does not see, the host's own work left out.
    pub deadline: Duration,
}

/// How large the code of a component may be: compiling is guarded too.
#[derive(Clone, Copy, Debug)]
pub struct CodeLimits {
    /// The component without its weights.
    pub bytes: usize,
    /// What compiling its core modules may take, as told from the code before: about a
    /// microsecond a unit.
    pub effort: u64,
    /// Core modules, components and their instances.
    pub parts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            table_elements: 100_000,
            handles: 65_536,
            hostcall_bytes: 8 << 20,
            text_bytes: 1 << 20,
            runs: 64,
            log_lines: 256,
            load: Work {
                fuel: 1_000_000_000,
                deadline: Duration::from_secs(5),
            },
            forward: Work {
                fuel: 100_000_000,
                deadline: Duration::from_secs(1),
            },
            turn: Work {
                fuel: 1_000_000_000,
                deadline: Duration::from_secs(5),
            },
            quota: Quota::default(),
            code: CodeLimits {
                bytes: 8 << 20,
                effort: 2_000_000,
                parts: 64,
            },
        }
    }
}

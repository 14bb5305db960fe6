//! What a long command is doing, on a terminal; nothing where there is none.

use std::cell::{OnceCell, RefCell};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use modularbase::Stage;

use super::output::note;

/// What takes less than this is over before anybody wonders.
const LONG: Duration = Duration::from_secs(1);

/// Shows what is going on while a pack is built, tested or added.
#[derive(Default)]
pub struct Progress {
    bar: RefCell<Option<ProgressBar>>,
}

impl Progress {
    /// Something begins.
    pub fn show(&self, stage: Stage) {
        self.end();
        let doing = match stage {
            // Both write to the terminal themselves.
            Stage::AddTarget => {
                return note(
                    "the target wasm32-unknown-unknown is missing: asking rustup for it with \
                     `rustup target add wasm32-unknown-unknown`",
                );
            }
            Stage::Compile => return,
            Stage::Component => "making a component",
            Stage::Describe => "describing the network",
            Stage::Weights => "writing weights",
            Stage::Verify => "opening the result",
            Stage::Check => "running over toy hidden states",
            _ => return,
        };
        self.spin(doing);
    }

    /// Something begins whose end nobody knows.
    pub fn spin(&self, doing: &'static str) {
        self.end();
        let bar = ProgressBar::new_spinner().with_message(doing);
        bar.enable_steady_tick(Duration::from_millis(100));
        self.bar.replace(Some(bar));
    }

    fn end(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

/// A bar for bytes, where they take longer than about a second in all.
pub struct Bytes {
    doing: &'static str,
    since: Instant,
    bar: OnceCell<ProgressBar>,
}

impl Bytes {
    /// Begins now.
    pub fn new(doing: &'static str) -> Self {
        Self {
            doing,
            since: Instant::now(),
            bar: OnceCell::new(),
        }
    }

    /// So many are done, of so many.
    pub fn show(&self, done: u64, all: u64) {
        if self.bar.get().is_none() && !is_long(self.since.elapsed(), done, all) {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            let style = "{msg} {bar:30} {binary_bytes} of {binary_total_bytes}";
            let style = ProgressStyle::with_template(style).expect("the template is sound");
            let bar = ProgressBar::new(all).with_message(self.doing);
            bar.with_style(style)
        });
        bar.set_position(done);
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Whether it will take long, at the pace that it has had: said only when there was a pace.
fn is_long(since: Duration, done: u64, all: u64) -> bool {
    let paced = since >= LONG / 5 && done > 0;
    paced && since.as_secs_f64() * all as f64 / done as f64 > LONG.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_soon_gets_no_bar() {
        let at = Duration::from_millis;
        assert!(!is_long(at(100), 1, 1000));
        assert!(!is_long(at(300), 0, 1000));
        assert!(!is_long(at(300), 900, 1000));
        assert!(is_long(at(300), 100, 1000));
        assert!(is_long(at(2000), 999, 1000));
    }
}

//! What a long command is doing, on a terminal; nothing where there is none.

use std::cell::RefCell;
use std::time::Duration;

use indicatif::ProgressBar;
use modularbase::Stage;

use super::output::note;

/// Shows what is going on while a pack is built or tested.
#[derive(Default)]
pub struct Progress {
    bar: RefCell<Option<ProgressBar>>,
}

impl Progress {
    /// Something begins.
    pub fn show(&self, stage: Stage) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
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
        let bar = ProgressBar::new_spinner().with_message(doing);
        bar.enable_steady_tick(Duration::from_millis(100));
        self.bar.replace(Some(bar));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

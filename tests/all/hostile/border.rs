//! Texts and lists that are too much, or not there at all.

use super::case::Case;
use super::case::End::{Breach, Refusal};

pub fn cases() -> Vec<Case> {
    let of = |behave, end, words| Case::expert("border", behave, end, words);
    vec![
        of("100 MB of text that is not there", Breach, "`load` "),
        of(
            "20 MB of text",
            Breach,
            "`load` too much data is being copied",
        ),
        of("text that is not UTF-8", Breach, "`load` "),
        Case::expert_within(
            "border",
            "a list of millions",
            Breach,
            "`load` too much data is being copied",
            |limits| {
                limits.load.fuel *= 10;
            },
        ),
        of(
            "a shape of millions",
            Breach,
            "`load` too much data is being copied",
        ),
        of(
            "options without number",
            Breach,
            "`load` too much data is being copied",
        ),
        of(
            "an error of 20 MB",
            Breach,
            "`load` too much data is being copied",
        ),
        of("an error of 4 MB", Refusal, "`load` refused: xxx"),
        Case::expert_within(
            "border",
            "an error of 20 MB in forward",
            Breach,
            "`forward` too much data is being copied",
            |limits| limits.forward.fuel *= 10,
        ),
        of(
            "a log line of 20 MB",
            Breach,
            "`load` too much data is being copied",
        ),
    ]
}

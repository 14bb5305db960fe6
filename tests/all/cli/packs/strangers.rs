//! A pack's own words, shown by every verb that shows any: they steer no terminal, and none of
//! them can be taken for a line of ours.

#[cfg(target_os = "linux")]
use super::terminal::Terminal;
use super::{folder, pack, put};
use crate::support::{Source, guest};

/// Turns text around, hides it, joins it.
const ODD: [char; 4] = ['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}'];

fn hostile() -> Source {
    let name = format!("Nice{}txt.exe{}", ODD[0], ODD[1]);
    Source::new("hostile", guest("good"))
        .name(&name)
        .description(&format!(
            "zero{}width{}\\n  signed by    ed25519:{}",
            ODD[2],
            ODD[3],
            "0".repeat(64)
        ))
}

/// Whether a text does anything to a terminal but print on it, line by line.
fn is_harmless(text: &str) -> bool {
    !text.contains(ODD) && !text.chars().any(|it| it.is_control() && it != '\n')
}

#[test]
fn no_verb_lets_them_steer_a_terminal() {
    let dir = folder();
    put(dir.path(), "hostile.wasm", &hostile());
    for words in [
        &["inspect", "hostile.wasm"][..],
        &["add", "hostile.wasm"],
        &["add", "hostile.wasm", "--yes"],
        &["list"],
        &["list", "--json"],
        &["show", "hostile"],
        &["show", "hostile", "--json"],
        &["verify"],
        &["rm", "hostile"],
    ] {
        let ran = pack(dir.path(), words);
        assert!(
            is_harmless(&ran.out),
            "{words:?}: {}",
            ran.out.escape_debug()
        );
        assert!(
            is_harmless(&ran.err),
            "{words:?}: {}",
            ran.err.escape_debug()
        );
        let both = ran.out.clone() + &ran.err;
        let signed = both.lines().filter(|it| it.starts_with("  signed by "));
        let signed: Vec<&str> = signed.collect();
        assert!(
            signed.iter().all(|it| it.ends_with(" nobody")),
            "{words:?}: {both}"
        );
    }
    // Control characters do not even come as far.
    for odd in ["\\u001b[2J", "\\u009b2J", "\\u0007"] {
        let manifest = hostile().name(odd);
        let folder = dir.path().join("out.wasm");
        let text = manifest.manifest();
        let writer = modularbase_format::PackWriter::new(guest("good"), &text);
        assert!(writer.write(&folder).is_err(), "{odd}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn above_a_question_they_stay_in_their_column_and_leave_room() {
    let dir = folder();
    let filler = "x".repeat(65);
    let lie = format!("{filler}  signed by    a friend {}", "word ".repeat(600));
    let source = Source::new("long", guest("hooks"))
        .name("Long")
        .description(&lie);
    put(dir.path(), "long.wasm", &source);
    let asked = Terminal::start(dir.path(), &["pack", "add", "long.wasm"]).until("[y/N] ");
    let ran = asked.types("n\n").end();
    let question = ran.err.lines().position(|it| it.contains("[y/N]"));
    assert!(
        question.expect("it was asked") < 22,
        "it does not fit a screen: {}",
        ran.err
    );
    for line in ran.err.lines().filter(|it| !it.contains("[y/N]")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(
        ran.err.matches("\n  signed by    ").count(),
        1,
        "{}",
        ran.err
    );
    assert!(ran.err.contains("\n  signed by    nobody\n"), "{}", ran.err);
}

//! One question, after everything was said; nothing but a yes is a yes, and a pipe says none.

#[cfg(target_os = "linux")]
use super::terminal::Terminal;
use super::{add, folder, installed, key, nosy, pack, put, quiet, store};

const HOOKS: &str = "add it, and allow it to read your messages and add to them? [y/N] ";

#[cfg(target_os = "linux")]
#[test]
fn a_yes_adds_it_and_everything_else_does_not() {
    let dir = folder();
    put(dir.path(), "quiet.wasm", &quiet("1.0.0"));
    let asked =
        || Terminal::start(dir.path(), &["pack", "add", "quiet.wasm"]).until("add it? [y/N] ");
    for no in [
        "\n",
        "n\n",
        "no\n",
        "yess\n",
        "\u{4}",
        "y\u{15}\n",
        "\u{1b}[A\n",
    ] {
        let ran = asked().types(no).end();
        assert_eq!((ran.code, &*ran.out), (Some(1), ""), "{no:?}: {}", ran.err);
        assert!(
            ran.err.ends_with("\nerror: nothing was added\n"),
            "{no:?}: {}",
            ran.err
        );
        assert!(store(dir.path()).is_empty(), "{no:?}");
    }
    let ran = asked().types("y\n").end();
    assert_eq!(
        (ran.code, &*ran.out),
        (Some(0), "pack `quiet` 1.0.0 is added\n"),
        "{}",
        ran.err
    );
    let said = ran
        .err
        .find("  can          ")
        .expect("what it can do is said");
    let asked = ran.err.find("add it?").expect("it was asked");
    assert!(said < asked, "{}", ran.err);
    assert_eq!(installed(dir.path()), ["quiet 1.0.0*"]);
}

#[cfg(target_os = "linux")]
#[test]
fn hooks_are_asked_about_in_words() {
    let dir = folder();
    put(dir.path(), "nosy.wasm", &nosy("1.0.0"));
    let start = |words: &[&str]| {
        Terminal::start(dir.path(), &[&["pack", "add", "nosy.wasm"], words].concat())
    };
    let ran = start(&[]).until(HOOKS).types("n\n").end();
    assert_eq!(ran.code, Some(1));
    // A yes beforehand is none to hooks.
    let ran = start(&["--yes"]).until(HOOKS).types("\n").end();
    assert_eq!(ran.code, Some(1));
    assert!(store(dir.path()).is_empty());
    // Hooks are settled, adding it is not.
    let ran = start(&["--allow-hooks"])
        .until("add it? [y/N] ")
        .types("\n")
        .end();
    assert_eq!(ran.code, Some(1));
    let ran = start(&[]).until(HOOKS).types("yes\n").end();
    assert_eq!(
        (ran.code, &*ran.out),
        (Some(0), "pack `nosy` 1.0.0 is added\n"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("reads your messages; may add to them"),
        "{}",
        ran.err
    );
    let shown = pack(dir.path(), &["show", "nosy"]).good();
    assert!(shown.contains("\n  hooks        allowed\n"), "{shown}");
}

#[cfg(target_os = "linux")]
#[test]
fn whoever_leaves_at_the_question_leaves_nothing_for_long() {
    let dir = folder();
    put(dir.path(), "quiet.wasm", &quiet("1.0.0"));
    put(dir.path(), "nosy.wasm", &nosy("1.0.0"));
    let asked = Terminal::start(dir.path(), &["pack", "add", "quiet.wasm"]).until("[y/N] ");
    let ran = asked.types("\u{3}").end();
    assert_eq!(ran.code, Some(128 + 2), "SIGINT ended it: {}", ran.err);
    assert_eq!(installed(dir.path()), [""; 0]);
    // What it left is gone when the next one comes.
    let asked = Terminal::start(dir.path(), &["pack", "add", "nosy.wasm"]).until("[y/N] ");
    asked.types("n\n").end();
    assert!(
        store(dir.path()).is_empty(),
        "{:?}",
        store(dir.path()).keys()
    );
}

#[cfg(target_os = "linux")]
#[test]
fn two_who_are_asked_at_once_both_get_what_they_said_yes_to() {
    let dir = folder();
    put(dir.path(), "quiet.wasm", &quiet("1.0.0"));
    let asked = || Terminal::start(dir.path(), &["pack", "add", "quiet.wasm"]).until("[y/N] ");
    let (one, two) = (asked(), asked());
    assert_eq!(two.types("y\n").end().code, Some(0));
    assert_eq!(one.types("y\n").end().code, Some(0));
    assert_eq!(installed(dir.path()), ["quiet 1.0.0*"]);
}

#[test]
fn where_nobody_can_be_asked_flags_must_say_it() {
    let dir = folder();
    put(dir.path(), "quiet.wasm", &quiet("1.0.0"));
    put(dir.path(), "nosy.wasm", &nosy("1.0.0"));
    for (words, who, hint) in [
        (&["quiet.wasm"][..], "quiet", "`--yes` says it"),
        (&["quiet.wasm", "--allow-hooks"], "quiet", "`--yes` says it"),
        (
            &["nosy.wasm"],
            "nosy",
            "`--yes --allow-hooks` says it, and allows its hooks",
        ),
        (
            &["nosy.wasm", "--yes"],
            "nosy",
            "it has hooks: `--allow-hooks` allows them",
        ),
        (&["nosy.wasm", "--allow-hooks"], "nosy", "`--yes` says it"),
    ] {
        let ran = pack(dir.path(), &[&["add"], words].concat());
        assert_eq!((ran.code, &*ran.out), (Some(1), ""), "{words:?}");
        let needs = match hint.starts_with("it has hooks") {
            true => "its hooks need",
            false => "adding it needs",
        };
        let error = format!(
            "error: pack `{who}` 1.0.0: {needs} a yes, and there is no terminal to ask at\n\
             hint: {hint}\n"
        );
        assert!(ran.err.ends_with(&error), "{words:?}: {}", ran.err);
        assert!(store(dir.path()).is_empty(), "{words:?}");
    }
    pack(dir.path(), &["add", "nosy.wasm", "--yes", "--allow-hooks"]).good();
    pack(dir.path(), &["add", "quiet.wasm", "--yes"]).good();
}

#[test]
fn a_publisher_who_was_trusted_is_not_asked_about_again() {
    let (dir, ours) = (folder(), key());
    add(dir.path(), &nosy("1.0.0").sign(&ours));
    put(dir.path(), "newer.wasm", &nosy("1.1.0").sign(&ours));
    let said = pack(dir.path(), &["add", "newer.wasm"]);
    assert!(
        said.err
            .contains(&format!("  signed by    {}\n", ours.publisher())),
        "{}",
        said.err
    );
    assert_eq!(
        said.good(),
        "pack `nosy` 1.1.0 is added and in use instead of 1.0.0, which is kept\n"
    );
    // Nobody signs this one, so nobody was trusted with it.
    add(dir.path(), &quiet("1.0.0"));
    put(dir.path(), "newer.wasm", &quiet("1.1.0"));
    assert_eq!(pack(dir.path(), &["add", "newer.wasm"]).code, Some(1));
    // The first signature is what an id belongs to from then on, and that is said.
    put(dir.path(), "signed.wasm", &quiet("1.1.0").sign(&ours));
    let said = pack(dir.path(), &["add", "signed.wasm", "--yes"]);
    let pinned = format!(
        "  signed by    {}\n  can          computes on hidden states; writes to the log\n  \
         instead of   1.0.0, which is kept\n  publisher    new: from now on the id `quiet` belongs \
         to the key above\n",
        ours.publisher()
    );
    assert!(said.err.contains(&pinned), "{}", said.err);
    said.good();
}

//! A question to whoever sits at the terminal. Nobody there is an answer of its own: a pipe never
//! says yes.

use std::io::{BufRead, IsTerminal, Write};

use super::Failed;

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes,
    /// Anything but a yes, the end of input too.
    No,
    /// Nobody could read the question, or answer it.
    Nobody,
}

/// Asks once, on standard error.
pub fn ask(question: &str) -> Result<Answer, Failed> {
    let (input, mut output) = (std::io::stdin(), std::io::stderr());
    if !input.is_terminal() || !output.is_terminal() {
        return Ok(Answer::Nobody);
    }
    let broken = |error| Failed::new(format!("the terminal: {error}"));
    // What was typed before the question was there is no answer to it.
    #[cfg(unix)]
    rustix::termios::tcflush(&input, rustix::termios::QueueSelector::IFlush)
        .map_err(|error| broken(error.into()))?;
    write!(output, "{question} [y/N] ").map_err(broken)?;
    output.flush().map_err(broken)?;
    let mut line = Vec::new();
    input.lock().read_until(b'\n', &mut line).map_err(broken)?;
    if !line.ends_with(b"\n") {
        // The end of input: what follows shall not stand behind the question.
        writeln!(output).map_err(broken)?;
    }
    Ok(meaning(&line))
}

fn meaning(line: &[u8]) -> Answer {
    let line = line.trim_ascii();
    match [&b"y"[..], b"yes"]
        .iter()
        .any(|it| line.eq_ignore_ascii_case(it))
    {
        true => Answer::Yes,
        false => Answer::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["y\n", "Y", " yes \r\n", "YES\n"] {
            assert_eq!(meaning(yes.as_bytes()), Answer::Yes, "{yes:?}");
        }
        for no in [
            "", "\n", "n\n", "yy\n", "yes!\n", "no\ny\n", "\u{4}", "y\u{0}\n",
        ] {
            assert_eq!(meaning(no.as_bytes()), Answer::No, "{no:?}");
        }
        assert_eq!(meaning(b"\xff\xfe\n"), Answer::No);
    }
}

//! `mbhost`, the command line of ModularBase: parse, call, print.

mod cli;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(failed) => {
            // When standard error is gone, the exit code still speaks.
            let mut out = std::io::stderr().lock();
            let _ = writeln!(out, "error: {}", cli::plain(&failed.message));
            if let Some(hint) = &failed.hint {
                let _ = writeln!(out, "hint: {}", cli::plain(hint));
            }
            ExitCode::from(failed.code)
        }
    }
}

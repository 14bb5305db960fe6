//! The verbs of `mbhost`, one file each.
//!
//! `main` calls [`Cli::run`]. Knows nothing of the library but its public face. What stays true:
//! data goes to standard output and everything else to standard error; an error ends with its
//! hint; the exit code is 0 when it is done, 1 when something was refused or is broken, 2 when
//! the arguments are not understood.

mod doctor;
mod home;
mod output;
mod pack;
mod page;
mod progress;
mod prompt;
mod router;
mod table;

pub use output::plain;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use modularbase::{BuildError, Error};
use tracing_subscriber::EnvFilter;

/// A language model taken apart: a small base, and packs that know things
#[derive(Debug, Parser)]
#[command(name = "mbhost", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// What to say about the host's and the packs' doings, such as `info` or `pack=debug`
    #[arg(
        long,
        global = true,
        env = "MBHOST_LOG",
        default_value = "warn",
        hide_env_values = true,
        value_name = "FILTER",
        value_parser = filter
    )]
    log: String,
    #[command(flatten)]
    home: home::Home,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make, build and test packs; add them and take them away
    #[command(subcommand, arg_required_else_help = true)]
    Pack(pack::Verb),
    /// Choose who chooses packs for a turn
    #[command(subcommand, arg_required_else_help = true)]
    Router(router::Verb),
    /// Say what this machine has for the job, and what to do about what it lacks
    Doctor(doctor::Arguments),
}

/// A command that did not do what it was asked for.
#[derive(Debug)]
pub struct Failed {
    /// What is wrong.
    pub message: String,
    /// What to try next.
    pub hint: Option<String>,
    /// How the process ends.
    pub code: u8,
}

impl Cli {
    /// Does what the command line says.
    pub fn run(self) -> Result<ExitCode, Failed> {
        let filter = EnvFilter::try_new(&self.log).unwrap_or_default();
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .without_time()
            .init();
        match self.verb {
            Verb::Pack(verb) => verb.run(&self.home),
            Verb::Router(verb) => verb.run(&self.home),
            Verb::Doctor(arguments) => doctor::run(&arguments, &self.home),
        }
    }
}

impl Failed {
    /// Something was refused or is broken.
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            code: 1,
        }
    }

    /// The arguments do not go together.
    fn usage(message: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::new(message)
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            hint: error.hint().map(|it| it.to_string()),
            ..Self::new(error.to_string())
        }
    }
}

impl From<BuildError> for Failed {
    fn from(error: BuildError) -> Self {
        Error::from(error).into()
    }
}

/// A filter that will do; the subscriber parses it again, because filters cannot be copied.
fn filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_in_order() {
        Cli::command().debug_assert();
    }

    /// Design §11: every flag is also `MBHOST_*`.
    #[test]
    fn every_flag_has_its_variable() {
        fn look(command: &clap::Command, path: &str) {
            for argument in command.get_arguments() {
                let Some(flag) = argument.get_long() else {
                    continue;
                };
                if ["help", "version"].contains(&flag) {
                    continue;
                }
                let name = format!("MBHOST_{}", flag.to_uppercase().replace('-', "_"));
                let found = argument
                    .get_env()
                    .map(|it| it.to_string_lossy().into_owned());
                assert_eq!(found, Some(name), "{path} --{flag}");
            }
            for verb in command.get_subcommands() {
                look(verb, &format!("{path} {}", verb.get_name()));
            }
        }
        look(&Cli::command(), "mbhost");
    }
}

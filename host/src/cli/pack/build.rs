//! `mbhost pack build`: from a crate to a pack file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches};
use modularbase::{Build, Built, WeightType};

use crate::cli::Failed;
use crate::cli::output::{Format, bytes, note, number, shown, time};
use crate::cli::progress::Progress;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The crate's folder
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Where to write the pack; `pack.wasm` beside `pack.toml` when not given
    #[arg(long, env = "MBHOST_OUT", value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    origin: Origin,
    /// Store matrices as this type, where their rows are whole blocks of it
    #[arg(
        long,
        env = "MBHOST_QUANTIZE",
        value_name = "TYPE",
        ignore_case = true,
        value_parser = matrix_type()
    )]
    quantize: Option<WeightType>,
    #[command(flatten)]
    format: Format,
}

/// Where the weights come from.
#[derive(Clone, Debug)]
enum Origin {
    Seed(u64),
    File(PathBuf),
}

#[derive(Debug, clap::Args)]
struct OriginFlags {
    /// Take the weights from a GGUF file, a safetensors file or a pack, instead of making some up
    #[arg(long, env = "MBHOST_WEIGHTS", value_name = "FILE")]
    weights: Option<PathBuf>,
    /// What weights are made up from: the same seed gives the same bytes
    #[arg(long, env = "MBHOST_SEED", default_value_t = 0)]
    seed: u64,
}

impl clap::Args for Origin {
    fn augment_args(command: Command) -> Command {
        OriginFlags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        OriginFlags::augment_args_for_update(command)
    }
}

impl FromArgMatches for Origin {
    /// What is typed goes before what is exported, so the two contradict each other only when
    /// both are typed. When both are exported, a file is the rarer thing to say.
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_typed = |flag| matches.value_source(flag) == Some(ValueSource::CommandLine);
        let OriginFlags { weights, seed } = OriginFlags::from_arg_matches(matches)?;
        match weights {
            Some(_) if is_typed("weights") && is_typed("seed") => Err(clap::Error::raw(
                ErrorKind::ArgumentConflict,
                "the argument '--seed <SEED>' cannot be used with '--weights <FILE>'\n",
            )),
            Some(file) if !is_typed("seed") => Ok(Self::File(file)),
            _ => Ok(Self::Seed(seed)),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The types that matrices can be stored as.
fn matrix_type() -> impl TypedValueParser<Value = WeightType> {
    let types = [
        ("q8_0", "8 bits a number"),
        ("q4_0", "4 bits a number, in blocks of 32"),
        ("q4_k", "4 bits a number, in blocks of 256"),
        ("q6_k", "6 bits a number, in blocks of 256"),
    ];
    let values = types.map(|(name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(values).try_map(|name| name.parse::<WeightType>())
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failed> {
    let (format, origin) = (arguments.format, arguments.origin.clone());
    let progress = Progress::default();
    let built = planned(arguments)
        .watch(|stage| progress.show(stage))
        .start();
    drop(progress);
    let built = built?;
    for warning in &built.warnings {
        note(&format!("warning: {warning}"));
    }
    format.print(&built, || text(&built, &origin))?;
    Ok(ExitCode::SUCCESS)
}

/// What the arguments mean.
fn planned<'a>(arguments: Arguments) -> Build<'a> {
    let mut build = Build::new(arguments.path);
    if let Some(out) = arguments.out {
        build = build.out(out);
    }
    build = match arguments.origin {
        Origin::Seed(seed) => build.seed(seed),
        Origin::File(file) => build.weights(file),
    };
    if let Some(kind) = arguments.quantize {
        build = build.quantize(kind);
    }
    build
}

fn text(built: &Built, origin: &Origin) -> String {
    let weights = match (built.parameters, origin) {
        (0, _) => "none".to_owned(),
        (n, Origin::File(_)) => format!("{}, {} numbers", bytes(built.weight_bytes), number(n)),
        (n, Origin::Seed(seed)) => format!(
            "{}, {} numbers made up from seed {seed}: not trained",
            bytes(built.weight_bytes),
            number(n)
        ),
    };
    let times = built.times;
    format!(
        "{}: {}\n  size     {}\n  weights  {weights}\n  times    cargo {}, component {}, \
         describing {}, weights {}, opening {}\n",
        shown(&built.path.display().to_string()),
        built.who,
        bytes(built.bytes),
        time(times.cargo),
        time(times.component),
        time(times.describe),
        time(times.weights),
        time(times.verify),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_offered_is_one() {
        let parser = matrix_type();
        let offered: Vec<_> = parser.possible_values().expect("a list").collect();
        assert_eq!(offered.len(), 4);
        for it in offered {
            let kind = it.get_name().parse::<WeightType>().expect("a type");
            assert!(kind.block_len() > 1, "{kind} is made of plain numbers");
        }
    }
}

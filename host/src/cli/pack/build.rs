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
    #[command(flatten)]
    origin: Origin,
    #[command(flatten)]
    making: Making,
    #[command(flatten)]
    format: Format,
}

/// What is said of a pack that is made, wherever its code comes from.
#[derive(Debug, clap::Args)]
pub struct Making {
    /// Where to write the pack; `pack.wasm` beside `pack.toml` when not given
    #[arg(long, env = "MBHOST_OUT", value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Store matrices as this type, where their rows are whole blocks of it
    #[arg(
        long,
        env = "MBHOST_QUANTIZE",
        value_name = "TYPE",
        ignore_case = true,
        value_parser = matrix_type()
    )]
    pub quantize: Option<WeightType>,
    /// Sign the pack with the private key in this file, as `mbhost pack keygen` makes one
    #[arg(long, env = "MBHOST_SIGN", value_name = "KEY")]
    pub sign: Option<PathBuf>,
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
    let seed = match origin {
        Origin::Seed(seed) => Some(seed),
        Origin::File(_) => None,
    };
    let progress = Progress::default();
    let built = planned(arguments)
        .watch(|stage| progress.show(stage))
        .start();
    drop(progress);
    told(&built?, seed, format)
}

/// What the arguments mean.
fn planned<'a>(arguments: Arguments) -> Build<'a> {
    let mut build = Build::new(arguments.path);
    build = match arguments.origin {
        Origin::Seed(seed) => build.seed(seed),
        Origin::File(file) => build.weights(file),
    };
    let making = arguments.making;
    if let Some(out) = making.out {
        build = build.out(out);
    }
    if let Some(kind) = making.quantize {
        build = build.quantize(kind);
    }
    if let Some(key) = making.sign {
        build = build.sign(key);
    }
    build
}

/// Says what was made, and what its author should know.
pub fn told(built: &Built, seed: Option<u64>, format: Format) -> Result<ExitCode, Failed> {
    for warning in &built.warnings {
        note(&format!("warning: {warning}"));
    }
    format.print(built, || text(built, seed))?;
    Ok(ExitCode::SUCCESS)
}

fn text(built: &Built, seed: Option<u64>) -> String {
    let weights = match (built.parameters, seed) {
        (0, _) => "none".to_owned(),
        (n, None) => format!("{}, {} numbers", bytes(built.weight_bytes), number(n)),
        (n, Some(seed)) => format!(
            "{}, {} numbers made up from seed {seed}: not trained",
            bytes(built.weight_bytes),
            number(n)
        ),
    };
    let signed = match &built.signed_by {
        Some(publisher) => format!("  signed   by {publisher}\n"),
        None => String::new(),
    };
    let times = built.times;
    let parts = [
        ("cargo", times.cargo),
        ("component", times.component),
        ("describing", times.describe),
        ("weights", times.weights),
        ("opening", times.verify),
    ];
    let parts = parts.into_iter().filter(|(_, it)| !it.is_zero());
    let parts: Vec<String> = parts
        .map(|(part, it)| format!("{part} {}", time(it)))
        .collect();
    format!(
        "{}: {}\n  size     {}\n  weights  {weights}\n{signed}  times    {}\n",
        shown(&built.path.display().to_string()),
        built.who,
        bytes(built.bytes),
        parts.join(", "),
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

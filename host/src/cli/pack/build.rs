//! `mbhost pack build`: from a crate to a pack file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
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
    /// Take the weights from a GGUF file, a safetensors file or a pack, instead of making some up
    #[arg(long, env = "MBHOST_WEIGHTS", value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Store matrices as this type, where their rows are whole blocks of it
    #[arg(
        long,
        env = "MBHOST_QUANTIZE",
        value_name = "TYPE",
        ignore_case = true,
        value_parser = matrix_type()
    )]
    quantize: Option<WeightType>,
    /// What weights are made up from: the same seed gives the same bytes
    #[arg(
        long,
        env = "MBHOST_SEED",
        default_value_t = 0,
        conflicts_with = "weights"
    )]
    seed: u64,
    #[command(flatten)]
    format: Format,
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
    let (format, seed) = (arguments.format, arguments.seed);
    let progress = Progress::default();
    let built = planned(arguments)
        .watch(|stage| progress.show(stage))
        .start();
    drop(progress);
    let built = built?;
    for warning in &built.warnings {
        note(&format!("warning: {warning}"));
    }
    format.print(&built, || text(&built, seed))?;
    Ok(ExitCode::SUCCESS)
}

/// What the arguments mean.
fn planned<'a>(arguments: Arguments) -> Build<'a> {
    let mut build = Build::new(arguments.path).seed(arguments.seed);
    if let Some(out) = arguments.out {
        build = build.out(out);
    }
    if let Some(weights) = arguments.weights {
        build = build.weights(weights);
    }
    if let Some(kind) = arguments.quantize {
        build = build.quantize(kind);
    }
    build
}

fn text(built: &Built, seed: u64) -> String {
    let weights = match (built.parameters, built.seeded) {
        (0, _) => "none".to_owned(),
        (n, false) => format!("{}, {} numbers", bytes(built.weight_bytes), number(n)),
        (n, true) => format!(
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

//! `mbhost pack build`: from a crate to a pack file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
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
    #[arg(long, env = "MBHOST_QUANTIZE", value_name = "TYPE", ignore_case = true)]
    quantize: Option<Quantized>,
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
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Quantized {
    /// 8 bits a number
    #[value(name = "q8_0")]
    Q8_0,
    /// 4 bits a number, in blocks of 32
    #[value(name = "q4_0")]
    Q4_0,
    /// 4 bits a number, in blocks of 256
    #[value(name = "q4_k")]
    Q4K,
    /// 6 bits a number, in blocks of 256
    #[value(name = "q6_k")]
    Q6K,
}

impl From<Quantized> for WeightType {
    fn from(kind: Quantized) -> Self {
        match kind {
            Quantized::Q8_0 => Self::Q8_0,
            Quantized::Q4_0 => Self::Q4_0,
            Quantized::Q4K => Self::Q4K,
            Quantized::Q6K => Self::Q6K,
        }
    }
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
        build = build.quantize(kind.into());
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

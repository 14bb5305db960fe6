//! `mbhost pack wrap`: from weights alone to a pack file, with code that the host brings.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use modularbase::{Builtin, Wrap};

use super::build::{Making, told};
use crate::cli::Failed;
use crate::cli::output::Format;
use crate::cli::progress::Progress;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The code: a pack of the repository's, without its weights
    #[arg(long, env = "MBHOST_CODE", value_name = "NAME", value_parser = code())]
    code: Builtin,
    /// Take the weights from a GGUF file, a safetensors file or a pack; code that declares none
    /// needs no file
    #[arg(long, env = "MBHOST_WEIGHTS", value_name = "FILE")]
    weights: Option<PathBuf>,
    /// What the pack is, as in `pack.toml`; the code's own when there are no weights
    #[arg(long, env = "MBHOST_MANIFEST", value_name = "FILE")]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    making: Making,
    #[command(flatten)]
    format: Format,
}

/// The code that the host brings, by name.
fn code() -> impl TypedValueParser<Value = Builtin> {
    PossibleValuesParser::new(Builtin::ALL.map(Builtin::name)).try_map(|name| {
        let mut all = Builtin::ALL.into_iter();
        all.find(|it| it.name() == name).ok_or("no such code")
    })
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failed> {
    let format = arguments.format;
    let progress = Progress::default();
    let built = planned(arguments)
        .watch(|stage| progress.show(stage))
        .start();
    drop(progress);
    told(&built?, None, format)
}

/// What the arguments mean.
fn planned<'a>(arguments: Arguments) -> Wrap<'a> {
    let mut wrap = Wrap::new(arguments.code);
    if let Some(file) = arguments.weights {
        wrap = wrap.weights(file);
    }
    if let Some(file) = arguments.manifest {
        wrap = wrap.manifest(file);
    }
    let making = arguments.making;
    if let Some(out) = making.out {
        wrap = wrap.out(out);
    }
    if let Some(kind) = making.quantize {
        wrap = wrap.quantize(kind);
    }
    if let Some(key) = making.sign {
        wrap = wrap.sign(key);
    }
    wrap
}

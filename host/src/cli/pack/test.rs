//! `mbhost pack test`: does a pack do what every pack must?

use std::path::PathBuf;
use std::process::ExitCode;

use modularbase::{Check, Line, Outcome, Report};
use modularbase_format::PackFile;

use crate::cli::Failed;
use crate::cli::output::{Format, note, shown, time};
use crate::cli::progress::Progress;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A pack file, or a crate's folder, which is built first
    #[arg(default_value = ".")]
    path: PathBuf,
    /// How much memory the pack may take
    #[arg(long, env = "MBHOST_MEMORY", default_value = "8GiB", value_name = "SIZE", value_parser = size)]
    memory: u64,
    #[command(flatten)]
    format: Format,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failed> {
    let progress = Progress::default();
    let report = Check::new(&arguments.path)
        .memory(arguments.memory)
        .watch(|stage| progress.show(stage))
        .start();
    drop(progress);
    let report = report?;
    arguments.format.print(&report, || text(&report))?;
    if arguments.path.is_dir() {
        let built = super::source::pack_in(&arguments.path);
        if PackFile::open(&built).is_ok() {
            note(&format!(
                "hint: the code was tested with made-up weights; `mbhost pack test {}` tests the \
                 pack that was built",
                built.display()
            ));
        }
    }
    Ok(match report.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// A size as `512MiB` or `8GiB`.
fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected a size such as `512MiB` or `8GiB`".to_owned();
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(expected)?;
    let (count, unit) = text.split_at(at);
    let unit: u64 = match unit.trim_start() {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(expected()),
    };
    let count: u64 = count.parse().map_err(|_| expected())?;
    count.checked_mul(unit).ok_or_else(expected)
}

fn text(report: &Report) -> String {
    let mut out = format!(
        "{}: {}\n\n",
        report.pack,
        shown(&report.path.display().to_string())
    );
    let widest = report.checks.iter().map(|it| it.name.chars().count()).max();
    for line in &report.checks {
        out.push_str(&row(line, widest.unwrap_or_default()));
    }
    out.push('\n');
    out.push_str(&times(report));
    out.push_str(&sum(report));
    out
}

fn row(line: &Line, widest: usize) -> String {
    let outcome = match line.outcome {
        Outcome::Passed => "passed",
        Outcome::Warned => "WARNED",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "skipped",
    };
    let took = match line.outcome {
        Outcome::Skipped => String::new(),
        _ => time(line.time),
    };
    let (name, detail) = (shown(&line.name), &line.detail);
    let mut out = format!("  {outcome:7}  {name:widest$}  {took:>7}  {detail}\n");
    if let Some(hint) = &line.hint {
        out.push_str(&format!(
            "  {:7}  {:widest$}  {:>7}  hint: {hint}\n",
            "", "", ""
        ));
    }
    out
}

fn times(report: &Report) -> String {
    let took = &report.times;
    let mut parts = Vec::new();
    if let Some(build) = took.build {
        parts.push(format!(
            "built in {} (cargo {})",
            time(build.total()),
            time(build.cargo)
        ));
    }
    if let Some(it) = took.compile {
        parts.push(format!("compiled in {}", time(it)));
    }
    if let Some(it) = took.load {
        parts.push(format!("loaded in {}", time(it)));
    }
    if let Some(it) = took.one_row {
        parts.push(format!("a step of one row {}", time(it)));
    }
    if let Some(it) = took.batch {
        parts.push(format!("of {} rows {}", took.batch_rows, time(it)));
    }
    match parts.is_empty() {
        true => String::new(),
        false => format!("{}\n", parts.join(", ")),
    }
}

fn sum(report: &Report) -> String {
    let mut parts = Vec::new();
    for (outcome, word) in [
        (Outcome::Passed, "passed"),
        (Outcome::Warned, "warned"),
        (Outcome::Failed, "failed"),
        (Outcome::Skipped, "skipped"),
    ] {
        match report.count(outcome) {
            0 if outcome != Outcome::Passed => {}
            n => parts.push(format!("{n} {word}")),
        }
    }
    format!("{}\n", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use modularbase::Times;

    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("8GiB"), Ok(8 << 30));
        assert_eq!(size("64 KiB"), Ok(64 << 10));
        for wrong in [
            "",
            "8",
            "GiB",
            "8GB",
            "-1GiB",
            "99999999999999GiB",
            "1.5GiB",
        ] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_report_is_aligned_and_says_in_words_what_failed() {
        let line = |name: &str, outcome, micros, detail: &str, hint: Option<&str>| Line {
            name: name.into(),
            outcome,
            detail: detail.into(),
            hint: hint.map(str::to_owned),
            time: Duration::from_micros(micros),
        };
        let report = Report {
            pack: "pack `a` 0.1.0".into(),
            path: "a.wasm".into(),
            checks: vec![
                line("sound", Outcome::Passed, 1250, "expert", None),
                line(
                    "row-invariant",
                    Outcome::Failed,
                    40_000,
                    "row 1",
                    Some("look"),
                ),
                line("cached", Outcome::Skipped, 0, "no", None),
            ],
            times: Times::default(),
        };
        let expected = "\
pack `a` 0.1.0: a.wasm

  passed   sound           1.2 ms  expert
  FAILED   row-invariant    40 ms  row 1
                                   hint: look
  skipped  cached                  no

1 passed, 1 failed, 1 skipped
";
        assert_eq!(text(&report), expected);
    }
}

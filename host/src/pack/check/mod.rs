//! Does a pack do what every pack must?
//!
//! `mbhost pack test` calls it. The pack is loaded in a real host on the CPU and runs over toy
//! hidden states; a router is asked about toy candidates, hooks hear toy turns. What stays true:
//! whatever the pack does ends as a line of the [`Report`]; only what keeps the pack from being
//! looked at at all is an error.

mod expert;
mod hooks;
mod model;
mod router;
mod stirred;
mod toy;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use modularbase_format::PackFile;
use serde::Serialize;

use super::build::{Build, BuildTimes, PACK_FILE, Stage};
use super::preflight::{Judged, Objection};
use super::{Pack, PackError, Sandbox, who};
use crate::error::Error;
use crate::roles::Failure;
use crate::tensor::{Device, Ledger};

/// A pack to be checked.
///
/// ```no_run
/// use modularbase::Check;
///
/// let report = Check::new("packs/dense").start()?;
/// assert!(report.is_good());
/// # Ok::<(), modularbase::Error>(())
/// ```
pub struct Check<'a> {
    path: PathBuf,
    memory: u64,
    watch: Box<dyn Fn(Stage) + 'a>,
}

/// What became of a check.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The pack's id and version.
    pub pack: String,
    /// What was looked at: the file or the crate's folder.
    #[serde(serialize_with = "super::build::path_text")]
    pub path: PathBuf,
    /// What was checked, in order.
    pub checks: Vec<Line>,
    /// How long things took.
    pub times: Times,
}

/// One thing that was checked.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// With which numbers, or why.
    pub detail: String,
    /// What its author can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How long it took.
    #[serde(rename = "ms", serialize_with = "milliseconds")]
    pub time: Duration,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is as it must be.
    Passed,
    /// It may be, but its author should know.
    Warned,
    /// It must not be.
    Failed,
    /// It does not apply, or what it needs has failed.
    Skipped,
}

/// How long things took. What did not happen is missing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Times {
    /// Building the pack from its crate.
    #[serde(rename = "build_ms", skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildTimes>,
    /// Compiling its code for this machine.
    #[serde(rename = "compile_ms", serialize_with = "milliseconds_of")]
    pub compile: Option<Duration>,
    /// Loading its expert.
    #[serde(rename = "load_ms", serialize_with = "milliseconds_of")]
    pub load: Option<Duration>,
    /// A step of one row: the median of several.
    #[serde(rename = "one_row_ms", serialize_with = "milliseconds_of")]
    pub one_row: Option<Duration>,
    /// A step of a ragged batch.
    #[serde(rename = "batch_ms", serialize_with = "milliseconds_of")]
    pub batch: Option<Duration>,
    /// How many rows that batch has.
    pub batch_rows: usize,
}

impl Report {
    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.count(Outcome::Failed) == 0
    }

    /// How many checks ended in a certain way.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.checks
            .iter()
            .filter(|it| it.outcome == outcome)
            .count()
    }
}

impl<'a> Check<'a> {
    /// A check of a pack file, or of a crate's folder, which is built first.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            memory: 8 << 30,
            watch: Box::new(|_| {}),
        }
    }

    /// How many bytes the pack may take on the device; 8 GiB when nothing is said.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Calls `watch` when something begins that may take a while.
    pub fn watch(mut self, watch: impl Fn(Stage) + 'a) -> Self {
        self.watch = Box::new(watch);
        self
    }

    /// Checks the pack.
    ///
    /// # Errors
    /// When there is no pack to check: a crate that does not build, a file that is none.
    pub fn start(self) -> Result<Report, Error> {
        let mut book = Book::default();
        let mut times = Times::default();
        // What is built for a check is not what `pack build` makes, and must not replace it.
        let made;
        let file = if self.path.is_dir() {
            made = tempfile::tempdir().map_err(|source| Error::Io {
                path: std::env::temp_dir(),
                source,
            })?;
            let out = made.path().join(PACK_FILE);
            let built = Build::new(&self.path)
                .out(&out)
                .watch(&self.watch)
                .start()?;
            times.build = Some(built.times);
            out
        } else {
            self.path.clone()
        };
        let begun = Instant::now();
        let opened = PackFile::open(&file).map_err(PackError::from)?;
        let who = who(&opened).to_string();
        let sandbox = Sandbox::default();
        let judged = Judged::of(&opened, sandbox.limits());
        book.add("sound", begun, sound(&opened, &judged));
        let begun = Instant::now();
        let compiled = judged
            .ok()
            .map(|judged| Pack::compile(opened, judged, &sandbox));
        let pack = match compiled {
            None => {
                book.skip("compiles", "it was refused");
                None
            }
            Some(Err(error)) => {
                book.add("compiles", begun, error.into());
                None
            }
            Some(Ok(pack)) => {
                times.compile = Some(begun.elapsed());
                let functions = pack.face().functions;
                book.add("compiles", begun, passed(format!("{functions} functions")));
                Some(Arc::new(pack))
            }
        };
        (self.watch)(Stage::Check);
        if let Some(pack) = pack {
            let bench = Bench {
                pack,
                device: Device::cpu(),
                ledger: Ledger::new(self.memory),
            };
            let face = bench.pack.face().clone();
            if face.exports.contains("expert") {
                expert::check(&bench, &mut book, &mut times);
            }
            if face.exports.contains("router") {
                router::check(&bench, &mut book);
            }
            model::check(&bench, &mut book);
            if face.exports.contains("hooks") {
                hooks::check(&bench, &mut book);
            }
        }
        Ok(Report {
            pack: who,
            path: self.path,
            checks: book.lines,
            times,
        })
    }
}

impl std::fmt::Debug for Check<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Check({})", self.path.display())
    }
}

/// What the checks of a pack need.
struct Bench {
    pack: Arc<Pack>,
    device: Device,
    ledger: Ledger,
}

impl Bench {
    /// How much memory a guest may take: what its manifest asks for, or what the host gives.
    fn memory(&self) -> u64 {
        let most = self.pack.sandbox.limits().memory_bytes as u64;
        self.pack.manifest().limits.memory.unwrap_or(most)
    }
}

/// What was found out about one thing.
struct Finding {
    outcome: Outcome,
    detail: String,
    hint: Option<String>,
}

fn passed(detail: impl Into<String>) -> Finding {
    found(Outcome::Passed, detail)
}

fn failed(detail: impl Into<String>) -> Finding {
    found(Outcome::Failed, detail)
}

fn warned(detail: impl Into<String>) -> Finding {
    found(Outcome::Warned, detail)
}

fn found(outcome: Outcome, detail: impl Into<String>) -> Finding {
    Finding {
        outcome,
        detail: detail.into(),
        hint: None,
    }
}

impl Finding {
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Failure> for Finding {
    /// The report's head names the pack, so its lines do not.
    fn from(failure: Failure) -> Self {
        let (Failure::Refusal { reason, .. }
        | Failure::Breach { reason, .. }
        | Failure::Outage { reason, .. }) = failure;
        failed(reason)
    }
}

impl From<PackError> for Finding {
    fn from(error: PackError) -> Self {
        let hint = error.hint().map(|it| it.to_string());
        let said = match error {
            PackError::Preflight { objection, .. } => objection.reason,
            PackError::Compile { reason, .. } => reason,
            other => other.to_string(),
        };
        Finding {
            hint,
            ..failed(said)
        }
    }
}

/// The lines so far.
#[derive(Default)]
struct Book {
    lines: Vec<Line>,
}

impl Book {
    fn add(&mut self, name: impl Into<String>, begun: Instant, finding: Finding) {
        self.lines.push(Line {
            name: name.into(),
            outcome: finding.outcome,
            detail: finding.detail,
            hint: finding.hint,
            time: begun.elapsed(),
        });
    }

    /// Does a check and takes down what comes out: a finding, or a failure.
    fn check(&mut self, name: &str, check: impl FnOnce() -> Result<Finding, Failure>) {
        let begun = Instant::now();
        let finding = check().unwrap_or_else(Finding::from);
        self.add(name, begun, finding);
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.add(name, Instant::now(), found(Outcome::Skipped, why));
    }
}

/// What preflight says of the code, and how large everything is.
fn sound(file: &PackFile, judged: &Result<Judged, Objection>) -> Finding {
    match judged {
        Err(objection) => Finding {
            hint: objection.hint.clone(),
            ..failed(&objection.reason)
        },
        Ok(Judged { face, .. }) => {
            let weights: usize = file.weight_shards().map(|it| it.bytes.len()).sum();
            let roles: Vec<String> = face.exports.iter().cloned().collect();
            passed(format!(
                "{}: {} bytes of code, {weights} of weights",
                roles.join(", "),
                face.code_bytes
            ))
        }
    }
}

/// A part of a limit, in percent.
fn share(used: u64, most: u64) -> String {
    match 100.0 * used as f64 / most.max(1) as f64 {
        percent if used > 0 && percent < 0.1 => "below 0.1 %".to_owned(),
        percent => format!("{percent:.1} %"),
    }
}

fn milliseconds<S: serde::Serializer>(time: &Duration, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_f64(super::build::milliseconds(*time))
}

fn milliseconds_of<S: serde::Serializer>(
    time: &Option<Duration>,
    out: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => milliseconds(time, out),
        None => out.serialize_none(),
    }
}

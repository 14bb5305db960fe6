//! What a build made, and how long it took.
//!
//! Nothing but facts for whoever asked for the pack; `--json` prints them as they are.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

/// A pack that was built.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Built {
    /// Where it is.
    #[serde(serialize_with = "path_text")]
    pub path: PathBuf,
    /// Its id and version, as messages begin.
    #[serde(rename = "pack")]
    pub who: String,
    /// Its length.
    pub bytes: u64,
    /// How many bytes of it are weights.
    pub weight_bytes: u64,
    /// How many numbers its weights have.
    pub parameters: u64,
    /// The publisher who signed it, if anybody did.
    pub signed_by: Option<String>,
    /// Whether this build made its weights up.
    pub seeded: bool,
    /// What its author should know.
    pub warnings: Vec<String>,
    /// How long each part took.
    #[serde(rename = "ms")]
    pub times: BuildTimes,
}

/// How long the parts of a build took. What did not happen took no time.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct BuildTimes {
    /// Cargo.
    pub cargo: Duration,
    /// Making a component of what cargo made.
    pub component: Duration,
    /// Compiling it for this machine, and having it describe itself.
    pub describe: Duration,
    /// Making and writing the weights.
    pub weights: Duration,
    /// Opening the result again.
    pub verify: Duration,
}

impl BuildTimes {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.cargo + self.component + self.describe + self.weights + self.verify
    }
}

/// Does something, and writes down how long it took.
pub(super) fn clock<T>(time: &mut Duration, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    *time = begun.elapsed();
    done
}

/// A time as listings have it, in milliseconds to the microsecond.
pub(in crate::pack) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A path as listings have it: any path has one, even where it is no UTF-8.
pub(in crate::pack) fn path_text<S: serde::Serializer>(
    path: &Path,
    out: S,
) -> Result<S::Ok, S::Error> {
    out.collect_str(&path.display())
}

impl Serialize for BuildTimes {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = out.serialize_map(None)?;
        for (part, time) in [
            ("cargo", self.cargo),
            ("component", self.component),
            ("describe", self.describe),
            ("weights", self.weights),
            ("verify", self.verify),
            ("total", self.total()),
        ] {
            // What did not happen is missing: there is no cargo where there is no crate.
            if time.is_zero() {
                continue;
            }
            map.serialize_entry(part, &milliseconds(time))?;
        }
        map.end()
    }
}

//! `mbhost doctor`: what this machine has for the job, and what to do about what it lacks.

mod kept;

use std::borrow::Cow;
use std::path::Path;
use std::process::ExitCode;

use modularbase::{Device, Sandbox, TARGET, Toolchain};
use serde::Serialize;

use super::Failed;
use super::home::Home;
use super::output::{Format, bytes, shown};

/// Less than this, and work becomes tight.
const LITTLE: u64 = 1 << 30;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    format: Format,
}

/// What the machine has.
#[derive(Debug, Serialize)]
struct Findings {
    version: &'static str,
    /// Whether packs can run here.
    able: bool,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    state: State,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<Cow<'static, str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Good,
    /// Something is missing that not everybody needs.
    Missing,
    /// Packs cannot run.
    Broken,
}

pub fn run(arguments: &Arguments, home: &Home) -> Result<ExitCode, Failed> {
    let found = look(home);
    arguments.format.print(&found, || text(&found))?;
    Ok(match found.able {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn look(home: &Home) -> Findings {
    let tools = Toolchain::look(Path::new("."));
    let mut findings = vec![sandbox(), processor(), memory(), disk()];
    findings.extend(kept::look(home));
    findings.extend([
        cuda(),
        tool("cargo", tools.cargo),
        tool("rustc", tools.rustc),
        target(tools.wasm_target, tools.rustup),
    ]);
    Findings {
        version: env!("CARGO_PKG_VERSION"),
        able: findings.iter().all(|it| it.state != State::Broken),
        findings,
    }
}

fn good(name: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        name,
        state: State::Good,
        detail: detail.into(),
        hint: None,
    }
}

fn missing(name: &'static str, detail: impl Into<String>, hint: &'static str) -> Finding {
    Finding {
        state: State::Missing,
        hint: Some(hint.into()),
        ..good(name, detail)
    }
}

/// The one thing that packs cannot do without.
fn sandbox() -> Finding {
    match Sandbox::probe() {
        Ok(()) => good("sandbox", "compiles packs and runs them"),
        Err(reason) => Finding {
            state: State::Broken,
            hint: Some("packs become machine code: the system must allow executable memory".into()),
            ..good("sandbox", shown(&reason))
        },
    }
}

fn processor() -> Finding {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let features = features();
    let used: Vec<&str> = features.iter().filter(|it| it.1).map(|it| it.0).collect();
    let used = match used.as_slice() {
        [] => "no vector extensions".to_owned(),
        used => used.join(" "),
    };
    let detail = format!("{}, {threads} threads, {used}", std::env::consts::ARCH);
    match features.iter().find(|it| it.0 == "avx2") {
        Some((_, false)) => missing(
            "processor",
            detail,
            "without avx2 packs run, several times slower",
        ),
        _ => good("processor", detail),
    }
}

/// Extensions that the executors look for, and whether they are there.
fn features() -> Vec<(&'static str, bool)> {
    #[cfg(target_arch = "x86_64")]
    return vec![
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("f16c", std::arch::is_x86_feature_detected!("f16c")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("avx512vl", std::arch::is_x86_feature_detected!("avx512vl")),
        (
            "avx512vnni",
            std::arch::is_x86_feature_detected!("avx512vnni"),
        ),
    ];
    #[cfg(target_arch = "aarch64")]
    return vec![
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        (
            "dotprod",
            std::arch::is_aarch64_feature_detected!("dotprod"),
        ),
    ];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    Vec::new()
}

fn memory() -> Finding {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    match (kib(&text, "MemAvailable:"), kib(&text, "MemTotal:")) {
        (Some(free), Some(all)) => {
            let detail = format!("{} free of {}", bytes(free), bytes(all));
            match free < LITTLE {
                true => missing(
                    "memory",
                    detail,
                    "close other programs, or use smaller packs",
                ),
                false => good("memory", detail),
            }
        }
        _ => good("memory", "this system does not say how much is free"),
    }
}

/// A line of `/proc/meminfo` in bytes.
fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|it| it.strip_prefix(key))?;
    let count: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    count.checked_mul(1024)
}

fn disk() -> Finding {
    match free_here() {
        None => good("disk", "this system does not say how much is free"),
        Some(free) => {
            let detail = format!("{} free where you are", bytes(free));
            match free < LITTLE {
                true => missing("disk", detail, "building a pack takes some hundred MiB"),
                false => good("disk", detail),
            }
        }
    }
}

#[cfg(unix)]
fn free_here() -> Option<u64> {
    let it = rustix::fs::statvfs(".").ok()?;
    it.f_bavail.checked_mul(it.f_frsize)
}

#[cfg(not(unix))]
fn free_here() -> Option<u64> {
    None
}

fn cuda() -> Finding {
    let cards = cards();
    match Device::cuda(0) {
        Ok(device) => {
            let memory = device.memory().map(|it| {
                let (free, all) = (bytes(it.free), bytes(it.total));
                format!(", {free} free of {all}")
            });
            let detail = format!("{}{}", shown(device.name()), memory.unwrap_or_default());
            good("cuda", detail)
        }
        Err(reason) if cfg!(feature = "cuda") => missing(
            "cuda",
            shown(&reason.to_string()),
            "packs run on the processor; for a device, its driver must be there",
        ),
        Err(_) if cards.is_empty() => good(
            "cuda",
            "built without it, no device: packs run on the processor",
        ),
        Err(_) => missing(
            "cuda",
            format!("built without it, found {}", cards.join(", ")),
            "`cargo build --release --features cuda` uses the device",
        ),
    }
}

/// The names of NVIDIA's cards, as the driver tells them.
fn cards() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc/driver/nvidia/gpus") else {
        return Vec::new();
    };
    let model = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path().join("information")).ok()?;
        let model = text.lines().find_map(|it| it.strip_prefix("Model:"))?;
        Some(shown(model.trim()))
    };
    entries.flatten().filter_map(model).collect()
}

fn tool(name: &'static str, version: Option<String>) -> Finding {
    match version {
        Some(version) => good(name, shown(&version)),
        None => missing(
            name,
            "not on the PATH: packs run, but none can be built",
            "https://rustup.rs installs both `cargo` and `rustc`",
        ),
    }
}

fn target(there: bool, rustup: bool) -> Finding {
    match (there, rustup) {
        (true, _) => good("wasm target", TARGET),
        (false, true) => missing(
            "wasm target",
            "not there: packs run, and building one adds it",
            "`rustup target add wasm32-unknown-unknown`",
        ),
        (false, false) => missing(
            "wasm target",
            "not there: packs run, but none can be built",
            "https://rustup.rs has it; Debian and Ubuntu: `libstd-rust-dev-wasm32`; Fedora: \
             `rust-std-static-wasm32-unknown-unknown`; Arch and Alpine: `rust-wasm`",
        ),
    }
}

fn text(found: &Findings) -> String {
    let mut out = format!("mbhost {}\n\n", found.version);
    for it in &found.findings {
        let state = match it.state {
            State::Good => "good",
            State::Missing => "MISSING",
            State::Broken => "BROKEN",
        };
        out.push_str(&format!("  {state:7}  {:11}  {}\n", it.name, it.detail));
        if let Some(hint) = &it.hint {
            out.push_str(&format!("  {:7}  {:11}  hint: {hint}\n", "", ""));
        }
    }
    out.push_str(match found.able {
        true => "\npacks can run here\n",
        false => "\npacks cannot run here\n",
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_kib() {
        let text = "MemTotal:       24 kB\nMemAvailable:   2 kB\nOdd: x\n";
        assert_eq!(kib(text, "MemAvailable:"), Some(2048));
        assert_eq!(kib(text, "Odd:"), None);
        assert_eq!(kib(text, "None:"), None);
    }

    #[test]
    fn what_authors_alone_need_does_not_stop_packs() {
        let dir = tempfile::tempdir().expect("a folder");
        let home = Home {
            folder: Some(dir.path().to_owned()),
        };
        let mut found = look(&home);
        assert!(found.able, "{found:?}");
        found.findings = vec![tool("cargo", None), target(false, false)];
        assert!(found.findings.iter().all(|it| it.state == State::Missing));
        let text = text(&found);
        assert!(
            text.contains("  MISSING  cargo        not on the PATH"),
            "{text}"
        );
    }
}

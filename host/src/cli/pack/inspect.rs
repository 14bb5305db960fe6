//! `mbhost pack inspect`: what a pack file is and holds. Runs nothing of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use modularbase::pack::PACK_FILE;
use modularbase::{Code, Error, Inspection, Measured, inspect};

use crate::cli::Failed;
use crate::cli::output::{Format, bytes, number, shown};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A pack file, or a crate's folder, whose `pack.wasm` is taken
    #[arg(default_value = ".")]
    path: PathBuf,
    /// List every weight
    #[arg(long, env = "MBHOST_TENSORS", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    tensors: bool,
    #[command(flatten)]
    format: Format,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failed> {
    let file = pack_of(&arguments.path)?;
    let pack = inspect(&file).map_err(Error::from)?;
    arguments
        .format
        .print(&pack, || text(&pack, arguments.tensors))?;
    Ok(ExitCode::SUCCESS)
}

/// The pack file that a path means: itself, or the one that a build leaves in a folder.
fn pack_of(path: &Path) -> Result<PathBuf, Failed> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let file = super::pack_in(path);
    match file.exists() {
        true => Ok(file),
        false => Err(
            Failed::new(format!("{}: `{PACK_FILE}` is missing", path.display()))
                .hint("`mbhost pack build` makes it; or give a pack file"),
        ),
    }
}

/// Lines of a name and what it is, the names aligned.
#[derive(Default)]
struct Page(String);

impl Page {
    /// A stranger's words are escaped here, at the last moment.
    fn line(&mut self, name: &str, text: impl AsRef<str>) {
        let text = shown(text.as_ref());
        writeln!(self.0, "  {name:<13}{text}").expect("a string takes all");
    }

    fn list<T: AsRef<str>>(&mut self, name: &str, texts: &[T]) {
        if !texts.is_empty() {
            let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
            self.line(name, texts.join(", "));
        }
    }

    fn head(&mut self, text: &str) {
        writeln!(self.0, "\n{text}").expect("a string takes all");
    }
}

fn text(pack: &Inspection, with_tensors: bool) -> String {
    let head = format!(
        "pack `{}` {}: {}",
        pack.id,
        pack.version,
        pack.path.display()
    );
    let mut page = Page(shown(&head) + "\n");
    page.line("name", &pack.name);
    for (at, line) in pack.description.lines().enumerate() {
        page.line(if at == 0 { "description" } else { "" }, line);
    }
    page.list("roles", &pack.roles);
    page.list("domain", pack.domain.as_slice());
    page.line("license", &pack.license);
    page.list("authors", &pack.authors);
    page.line("signed by", pack.signed_by.as_deref().unwrap_or("nobody"));
    page.line("trained", if pack.trained { "yes" } else { "no" });
    page.line("base", base(pack));
    page.list("variants", &pack.variants);
    page.list("fallback", &pack.fallback);
    page.list("conflicts", &pack.conflicts);
    page.list("needs", &pairs(&pack.dependencies, " "));
    page.list("keywords", &pack.keywords);
    page.list("model", &pairs(&pack.model, " = "));
    if let Some(memory) = pack.memory {
        page.line("asks for", format!("{} of memory", bytes(memory)));
    }
    page.line("size", bytes(pack.bytes as u64));
    page.line("digest", format!("sha256:{}", pack.digest));
    if let Some(objection) = &pack.objection {
        page.head("this host refuses it");
        page.line("because", objection);
    }
    if let Some(code) = &pack.code {
        put_code(&mut page, code, &pack.contract);
    }
    put_weights(&mut page, pack, with_tensors);
    for measured in &pack.measured {
        put_measured(&mut page, measured);
    }
    page.0
}

fn base(pack: &Inspection) -> String {
    let accepts = pairs(&pack.base.accepts, " ").join(", ");
    match accepts.as_str() {
        "" => format!("any of width {}", pack.base.width),
        ids => format!("width {}: {ids}", pack.base.width),
    }
}

fn pairs(map: &std::collections::BTreeMap<String, String>, between: &str) -> Vec<String> {
    map.iter()
        .map(|(key, value)| format!("{key}{between}{value}"))
        .collect()
}

fn put_code(page: &mut Page, code: &Code, contract: &str) {
    page.head("code");
    page.line("can", code.abilities.join("; "));
    page.list("exports", &code.exports);
    page.list("imports", &code.imports);
    page.line("contract", contract);
    page.line(
        "size",
        format!(
            "{} in {} functions",
            bytes(code.bytes as u64),
            code.functions
        ),
    );
}

fn put_weights(page: &mut Page, pack: &Inspection, with_tensors: bool) {
    page.head("weights");
    let all = &pack.weights;
    let count = all.tensors.len();
    page.line(
        "all",
        format!(
            "{} numbers in {count} tensors, {}",
            number(all.parameters),
            bytes(all.bytes as u64)
        ),
    );
    for (kind, it) in &all.by_type {
        let (numbers, size) = (number(it.parameters), bytes(it.bytes as u64));
        page.line(
            kind,
            format!("{numbers} numbers in {} tensors, {size}", it.tensors),
        );
    }
    if with_tensors {
        page.head("tensors");
        for it in &all.tensors {
            let line = format!("{:<5} {:?} {}", it.kind, it.shape, it.name);
            page.line("", line);
        }
    }
}

fn put_measured(page: &mut Page, it: &Measured) {
    let variant = it.variant.as_ref().map(|name| format!(" as `{name}`"));
    page.head(&shown(&format!(
        "cost of its {}{}, as its builder measured it",
        it.role,
        variant.unwrap_or_default()
    )));
    let cost = &it.cost;
    page.line("weights", bytes(cost.weight_bytes));
    page.line(
        "each row",
        format!(
            "{} operations, {} of values, {} kept",
            number(cost.operations),
            bytes(cost.activation_bytes),
            bytes(cost.lane_bytes)
        ),
    );
    page.line(
        "attention",
        format!(
            "{} operations for each earlier row",
            number(cost.attention_operations)
        ),
    );
    for digest in &it.digests {
        page.line("plan", format!("sha256:{digest}"));
    }
}

//! Judging a component before anything of it runs or is compiled.
//!
//! Reads what it imports and exports, and how large its code is; says in words what does not
//! fit. Compiling is work too, so its caps are checked before it starts. Runs no guest code.

use std::collections::BTreeSet;

use modularbase_format::{Manifest, PackFile, Role};
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

use super::effort;
use super::limits::{CodeLimits, Limits};
use super::log::escaped;

/// The contract that this host speaks.
pub const CONTRACT: semver::Version = semver::Version::new(0, 1, 0);

const PACKAGE: &str = "modularbase:pack/";
const IMPORTS: [&str; 6] = ["log", "tensors", "network", "routing", "readback", "turns"];
const EXPORTS: [&str; 3] = ["expert", "router", "hooks"];

/// What each export is lent.
const LENT: [(&str, &[&str]); 3] = [
    ("expert", &["log", "tensors", "network"]),
    (
        "router",
        &["log", "tensors", "network", "routing", "readback"],
    ),
    ("hooks", &["log", "tensors", "turns"]),
];

/// Proposals that a guest's code may use: what compilers emit by default and no more.
const PROPOSALS: WasmFeatures = WasmFeatures::COMPONENT_MODEL
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::GC_TYPES);

/// A component's face: what it imports and exports, and how large its code is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Face {
    /// Our interfaces that it imports, without package and version.
    pub imports: BTreeSet<String>,
    /// Our interfaces that it exports, without package and version.
    pub exports: BTreeSet<String>,
    /// Bytes of the component, weights and manifest left out.
    pub code_bytes: usize,
    /// Functions of all its core modules.
    pub functions: usize,
    /// What compiling them is told to take, about a microsecond a unit.
    pub effort: u64,
}

/// Why a component is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Objection {
    /// What does not fit.
    pub reason: String,
    /// What its author can do about it.
    pub hint: Option<String>,
}

fn object<T>(reason: impl Into<String>, hint: Option<&str>) -> Result<T, Objection> {
    Err(Objection {
        reason: reason.into(),
        hint: hint.map(str::to_owned),
    })
}

/// A pack's code, let in.
pub(super) struct Judged {
    pub(super) face: Face,
    pub(super) component: Vec<u8>,
}

impl Judged {
    /// Judges a pack file: its code, and what its manifest says and asks for.
    ///
    /// # Errors
    /// When something does not fit.
    pub(super) fn of(file: &PackFile, limits: &Limits) -> Result<Self, Objection> {
        let component = component(file, &limits.code)?;
        let face = Face::read(&component, &limits.code)?;
        face.check(file.manifest())?;
        match file.manifest().limits.memory {
            Some(asked) if asked > limits.memory_bytes as u64 => {
                let most = limits.memory_bytes;
                let reason =
                    format!("it asks for {asked} bytes of memory, this host gives at most {most}");
                object(reason, None)
            }
            _ => Ok(Self { face, component }),
        }
    }
}

/// The component of a pack file, copied out of it once it is known not to be too large.
///
/// # Errors
/// When it is.
pub(super) fn component(file: &PackFile, limits: &CodeLimits) -> Result<Vec<u8>, Objection> {
    refuse_large(file.code_len(), limits)?;
    Ok(file.component())
}

fn refuse_large(code_bytes: usize, limits: &CodeLimits) -> Result<(), Objection> {
    let most = limits.bytes;
    if code_bytes > most {
        return object(
            format!("the code has {code_bytes} bytes, expected at most {most}"),
            Some("data belongs into the weights, which have no such limit"),
        );
    }
    Ok(())
}

impl Face {
    /// Reads a component and judges it.
    ///
    /// # Errors
    /// When it is too large, is not valid, or wants what no pack gets.
    pub fn read(component: &[u8], limits: &CodeLimits) -> Result<Self, Objection> {
        let code_bytes = component.len();
        refuse_large(code_bytes, limits)?;
        let mut face = Face {
            code_bytes,
            ..Face::default()
        };
        let unreadable = |error: wasmparser::BinaryReaderError| Objection {
            reason: escaped(&format!("the component is not valid: {error}")),
            hint: None,
        };
        let mut parts = 0usize;
        // Encodings that are open, so that names are taken from the outermost component alone.
        let mut open = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.map_err(unreadable)?;
            let outermost = open.len() == 1;
            match payload {
                Payload::Version { encoding, .. } => {
                    open.push(encoding);
                    parts += 1;
                }
                Payload::End(_) => {
                    open.pop();
                }
                Payload::InstanceSection(section) => parts += section.count() as usize,
                Payload::ComponentInstanceSection(section) => parts += section.count() as usize,
                Payload::TypeSection(section) => {
                    face.effort = face.effort.saturating_add(effort::types(section)?);
                }
                Payload::FunctionSection(section) => {
                    let functions = section.count();
                    face.functions += functions as usize;
                    face.effort += u64::from(functions) * effort::FUNCTION;
                }
                Payload::CodeSectionEntry(body) => {
                    let more = effort::of(&body).map_err(unreadable)?;
                    face.effort = face.effort.saturating_add(more);
                }
                Payload::ComponentCanonicalSection(_) if !outermost => {
                    return object("it holds a component with functions of its own", None);
                }
                Payload::ComponentCanonicalSection(section) => {
                    face.effort += u64::from(section.count()) * effort::FUNCTION;
                }
                Payload::ComponentImportSection(section) if outermost => {
                    for import in section {
                        let name = import.map_err(unreadable)?.name;
                        face.imports.insert(imported(name.name)?);
                    }
                }
                Payload::ComponentExportSection(section) if outermost => {
                    for export in section {
                        let name = export.map_err(unreadable)?.name;
                        face.exports.insert(exported(name.name)?);
                    }
                }
                _ => {}
            }
            if parts > limits.parts {
                let most = limits.parts;
                return object(
                    format!("the component has more than {most} modules and instances"),
                    None,
                );
            }
            if face.effort > limits.effort {
                let (found, most) = (face.effort, limits.effort);
                return object(
                    format!("the code would take about {found} us to compile, the limit is {most}"),
                    Some("large functions with many branches take longest"),
                );
            }
            if open.first() == Some(&Encoding::Module) {
                return object("it is a core module, expected a component", None);
            }
        }
        Validator::new_with_features(PROPOSALS)
            .validate_all(component)
            .map_err(unreadable)?;
        if face.exports.is_empty() {
            return object(
                "it exports nothing of `modularbase:pack`, expected a role",
                Some("an expert calls `export_expert!`, a router `export_router!`"),
            );
        }
        Ok(face)
    }

    /// What an author whose manifest claims a role too many can do, given what is exported.
    fn exported_instead(&self) -> String {
        let roles = ["expert", "router"];
        let roles: Vec<&str> = roles
            .into_iter()
            .filter(|role| self.exports.contains(*role))
            .collect();
        if roles.is_empty() {
            return "hooks stand beside a role; call `export_expert!` or `export_router!` too"
                .to_owned();
        }
        let exported: Vec<String> = roles.iter().map(|role| format!("`{role}`")).collect();
        let exported = exported.join(" and ");
        format!("its code exports {exported}: write roles = {roles:?} in pack.toml")
    }

    /// Compares the component with what its manifest says of it.
    ///
    /// # Errors
    /// When a role is claimed and not exported, or exported and not claimed, or when the
    /// manifest names a contract that this host does not speak.
    pub fn check(&self, manifest: &Manifest) -> Result<(), Objection> {
        let contract = &manifest.contract;
        if !speaks(contract) {
            return other_contract(&contract.to_string());
        }
        for (role, name) in [(Role::Expert, "expert"), (Role::Router, "router")] {
            match (manifest.roles.contains(&role), self.exports.contains(name)) {
                (true, false) => {
                    return object(
                        format!("its manifest says `{name}`, its code exports no {name}"),
                        Some(&self.exported_instead()),
                    );
                }
                (false, true) => {
                    return object(
                        format!("its code exports the role `{name}`, its manifest does not say so"),
                        Some("add it to `roles` in pack.toml"),
                    );
                }
                _ => {}
            }
        }
        for import in &self.imports {
            let lent = |(role, lent): &(&str, &[&str])| {
                self.exports.contains(*role) && lent.contains(&import.as_str())
            };
            if !LENT.iter().any(lent) {
                return object(
                    format!("it imports `{import}`, which is lent to none of its roles"),
                    None,
                );
            }
        }
        Ok(())
    }

    /// What the pack can do, in words: the sum of what it imports and exports.
    pub fn abilities(&self) -> Vec<&'static str> {
        let table = [
            (&self.exports, "expert", "computes on hidden states"),
            (
                &self.exports,
                "router",
                "reads your messages; chooses packs for a turn",
            ),
            (&self.imports, "readback", "reads pooled hidden states"),
            (
                &self.exports,
                "hooks",
                "reads your messages; may add to them, steer replies and append to them",
            ),
            (&self.imports, "log", "writes to the log"),
        ];
        table
            .into_iter()
            .filter(|(names, name, _)| names.contains(*name))
            .map(|(_, _, words)| words)
            .collect()
    }
}

/// Whether this host serves packs of that contract: the minor version is the breaking one.
fn speaks(contract: &semver::Version) -> bool {
    (contract.major, contract.minor) == (CONTRACT.major, CONTRACT.minor)
}

fn other_contract<T>(found: &str) -> Result<T, Objection> {
    let (major, minor) = (CONTRACT.major, CONTRACT.minor);
    let found = escaped(found);
    object(
        format!("it speaks contract {found}; this host speaks {major}.{minor}"),
        Some("another version of the pack, or of the host, may fit"),
    )
}

fn imported(name: &str) -> Result<String, Objection> {
    if name.starts_with("wasi:") {
        let name = escaped(name);
        return object(
            format!("it imports `{name}`; packs get no files, network, clock or environment"),
            Some("build for the target wasm32-unknown-unknown, as `mbhost pack build` does"),
        );
    }
    ours(name, "imports", &IMPORTS)
}

fn exported(name: &str) -> Result<String, Objection> {
    ours(name, "exports", &EXPORTS)
}

/// The interface's own name, when it is one of ours and of a contract that we speak.
fn ours(name: &str, verb: &str, known: &[&str]) -> Result<String, Objection> {
    let shown = escaped(name);
    let Some((interface, version)) = name
        .strip_prefix(PACKAGE)
        .and_then(|rest| rest.split_once('@'))
    else {
        return object(
            format!("it {verb} `{shown}`, expected interfaces of `modularbase:pack` alone"),
            None,
        );
    };
    match semver::Version::parse(version) {
        Ok(version) if speaks(&version) => {}
        Ok(version) => return other_contract(&version.to_string()),
        Err(_) => return other_contract(version),
    }
    if !known.contains(&interface) {
        let known = known.join("`, `");
        return object(
            format!("it {verb} `{shown}`, expected one of `{known}`"),
            None,
        );
    }
    Ok(interface.to_owned())
}

#[cfg(test)]
mod tests {
    use modularbase_format::PackWriter;

    use super::*;

    #[test]
    fn a_component_is_measured_before_it_is_copied() {
        let dir = tempfile::tempdir().expect("a folder");
        let manifest = "id = \"a\"\nname = \"A\"\nversion = \"0.1.0\"\ndescription = \"A.\"\n\
                        license = \"MIT\"\nauthors = [\"A\"]\nroles = [\"expert\"]\n\
                        contract = \"0.1.0\"\nbase.width = 8\n";
        let code = b"\0asm\x0d\0\x01\0";
        let pack = PackWriter::new(code, manifest).write(&dir.path().join("a.wasm"));
        let pack = pack.expect("a pack");
        let mut limits = Limits::default().code;
        limits.bytes = 8;
        assert_eq!(component(&pack, &limits).as_deref(), Ok(&code[..]));
        limits.bytes = 7;
        let refused = component(&pack, &limits).expect_err("it is too large");
        assert_eq!(refused.reason, "the code has 8 bytes, expected at most 7");
    }

    #[test]
    fn a_role_that_is_not_exported_is_answered_with_what_is() {
        let hint = |exports: &[&str], roles: &str| {
            let manifest = format!(
                "id = \"a\"\nname = \"A\"\nversion = \"0.1.0\"\ndescription = \"A.\"\n\
                 license = \"MIT\"\nauthors = [\"A\"]\nroles = {roles}\n\
                 contract = \"0.1.0\"\nbase.width = 8\n"
            );
            let dir = tempfile::tempdir().expect("a folder");
            let pack = PackWriter::new(b"\0asm\x0d\0\x01\0", &manifest);
            let pack = pack.write(&dir.path().join("a.wasm")).expect("a pack");
            let face = Face {
                exports: exports.iter().map(|&name| name.to_owned()).collect(),
                ..Face::default()
            };
            let refused = face.check(pack.manifest()).expect_err("a role is missing");
            refused.hint.expect("a hint")
        };
        assert_eq!(
            hint(&["hooks", "router"], "[\"expert\"]"),
            "its code exports `router`: write roles = [\"router\"] in pack.toml"
        );
        assert_eq!(
            hint(&["hooks"], "[\"expert\"]"),
            "hooks stand beside a role; call `export_expert!` or `export_router!` too"
        );
    }
}

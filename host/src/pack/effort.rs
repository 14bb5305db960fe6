//! How much work compiling a function is, told from its code before it is compiled.
//!
//! A compiler's time does not grow with the code's length alone: branches cost with their
//! square, and with the variables that are alive across them. What is counted here was held
//! against wasmtime 48 with functions of one kind each; a unit is about a microsecond of one
//! core, and more on code as compilers write it.
//!
//! | code | measured | told |
//! |---|---|---|
//! | 19,900 empty functions | 2.0 s | 2.0 s |
//! | 50,000 additions in a row, 491 KB | 0.4 s | 0.5 s |
//! | 20,000 loops in a row, 139 KB | 30 s | 123 s |
//! | 5,000 ifs with 1,000 variables alive, 49 KB | 2.1 s | 3.2 s |
//! | 100 functions of 50,000 locals, 3 KB | 0.7 s | 0.8 s |

use std::collections::BTreeSet;

use wasmparser::{
    BinaryReaderError, CompositeInnerType, FunctionBody, Operator, TypeSectionReader,
};

use super::preflight::Objection;

/// A function that does nothing, a way in or out for each type, or one for each border crossed.
pub(super) const FUNCTION: u64 = 100;

/// The most parameters and the most results of a function or a block. Every call is as wide as
/// its type, whatever its length in bytes.
const PARAMETERS: usize = 64;
const RESULTS: usize = 16;

/// What a core module's types cost: for each, the compiler makes a way in.
///
/// # Errors
/// When they cannot be read, or one is wider than any compiler of sense makes it.
pub(super) fn types(section: TypeSectionReader<'_>) -> Result<u64, Objection> {
    let object = |reason: String| Objection { reason, hint: None };
    let mut count = 0u64;
    for group in section {
        let group = group.map_err(|error| {
            object(super::log::escaped(&format!(
                "the component is not valid: {error}"
            )))
        })?;
        for of in group.types() {
            count += 1;
            let CompositeInnerType::Func(of) = &of.composite_type.inner else {
                continue;
            };
            let (parameters, results) = (of.params().len(), of.results().len());
            if parameters > PARAMETERS || results > RESULTS {
                return Err(object(format!(
                    "a function type has {parameters} parameters and {results} results, \
                     expected at most {PARAMETERS} and {RESULTS}"
                )));
            }
        }
    }
    Ok(count.saturating_mul(FUNCTION))
}

/// What a function costs besides [`FUNCTION`].
///
/// # Errors
/// When its code cannot be read.
pub(super) fn of(body: &FunctionBody<'_>) -> Result<u64, BinaryReaderError> {
    let mut declared = 0u64;
    for group in body.get_locals_reader()? {
        let (count, _) = group?;
        declared = declared.saturating_add(count.into());
    }
    let (mut branches, mut used) = (0u64, BTreeSet::new());
    let mut code = body.get_operators_reader()?;
    while !code.eof() {
        match code.read()? {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::Br { .. }
            | Operator::BrIf { .. } => branches += 1,
            Operator::BrTable { targets } => branches += u64::from(targets.len()),
            Operator::LocalGet { local_index }
            | Operator::LocalSet { local_index }
            | Operator::LocalTee { local_index } => {
                used.insert(local_index);
            }
            _ => {}
        }
    }
    let (bytes, used) = (body.range().len() as u64, used.len() as u64);
    let parts = [
        bytes,
        declared / 6,
        used.saturating_mul(branches) / 4,
        branches.saturating_mul(branches) / 13,
    ];
    Ok(parts.into_iter().fold(0, u64::saturating_add))
}

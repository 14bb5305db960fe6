//! Components that want what no pack gets, that are not what they say, or that are work to
//! compile.

use super::case::Case;
use super::case::End::{Breach, NotOpened, Nothing, Refusal, Unsound};
use super::world::good;
use crate::support::{Source, component, expert, guest, misread};

/// How a component begins.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Exports of ours, without a function in them.
const EMPTY: &str = r#"(instance $e) (export "modularbase:pack/expert@0.1.0" (instance $e))"#;

pub fn cases() -> Vec<Case> {
    [faces(), lies(), bombs()].into_iter().flatten().collect()
}

/// What it imports and exports.
fn faces() -> Vec<Case> {
    let of = |behaviour: &str, words, text: &str| {
        let component = component(&format!("(component {text})"));
        let source = Source::new("hostile", &component);
        Case::open(behaviour, NotOpened, words, source)
    };
    let lent = |name: &str, what: &str| format!(r#"(import "{name}" (instance {what})) {EMPTY}"#);
    vec![
        Case::open(
            "be a core module",
            Unsound,
            "file begins with a core module, expected a WebAssembly component",
            wat_module(),
        ),
        of(
            "import WASI",
            "it imports `wasi:filesystem/types@0.2.0`; packs get no files",
            &lent("wasi:filesystem/types@0.2.0", ""),
        ),
        of(
            "import another's interface",
            "it imports `evil:things/all@1.0.0`, expected interfaces of `modularbase:pack`",
            &lent("evil:things/all@1.0.0", ""),
        ),
        of(
            "import an interface that is not there",
            "it imports `modularbase:pack/secrets@0.1.0`, expected one of",
            &lent("modularbase:pack/secrets@0.1.0", ""),
        ),
        of(
            "import without a version",
            "it imports `modularbase:pack/log`",
            &lent("modularbase:pack/log", ""),
        ),
        of(
            "import a bare function",
            "it imports `system`",
            &format!(r#"(import "system" (func (param "command" string))) {EMPTY}"#),
        ),
        of(
            "import a function that is not there",
            "modularbase:pack/log",
            &lent("modularbase:pack/log@0.1.0", r#"(export "erase" (func))"#),
        ),
        of(
            "import a function of another signature",
            "modularbase:pack/log",
            &lent(
                "modularbase:pack/log@0.1.0",
                r#"(export "write" (func (param "message" string)))"#,
            ),
        ),
        of(
            "export nothing",
            "it exports nothing of `modularbase:pack`",
            "",
        ),
        of(
            "export another's interface",
            "it exports `wasi:cli/run@0.2.0`, expected interfaces of `modularbase:pack`",
            r#"(instance $e) (export "wasi:cli/run@0.2.0" (instance $e))"#,
        ),
        of(
            "export the host's interface",
            "it exports `modularbase:pack/network@0.1.0`, expected one of",
            r#"(instance $e) (export "modularbase:pack/network@0.1.0" (instance $e))"#,
        ),
        of(
            "export a role without functions",
            "does not have export",
            EMPTY,
        ),
        misread_as("forward", "hidden: tensor)", "hidden: u32)"),
        misread_as("load", "result<expert, error>", "result<expert>"),
        Case::open(
            "speak contract 0.2",
            NotOpened,
            "it speaks contract 0.2.0; this host speaks 0.1",
            Source::new("hostile", &speaking("0.2.0")),
        ),
    ]
}

/// An expert whose `function` is of the right name and of other types. Linking goes by names;
/// types are compared when the role is loaded, all at once and before any of it runs.
fn misread_as(function: &str, from: &str, to: &str) -> Case {
    Case::open(
        &format!("export `{function}` with other types"),
        Breach,
        "`load` found other types in the role `expert` than the contract's: expected ",
        Source::new("hostile", &misread(from, to)),
    )
}

/// What the manifest says of the code.
fn lies() -> Vec<Case> {
    let of =
        |behaviour: &str, words, source: Source| Case::open(behaviour, NotOpened, words, source);
    let told = |name| Source::new("hostile", guest(name));
    vec![
        of(
            "claim a role that is not there",
            "its manifest says `router`, its code exports no router",
            told("good").roles(r#""expert", "router""#),
        ),
        of(
            "hide a role",
            "its code exports the role `expert`, its manifest does not say so",
            told("good").roles(r#""router""#),
        ),
        of(
            "claim to be an expert and be a router",
            "its manifest says `expert`, its code exports no expert",
            told("router"),
        ),
        of(
            "claim contract 0.2",
            "it speaks contract 0.2.0; this host speaks 0.1",
            told("good").contract("0.2.0"),
        ),
        Case::open(
            "claim another width",
            Refusal,
            "weight `norm` is [8], expected [16]",
            good().width(16),
        ),
    ]
}

/// Code that is small and takes long. What is under the limit must be compiled in its time.
fn bombs() -> Vec<Case> {
    let of = |behaviour: &str, end, words, items: &str| {
        let source = Source::new("bomb", &expert("1", items, "", ""));
        Case::open(behaviour, end, words, source)
    };
    let outer = |behaviour: &str, words, text: &str| {
        let component = component(&format!("(component {text} {EMPTY})"));
        Case::open(behaviour, NotOpened, words, Source::new("bomb", &component))
    };
    let long = "to compile, the limit is 2000000";
    let function = |code: &str| format!("(func (param i32) {code})");
    let sum = "(local.set 0 (i32.add (i32.const 7) (i32.mul (local.get 0) (local.get 0))))";
    let around = "(loop (br_if 0 (local.get 0)))";
    let locals = |count: usize| format!("(func (local {}))", "i64 ".repeat(count));
    vec![
        of("30000 functions", NotOpened, long, &"(func)".repeat(30_000)),
        of("8000 functions", Nothing, "", &"(func)".repeat(8_000)),
        of(
            "a function of 2.5 MB",
            NotOpened,
            long,
            &function(&sum.repeat(250_000)),
        ),
        of(
            "a function of 0.5 MB",
            Nothing,
            "",
            &function(&sum.repeat(50_000)),
        ),
        of(
            "20000 loops",
            NotOpened,
            long,
            &function(&around.repeat(20_000)),
        ),
        of("2000 loops", Nothing, "", &function(&around.repeat(2_000))),
        of(
            "5000 ifs over 1000 variables",
            NotOpened,
            long,
            &alive(1_000, 5_000),
        ),
        of(
            "1000 ifs over 500 variables",
            Nothing,
            "",
            &alive(500, 1_000),
        ),
        of(
            "50000 blocks in each other",
            NotOpened,
            long,
            &function(&format!(
                "{}{}",
                "(block ".repeat(50_000),
                ")".repeat(50_000)
            )),
        ),
        of(
            "a switch of 100000 cases",
            NotOpened,
            long,
            &function(&format!(
                "(block (br_table {} (local.get 0)))",
                "0 1 ".repeat(50_000)
            )),
        ),
        Case::open(
            "1000 functions of 50000 locals",
            NotOpened,
            long,
            Source::new("bomb", &many_locals(1_000)),
        ),
        of(
            "50 functions of 50000 locals",
            Nothing,
            "",
            &locals(50_000).repeat(50),
        ),
        of(
            "12 MB of data",
            NotOpened,
            "bytes, expected at most 8388608",
            &format!(r#"(data "{}")"#, "x".repeat(12 << 20)),
        ),
        outer(
            "1000 modules",
            "the component has more than 64 modules and instances",
            &"(core module)".repeat(1_000),
        ),
        outer(
            "1000 instances of a module",
            "the component has more than 64 modules and instances",
            &format!(
                "(core module $m) {}",
                "(core instance (instantiate $m))".repeat(1_000)
            ),
        ),
        Case::open(
            "500 components in each other",
            NotOpened,
            "the component has more than 64 modules and instances",
            Source::new("bomb", &nested(500)),
        ),
        outer(
            "100000 types of functions",
            "us to compile",
            &format!(
                "(core module (rec {}))",
                "(type (func (param i32 i64 f32)))".repeat(100_000)
            ),
        ),
        outer(
            "a function of 1000 results",
            "a function type has 0 parameters and 1000 results",
            &format!(
                "(core module (type (func (result {}))))",
                "i64 ".repeat(1000)
            ),
        ),
        outer(
            "a component that calls itself through another",
            "it holds a component with functions of its own",
            r#"(component (core module $m (func (export "f")))
               (core instance $i (instantiate $m))
               (func (export "f") (canon lift (core func $i "f"))))"#,
        ),
        outer(
            "300000 functions that drop a handle",
            "us to compile",
            &format!(
                r#"(import "modularbase:pack/tensors@0.1.0"
                     (instance $t (export "tensor" (type (sub resource)))))
                   (alias export $t "tensor" (type $tensor)) {}"#,
                "(core func (canon resource.drop $tensor))".repeat(300_000)
            ),
        ),
    ]
}

/// A section of a module or a component, or a body in a code section without its id.
fn section(id: Option<u8>, content: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = id.into_iter().collect();
    let mut len = content.len();
    while len >= 0x80 {
        bytes.push(0x80 | (len & 0x7f) as u8);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend(content);
    bytes
}

/// Components in each other; no text goes as deep.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(COMPONENT.to_vec(), |inner, _| {
        [COMPONENT, &section(Some(4), &inner)].concat()
    })
}

/// Up to 16,383 functions of 50,000 locals each, whose text would be immense.
fn many_locals(functions: usize) -> Vec<u8> {
    let count = [0x80 | (functions & 0x7f) as u8, (functions >> 7) as u8];
    // One group of 50,000 times i64, and the end.
    let body = section(None, &[1, 0xd0, 0x86, 0x03, 0x7e, 0x0b]);
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(Some(1), &[1, 0x60, 0, 0]),
        section(Some(3), &[&count[..], &vec![0; functions]].concat()),
        section(Some(10), &[&count[..], &body.repeat(functions)].concat()),
    ];
    [COMPONENT, &section(Some(1), &module.concat())].concat()
}

/// A function with `ifs` branches across which `variables` are alive.
fn alive(variables: usize, ifs: usize) -> String {
    let all = |each: &dyn Fn(usize) -> String| (1..variables).map(each).collect::<String>();
    format!(
        "(func (param i32) (local {}) {} {} {})",
        "i32 ".repeat(variables),
        all(&|i| format!("(local.set {i} (i32.mul (local.get 0) (i32.const {i})))")),
        "(if (local.get 0) (then (nop)))".repeat(ifs),
        all(&|i| format!("(i32.store (i32.const 0) (local.get {i}))")),
    )
}

fn wat_module() -> Vec<u8> {
    component("(module)")
}

/// The good guest, built for another version of the contract.
fn speaking(version: &str) -> Vec<u8> {
    let mut code = guest("good").to_vec();
    let (old, new) = (b"@0.1.0", format!("@{version}"));
    let places: Vec<usize> = (0..code.len() - old.len())
        .filter(|&at| code[at..].starts_with(old))
        .collect();
    for at in places {
        code[at..at + old.len()].copy_from_slice(new.as_bytes());
    }
    code
}

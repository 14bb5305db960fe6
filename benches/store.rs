//! What installed packs cost: to add one, to load it, to compute its first row.
//!
//! `cargo bench -p modularbase --bench store`. Figures and what they mean: `README.md` beside
//! this file. With `-- --test` everything runs once with a small pack, to see that it does.
//!
//! Adding is compared as processes with what a user would do by hand. A load is measured in a
//! process of its own each time, this program started again with `--load ID`, so that nothing is
//! left of the load before it. Linux only: it tells of page faults and mappings in `/proc`.

mod dense;
mod meter;
mod paired;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use modularbase::pack::{CodeCache, Pack, Sandbox};
use modularbase::packs::Packs;
use modularbase::roles::Expert;
use modularbase::store::Places;
use modularbase::tensor::{Device, Ledger, Span, Step, Tensor};
use modularbase_format::PackWriter;
use paired::{Compared, Interval, interval};

/// A pack of 205 MB.
const LARGE: dense::Shape = dense::Shape {
    name: "200M",
    width: 1024,
    layers: 15,
    feed_forward: 2816,
};

/// Steps after the first row, of which the median counts.
const STEADY: usize = 31;

/// What the path of a pack in a store has in it.
const BLOB: &str = "/blobs/sha256/";

fn is_test() -> bool {
    std::env::args().any(|it| it == "--test")
}

/// Runs a command that must succeed, and gives its seconds.
fn ran(command: &mut Command) -> f64 {
    let start = Instant::now();
    let out = command.output().expect("it can be started");
    let took = start.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {said}");
    took
}

/// Adds a pack to a store in `home`.
fn add(pack: &Path, home: &Path) -> f64 {
    let mut mbhost = Command::new(env!("CARGO_BIN_EXE_mbhost"));
    mbhost.args(["pack", "add", "--yes"]).arg(pack);
    ran(mbhost.env("MBHOST_HOME", home))
}

/// Adding a pack to an empty store, against hashing and copying the file; and against that with
/// the copy written through to the disk, as the store's is.
fn adding(pack: &Path, folder: &Path, pairs: usize) -> [Compared; 2] {
    [false, true].map(|synced| {
        let mut round = 0;
        let ours = || {
            round += 1;
            let home = folder.join(format!("home-{round}"));
            let took = add(pack, &home);
            std::fs::remove_dir_all(home).expect("it is ours");
            took
        };
        let theirs = || {
            let copy = folder.join("copy.wasm");
            let mut took = ran(Command::new("sha256sum").arg(pack));
            took += ran(Command::new("cp").arg(pack).arg(&copy));
            if synced {
                took += ran(Command::new("sync").arg(&copy));
            }
            std::fs::remove_file(copy).expect("it is ours");
            took
        };
        paired::alternate(pairs, ours, theirs)
    })
}

/// What a load and its first rows cost, by name; in seconds, bytes and faults.
type Load = BTreeMap<String, f64>;

/// Loads a pack from the store at `MBHOST_HOME`, computes some rows, and prints what it took.
fn load(id: &str) {
    let places = Places::from_env().expect("the parent said where");
    let ledger = Ledger::new(8 << 30);
    let start = Instant::now();
    let packs = Packs::open(&places).expect("it is there");
    let opened = start.elapsed();

    let (heap_before, _) = meter::heap();
    meter::heap_anew();
    let faults_before = meter::faults();
    let start = Instant::now();
    let pack = packs.load(&id.parse().expect("an id")).expect("it loads");
    let mut expert = pack
        .expert(&Device::cpu(), &ledger, None)
        .expect("it loads");
    let loaded = start.elapsed();
    let faults_loaded = meter::faults();
    let (heap_after, heap_most) = meter::heap();
    let resident_loaded = meter::resident(BLOB);

    let width = pack.manifest().base.width as usize;
    let hidden = Tensor::new(width, (0..width).map(|i| (i as f32 * 0.7).sin()).collect());
    let mut row = |start: usize| {
        let span = Span {
            sequence: 1,
            start,
            rows: 1,
        };
        let now = Instant::now();
        let step = Arc::new(Step::new(vec![span], vec![0]).expect("one row"));
        black_box(expert.begin(&step, &hidden).wait().expect("it runs"));
        now.elapsed().as_secs_f64()
    };
    let first = row(0);
    let faults_first = meter::faults();
    let resident_first = meter::resident(BLOB);
    let steady: Vec<f64> = (1..=STEADY).map(&mut row).collect();

    for (name, number) in [
        ("open", opened.as_secs_f64()),
        ("load", loaded.as_secs_f64()),
        ("first", first),
        ("steady", interval(&steady).median),
        ("heap", (heap_after - heap_before) as f64),
        ("heap-most", (heap_most - heap_before) as f64),
        ("load-minor", (faults_loaded.0 - faults_before.0) as f64),
        ("load-major", (faults_loaded.1 - faults_before.1) as f64),
        ("first-minor", (faults_first.0 - faults_loaded.0) as f64),
        ("first-major", (faults_first.1 - faults_loaded.1) as f64),
        ("load-resident", resident_loaded as f64),
        ("first-resident", resident_first as f64),
    ] {
        println!("{name} {number}");
    }
}

/// [`load`] in so many processes, one after the other.
fn loads(id: &str, home: &Path, rounds: usize) -> Vec<Load> {
    let load = |_| {
        let program = std::env::current_exe().expect("it runs");
        let mut child = Command::new(program);
        child.args(["--load", id]).env("MBHOST_HOME", home);
        let out = child.output().expect("it can be started");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{said}");
        let told = String::from_utf8(out.stdout).expect("it is text");
        let pair = |line: &str| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        told.lines().filter_map(pair).collect()
    };
    (0..rounds).map(load).collect()
}

/// Opening a pack whose code was never compiled here.
fn first_compile(component: &[u8], folder: &Path, rounds: usize) -> Interval {
    let manifest = "id = \"bare\"\nname = \"Bare\"\nversion = \"0.1.0\"\ndescription = \"bench\"\n\
                    license = \"Apache-2.0\"\nauthors = [\"bench\"]\nroles = [\"expert\"]\n\
                    contract = \"0.1.0\"\nbase.width = 64\n";
    let path = folder.join("bare.wasm");
    let bare = PackWriter::new(component, manifest).write(&path);
    drop(bare.expect("the manifest is sound"));
    let round = |round: usize| {
        let cache = CodeCache::open(folder.join(format!("code-{round}")));
        let sandbox = Sandbox::default().code_cache(cache);
        let start = Instant::now();
        black_box(Pack::open(&path, &sandbox).expect("it is sound"));
        start.elapsed().as_secs_f64()
    };
    let times: Vec<f64> = (0..rounds).map(round).collect();
    interval(&times)
}

fn milli(it: Interval) -> Interval {
    scaled(it, 1e3)
}

fn scaled(it: Interval, by: f64) -> Interval {
    Interval {
        low: it.low * by,
        median: it.median * by,
        high: it.high * by,
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|it| it == "--load") {
        return load(&arguments[at + 1]);
    }
    let (shape, rounds) = match is_test() {
        true => (&dense::SHAPES[0], 1),
        false => (&LARGE, 21),
    };
    // Beside what is built, and so on a disk, which a temporary folder need not be.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let component = dense::component(folder.path());
    let pack = dense::pack(&component, shape, folder.path(), &Sandbox::default());
    let (id, path) = (pack.manifest().id.clone(), pack.file().path().to_owned());
    let bytes = pack.file().map().len();
    drop(pack);
    println!("pack: {} MB", bytes / 1_000_000);

    let compiled = first_compile(&component, folder.path(), rounds);
    println!("first compile: {:.0} ms", milli(compiled));

    let names = ["sha256sum + cp", "sha256sum + cp + sync"];
    for (name, it) in names.iter().zip(adding(&path, folder.path(), rounds)) {
        println!(
            "pack add: {:.0} ms, {name}: {:.0} ms; ratio {:.3}",
            milli(it.a),
            milli(it.b),
            it.b_over_a,
        );
    }

    let home = folder.path().join("home");
    add(&path, &home);
    let loads = loads(&id, &home, rounds);
    let of =
        |number: &dyn Fn(&Load) -> f64| interval(&loads.iter().map(number).collect::<Vec<f64>>());
    let named = |name: &'static str| of(&move |it| it[name]);
    println!("open the packs: {:.2} ms", milli(named("open")));
    println!("load one: {:.2} ms", milli(named("load")));
    println!(
        "heap: {:.2} MiB more, at most {:.2} MiB more while it loads",
        scaled(named("heap"), 1.0 / 1048576.0),
        scaled(named("heap-most"), 1.0 / 1048576.0),
    );
    for (name, when) in [("load", "the load"), ("first", "the first row")] {
        let number = |what: &str| of(&|it: &Load| it[&format!("{name}-{what}")]).median;
        println!(
            "{when}: {} page faults, {} of them from the disk; {:.1} MiB of the pack mapped after it",
            number("minor") + number("major"),
            number("major"),
            number("resident") / 1048576.0,
        );
    }
    println!(
        "first row: {:.2} ms, a steady step: {:.2} ms; ratio {:.2}",
        milli(named("first")),
        milli(named("steady")),
        of(&|it| it["first"] / it["steady"]),
    );
}

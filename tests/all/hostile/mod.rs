//! Packs that loop, hoard, lie and forge.
//!
//! Each behaviour is a [`Case`]: what is done, how it must end, what the message must say. After
//! every one the same host serves a good pack, whose bits must be those of before, and the
//! ledger must hold what it held. The table that comes out of it is printed.

mod beside;
mod border;
mod case;
mod code;
mod effort;
mod files;
mod handles;
mod plans;
mod refused;
mod turns;
mod words;
mod world;

use std::io::Write;

use case::{Case, Row};
use world::World;
pub use world::step;

#[test]
fn every_hostile_pack_ends_as_it_must_and_the_host_goes_on() {
    let world = World::new();
    let cases: Vec<Case> = [
        effort::cases(),
        handles::cases(),
        plans::cases(),
        border::cases(),
        turns::cases(),
        code::cases(),
        files::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let rows: Vec<Row> = cases.into_iter().map(|case| case.run(&world)).collect();
    // Past the capture of the test's output: the table is what the test is read for.
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{}", case::table(&rows)).expect("standard output takes it");
    let wrong: Vec<String> = rows.iter().flat_map(Row::wrong).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

//! Processes are killed at any moment.
//!
//! The harness knows nothing of what it kills: it takes any command that changes a store, measures
//! how long it takes, and kills it again and again at moments spread over that time.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use modularbase::store::Store;

use super::child;
use super::{Home, Source, add, expected_listing, listing, remove, verify_all};

/// How often each command is killed.
const TIMES: usize = 200;

/// Numbers that follow from a seed.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below another.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn share(&mut self) -> f64 {
        self.next() as f64 / u64::MAX as f64
    }
}

/// Kills commands on a store, [`TIMES`] times.
///
/// `prepare` gets the number of the round, makes the store ready for it and gives the command.
/// After each kill the store has to be whole; after all of them, a sweep has to leave what the
/// index refers to and nothing else. Gives how many of the kills left something behind.
pub fn kill(root: &Path, prepare: impl Fn(usize) -> Command) -> usize {
    let seed = SystemTime::UNIX_EPOCH.elapsed().expect("it is past 1970");
    let seed = seed.as_nanos() as u64;
    println!("seed {seed}");
    let mut chance = Chance::new(seed);
    let start = |round| {
        let mut command = prepare(round);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        (Instant::now(), command.spawn().expect("it can be run"))
    };

    let mut whole: Vec<Duration> = (0..5)
        .map(|round| {
            let (began, mut process) = start(round);
            let status = process.wait().expect("it ends");
            assert!(
                status.success(),
                "it does not even do it undisturbed: {status}"
            );
            began.elapsed()
        })
        .collect();
    whole.sort();
    let usual = whole[2];

    let (mut killed, mut left, mut round) = (0, 0, 0);
    let mut leftovers = BTreeSet::new();
    while killed < TIMES {
        let (began, mut process) = start(round);
        let delay = usual.mul_f64(chance.share());
        thread::sleep(delay.saturating_sub(began.elapsed()));
        process.kill().expect("it is ours");
        let status = process.wait().expect("it ends");
        match status.code() {
            None => killed += 1,
            // It was quicker than usual.
            Some(_) => assert!(status.success(), "round {round}, seed {seed}: {status}"),
        }

        let store = Store::open(root).expect("the store opens");
        verify_all(&store);
        let unreferenced = &listing(root) - &expected_listing(root);
        left += usize::from(!unreferenced.is_subset(&leftovers));
        leftovers = unreferenced;
        assert_is_free(&store);
        round += 1;
        assert!(
            round < 10 * TIMES,
            "killed {killed} times in {round} rounds"
        );
    }
    println!("killed {killed} times in {round} rounds of {usual:?}; {left} left something behind");

    let store = Store::open(root).expect("the store opens");
    store.sweep().expect("the store is sound");
    assert_eq!(listing(root), expected_listing(root));
    verify_all(&store);
    left
}

/// Holds that nobody has locked a store.
fn assert_is_free(store: &Store) {
    let (done, told) = mpsc::channel();
    let store = store.clone();
    thread::spawn(move || {
        let change = store.change().map(drop);
        // Nobody listens any more when it took too long.
        let _ = done.send(change);
    });
    // One that stays, stays for ever: a busy disk is given its time.
    let change = told.recv_timeout(Duration::from_secs(10));
    let change = change.expect("no lock stays behind");
    change.expect("the store can be changed");
}

/// A home with something in it that is not to be touched, and packs to be added.
fn home(packs: usize) -> Home {
    let home = Home::new();
    home.keep("bystander", "1.0.0");
    for number in 0..packs {
        home.pack(&Source {
            weights: 256 << 10,
            ..Source::new("victim", &format!("1.{number}.0"))
        });
    }
    home
}

#[test]
fn a_killed_add_leaves_a_whole_store() {
    let home = home(4);
    let store = home.store();
    let left = kill(store.root(), |round| {
        // From time to time an older version is there already.
        if round % 4 == 0 {
            remove(&store, "victim").expect("the store is sound");
        }
        let pack = home.path(&format!("victim-1.{}.0.wasm", round % 4));
        child::command("add", store.root(), pack)
    });
    assert!(left > 0, "no kill came in the middle of anything");
    let contents = store.contents().expect("it is whole");
    assert!(contents.in_use("bystander").is_some());
}

#[test]
fn a_killed_removal_leaves_a_whole_store() {
    let home = home(2);
    let store = home.store();
    kill(store.root(), |_| {
        for number in 0..2 {
            let pack = home.path(&format!("victim-1.{number}.0.wasm"));
            add(&store, &pack).expect("the store is sound");
        }
        child::command("rm", store.root(), "victim")
    });
    let contents = store.contents().expect("it is whole");
    assert!(contents.in_use("bystander").is_some());
}

#[test]
fn a_killed_first_add_leaves_a_store_or_none() {
    let home = Home::new();
    let pack = home.pack(&Source::new("first", "1.0.0"));
    let mut chance = Chance::new(7);
    for _ in 0..20 {
        let folder = tempfile::tempdir().expect("there is room");
        let root = folder.path().join("deep").join("store");
        let mut command = child::command("add", &root, &pack);
        let mut process = command
            .stdout(Stdio::null())
            .spawn()
            .expect("it can be run");
        thread::sleep(Duration::from_micros(chance.below(40_000) as u64));
        process.kill().expect("it is ours");
        process.wait().expect("it ends");
        let store = Store::open(&root).expect("the store opens");
        verify_all(&store);
        add(&store, &pack).expect("the store is sound");
        store.sweep().expect("the store is sound");
        assert_eq!(verify_all(&store), 1);
        assert_eq!(listing(&root), expected_listing(&root));
    }
}

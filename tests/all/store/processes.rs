//! Several processes change one store, and others read it.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use modularbase::store::StoreError;

use super::child;
use super::{Home, Source, expected_listing, listing, unwatched, verify_all, version};

/// A child that waits for a word.
struct Waiting {
    child: Child,
    /// Kept open, because it still has things to say.
    _out: Lines<BufReader<ChildStdout>>,
}

impl Waiting {
    /// Starts a child and waits until it says that it is somewhere.
    fn start(mut command: Command, at: &str) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it can be run");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        // The line may begin with what the tests' runner says.
        let found = out.any(|line| line.expect("it is text").ends_with(at));
        assert!(found, "it ended before it was {at}");
        Self { child, _out: out }
    }

    /// Lets it go on to its end.
    fn go_on(mut self) {
        let mut input = self.child.stdin.take().expect("it is piped");
        input.write_all(b"go on\n").expect("it waits");
        assert!(self.child.wait().expect("it ends").success());
    }

    fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it ends");
    }
}

#[test]
fn adding_removing_sweeping_and_reading_at_once() {
    let home = Home::new();
    let packs = home.path("packs");
    std::fs::create_dir(&packs).expect("there is room");
    for (id, version, seed) in [
        ("a", "1.0.0", 0),
        ("a", "1.0.0", 1),
        ("a", "2.0.0", 0),
        ("b", "1.0.0", 0),
        ("c", "1.0.0", 0),
        ("c", "1.1.0", 0),
    ] {
        let path = packs.join(format!("{id}_{version}_{seed}.wasm"));
        let source = Source {
            seed,
            weights: 16 << 10,
            ..Source::new(id, version)
        };
        source.write(&path);
    }
    let store = home.store();
    let root = store.root();
    let start = |mut command: Command| {
        let command = command.stdout(Stdio::null());
        command.spawn().expect("it can be run")
    };
    let mut children: Vec<Child> = (0..4)
        .map(|_| start(child::command("churn", root, &packs)))
        .collect();
    children.push(start(child::command("sweep", root, "40")));
    let mut running = true;
    let mut reads = 0;
    while running {
        for entry in store
            .contents()
            .expect("the index is always whole")
            .entries()
        {
            match store.open_pack(entry) {
                Ok(opened) => assert_eq!(opened.digest(), entry.digest),
                Err(StoreError::NotKept { .. }) => {}
                Err(error) => panic!("{}: {error}", entry.id),
            }
            reads += 1;
        }
        running = children.iter_mut().any(|child| {
            let ended = child.try_wait().expect("it is ours");
            ended.is_none()
        });
    }
    let mut statuses = Vec::new();
    for mut child in children {
        statuses.push(child.wait().expect("it ends"));
    }
    assert!(statuses.iter().all(ExitStatus::success), "{statuses:?}");
    println!("{reads} entries read meanwhile");
    verify_all(&store);
    store.sweep().expect("the store is sound");
    assert_eq!(listing(root), expected_listing(root));
}

#[test]
fn a_sweep_takes_no_staged_file_whose_maker_lives() {
    let home = Home::new();
    home.keep("a", "1.0.0");
    let store = home.store();
    let pack = home.pack(&Source::new("b", "1.0.0"));
    let staged = || listing(&home.inside("staging")).len();

    let child = Waiting::start(child::command("stage", store.root(), &pack), "staged");
    assert_eq!(staged(), 1);
    assert_eq!(store.sweep().expect("the store is sound").files, 0);
    assert_eq!(staged(), 1);
    child.go_on();
    assert_eq!(verify_all(&store), 2);

    // Once it is dead, what it left goes.
    let pack = home.pack(&Source::new("c", "1.0.0"));
    Waiting::start(child::command("stage", store.root(), &pack), "staged").kill();
    assert_eq!(staged(), 1);
    assert_eq!(store.sweep().expect("the store is sound").files, 1);
    assert_eq!(staged(), 0);
    assert_eq!(listing(store.root()), expected_listing(store.root()));
}

#[test]
fn a_change_waits_for_another_and_readers_wait_for_none() {
    let home = Home::new();
    let entry = home.keep("a", "1.0.0");
    let store = home.store();
    let child = Waiting::start(child::command("lock", store.root(), ""), "locked");
    store.open_pack(&entry).expect("nobody is waited for");
    store
        .verify(&entry, &unwatched)
        .expect("nobody is waited for");
    store.contents().expect("nobody is waited for");

    let waiting = {
        let store = store.clone();
        std::thread::spawn(move || store.change().map(drop))
    };
    std::thread::sleep(Duration::from_millis(100));
    assert!(!waiting.is_finished(), "the other one is not done");
    child.go_on();
    let began = Instant::now();
    let changed = waiting.join().expect("it does not panic");
    changed.expect("the store is sound");
    assert!(began.elapsed() < Duration::from_secs(10));
    let contents = store.contents().expect("it is whole");
    assert!(contents.find("a", &version("1.0.0")).is_some());
}

//! What is compiled is kept, found again, and never taken for anything else.
//!
//! Packs here are one of two: a `good` one gives back the row that it gets, a `bad` one traps.
//! Where an entry is forged, it holds the bad one's code under the good one's name: whether the
//! cache or the compiler gave the code that ran then shows in what it does.

mod damage;
mod trust;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use modularbase::pack::{CodeCache, Freed, Pack, Sandbox};
use modularbase::roles::Expert;
use modularbase::tensor::{Device, Ledger, Tensor};
use modularbase_format::Digest;
use tempfile::TempDir;

use crate::hostile::step;
use crate::support::{self, Gguf, Source};

/// Bytes before the payload of an entry.
const HEADER: usize = 116;

/// Where in the header the digests of the settings, of the code and of the payload begin.
const DIGESTS: [usize; 3] = [12, 44, 84];

fn good() -> Source {
    Source::new("good", &support::expert("1", "", "", ""))
}

fn bad() -> Source {
    Source::new("bad", &support::expert("1", "", "", "unreachable"))
}

/// Packs of the dense code, whose weights are told from `shift`.
fn dense(shift: usize) -> Source {
    let number = move |i: usize| ((i + shift) as f32 * 0.37).sin() * 0.2;
    let mut weights = Gguf::new();
    for (name, shape) in [
        ("attn_q", [64, 64]),
        ("attn_k", [64, 64]),
        ("attn_v", [64, 64]),
        ("attn_output", [64, 64]),
        ("ffn_gate", [96, 64]),
        ("ffn_up", [96, 64]),
        ("ffn_down", [64, 96]),
    ] {
        weights = weights.floats(&format!("blk.0.{name}.weight"), &shape, number);
    }
    for name in ["attn_norm", "ffn_norm"] {
        weights = weights.floats(&format!("blk.0.{name}.weight"), &[64], |_| 1.0);
    }
    let model = "layers = 1\nheads = 2\nfeed-forward = 96\n";
    support::dense(64, model, weights)
}

/// A cache's folder that is not there yet.
struct Place {
    around: TempDir,
    folder: PathBuf,
}

impl Place {
    fn new() -> Self {
        let around = tempfile::tempdir().expect("a folder");
        let folder = around.path().join("code");
        Self { around, folder }
    }

    fn cache(&self) -> CodeCache {
        CodeCache::open(&self.folder)
    }

    /// Opens a pack as a new process would: nothing is shared but the folder.
    fn open(&self, source: &Source) -> Pack {
        source.open(&Sandbox::default().code_cache(self.cache()))
    }

    /// The one file in it.
    fn entry(&self) -> PathBuf {
        let files = files(&self.folder);
        assert_eq!(files.len(), 1, "{files:?}");
        self.folder.join(&files[0])
    }

    /// The cache with the entry of `good` in it, and the same with the code of `bad` in it, sound
    /// in all but its origin.
    fn forged(&self) -> Forged {
        self.open(&bad());
        let bad = fs::read(self.entry()).expect("it can be read");
        fs::remove_file(self.entry()).expect("it can be removed");
        self.open(&good());
        let path = self.entry();
        let good = fs::read(&path).expect("it can be read");
        let mut forged = [&good[..HEADER], &bad[HEADER..]].concat();
        let length = (bad.len() - HEADER) as u64;
        forged[76..84].copy_from_slice(&length.to_le_bytes());
        let digest = Digest::of(&bad[HEADER..]);
        forged[84..HEADER].copy_from_slice(digest.as_bytes());
        Forged { path, good, forged }
    }
}

struct Forged {
    path: PathBuf,
    good: Vec<u8>,
    forged: Vec<u8>,
}

/// The names of the files in a folder, sorted.
fn files(folder: &Path) -> Vec<String> {
    let Ok(listed) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.expect("it can be listed").file_name();
        name.into_string().expect("it is text")
    };
    let mut names: Vec<String> = listed.map(name).collect();
    names.sort();
    names
}

/// What a pack's expert makes of some rows, to the bit; or the words in which it ended.
fn rows(pack: &Pack) -> Result<Vec<u32>, String> {
    let device = Device::cpu();
    let mut expert = pack
        .expert(&device, &Ledger::new(1 << 30), None)
        .expect("it loads");
    let width = pack.manifest().base.width as usize;
    let hidden = (0..3 * width).map(|i| (i as f32).cos()).collect();
    let out = expert
        .begin(&step(&[(1, 0, 3)]), &Tensor::new(width, hidden))
        .wait()
        .map_err(|failure| failure.to_string())?;
    let numbers = out.to_vec().expect("it is in memory");
    Ok(numbers.iter().map(|x| x.to_bits()).collect())
}

/// Whether it is the good one's code that runs in this pack.
fn is_good(pack: &Pack) -> bool {
    match rows(pack) {
        Ok(_) => true,
        Err(words) => {
            assert!(words.contains("unreachable"), "{words}");
            false
        }
    }
}

#[test]
fn a_pack_that_was_compiled_before_is_not_compiled_again_and_gives_the_same_bits() {
    let place = Place::new();
    let timed = |source: &Source| {
        let bytes = source.bytes();
        let sandbox = Sandbox::default().code_cache(place.cache());
        let start = Instant::now();
        let pack = support::try_open(&bytes, &sandbox).expect("it is sound");
        (start.elapsed(), pack)
    };
    let (cold, first) = timed(&dense(0));
    let written = fs::metadata(place.entry()).expect("it is there");
    let opened: Vec<(Duration, Pack)> = (0..3).map(|_| timed(&dense(0))).collect();
    let expected = rows(&dense(0).open(&Sandbox::default())).expect("it runs");
    assert_eq!(rows(&first).as_ref(), Ok(&expected), "compiled and kept");
    for (_, pack) in &opened {
        assert_eq!(rows(pack).as_ref(), Ok(&expected), "found again");
    }
    let now = fs::metadata(place.entry()).expect("it is there");
    assert_eq!(
        now.modified().expect("a time"),
        written.modified().expect("a time"),
        "a hit writes nothing"
    );
    let warm = opened.iter().map(|it| it.0).min().expect("there are three");
    println!("compiled in {cold:?}, found in {warm:?}");
    assert!(
        warm * 4 < cold,
        "{warm:?} to open again after {cold:?} to compile"
    );
}

#[test]
fn packs_of_the_same_code_share_an_entry_and_not_their_weights() {
    let place = Place::new();
    let (one, other) = (place.open(&dense(0)), place.open(&dense(5)));
    place.entry();
    let plain = |shift| rows(&dense(shift).open(&Sandbox::default()));
    assert_eq!(rows(&one), plain(0));
    assert_eq!(rows(&other), plain(5));
    assert_ne!(plain(0), plain(5));
}

#[test]
fn what_is_in_the_cache_is_what_runs() {
    // So that the other tests, which expect forged code not to run, could fail.
    let place = Place::new();
    let Forged { path, forged, .. } = place.forged();
    assert!(is_good(&place.open(&good())));
    fs::write(&path, forged).expect("there is room");
    assert!(!is_good(&place.open(&good())));
}

#[test]
fn entries_are_this_users_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.open(&good());
    for (path, mode) in [(&place.folder, 0o700), (&place.entry(), 0o600)] {
        let found = fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(found & 0o7777, mode, "{}", path.display());
    }
}

#[test]
fn many_threads_may_open_the_same_pack_at_once() {
    let place = Place::new();
    let bytes = good().bytes();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let sandbox = Sandbox::default().code_cache(place.cache());
                let pack = support::try_open(&bytes, &sandbox).expect("it is sound");
                assert!(is_good(&pack));
            });
        }
    });
    let path = place.entry();
    let written = fs::metadata(&path).and_then(|it| it.modified());
    assert!(is_good(&place.open(&good())));
    let now = fs::metadata(&path).and_then(|it| it.modified());
    assert_eq!(now.ok(), written.ok(), "what they left is whole");
}

/// Tells a process that other tests start which folder it is to use.
const FOLDER: &str = "MODULARBASE_TEST_CODE_CACHE";

/// The test below in a process of its own, with `folder` as its cache.
fn process(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("it runs"));
    command
        .args(["--exact", "code_cache::a_process_of_its_own_opens_a_pack"])
        .env(FOLDER, folder);
    command
}

#[test]
fn a_process_of_its_own_opens_a_pack() {
    let own = Place::new();
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    let cache = CodeCache::open(folder.unwrap_or_else(|| own.folder.clone()));
    let pack = good().open(&Sandbox::default().code_cache(cache));
    assert!(is_good(&pack));
}

#[test]
fn many_processes_may_open_the_same_pack_at_once() {
    let place = Place::new();
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut process = process(&place.folder);
            process.stdout(Stdio::piped()).spawn().expect("it starts")
        })
        .collect();
    for child in children {
        let ran = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(said.contains("1 passed"), "{said}");
    }
    let written = fs::metadata(place.entry()).and_then(|it| it.modified());
    assert!(is_good(&place.open(&good())));
    let now = fs::metadata(place.entry()).and_then(|it| it.modified());
    assert_eq!(now.ok(), written.ok(), "what they left is whole");
}

#[test]
fn a_sweep_removes_what_no_pack_opens_and_nothing_else() {
    let place = Place::new();
    let kept = place.open(&good()).file().code_digest();
    let entry = place.entry();
    place.open(&bad());
    let name = entry.file_name().and_then(|it| it.to_str()).expect("text");
    let (code, _) = name.split_once('-').expect("it has both digests");
    let settings = format!("{code}-0123456789abcdef.code");
    let (fresh, stale) = (
        format!("{name}.0123456789abcdef.part"),
        format!("{name}.fedcba9876543210.part"),
    );
    let foreign = ["notes.txt", "0.code", "x.part", &name.to_uppercase()];
    for name in foreign.iter().chain([&&*settings, &&*fresh, &&*stale]) {
        fs::write(place.folder.join(name), "some bytes").expect("there is room");
    }
    let old = SystemTime::now() - Duration::from_secs(2 * 3600);
    for name in ["x.part", "notes.txt", &stale] {
        let file = fs::File::options()
            .write(true)
            .open(place.folder.join(name));
        file.and_then(|file| file.set_modified(old))
            .expect("a time");
    }
    fs::create_dir(
        place
            .folder
            .join(format!("{}-{}.code", "0".repeat(64), "0".repeat(16))),
    )
    .expect("there is room");
    let before = files(&place.folder);

    let freed = place.cache().sweep(&BTreeSet::from([kept]));
    let gone: Vec<String> = {
        let now = files(&place.folder);
        before.into_iter().filter(|it| !now.contains(it)).collect()
    };
    assert_eq!(gone.len(), 3, "{gone:?}");
    assert!(
        gone.contains(&settings) && gone.contains(&stale),
        "{gone:?}"
    );
    assert_eq!(freed.files, 3);
    assert!(entry.exists() && place.folder.join(&fresh).exists());
    for name in foreign {
        assert!(place.folder.join(name).exists(), "{name}");
    }
    assert_eq!(
        place.cache().sweep(&BTreeSet::from([kept])),
        Freed::default()
    );
    let rest = place.cache().sweep(&BTreeSet::new());
    assert_eq!((rest.files, entry.exists()), (1, false));
}

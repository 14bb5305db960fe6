//! The installed packs, through the library: who may add what, what the user is asked, and that
//! whatever is refused leaves the store as it was.

/// Bytes of a signed pack that are not what its publisher signed.
mod tampered;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use modularbase::packs::{Allow, News, PacksError, Question, Source};
use modularbase::store::Places;
use modularbase::{Error, Packs};
use modularbase_format::{Gguf, PackFile, PackWriter, PrivateKey};

use crate::support::{self, guest};

/// A home of its own, with packs to add.
pub struct Home {
    pub folder: tempfile::TempDir,
    pub places: Places,
    pub packs: Packs,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let places = Places::below(&folder.path().join("home")).expect("it is a path");
        let packs = Packs::open(&places).expect("an empty store");
        Self {
            folder,
            places,
            packs,
        }
    }

    fn file(&self, pack: &support::Source) -> Source {
        self.bytes(&pack.bytes())
    }

    fn bytes(&self, bytes: &[u8]) -> Source {
        let path = self.folder.path().join("pack.wasm");
        std::fs::write(&path, bytes).expect("a file");
        Source::File(path)
    }

    /// Considers a pack and says yes to whatever is asked.
    pub fn add_with(&self, pack: &support::Source, allow: Allow) -> Result<News, Error> {
        let candidate = self.packs.consider(&self.file(pack), allow, &|_, _| {})?;
        Ok(candidate.install(true)?.news)
    }

    pub fn add(&self, pack: &support::Source) -> Result<News, Error> {
        self.add_with(pack, Allow::default())
    }

    fn question(&self, pack: &support::Source) -> Question {
        let source = self.file(pack);
        let candidate = self.packs.consider(&source, Allow::default(), &|_, _| {});
        candidate.expect("it may be added").question()
    }

    /// What is in use, as `ID VERSION`, and everything that lies in the store.
    fn state(&self) -> (Vec<String>, Vec<PathBuf>) {
        let list = self.packs.list().expect("the store opens");
        let used = list.iter().filter(|it| it.in_use);
        let used = used.map(|it| format!("{} {}", it.id, it.version)).collect();
        (used, files(self.folder.path().join("home").as_path()))
    }
}

/// Every file below a folder, compiled code left out: a cache may have more than the store needs.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    for entry in entries {
        let path = entry.expect("it can be listed").path();
        match path.is_dir() {
            true if path.ends_with("cache") => {}
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn key() -> Arc<PrivateKey> {
    Arc::new(PrivateKey::generate().expect("there is randomness"))
}

pub fn good(version: &str) -> support::Source {
    support::Source::new("good", guest("good")).version(version)
}

/// With weights, so that it can be loaded.
fn weighted(version: &str) -> support::Source {
    let squares = ["q", "k", "v", "out"];
    let weights = squares.iter().fold(support::Gguf::new(), |it, name| {
        it.floats(name, &[8, 8], |i| i as f32 * 0.01)
    });
    good(version).weights(weights.floats("norm", &[8], |_| 1.0))
}

fn hooks(version: &str) -> support::Source {
    support::Source::new("hooks", guest("hooks")).version(version)
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> PacksError {
    match result {
        Err(Error::Packs(error)) => error,
        other => panic!("expected a rule to refuse it, found {other:?}"),
    }
}

#[test]
fn the_first_key_of_an_id_is_its_key_even_after_the_pack_is_gone() {
    let (home, ours, theirs) = (Home::new(), key(), key());
    home.add(&good("1.0.0").sign(&ours)).expect("the first");
    let before = home.state();

    let other = refused(home.add(&good("1.1.0").sign(&theirs)));
    assert!(matches!(other, PacksError::OtherKey { .. }), "{other}");
    let stripped = refused(home.add(&good("1.1.0")));
    assert!(
        matches!(stripped, PacksError::Unsigned { .. }),
        "{stripped}"
    );
    assert_eq!(home.state(), before);

    let name = "good".parse().expect("a name");
    home.packs.remove(&name).expect("it is there");
    let other = refused(home.add(&good("1.1.0").sign(&theirs)));
    assert!(matches!(other, PacksError::OtherKey { .. }), "{other}");

    let allow = Allow {
        replace_key: true,
        ..Allow::default()
    };
    home.add_with(&good("1.1.0").sign(&theirs), allow)
        .expect("the user wants it so");
    let now_ours = refused(home.add(&good("1.2.0").sign(&ours)));
    assert!(
        matches!(now_ours, PacksError::OtherKey { .. }),
        "{now_ours}"
    );
}

#[test]
fn an_unsigned_id_belongs_to_whoever_signs_it_first() {
    let (home, ours) = (Home::new(), key());
    home.add(&good("1.0.0")).expect("unsigned");
    home.add(&good("1.1.0").sign(&ours)).expect("now signed");
    let stripped = refused(home.add(&good("1.2.0")));
    assert!(
        matches!(stripped, PacksError::Unsigned { .. }),
        "{stripped}"
    );
}

#[test]
fn an_older_version_needs_a_word_and_a_kept_one_only_its_name() {
    let home = Home::new();
    assert_eq!(home.add(&good("1.0.0")).expect("the first"), News::New);
    let instead = home.add(&good("2.0.0")).expect("a newer one");
    assert_eq!(
        instead,
        News::Instead {
            of: "1.0.0".parse().expect("a version")
        }
    );
    let before = home.state();
    assert_eq!(before.0, ["good 2.0.0"]);

    // New here, or kept already: a file of an older version does not come into use by itself.
    for version in ["1.5.0", "2.0.0-rc.1", "1.0.0"] {
        let older = refused(home.add(&good(version)));
        assert!(matches!(older, PacksError::Older { .. }), "{older}");
    }
    assert_eq!(home.state(), before);

    let kept = Source::Known("good@1.0.0".parse().expect("a name"));
    let candidate = home.packs.consider(&kept, Allow::default(), &|_, _| {});
    let candidate = candidate.expect("it is kept");
    assert_eq!(candidate.question(), Question::Nothing);
    candidate.install(false).expect("it is put in use");
    assert_eq!(home.state().0, ["good 1.0.0"]);
    assert_eq!(home.state().1.len(), before.1.len());

    let allow = Allow {
        downgrade: true,
        ..Allow::default()
    };
    home.add(&good("2.0.0")).expect("up again");
    home.add_with(&good("1.5.0"), allow)
        .expect("down, by the flag");
    assert_eq!(home.state().0, ["good 1.5.0"]);
}

#[test]
fn the_same_file_twice_changes_nothing_and_other_bytes_of_one_version_are_refused() {
    let home = Home::new();
    let pack = good("1.0.0");
    home.add(&pack).expect("the first");
    let before = home.state();
    assert_eq!(home.question(&pack), Question::Nothing);
    assert_eq!(
        home.add(&pack).expect("again"),
        News::Known { was_in_use: true }
    );
    let other = refused(home.add(&pack.clone().model("answer = 42")));
    assert!(matches!(other, PacksError::SameVersion { .. }), "{other}");
    assert_eq!(home.state(), before);
}

#[test]
fn hooks_are_asked_about_once_and_never_taken_for_granted() {
    let (home, ours) = (Home::new(), key());
    let first = hooks("1.0.0").sign(&ours);
    assert_eq!(home.question(&first), Question::AddWithHooks);
    let source = home.file(&first);
    let candidate = home.packs.consider(&source, Allow::default(), &|_, _| {});
    let no = refused(candidate.expect("it may be added").install(false));
    assert!(matches!(no, PacksError::Hooks { .. }), "{no}");
    assert!(home.state().0.is_empty());

    home.add(&first).expect("the user says yes");
    assert!(home.packs.list().expect("a list")[0].hooks_allowed);
    // The same publisher, the same wishes: no question. Not so when nobody signs.
    assert_eq!(
        home.question(&hooks("1.1.0").sign(&ours)),
        Question::Nothing
    );
    let unsigned = support::Source::new("free", guest("hooks"));
    home.add(&unsigned).expect("the user says yes");
    assert_eq!(
        home.question(&unsigned.version("1.2.4")),
        Question::AddWithHooks
    );
    // A pack that only computed and now wants hooks asks, whoever signs it.
    let (quiet, loud) = (
        support::Source::new("sly", guest("good")).sign(&ours),
        support::Source::new("sly", guest("hooks")).sign(&ours),
    );
    home.add(&quiet).expect("it only computes");
    assert_eq!(
        home.question(&loud.version("1.2.4")),
        Question::AddWithHooks
    );
    assert_eq!(home.question(&quiet.version("1.2.4")), Question::Nothing);
}

#[test]
fn one_publishers_hooks_are_not_anothers() {
    let (home, ours) = (Home::new(), key());
    home.add(&hooks("1.0.0")).expect("unsigned, and allowed");
    let quiet = support::Source::new("hooks", guest("good")).version("1.1.0");
    home.add(&quiet.sign(&ours)).expect("signed, and quiet");
    let back = Source::Known("hooks@1.0.0".parse().expect("a name"));
    let candidate = home.packs.consider(&back, Allow::default(), &|_, _| {});
    let candidate = candidate.expect("it is kept");
    assert!(
        candidate
            .warnings()
            .iter()
            .any(|it| it.contains("belongs to")),
        "{:?}",
        candidate.warnings()
    );
    candidate.install(false).expect("it was allowed");
    // What was allowed to nobody in particular is not allowed to the one who signs.
    assert_eq!(
        home.question(&hooks("1.2.0").sign(&ours)),
        Question::AddWithHooks
    );
}

#[test]
fn a_kept_version_that_was_replaced_meanwhile_is_not_put_in_use() {
    let home = Home::new();
    home.add(&hooks("1.0.0")).expect("allowed");
    home.add(&good("2.0.0")).expect("another id");
    let kept = Source::Known("hooks@1.0.0".parse().expect("a name"));
    let waiting = home.packs.consider(&kept, Allow::default(), &|_, _| {});
    let waiting = waiting.expect("it is kept");
    home.packs
        .remove(&"hooks".parse().expect("a name"))
        .expect("it is there");
    let other = support::Source::new("hooks", guest("good")).version("1.0.0");
    home.add(&other).expect("other bytes by the same name");
    let late = refused(waiting.install(false));
    assert!(matches!(late, PacksError::Changed { .. }), "{late}");
    assert!(
        !home
            .packs
            .list()
            .expect("a list")
            .iter()
            .any(|it| it.hooks_allowed)
    );
}

#[test]
fn the_rules_are_looked_at_again_when_the_answer_comes() {
    let (home, ours, theirs) = (Home::new(), key(), key());
    let source = home.file(&good("1.0.0").sign(&theirs));
    let waiting = home.packs.consider(&source, Allow::default(), &|_, _| {});
    let waiting = waiting.expect("nothing speaks against it yet");
    home.add(&good("1.0.0").sign(&ours))
        .expect("somebody is faster");
    let late = refused(waiting.install(true));
    assert!(matches!(late, PacksError::OtherKey { .. }), "{late}");

    let source = home.file(&good("1.1.0").sign(&ours));
    let consider = || home.packs.consider(&source, Allow::default(), &|_, _| {});
    let (one, two) = (consider().expect("fine"), consider().expect("fine"));
    one.install(true).expect("the first");
    two.install(true)
        .expect("the same file is there now, which was all that was wanted");

    let source = home.file(&good("1.2.0").sign(&ours));
    let waiting = home.packs.consider(&source, Allow::default(), &|_, _| {});
    home.add(&good("1.3.0").sign(&ours))
        .expect("somebody is faster");
    let late = refused(waiting.expect("fine").install(true));
    assert!(matches!(late, PacksError::Older { .. }), "{late}");
}

#[test]
fn a_pack_that_does_not_load_is_not_added() {
    let home = Home::new();
    let wrong = support::Gguf::new().floats("q", &[3, 3], |_| 0.5);
    let refused = home.add(&good("1.0.0").weights(wrong));
    assert!(matches!(refused, Err(Error::Role(_))), "{refused:?}");
    assert_eq!(
        home.state(),
        (Vec::new(), files(home.folder.path().join("home").as_path()))
    );
    assert!(home.packs.list().expect("a list").is_empty());
}

#[test]
fn what_routes_is_chosen_and_goes_with_its_pack() {
    let home = Home::new();
    home.add(&good("1.0.0")).expect("an expert");
    let no = refused(home.packs.use_router("good"));
    assert!(matches!(no, PacksError::NotARouter { .. }), "{no}");
    let no = refused(home.packs.use_router("router"));
    assert!(matches!(no, PacksError::NotInstalled { .. }), "{no}");

    let router = support::Source::new("router", guest("router")).roles(r#""router""#);
    home.add(&router).expect("a router");
    assert_eq!(home.packs.router().expect("it reads").map(|it| it.id), None);
    home.packs.use_router("router").expect("it is one");
    home.add(&router.version("1.3.0")).expect("a newer one");
    let chosen = home
        .packs
        .router()
        .expect("it reads")
        .expect("it is chosen");
    assert_eq!((&*chosen.id, &*chosen.version), ("router", "1.3.0"));

    // The same id, and no router any more: then none is chosen.
    let expert = support::Source::new("router", guest("good")).version("1.4.0");
    let candidate = home
        .packs
        .consider(&home.file(&expert), Allow::default(), &|_, _| {});
    let added = candidate
        .and_then(|it| it.install(true))
        .expect("an expert");
    assert!(added.was_router);
    assert_eq!(home.packs.router().expect("it reads").map(|it| it.id), None);
    home.packs
        .remove(&"router@1.4.0".parse().expect("a name"))
        .expect("it is there");
    home.packs.use_router("router").expect("it is one again");

    let one = home.packs.remove(&"router@1.3.0".parse().expect("a name"));
    let one = one.expect("it is there");
    assert_eq!(
        (one.now_in_use.as_deref(), one.was_router),
        (Some("1.2.3"), false)
    );
    let rest = home.packs.remove(&"router".parse().expect("a name"));
    assert!(rest.expect("it is there").was_router);
    assert_eq!(home.packs.router().expect("it reads").map(|it| it.id), None);
}

#[test]
fn a_pack_that_comes_along_is_its_own_file_to_be_added_again() {
    let home = Home::new();
    let known = Source::Known("prototype-router@0.1.0".parse().expect("a name"));
    let add = || {
        let candidate = home.packs.consider(&known, Allow::default(), &|_, _| {});
        candidate.and_then(|it| it.install(true))
    };
    add().expect("it comes along");
    let name = "prototype-router".parse().expect("a name");
    let blob = home
        .packs
        .file(&name)
        .expect("it is there")
        .path()
        .to_owned();
    std::fs::remove_file(blob).expect("it can be removed");
    let verified = |home: &Home| home.packs.verify(Some(&name), &|_, _| {}).expect("a list");
    assert!(verified(&home)[0].problem.is_some());
    add().expect("it is put right");
    assert!(verified(&home)[0].problem.is_none());
    home.packs.load(&name).expect("it opens");
}

#[test]
fn an_id_alone_verifies_every_version_that_is_kept() {
    let home = Home::new();
    home.add(&good("1.0.0")).expect("the first");
    home.add(&good("1.1.0")).expect("the second");
    let count = |text: &str| {
        let name = text.parse().expect("a name");
        let verified = home.packs.verify(Some(&name), &|_, _| {});
        verified.expect("it is there").len()
    };
    assert_eq!((count("good"), count("good@1.0.0")), (2, 1));
}

#[test]
fn weights_come_back_as_the_file_they_were_and_shards_as_one() {
    let home = Home::new();
    let gguf = |names: &[&str]| {
        names.iter().fold(support::Gguf::new(), |it, name| {
            it.floats(name, &[8, 8], |i| i as f32 + name.len() as f32)
        })
    };
    let (q, rest) = (gguf(&["q"]).bytes(), gguf(&["k", "v", "out"]).bytes());
    let whole = gguf(&["q", "k", "v", "out"]).bytes();
    let out = home.folder.path().join("weights.gguf");

    let one = home.file(&good("1.0.0").weights_bytes(whole.clone()));
    let bytes = home.packs.export_weights(&one, &out).expect("weights");
    assert_eq!(std::fs::read(&out).expect("a file"), whole);
    assert_eq!(bytes, whole.len() as u64);
    let no = refused(home.packs.export_weights(&one, &out));
    assert!(matches!(no, PacksError::InTheWay { .. }), "{no}");

    std::fs::remove_file(&out).expect("it is there");
    let manifest = good("1.0.0").manifest();
    let path = home.folder.path().join("sharded.wasm");
    let pack = PackWriter::new(guest("good"), &manifest)
        .weights_bytes(&q)
        .weights_bytes(&rest)
        .write(&path)
        .expect("a pack");
    home.packs
        .export_weights(&Source::File(path), &out)
        .expect("weights");
    let bytes = std::fs::read(&out).expect("a file");
    let back = Gguf::parse(&bytes, "weights.gguf").expect("GGUF");
    assert_eq!(back.tensors().len(), 4);
    for tensor in pack.tensors() {
        let same = back.tensor(&tensor.info.name).expect("it is there");
        assert_eq!(&bytes[same.range.clone()], tensor.bytes);
    }
    let none = home.file(&good("1.0.0"));
    let no = refused(home.packs.export_weights(&none, Path::new("w.gguf")));
    assert!(matches!(no, PacksError::NoWeights { .. }), "{no}");
}

#[test]
fn what_is_added_is_what_was_looked_at_and_loads() {
    let home = Home::new();
    let source = home.file(&weighted("1.2.3"));
    let candidate = home.packs.consider(&source, Allow::default(), &|_, _| {});
    let candidate = candidate.expect("it may be added");
    // Whatever becomes of the file now, what was looked at is a copy.
    let Source::File(path) = &source else {
        panic!("it is a file")
    };
    let original = std::fs::read(path).expect("the file");
    std::fs::write(path, "something else").expect("it can be written");
    candidate.install(true).expect("it is added");
    let file = home
        .packs
        .file(&"good".parse().expect("a name"))
        .expect("it opens");
    assert_eq!(&**file.map(), &original[..]);
    assert_eq!(
        file.digest(),
        PackFile::from_bytes(&original, path)
            .expect("a pack")
            .digest()
    );
    home.packs
        .load(&"good@1.2.3".parse().expect("a name"))
        .expect("it loads");
}

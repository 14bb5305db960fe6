//! Folders and files that somebody else had a hand in, and disks that take nothing: a warning,
//! never an error, and never code of another's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use modularbase::pack::{CodeCache, Sandbox};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::{Forged, Place, bad, files, good, is_good, process};

/// Keeps the warnings of one thread.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        struct Words(String);
        impl Visit for Words {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut words = Words(String::new());
        event.record(&mut words);
        self.0.lock().expect("nobody panicked").push(words.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What is warned of while two packs are opened over one cache in `folder`; both must be right.
fn warned(folder: &Path) -> Vec<String> {
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        let sandbox = Sandbox::default().code_cache(CodeCache::open(folder));
        assert!(is_good(&good().open(&sandbox)), "{}", folder.display());
        assert!(!is_good(&bad().open(&sandbox)), "{}", folder.display());
    });
    let warnings = warnings.0.lock().expect("nobody panicked");
    warnings.clone()
}

/// The same, for a folder that is to cause one warning with these words.
fn warned_once(folder: &Path, words: &str) {
    let warnings = warned(folder);
    assert_eq!(warnings.len(), 1, "{}: {warnings:?}", folder.display());
    assert!(warnings[0].contains(words), "{warnings:?}");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// Gives a file to nobody, when who runs the tests can.
fn give_away(path: &Path) -> bool {
    let given = chown(path, Some(65534), None).is_ok();
    if !given {
        println!("skipped: only root can give {} away", path.display());
    }
    given
}

#[test]
fn a_sound_cache_warns_of_nothing() {
    let place = Place::new();
    for round in ["cold", "warm"] {
        assert_eq!(warned(&place.folder), [""; 0], "{round}");
    }
}

#[test]
fn a_folder_that_others_can_use_is_not_used() {
    for mode in [0o777, 0o770, 0o755, 0o701, 0o1777] {
        let place = Place::new();
        let Forged { path, forged, .. } = place.forged();
        fs::write(&path, &forged).expect("there is room");
        set_mode(&place.folder, mode);
        warned_once(&place.folder, "others may use the folder");
        assert_eq!(
            fs::read(place.entry()).ok(),
            Some(forged),
            "nothing is written"
        );
    }
}

#[test]
fn a_folder_of_another_user_is_not_used() {
    let place = Place::new();
    let Forged { path, forged, .. } = place.forged();
    fs::write(&path, &forged).expect("there is room");
    if give_away(&place.folder) {
        warned_once(&place.folder, "it belongs to another user");
        assert_eq!(
            fs::read(place.entry()).ok(),
            Some(forged),
            "nothing is written"
        );
    }
}

#[test]
fn a_link_in_place_of_the_folder_is_not_followed() {
    let place = Place::new();
    let Forged { path, forged, .. } = place.forged();
    fs::write(&path, &forged).expect("there is room");
    let link = place.around.path().join("link");
    symlink(&place.folder, &link).expect("there is room");
    for spelled in ["link", "link/", "link/."] {
        let spelled = PathBuf::from(format!("{}/{spelled}", place.around.path().display()));
        warned_once(&spelled, "it is a link or no folder");
    }
    let dangling = place.around.path().join("dangling");
    symlink(place.around.path().join("nothing"), &dangling).expect("there is room");
    warned_once(&dangling, "it is a link or no folder");
    assert!(!place.around.path().join("nothing").exists());
    assert_eq!(
        fs::read(place.entry()).ok(),
        Some(forged),
        "nothing is written"
    );
}

#[test]
fn a_file_in_place_of_the_folder_is_left_alone() {
    let place = Place::new();
    fs::write(&place.folder, "notes").expect("there is room");
    warned_once(&place.folder, "it is a link or no folder");
    assert_eq!(fs::read(&place.folder).ok().as_deref(), Some(&b"notes"[..]));
}

/// Opens over a forged entry that was made untrustworthy, and sees a sound one in its place.
fn replaced(spoil: impl Fn(&Place, &Path) -> bool, words: &str) {
    let place = Place::new();
    let Forged { path, good, forged } = place.forged();
    fs::write(&path, forged).expect("there is room");
    if !spoil(&place, &path) {
        return;
    }
    warned_once(&place.folder, words);
    let now = fs::symlink_metadata(&path).expect("it is there");
    assert!(now.is_file(), "{words}");
    assert_eq!(now.permissions().mode() & 0o7777, 0o600, "{words}");
    assert_eq!(fs::read(&path).ok(), Some(good), "{words}");
}

#[test]
fn an_entry_that_others_could_write_is_compiled_anew_and_replaced() {
    for mode in [0o666, 0o620, 0o602] {
        let spoil = |_: &Place, path: &Path| {
            set_mode(path, mode);
            true
        };
        replaced(spoil, "others may write an entry");
    }
    replaced(|_, path| give_away(path), "it belongs to another user");
}

#[test]
fn a_link_in_place_of_an_entry_is_replaced_and_what_it_leads_to_is_not() {
    let place = Place::new();
    let elsewhere = place.around.path().join("elsewhere");
    let spoil = |_: &Place, path: &Path| {
        fs::rename(path, &elsewhere).expect("there is room");
        symlink(&elsewhere, path).expect("there is room");
        true
    };
    replaced(spoil, "an entry is a link");
    assert!(elsewhere.exists());
}

#[test]
fn a_pipe_in_place_of_an_entry_is_replaced_and_nobody_waits_for_it() {
    let spoil = |_: &Place, path: &Path| {
        fs::remove_file(path).expect("it is ours");
        let made = std::process::Command::new("mkfifo").arg(path).status();
        made.expect("it starts").success()
    };
    replaced(spoil, "an entry is not a regular file");
}

#[test]
fn a_folder_in_place_of_an_entry_stays_and_the_pack_opens() {
    let place = Place::new();
    let Forged { path, .. } = place.forged();
    fs::remove_file(&path).expect("it is ours");
    fs::create_dir(&path).expect("there is room");
    warned_once(&place.folder, "an entry is not a regular file");
    assert!(path.is_dir());
    let left = files(&place.folder);
    assert!(left.iter().all(|name| name.ends_with(".code")), "{left:?}");
}

#[test]
fn a_folder_that_cannot_be_made_is_done_without() {
    warned_once(Path::new("/proc/self/code"), "is not kept");
}

#[test]
fn a_disk_that_is_full_leaves_nothing_half_written() {
    // A limit on the length of files fails a write midway as a full disk does.
    let place = Place::new();
    let child = process(&place.folder);
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"])
        .arg(child.get_program())
        .args(child.get_args())
        .envs(
            child
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        );
    let ran = limited.output().expect("it starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    assert!(place.folder.exists(), "it was not tried");
    assert_eq!(files(&place.folder), [""; 0]);
}

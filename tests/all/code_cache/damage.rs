//! Entries that are cut off, changed, or another's.

use std::fs;

use super::{DIGESTS, Forged, HEADER, Place, bad, good, is_good};

/// Opens the good pack over an entry that must not be used, and sees it put right.
fn mended(place: &Place, it: &Forged, entry: &[u8], how: &str) {
    fs::write(&it.path, entry).expect("there is room");
    assert!(is_good(&place.open(&good())), "{how}");
    assert!(place.entry() == it.path, "{how}");
    let now = fs::read(&it.path).expect("it can be read");
    assert!(now == it.good, "{how}: the entry is written anew");
}

#[test]
fn an_entry_that_is_cut_off_is_compiled_anew_and_replaced() {
    let place = Place::new();
    let it = place.forged();
    let payload = (HEADER..it.forged.len()).step_by(it.forged.len() / 12);
    for at in (0..HEADER).step_by(7).chain(payload) {
        mended(&place, &it, &it.forged[..at], &format!("cut at {at}"));
    }
    mended(
        &place,
        &it,
        &[&it.forged[..], &[0]].concat(),
        "one byte more",
    );
}

#[test]
fn an_entry_with_a_changed_byte_is_compiled_anew_and_replaced() {
    let place = Place::new();
    let it = place.forged();
    let payload = (HEADER..it.forged.len()).step_by(it.forged.len() / 24);
    for at in (0..HEADER).chain(payload) {
        let mut entry = it.forged.clone();
        entry[at] ^= 1 << (at % 8);
        mended(&place, &it, &entry, &format!("changed at {at}"));
    }
}

#[test]
fn an_entry_of_other_settings_or_of_other_code_is_compiled_anew() {
    let place = Place::new();
    let it = place.forged();
    for at in DIGESTS {
        let mut entry = it.forged.clone();
        entry[at..at + 32].fill(7);
        mended(&place, &it, &entry, &format!("another digest at {at}"));
    }
    // The bad one's own entry, sound, under the good one's name.
    place.open(&bad());
    let others = fs::read_dir(&place.folder).expect("it is there");
    let other = others
        .map(|entry| entry.expect("it can be listed").path())
        .find(|path| *path != it.path)
        .expect("there are two");
    let entry = fs::read(&other).expect("it can be read");
    fs::remove_file(other).expect("it can be removed");
    mended(&place, &it, &entry, "another code's entry");
}

#[test]
fn a_whole_entry_that_wasmtime_does_not_take_is_compiled_anew() {
    let place = Place::new();
    let it = place.forged();
    let payload = b"sound to the last bit, and no code at all";
    let mut entry = [&it.good[..HEADER], payload].concat();
    entry[76..84].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    let digest = modularbase_format::Digest::of(payload);
    entry[84..HEADER].copy_from_slice(digest.as_bytes());
    mended(&place, &it, &entry, "no code");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let place = Place::new();
    let it = place.forged();
    // A hole: no disk has to hold it, and reading it would show in the time and the memory.
    let file = fs::File::create(&it.path).expect("there is room");
    file.set_len((256 << 20) + 1).expect("holes cost nothing");
    drop(file);
    assert!(is_good(&place.open(&good())));
    assert_eq!(fs::read(&it.path).ok(), Some(it.good));
}

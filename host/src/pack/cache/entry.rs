//! What an entry of the code cache looks like. Pure bytes and names: touches no disk.
//!
//! ```text
//! <64 hex digits of the code's digest>-<16 of the settings'>.code
//!
//!   0   8  magic `MBcode\r\n`
//!   8   4  version, 1
//!  12  32  digest of the settings
//!  44  32  digest of the code
//!  76   8  length of the payload
//!  84  32  digest of the payload
//! 116      payload, to the end of the file
//! ```
//!
//! Numbers are little-endian. Every byte of the header is known before it is read, or follows
//! from the payload: an entry fits to the last bit or is none. While it is written, an entry's
//! name goes on with `.<16 hex digits>.part`.

use std::io;

use modularbase_format::Digest;

/// Larger files are not read: no pack's code, which has at most a few MiB, compiles to so much.
pub(super) const MOST: u64 = 256 << 20;

/// The largest payload.
pub(super) const MOST_PAYLOAD: u64 = MOST - HEADER as u64;

/// `\r\n` shows when a file went through something that mends line ends.
const MAGIC: [u8; 8] = *b"MBcode\r\n";

const VERSION: u32 = 1;

const HEADER: usize = 8 + 4 + 32 + 32 + 8 + 32;

/// How many digits of the settings stand in a name; the entry itself has all of them.
const SHORT: usize = 16;

/// Whose code an entry holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// The component's digest.
    pub(super) code: Digest,
    /// The engine's.
    pub(super) settings: Digest,
}

impl Key {
    /// Its entry's file name.
    pub(super) fn name(&self) -> String {
        format!("{}-{}.code", self.code, short(&self.settings))
    }
}

/// As much of the settings' digest as stands in a name.
pub(super) fn short(settings: &Digest) -> String {
    settings.to_string().chars().take(SHORT).collect()
}

/// A file that is the cache's, by its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// An entry: its code and its settings, as far as they stand in the name.
    Entry(Digest, String),
    /// One that was not written to its end, or not yet.
    Unfinished,
}

impl Named {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let hex = |text: &str| {
            let digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
            text.len() == SHORT && text.bytes().all(digit)
        };
        if let Some(name) = name.strip_suffix(".part") {
            let (entry, random) = name.rsplit_once('.')?;
            let is_entry = matches!(Self::parse(entry), Some(Self::Entry(..)));
            return (is_entry && hex(random)).then_some(Self::Unfinished);
        }
        let (code, settings) = name.strip_suffix(".code")?.split_once('-')?;
        let code = code.parse().ok()?;
        hex(settings).then(|| Self::Entry(code, settings.to_owned()))
    }
}

/// What stands before a payload.
pub(super) fn header(key: &Key, payload: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let length = (payload.len() as u64).to_le_bytes();
    let digest = Digest::of(payload);
    let fields: [&[u8]; 6] = [
        &MAGIC,
        &VERSION.to_le_bytes(),
        key.settings.as_bytes(),
        key.code.as_bytes(),
        &length,
        digest.as_bytes(),
    ];
    for (to, from) in header.iter_mut().zip(fields.concat()) {
        *to = from;
    }
    header
}

/// The payload of an entry that is whole and fits.
///
/// # Errors
/// When it is not, or does not.
pub(super) fn payload<'a>(key: &Key, entry: &'a [u8]) -> io::Result<&'a [u8]> {
    let unfit = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let (found, payload) = entry
        .split_first_chunk::<HEADER>()
        .ok_or_else(|| unfit("an entry is cut off"))?;
    if *found != header(key, payload) {
        return Err(unfit("an entry is damaged or not of this code"));
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: &[u8]) -> Key {
        Key {
            code: Digest::of(code),
            settings: Digest::of(b"settings"),
        }
    }

    fn whole(key: &Key, payload: &[u8]) -> Vec<u8> {
        [&header(key, payload)[..], payload].concat()
    }

    #[test]
    fn an_entry_gives_back_its_payload() {
        for code in [&b""[..], b"some code"] {
            let entry = whole(&key(code), code);
            assert_eq!(payload(&key(code), &entry).ok(), Some(code));
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_or_a_missing_end_is_seen() {
        let (key, code) = (key(b"a"), [7; 300]);
        let entry = whole(&key, &code);
        for at in 0..entry.len() {
            assert!(payload(&key, &entry[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut entry = entry.clone();
                entry[at] ^= 1 << bit;
                assert!(payload(&key, &entry).is_err(), "bit {bit} of {at}");
            }
        }
        assert!(payload(&key, &[entry, vec![0]].concat()).is_err());
    }

    #[test]
    fn an_entry_of_other_code_or_other_settings_does_not_fit() {
        let entry = whole(&key(b"a"), b"code");
        assert!(payload(&key(b"b"), &entry).is_err());
        let other = Key {
            settings: Digest::of(b"other settings"),
            ..key(b"a")
        };
        assert!(payload(&other, &entry).is_err());
    }

    #[test]
    fn names_are_told_from_others() {
        let key = key(b"a");
        let name = key.name();
        let entry = Named::Entry(key.code, short(&key.settings));
        assert_eq!(Named::parse(&name), Some(entry));
        let part = format!("{name}.0123456789abcdef.part");
        assert_eq!(Named::parse(&part), Some(Named::Unfinished));
        for other in [
            "",
            "code",
            "notes.txt",
            ".part",
            &name[1..],
            &name.to_uppercase(),
            &format!("{name}.part"),
            &format!("{name}.0123456789abcde.part"),
            &format!("{part}.0123456789abcdef.part"),
            &name.replace(".code", ""),
            &name.replace('-', "_"),
            &format!("../{name}"),
        ] {
            assert_eq!(Named::parse(other), None, "{other}");
        }
    }
}

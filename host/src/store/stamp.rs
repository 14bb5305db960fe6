//! Stamps: by what a file is known again without reading it.
//!
//! A stamp is taken of a blob's own open file, after it got its place and its mode, and is kept in
//! the index. Whoever writes to the file, replaces it or gives it other times changes its stamp:
//! the time of the last change of its inode is the kernel's and cannot be set. A backup that is
//! played back, or another name for the same file, changes it as well; then the file is hashed
//! once more, and its new stamp noted.
//!
//! Where that ends: times are as fine as the file system's clock, some milliseconds apart. A write of
//! the same length in the same tick in which the stamp was taken leaves it as it is, and is not
//! seen until somebody runs `mbhost pack verify`. Waiting for the next tick, or hashing whatever is
//! young once more, would cost every first load more than it is worth: blobs are 0444, and who may
//! write there all the same may change the index as well.

use std::fmt;
use std::fs::Metadata;
use std::str::FromStr;

/// Inode, size, and the times of the last change of content and of inode, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    modified: i128,
    changed: i128,
}

impl Stamp {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        let time = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            inode: metadata.ino(),
            size: metadata.len(),
            modified: time(metadata.mtime(), metadata.mtime_nsec()),
            changed: time(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::time::UNIX_EPOCH;

        let since = |time: std::io::Result<std::time::SystemTime>| {
            let since = time.ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
            since.map_or(0, |it| it.as_nanos() as i128)
        };
        Self {
            inode: 0,
            size: metadata.len(),
            modified: since(metadata.modified()),
            changed: since(metadata.created()),
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            inode,
            size,
            modified,
            changed,
        } = self;
        write!(f, "{inode}:{size}:{modified}:{changed}")
    }
}

impl FromStr for Stamp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let mut next = || parts.next().ok_or(());
        let stamp = Self {
            inode: next()?.parse().map_err(drop)?,
            size: next()?.parse().map_err(drop)?,
            modified: next()?.parse().map_err(drop)?,
            changed: next()?.parse().map_err(drop)?,
        };
        parts.next().map_or(Ok(stamp), |_| Err(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back_what_it_shows_and_nothing_else() {
        let file = tempfile::tempfile().expect("there is room");
        let stamp = Stamp::of(&file.metadata().expect("it is open"));
        assert_eq!(stamp.to_string().parse(), Ok(stamp));
        for wrong in ["", "1:2:3", "1:2:3:4:5", "a:2:3:4", "1:-2:3:4", "1:2:3:4 "] {
            assert_eq!(wrong.parse::<Stamp>(), Err(()), "{wrong}");
        }
    }
}

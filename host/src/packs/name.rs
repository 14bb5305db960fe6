//! How commands name an installed pack: `ID`, or `ID@VERSION`.

use std::fmt;
use std::str::FromStr;

use modularbase_format::manifest::is_pack_id;
use semver::Version;

use super::PacksError;

/// An installed pack: the version in use, or a certain one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its id.
    pub id: String,
    /// Which of its versions; the one in use where it is not said.
    pub version: Option<Version>,
}

impl FromStr for Name {
    type Err = PacksError;

    fn from_str(text: &str) -> Result<Self, PacksError> {
        let (id, version) = match text.split_once('@') {
            Some((id, version)) => (id, Some(version)),
            None => (text, None),
        };
        let bad = || PacksError::NotAName {
            found: text.to_owned(),
        };
        if !is_pack_id(id) {
            return Err(bad());
        }
        Ok(Self {
            id: id.to_owned(),
            version: version.map(Version::parse).transpose().map_err(|_| bad())?,
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.id),
            None => f.write_str(&self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_what_it_shows_and_is_never_a_path() {
        for text in ["dense", "dense@0.1.0", "a-1@1.0.0-rc.1+build.5"] {
            let name: Name = text.parse().expect("a name");
            assert_eq!(name.to_string(), text);
        }
        for wrong in [
            "",
            "@1.0.0",
            "dense@",
            "dense@1",
            "../dense",
            "./pack.wasm",
            "a/b@1.0.0",
            "A",
            "-a",
            "dense@0.1.0@0.2.0",
            "dense@../1.0.0",
        ] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong}");
        }
    }
}

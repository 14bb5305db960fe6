//! Where everything of this user's is kept: what cannot be made again, and what can.
//!
//! ```text
//! MBHOST_HOME is set        $MBHOST_HOME                     $MBHOST_HOME/cache
//! otherwise                 $XDG_DATA_HOME/mbhost            $XDG_CACHE_HOME/mbhost
//! without those             $HOME/.local/share/mbhost        $HOME/.cache/mbhost
//! in them                   store/                           code/
//! ```

use std::env;
use std::ffi::OsString;
use std::path::{self, Path, PathBuf};

use super::StoreError;
use super::error::at;

/// Where packs and compiled code are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// What cannot be made again.
    pub data: PathBuf,
    /// What can.
    pub cache: PathBuf,
}

impl Places {
    /// As the environment has it: `MBHOST_HOME`, or the folders of the XDG specification.
    ///
    /// # Errors
    /// When neither says where.
    pub fn from_env() -> Result<Self, StoreError> {
        Self::from_variables(|name| env::var_os(name))
    }

    /// All of it below one folder, as `MBHOST_HOME` asks for.
    ///
    /// # Errors
    /// When the folder is given relative to a current folder that is not there.
    pub fn below(home: &Path) -> Result<Self, StoreError> {
        let data = path::absolute(home).map_err(at(home))?;
        let cache = data.join("cache");
        Ok(Self { data, cache })
    }

    /// The store's folder.
    pub fn store(&self) -> PathBuf {
        self.data.join("store")
    }

    /// The compiled code's folder.
    pub fn code(&self) -> PathBuf {
        self.cache.join("code")
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, StoreError> {
        // A variable that is set to nothing is as good as not set.
        let path = |name| {
            variable(name)
                .filter(|it| !it.is_empty())
                .map(PathBuf::from)
        };
        if let Some(home) = path("MBHOST_HOME") {
            return Self::below(&home);
        }
        // The specification has relative paths ignored; and a relative home means nothing.
        let absolute = |name| path(name).filter(|it| it.is_absolute());
        let below = |name, rest: &str| {
            let folder = absolute(name).or_else(|| absolute("HOME").map(|home| home.join(rest)));
            folder.map(|it| it.join("mbhost")).ok_or(StoreError::NoHome)
        };
        Ok(Self {
            data: below("XDG_DATA_HOME", ".local/share")?,
            cache: below("XDG_CACHE_HOME", ".cache")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(variables: &[(&str, &str)]) -> Result<(String, String), StoreError> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let places = Places::from_variables(variable)?;
        let text = |path: PathBuf| path.display().to_string();
        Ok((text(places.store()), text(places.code())))
    }

    fn pair(store: &str, code: &str) -> (String, String) {
        (store.to_owned(), code.to_owned())
    }

    #[test]
    fn one_variable_moves_all_of_it() {
        let all = [
            ("MBHOST_HOME", "/m"),
            ("XDG_DATA_HOME", "/d"),
            ("XDG_CACHE_HOME", "/c"),
            ("HOME", "/h"),
        ];
        let found = places(&all).expect("they say where");
        assert_eq!(found, pair("/m/store", "/m/cache/code"));
        let found = places(&[("MBHOST_HOME", "m")]).expect("there is a current folder");
        let here = env::current_dir().expect("there is one");
        assert_eq!(found.0, here.join("m/store").display().to_string());
    }

    #[test]
    fn otherwise_the_desktop_decides_and_then_home() {
        let xdg = [("XDG_DATA_HOME", "/d"), ("XDG_CACHE_HOME", "/c")];
        let found = places(&xdg).expect("they say where");
        assert_eq!(found, pair("/d/mbhost/store", "/c/mbhost/code"));
        let home = pair("/h/.local/share/mbhost/store", "/h/.cache/mbhost/code");
        let found = places(&[("HOME", "/h"), ("MBHOST_HOME", ""), ("XDG_DATA_HOME", "")]);
        assert_eq!(found.expect("they say where"), home);
        let found = places(&[
            ("HOME", "/h"),
            ("XDG_DATA_HOME", "d"),
            ("XDG_CACHE_HOME", "./c"),
        ]);
        assert_eq!(found.expect("they say where"), home);
    }

    #[test]
    fn without_a_home_there_is_a_hint() {
        for variables in [
            &[][..],
            &[("HOME", "")],
            &[("HOME", "h"), ("XDG_DATA_HOME", "/d")],
        ] {
            let error = places(variables).expect_err("nothing says where");
            let hint = error.hint().expect("there is one").to_string();
            assert!(hint.contains("set `MBHOST_HOME`"), "{hint}");
        }
    }
}

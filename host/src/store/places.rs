//! Where everything of this user's is kept.

use std::path::PathBuf;

use super::StoreError;

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
        todo!()
    }

    /// All of it below one folder, as `MBHOST_HOME` asks for.
    ///
    /// # Errors
    /// When the folder is given relative to a current folder that is not there.
    pub fn below(home: PathBuf) -> Result<Self, StoreError> {
        let _ = home;
        todo!()
    }

    /// The store's folder.
    pub fn store(&self) -> PathBuf {
        self.data.join("store")
    }

    /// The compiled code's folder.
    pub fn code(&self) -> PathBuf {
        self.cache.join("code")
    }
}

//! Where packs and compiled code are kept: `--home`, `MBHOST_HOME`, or where the system says.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, Command};
use modularbase::Error;
use modularbase::packs::Packs;
use modularbase::store::Places;

use super::Failed;

/// The flag that every verb has.
#[derive(Clone, Debug, clap::Args)]
pub struct Home {
    /// Where to keep packs and compiled code, instead of the folders that the system has for it
    #[arg(
        long = "home",
        id = "home",
        global = true,
        env = "MBHOST_HOME",
        hide_env_values = true,
        value_name = "DIR",
        value_parser = Folder
    )]
    pub folder: Option<PathBuf>,
}

impl Home {
    /// The places.
    pub fn places(&self) -> Result<Places, Failed> {
        let places = match &self.folder {
            Some(folder) if !folder.as_os_str().is_empty() => Places::below(folder),
            _ => Places::from_env(),
        };
        Ok(places.map_err(Error::from)?)
    }

    /// The packs that are installed there.
    pub fn packs(&self) -> Result<Packs, Failed> {
        Ok(Packs::open(&self.places()?)?)
    }
}

/// A variable that is empty says nothing, as if it was not set; an empty flag is a mistake.
#[derive(Clone, Debug)]
struct Folder;

impl TypedValueParser for Folder {
    type Value = PathBuf;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<PathBuf, clap::Error> {
        PathBufValueParser::new().parse_ref(command, argument, value)
    }

    fn parse_ref_(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<PathBuf, clap::Error> {
        match source {
            ValueSource::EnvVariable if value.is_empty() => Ok(PathBuf::new()),
            _ => self.parse_ref(command, argument, value),
        }
    }
}

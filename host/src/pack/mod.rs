//! The packs' door: a checked, compiled file, and the guests that come to life from it.
//!
//! Only this module names wasmtime. A [`Sandbox`] compiles; a [`Pack`] is immutable and
//! shared; [`Pack::expert`], [`Pack::router`] and [`Pack::conversation`] start guests. What
//! stays true: nothing of a component runs or is compiled before `preflight` has judged it, a
//! guest never sees more than its role is lent, and every message names pack and version.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod bindings;
mod build;
mod builtin;
mod cache;
mod check;
mod conversation;
mod effort;
mod expert;
mod guest;
mod imports;
mod inspect;
mod limits;
mod log;
mod measured;
mod preflight;
mod router;
mod sandbox;
mod state;

pub use build::{
    Build, BuildError, BuildTimes, Built, KeyFile, PACK_FILE, Stage, TARGET, Toolchain, Wrap,
};
pub use builtin::Builtin;
pub use cache::{CodeCache, Freed};
pub use check::{Check, Line, Outcome, Report, Times};
pub use conversation::Conversation;
pub use expert::GuestExpert;
pub use guest::Used;
pub use inspect::{Base, Code, Inspection, TensorEntry, TypeTotals, WeightTotals, inspect};
pub use limits::{CodeLimits, Limits, Work};
pub use measured::Measured;
pub use preflight::{CONTRACT, Face, Objection};
pub use router::GuestRouter;
pub use sandbox::Sandbox;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use modularbase_format::{Hint, Manifest, PackFile, PackFileError, Role};
use wasmtime::component::InstancePre;

use bindings::exports::modularbase::pack as exported;
use guest::Guest;
use measured::variants;
use preflight::Judged;
use state::{Building, Loader, State};

use crate::plan::{Catalog, Network, Plan, Weight};
use crate::roles::Failure;
use crate::tensor::{Device, Ledger, WeightData, Weights};

/// A checked, compiled pack. Immutable and shared.
pub struct Pack {
    file: Arc<PackFile>,
    face: Face,
    who: Arc<str>,
    sandbox: Sandbox,
    code: InstancePre<State>,
    exports: Exports,
}

/// Where the roles' functions are in the component.
struct Exports {
    expert: Option<exported::expert::GuestIndices>,
    router: Option<exported::router::GuestIndices>,
    hooks: Option<exported::hooks::GuestIndices>,
}

/// Why a pack is not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The file is not a sound pack file.
    #[error(transparent)]
    File(#[from] PackFileError),
    /// What it is, is not what this host takes.
    #[error("{who}: {objection}")]
    Preflight {
        /// The pack and its version.
        who: String,
        /// What does not fit.
        objection: Objection,
    },
    /// Its code does not compile, or does not fit the contract's types.
    #[error("{who}: {reason}")]
    Compile {
        /// The pack and its version.
        who: String,
        /// What the compiler said.
        reason: String,
    },
}

impl PackError {
    /// This host refuses a file's code.
    pub(crate) fn objection(file: &PackFile, objection: Objection) -> Self {
        Self::Preflight {
            who: who(file).to_string(),
            objection,
        }
    }

    /// What to try next, where there is something.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::File(error) => error.hint(),
            Self::Preflight { objection, .. } => objection.hint.clone().map(Hint::new),
            Self::Compile { .. } => None,
        }
    }
}

impl Pack {
    /// Opens a pack file: checks it, judges its code, compiles it.
    ///
    /// # Errors
    /// When the file is not sound, when preflight objects, when the code does not compile.
    pub fn open(path: &Path, sandbox: &Sandbox) -> Result<Self, PackError> {
        Self::from_file(PackFile::open(path)?, sandbox)
    }

    /// Takes a pack file that is open already.
    ///
    /// # Errors
    /// When preflight objects, when the code does not compile.
    pub fn from_file(file: PackFile, sandbox: &Sandbox) -> Result<Self, PackError> {
        let judged = Judged::of(&file, sandbox.limits());
        let judged = judged.map_err(|objection| PackError::objection(&file, objection))?;
        Self::compile(file, judged, sandbox)
    }

    /// Compiles what was let in.
    fn compile(file: PackFile, judged: Judged, sandbox: &Sandbox) -> Result<Self, PackError> {
        let Judged { face, component } = judged;
        let who = who(&file);
        let failed = |error: wasmtime::Error| PackError::Compile {
            who: who.to_string(),
            reason: log::escaped(&format!("{error:#}")),
        };
        let code = sandbox.compile(&component).map_err(failed)?;
        let exports = Exports::find(&face, &code).map_err(failed)?;
        Ok(Self {
            file: Arc::new(file),
            face,
            who,
            sandbox: sandbox.clone(),
            code,
            exports,
        })
    }

    /// The same code over another file of it, without compiling it again.
    ///
    /// # Errors
    /// When preflight objects, when code that is not the same does not compile.
    fn over(&self, file: PackFile) -> Result<Self, PackError> {
        let same = file.code_digest() == self.file.code_digest()
            && file.manifest().limits == self.manifest().limits
            && file.manifest().roles == self.manifest().roles;
        if !same {
            return Self::from_file(file, &self.sandbox);
        }
        let failed = |error: wasmtime::Error| PackError::Compile {
            who: self.who.to_string(),
            reason: log::escaped(&format!("{error:#}")),
        };
        Ok(Self {
            file: Arc::new(file),
            face: self.face.clone(),
            who: self.who.clone(),
            sandbox: self.sandbox.clone(),
            code: self.code.clone(),
            exports: Exports::find(&self.face, &self.code).map_err(failed)?,
        })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        self.file.manifest()
    }

    /// The file it came from.
    pub fn file(&self) -> &PackFile {
        &self.file
    }

    /// What it imports and exports.
    pub fn face(&self) -> &Face {
        &self.face
    }

    /// Its id and version, as messages begin.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// Loads its expert onto a device; `variant` is one that the manifest lists.
    ///
    /// # Errors
    /// When the pack refuses or breaches, or the device or the ledger does.
    pub fn expert(
        &self,
        device: &Device,
        ledger: &Ledger,
        variant: Option<&str>,
    ) -> Result<GuestExpert, Failure> {
        self.knows(variant)?;
        self.expert_over(variant, self.loader(device, ledger))
    }

    /// Loads its expert over weights that need not be those of its file.
    fn expert_over(&self, variant: Option<&str>, onto: Loader) -> Result<GuestExpert, Failure> {
        let building = self.building(variant, Some(onto), self.catalog());
        GuestExpert::load(self, building).map(|(expert, _)| expert)
    }

    /// Loads plans onto a device, over the weights in its file.
    fn loader(&self, device: &Device, ledger: &Ledger) -> Loader {
        Loader {
            device: device.clone(),
            ledger: ledger.clone(),
            weights: self.weights(),
        }
    }

    /// Refuses a variant that the manifest does not list.
    fn knows(&self, variant: Option<&str>) -> Result<(), Failure> {
        let listed = &self.manifest().variants;
        match variant {
            Some(asked) if !listed.iter().any(|it| it == asked) => Err(Failure::Refusal {
                who: self.who.to_string(),
                reason: format!(
                    "there is no variant `{}`, expected one of `{}`",
                    log::escaped(asked),
                    listed.join("`, `")
                ),
            }),
            _ => Ok(()),
        }
    }

    /// Its weights, where they are mapped: for running one of its plans without its code.
    pub fn weights(&self) -> Arc<dyn Weights> {
        Arc::new(InPlace(self.file.clone()))
    }

    /// Its router, over a device for whatever it computes.
    pub fn router(self: &Arc<Self>, device: &Device, ledger: &Ledger) -> GuestRouter {
        let (pack, device, ledger) = (self.clone(), device.clone(), ledger.clone());
        let network = move || {
            let onto = pack.loader(&device, &ledger);
            pack.building(None, Some(onto), pack.catalog())
        };
        GuestRouter::new(self.clone(), Box::new(network))
    }

    /// Has it describe its networks without running them: what it declares, and what it would
    /// compute. Without weights of its own, all that it declares is taken down.
    ///
    /// # Errors
    /// When the pack refuses or breaches.
    pub fn describe(&self, variant: Option<&str>) -> Result<Vec<Description>, Failure> {
        self.describe_over(variant, &self.catalog())
    }

    /// Has it describe its networks in each of its variants: whether it loads.
    ///
    /// # Errors
    /// When the pack refuses or breaches.
    pub fn describe_all(&self) -> Result<(), Failure> {
        variants(self.manifest()).try_for_each(|variant| self.describe(variant).map(drop))
    }

    /// Like [`describe`](Self::describe), over weights that are not in its file yet.
    fn describe_over(
        &self,
        variant: Option<&str>,
        catalog: &Catalog,
    ) -> Result<Vec<Description>, Failure> {
        let mut described = Vec::new();
        let building = || self.building(variant, None, catalog.clone());
        if self.exports.expert.is_some() {
            let (_, it) = GuestExpert::load(self, building())?;
            described.push(Description::new(Role::Expert, it));
        }
        if self.exports.router.is_some() {
            let (_, it) = router::Loaded::load(self, building())?;
            described.push(Description::new(Role::Router, it));
        }
        Ok(described)
    }

    /// Starts its hooks for one user's conversation.
    ///
    /// # Errors
    /// When the pack refuses or breaches.
    pub fn conversation(&self) -> Result<Conversation, Failure> {
        Conversation::start(self)
    }

    fn guest(&self, work: Work) -> Result<Guest, Failure> {
        let memory = self.manifest().limits.memory;
        Guest::start(&self.sandbox, &self.code, self.who.clone(), work, memory)
    }

    fn catalog(&self) -> Catalog {
        if self.file.weight_shards().len() == 0 {
            return Catalog::Declare;
        }
        let entry = |tensor: modularbase_format::Tensor<'_>| {
            let info = tensor.info;
            (info.name.clone(), (info.kind, info.shape.clone()))
        };
        Catalog::Given(self.file.tensors().map(entry).collect())
    }

    /// An empty network for a guest to describe, which goes `onto` a device or nowhere.
    fn building(&self, variant: Option<&str>, onto: Option<Loader>, catalog: Catalog) -> Building {
        let (file, variant) = (self.file.clone(), variant.map(str::to_owned));
        let config = move |key: &str| match key {
            "variant" => variant.clone(),
            key => file.manifest().config(key),
        };
        let width = self.manifest().base.width as usize;
        let quota = self.sandbox.limits().quota.clone();
        Building {
            network: Network::new(width, catalog, quota),
            config: Box::new(config),
            loader: onto,
            plans: Vec::new(),
            asked: BTreeSet::new(),
        }
    }
}

/// What a role's network is, as its `load` describes it.
#[derive(Debug)]
pub struct Description {
    /// Whose network.
    pub role: Role,
    /// Every weight it declares.
    pub weights: Vec<Weight>,
    /// Its plans, in the order in which it closed them.
    pub plans: Vec<Arc<Plan>>,
    /// The hyper-parameters that it asked for.
    pub asked: BTreeSet<String>,
}

impl Description {
    fn new(role: Role, described: Building) -> Self {
        Self {
            role,
            weights: described.network.weights().to_vec(),
            plans: described.plans,
            asked: described.asked,
        }
    }
}

impl Exports {
    fn find(face: &Face, code: &InstancePre<State>) -> wasmtime::Result<Self> {
        let has = |name: &str| face.exports.contains(name);
        Ok(Self {
            expert: has("expert")
                .then(|| exported::expert::GuestIndices::new(code))
                .transpose()?,
            router: has("router")
                .then(|| exported::router::GuestIndices::new(code))
                .transpose()?,
            hooks: has("hooks")
                .then(|| exported::hooks::GuestIndices::new(code))
                .transpose()?,
        })
    }
}

/// A pack's id and version, as messages begin.
fn who(file: &PackFile) -> Arc<str> {
    let manifest = file.manifest();
    format!("pack `{}` {}", manifest.id, manifest.version).into()
}

/// The weights of a pack file, where they are mapped.
struct InPlace(Arc<PackFile>);

impl Weights for InPlace {
    fn weight(&self, name: &str) -> Option<WeightData> {
        let tensor = self.0.tensor(name)?;
        let (kind, shape) = (tensor.info.kind, tensor.info.shape.clone());
        WeightData::new(kind, shape, self.0.map(), tensor.range)
    }
}

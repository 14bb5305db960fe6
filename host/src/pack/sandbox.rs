//! The sandbox that guests run in: one wasmtime engine, what it is linked with, its clock.

use std::sync::Arc;
use std::time::Duration;

use modularbase_format::PackFile;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};
use wasmtime::{Config, Engine};

use modularbase_format::Digest;

use super::bindings::modularbase::pack;
use super::cache::{self, CodeCache};
use super::limits::Limits;
use super::preflight::{Face, Judged, Objection};
use super::state::State;

/// How often a running guest's time is looked at.
const TICK: Duration = Duration::from_millis(5);

/// Compiles packs and lets their guests run, within limits. Clones share it.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
    kept: Option<Kept>,
}

/// Where compiled code is kept, and the digest of the engine's settings that it is kept under.
#[derive(Clone)]
struct Kept {
    cache: CodeCache,
    settings: Digest,
}

struct Shared {
    engine: Engine,
    linker: Linker<State>,
    limits: Limits,
}

impl Sandbox {
    /// A sandbox with these limits. Its clock is a thread that ends with the last clone.
    ///
    /// # Panics
    /// When the machine cannot run wasmtime or start a thread.
    pub fn new(limits: Limits) -> Self {
        let engine = engine();
        let mut linker = Linker::new(&engine);
        link(&mut linker).expect("each interface is linked once");
        let weak = engine.weak();
        std::thread::Builder::new()
            .name("guest clock".into())
            .spawn(move || {
                loop {
                    std::thread::sleep(TICK);
                    match weak.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => break,
                    }
                }
            })
            .expect("a thread can be started");
        Self {
            shared: Arc::new(Shared {
                engine,
                linker,
                limits,
            }),
            kept: None,
        }
    }

    /// Keeps what it compiles, and takes what was kept.
    pub fn code_cache(self, cache: CodeCache) -> Self {
        let settings = cache::settings(&self.shared.engine);
        let kept = Some(Kept { cache, settings });
        Self { kept, ..self }
    }

    /// Whether packs can become machine code here, and if not, why.
    ///
    /// # Errors
    /// When wasmtime does not start or the system refuses executable memory, in words.
    pub fn probe() -> Result<(), String> {
        // A component around a core module with one function that does nothing.
        const SMALLEST: &[u8] = b"\0asm\x0d\0\x01\0\x01\x18\0asm\x01\0\0\0\
            \x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x04\x01\x02\0\x0b";
        let sandbox = std::panic::catch_unwind(Self::default)
            .map_err(|_| "wasmtime does not start on this machine".to_owned())?;
        let compiled = Component::new(&sandbox.shared.engine, SMALLEST);
        compiled.map(drop).map_err(|error| format!("{error:#}"))
    }

    /// What guests may use.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Judges a pack's code, and what its manifest says of it, without compiling it.
    ///
    /// # Errors
    /// When this host would refuse it.
    pub fn judge(&self, file: &PackFile) -> Result<Face, Objection> {
        Judged::of(file, self.limits()).map(|it| it.face)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// Compiles a component that `preflight` let pass, or takes what was compiled of it before,
    /// and links it.
    pub(super) fn compile(&self, component: &[u8]) -> wasmtime::Result<InstancePre<State>> {
        let engine = &self.shared.engine;
        let component = match &self.kept {
            Some(Kept { cache, settings }) => cache.component(engine, *settings, component)?,
            None => Component::new(engine, component)?,
        };
        self.shared.linker.instantiate_pre(&component)
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// The engine of every sandbox: the same settings everywhere, so that code can be kept.
///
/// # Panics
/// When the machine cannot run wasmtime.
pub(super) fn engine() -> Engine {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .concurrency_support(false)
        .wasm_component_model(true)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .max_wasm_stack(512 << 10);
    Engine::new(&config).expect("the engine's settings fit this machine")
}

fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Own = HasSelf<State>;
    pack::log::add_to_linker::<State, Own>(linker, |state| state)?;
    pack::tensors::add_to_linker::<State, Own>(linker, |state| state)?;
    pack::network::add_to_linker::<State, Own>(linker, |state| state)?;
    pack::routing::add_to_linker::<State, Own>(linker, |state| state)?;
    pack::readback::add_to_linker::<State, Own>(linker, |state| state)?;
    pack::turns::add_to_linker::<State, Own>(linker, |state| state)
}

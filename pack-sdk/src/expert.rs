//! The role of a pack that transforms hidden states.
//!
//! Owns the [`Expert`] trait, the macro that exports a type as that role, and the glue between
//! the two, which nobody calls by hand.

use crate::bindings::expert::exports::modularbase::pack::expert as wit;
use crate::{Network, Result, Step, Tensor, log};

/// A pack that transforms hidden states.
///
/// It runs in a guest of its own, which never sees text. The host loads one for each variant
/// that the manifest lists.
///
/// ```no_run
/// use modularbase_pack::prelude::*;
///
/// /// Adds a learned linear map of the hidden state to it.
/// struct Linear {
///     plan: Plan,
/// }
///
/// impl Expert for Linear {
///     fn load(net: &Network) -> Result<Self> {
///         let w = net.weights().get("out.weight", &[net.width(), net.width()], Init::Zeros)?;
///         let hidden = net.hidden()?;
///         let out = hidden.add(&hidden.linear(&w)?)?;
///         Ok(Self { plan: net.finish(&out)? })
///     }
///
///     fn forward(&self, step: &Step, hidden: Tensor) -> Result<Tensor> {
///         self.plan.run(step, &[&hidden])
///     }
/// }
///
/// modularbase_pack::export_expert!(Linear);
/// ```
pub trait Expert: Sized + 'static {
    /// Describes the network and keeps its plans.
    ///
    /// A freshly made pack is the identity: let whatever is added to the hidden state end in a
    /// weight that starts as [`Init::Zeros`](crate::Init::Zeros).
    ///
    /// # Errors
    ///
    /// Whatever the host refused, or what is wrong with the configuration.
    fn load(net: &Network<'_>) -> Result<Self>;

    /// Called once a step. `hidden` is `[rows, width]`, the residual stream, not normalised; so
    /// is the result. Returning `hidden` itself is allowed.
    ///
    /// # Errors
    ///
    /// Whatever the host refused.
    fn forward(&self, step: &Step<'_>, hidden: Tensor) -> Result<Tensor>;
}

/// Exports a type that implements [`Expert`] as this pack's expert.
///
/// Called once, at the top level of the pack's crate. A pack may export a router or hooks as
/// well; see [`export_router!`](crate::export_router) and
/// [`export_hooks!`](crate::export_hooks).
///
/// ```no_run
/// use modularbase_pack::prelude::*;
///
/// struct Nothing;
///
/// impl Expert for Nothing {
///     fn load(_net: &Network) -> Result<Self> {
///         Ok(Self)
///     }
///
///     fn forward(&self, _step: &Step, hidden: Tensor) -> Result<Tensor> {
///         Ok(hidden)
///     }
/// }
///
/// modularbase_pack::export_expert!(Nothing);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_expert {
    ($expert:ty) => {
        const _: () = {
            const _: fn() = $crate::__private::is_expert::<$expert>;
            // Only wasm has names like these; a native linker would stumble over them.
            #[cfg(target_arch = "wasm32")]
            type Exported = $crate::__private::ExpertRole<$expert>;
            #[cfg(target_arch = "wasm32")]
            $crate::__private::expert::export_expert_role!(
                Exported with_types_in $crate::__private::expert
            );
        };
    };
}

/// An author's expert as the contract sees it.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "never seen by anyone")]
pub struct ExpertRole<T>(T);

/// Says at the macro's call, on every target, when a type is no expert.
#[doc(hidden)]
pub fn is_expert<T: Expert>() {}

impl<T: Expert> wit::Guest for ExpertRole<T> {
    type Expert = Self;
}

impl<T: Expert> wit::GuestExpert for ExpertRole<T> {
    fn load(net: &wit::Network) -> Result<wit::Expert, wit::Error> {
        log::report_panics();
        let expert = T::load(&Network::new(net))?;
        Ok(wit::Expert::new(Self(expert)))
    }

    fn forward(&self, step: &wit::Step, hidden: wit::Tensor) -> Result<wit::Tensor, wit::Error> {
        let out = self
            .0
            .forward(&Step { raw: step }, Tensor { raw: hidden })?;
        Ok(out.raw)
    }
}

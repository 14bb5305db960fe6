//! Linear maps between the base's width and another one inside the pack.

use crate::{Init, Result, Value, Weight, Weights};

/// A way in and a way out: `y = u + Out(f(In(u)))`.
///
/// Weights: `adapter.in.weight` `[inner, width]` and `adapter.out.weight` `[width, inner]`. The
/// latter starts at zeros, so a fresh pack is the identity whatever is inside. Moving a pack to
/// a new version of its base means fitting these two again and nothing else.
///
/// ```no_run
/// use modularbase_pack::prelude::*;
///
/// /// A bottleneck of 16 values around the residual stream.
/// fn load(net: &Network) -> Result<Plan> {
///     let adapters = Adapters::declare(&net.weights(), net.width(), 16)?;
///     let out = adapters.around(&net.hidden()?, |x| x.silu())?;
///     net.finish(&out)
/// }
/// ```
#[derive(Debug)]
pub struct Adapters {
    inward: Weight,
    outward: Weight,
}

impl Adapters {
    /// Declares the two weights.
    ///
    /// # Errors
    ///
    /// When the pack's weights lack one of them, or one has another shape.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) -> Result<()> {
    /// let adapters = Adapters::declare(&net.weights(), net.width(), 256)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn declare(weights: &Weights<'_>, width: u32, inner: u32) -> Result<Self> {
        let weights = weights.at("adapter");
        Ok(Self {
            inward: weights.get("in.weight", &[inner, width], Init::fan_in(width))?,
            outward: weights.get("out.weight", &[width, inner], Init::Zeros)?,
        })
    }

    /// `u + Out(inside(In(u)))`.
    ///
    /// # Errors
    ///
    /// When `u` is not as wide as the adapters, or `inside` changes the width or fails.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(adapters: &Adapters, u: &Value) -> Result<()> {
    /// let y = adapters.around(u, |x| x.gelu())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn around<'n>(
        &self,
        u: &Value<'n>,
        inside: impl FnOnce(&Value<'n>) -> Result<Value<'n>>,
    ) -> Result<Value<'n>> {
        let x = u.linear(&self.inward)?;
        u.add(&inside(&x)?.linear(&self.outward)?)
    }
}

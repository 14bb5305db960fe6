//! A network under construction: what a pack is lent while it loads.
//!
//! `load` gets a [`Network`], reads its configuration, declares inputs and weights, computes
//! with [`Value`]s and closes a [`Plan`]. All of it ends with `load`: the lifetime `'n` keeps
//! values and weights from outliving it.

use std::fmt::Display;
use std::str::FromStr;

use crate::bindings::lent::modularbase::pack::network as wit;
use crate::{Plan, Result, Value, Weights, config};

/// A network under construction, lent to `load`.
///
/// ```no_run
/// use modularbase_pack::prelude::*;
///
/// /// A feed-forward layer around the residual stream.
/// fn describe(net: &Network) -> Result<Plan> {
///     let (width, inner) = (net.width(), net.require("feed-forward")?);
///     let weights = net.weights();
///     let gate = weights.get("gate.weight", &[inner, width], Init::fan_in(width))?;
///     let up = weights.get("up.weight", &[inner, width], Init::fan_in(width))?;
///     let down = weights.get("down.weight", &[width, inner], Init::Zeros)?;
///
///     let x = net.hidden()?;
///     let h = x.linear(&gate)?.swiglu(&x.linear(&up)?)?.linear(&down)?;
///     net.finish(&x.add(&h)?)
/// }
/// ```
#[derive(Debug)]
pub struct Network<'n> {
    raw: &'n wit::Network,
}

impl<'n> Network<'n> {
    pub(crate) fn new(raw: &'n wit::Network) -> Self {
        Self { raw }
    }

    /// A value of the manifest's `[model]` table as text; arrays are joined with commas.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) {
    /// if let Some(flavour) = net.config("flavour") {
    ///     log::info(&flavour);
    /// }
    /// # }
    /// ```
    pub fn config(&self, key: &str) -> Option<String> {
        self.raw.config(key)
    }

    /// A value of the manifest's `[model]` table, or `default` where the table has none.
    ///
    /// # Errors
    ///
    /// When the text is not a `T`; the error names the key and the text.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) -> Result<()> {
    /// let eps = net.config_or("norm-eps", 1e-5)?;
    /// # let _: f32 = eps;
    /// # Ok(())
    /// # }
    /// ```
    pub fn config_or<T: FromStr<Err: Display>>(&self, key: &str, default: T) -> Result<T> {
        Ok(config::read(&|key| self.config(key), key)?.unwrap_or(default))
    }

    /// A value that the manifest's `[model]` table must have.
    ///
    /// # Errors
    ///
    /// When the table has no such key, or its text is not a `T`.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) -> Result<()> {
    /// let layers = net.require::<u32>("layers")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn require<T: FromStr<Err: Display>>(&self, key: &str) -> Result<T> {
        config::require(&|key| self.config(key), key)
    }

    /// The variant that is being loaded, where the manifest lists variants.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) {
    /// let careful = net.variant().as_deref() == Some("careful");
    /// # }
    /// ```
    pub fn variant(&self) -> Option<String> {
        self.config("variant")
    }

    /// The width of the base's hidden rows.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) {
    /// let square = [net.width(), net.width()];
    /// # }
    /// ```
    pub fn width(&self) -> u32 {
        self.raw.width()
    }

    /// An input: the base's hidden rows. Each call declares a further input.
    ///
    /// # Errors
    ///
    /// When the network is closed or takes no such input.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) -> Result<()> {
    /// let hidden = net.hidden()?;
    /// assert_eq!(hidden.width(), net.width());
    /// # Ok(())
    /// # }
    /// ```
    pub fn hidden(&self) -> Result<Value<'n>> {
        Ok(Value::new(self.raw, self.raw.hidden()?))
    }

    /// An input: one row of the base's width for each sequence. Routers compute with it.
    ///
    /// # Errors
    ///
    /// When the network is closed or takes no such input.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) -> Result<()> {
    /// let turn = net.pooled()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn pooled(&self) -> Result<Value<'n>> {
        Ok(Value::new(self.raw, self.raw.pooled()?))
    }

    /// The step's token ids, opaque: good for [`Value::embed`] alone.
    ///
    /// # Errors
    ///
    /// When the network is closed or takes no such input.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) -> Result<()> {
    /// let table = net.weights().get("terms.weight", &[4096, net.width()], Init::Zeros)?;
    /// let terms = net.tokens()?.embed(&table)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tokens(&self) -> Result<Value<'n>> {
        Ok(Value::new(self.raw, self.raw.tokens()?))
    }

    /// The pack's weights, all of them; [`Weights::at`] narrows.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) -> Result<()> {
    /// let scale = net.weights().get("scale", &[net.width()], Init::Ones)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn weights(&self) -> Weights<'n> {
        Weights::root(self.raw)
    }

    /// Closes a plan over what `out` depends on. The network may go on to others.
    ///
    /// # Errors
    ///
    /// When the plan costs more than the host grants, or it would be the second one with
    /// attention.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) -> Result<()> {
    /// let plan = net.finish(&net.hidden()?.scale(0.5)?)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn finish(&self, out: &Value<'_>) -> Result<Plan> {
        let raw = self.raw.finish(&out.raw)?;
        Ok(Plan { raw })
    }
}

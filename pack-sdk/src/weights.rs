//! The pack's weights, declared by name.
//!
//! Reached through [`Network::weights`](crate::Network::weights) while a network is described.
//! A name here is the tensor's name in the pack's GGUF file, letter for letter.

use std::fmt::Write as _;

use crate::Result;
use crate::bindings::lent::modularbase::pack::network as wit;

/// What a weight holds before it is trained.
///
/// ```
/// use modularbase_pack::Init;
///
/// // The sum of 64 inputs of variance 1 keeps variance 1.
/// assert_eq!(Init::fan_in(64), Init::Normal(0.125));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Zeros: the last weight of a branch, so that a fresh pack changes nothing.
    Zeros,
    /// Ones: the weight of a norm.
    Ones,
    /// Normally distributed around zero with this standard deviation.
    Normal(f32),
}

impl Init {
    /// Normal with the standard deviation that keeps the size of what goes through a linear
    /// layer with `inputs` inputs.
    ///
    /// ```
    /// # use modularbase_pack::Init;
    /// assert_eq!(Init::fan_in(4), Init::Normal(0.5));
    /// ```
    pub fn fan_in(inputs: u32) -> Self {
        Self::Normal(1.0 / (inputs.max(1) as f32).sqrt())
    }
}

/// The weights below a name; [`at`](Weights::at) goes further down, like `cd`.
///
/// ```no_run
/// # use modularbase_pack::prelude::*;
/// # fn example(net: &Network) -> Result<()> {
/// let block = net.weights().at("blk.0");
/// let norm = block.get("attn_norm.weight", &[64], Init::Ones)?; // blk.0.attn_norm.weight
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Weights<'n> {
    net: &'n wit::Network,
    /// Empty, or ends in a dot.
    prefix: String,
}

impl<'n> Weights<'n> {
    pub(crate) fn root(net: &'n wit::Network) -> Self {
        Self {
            net,
            prefix: String::new(),
        }
    }

    /// The weights below `name`.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) {
    /// for layer in 0..4 {
    ///     let block = net.weights().at("blk").at(layer);
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        let mut prefix = self.prefix.clone();
        // Writing to a string cannot fail.
        let _ = write!(prefix, "{name}.");
        Self {
            net: self.net,
            prefix,
        }
    }

    /// Declares a weight of this shape, outermost dimension first: a linear layer from `in` to
    /// `out` is `[out, in]`.
    ///
    /// When the pack has weights already, this one must be among them with this shape; when it
    /// has none yet, `init` says what it starts from. The same name and shape again give the
    /// same weight, which is how weights are tied.
    ///
    /// # Errors
    ///
    /// When the pack's weights have no such name, or another shape there.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network) -> Result<()> {
    /// let up = net.weights().get("up.weight", &[128, 64], Init::fan_in(64))?;
    /// assert_eq!(up.shape(), [128, 64]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self, name: &str, shape: &[u32], init: Init) -> Result<Weight> {
        let name = format!("{}{name}", self.prefix);
        let init = match init {
            Init::Zeros => wit::Init::Zeros,
            Init::Ones => wit::Init::Ones,
            Init::Normal(deviation) => wit::Init::Normal(deviation),
        };
        let raw = self.net.weight(&name, shape, init)?;
        Ok(Weight { raw })
    }
}

/// A declared weight, good for the network that it was declared in.
///
/// ```no_run
/// # use modularbase_pack::prelude::*;
/// # fn example(net: &Network) -> Result<()> {
/// let weight: Weight = net.weights().get("scale", &[64], Init::Ones)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Weight {
    pub(crate) raw: wit::Weight,
}

impl Weight {
    /// The shape it was declared with.
    ///
    /// ```no_run
    /// # fn example(weight: &modularbase_pack::Weight) {
    /// assert_eq!(weight.shape().len(), 2);
    /// # }
    /// ```
    pub fn shape(&self) -> Vec<u32> {
        self.raw.shape()
    }
}

//! A stack of blocks, with adapters around it where the configuration asks for them.

use crate::{Adapters, Block, BlockConfig, Result, Value, Weights};

/// All of a pack's blocks, `blk.0` and on: the residual stream in, the residual stream out.
///
/// ```no_run
/// use modularbase_pack::prelude::*;
///
/// fn load(net: &Network) -> Result<Plan> {
///     let config = BlockConfig::from_network(net)?;
///     let blocks = Blocks::declare(&net.weights(), &config)?;
///     net.finish(&blocks.apply(&net.hidden()?)?)
/// }
/// ```
#[derive(Debug)]
pub struct Blocks {
    adapters: Option<Adapters>,
    blocks: Vec<Block>,
}

impl Blocks {
    /// Declares the weights of `config.layers` blocks, and of the adapters under
    /// `config.adapters`.
    ///
    /// # Errors
    ///
    /// When the pack's weights lack one of them, or one has another shape.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network, config: &BlockConfig) -> Result<()> {
    /// let blocks = Blocks::declare(&net.weights(), config)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn declare(weights: &Weights<'_>, config: &BlockConfig) -> Result<Self> {
        let adapters = match config.adapters {
            true => Some(Adapters::declare(weights, config.base_width, config.width)?),
            false => None,
        };
        let block = |layer| Block::declare(&weights.at("blk").at(layer), config);
        let blocks = (0..config.layers).map(block).collect::<Result<_>>()?;
        Ok(Self { adapters, blocks })
    }

    /// The stack over the hidden rows `u`: the blocks alone, or `u + Out(Blocks(In(u)))`.
    ///
    /// # Errors
    ///
    /// When `u` has another width than the base.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(net: &Network, blocks: &Blocks) -> Result<()> {
    /// let y = blocks.apply(&net.hidden()?)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn apply<'n>(&self, u: &Value<'n>) -> Result<Value<'n>> {
        match &self.adapters {
            Some(adapters) => adapters.around(u, |x| self.run(x)),
            None => self.run(u),
        }
    }

    fn run<'n>(&self, u: &Value<'n>) -> Result<Value<'n>> {
        let mut x = None;
        for (layer, block) in self.blocks.iter().enumerate() {
            let lane = format!("blk.{layer}");
            x = Some(block.apply(&lane, x.as_ref().unwrap_or(u))?);
        }
        x.ok_or_else(|| "`layers` is 0, expected at least 1".into())
    }
}

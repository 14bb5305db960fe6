//! What travels through a pack at every step: opaque tensors, the step they belong to, and the
//! plan that turns one into the next.
//!
//! An expert's `forward` is the caller. Nothing here can be made by a pack: tensors and steps
//! come from the host, plans from [`Network::finish`](crate::Network::finish).

use crate::Result;
use crate::bindings::lent::modularbase::pack::{network, tensors};

/// Rows of 32-bit floats held by the host; a pack cannot read their values.
///
/// A tensor dies with its step. Keeping one after `forward` has returned, or using it in
/// another step, ends the guest.
///
/// ```no_run
/// use modularbase_pack::Tensor;
///
/// fn numbers(hidden: &Tensor) -> u32 {
///     hidden.rows() * hidden.width()
/// }
/// ```
#[derive(Debug)]
pub struct Tensor {
    pub(crate) raw: tensors::Tensor,
}

impl Tensor {
    /// How many rows it has.
    ///
    /// ```no_run
    /// # fn example(hidden: &modularbase_pack::Tensor) {
    /// assert!(hidden.rows() > 0);
    /// # }
    /// ```
    pub fn rows(&self) -> u32 {
        self.raw.rows()
    }

    /// How many values a row has.
    ///
    /// ```no_run
    /// # fn example(hidden: &modularbase_pack::Tensor) {
    /// assert_eq!(hidden.width(), 64);
    /// # }
    /// ```
    pub fn width(&self) -> u32 {
        self.raw.width()
    }
}

/// One pass over a batch: rows of several sequences side by side.
///
/// The host knows which row belongs to which sequence and position; the pack does not, and is
/// batched without noticing. A step is only ever passed on to [`Plan::run`].
///
/// ```no_run
/// # use modularbase_pack::prelude::*;
/// fn forward(plan: &Plan, step: &Step, hidden: Tensor) -> Result<Tensor> {
///     plan.run(step, &[&hidden])
/// }
/// ```
#[derive(Debug)]
pub struct Step<'s> {
    pub(crate) raw: &'s tensors::Step,
}

/// A checked network, ready to run.
///
/// ```no_run
/// # use modularbase_pack::prelude::*;
/// struct MyExpert {
///     plan: Plan,
/// }
///
/// impl MyExpert {
///     fn load(net: &Network) -> Result<Self> {
///         let hidden = net.hidden()?;
///         Ok(Self { plan: net.finish(&hidden)? })
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Plan {
    pub(crate) raw: network::Plan,
}

impl Plan {
    /// Runs the plan over the step's rows.
    ///
    /// `inputs` are the plan's inputs in the order in which
    /// [`Network::hidden`](crate::Network::hidden) declared them. A plan with attention keeps
    /// state: an expert makes at most one and runs it exactly once in each `forward`.
    ///
    /// # Errors
    ///
    /// When the inputs are not those that the plan declared, or the host's budget is spent.
    ///
    /// ```no_run
    /// # use modularbase_pack::prelude::*;
    /// # fn example(plan: &Plan, step: &Step, hidden: Tensor) -> Result<Tensor> {
    /// let out = plan.run(step, &[&hidden])?;
    /// # Ok(out)
    /// # }
    /// ```
    pub fn run(&self, step: &Step<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        let inputs: Vec<&tensors::Tensor> = inputs.iter().map(|input| &input.raw).collect();
        let raw = self.raw.run(step.raw, &inputs)?;
        Ok(Tensor { raw })
    }
}

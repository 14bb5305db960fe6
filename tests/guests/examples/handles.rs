//! Experts that make up, keep, drop and hoard handles. Written against the contract without
//! the SDK, whose types would not let them.

// Only wasm has names like the contract's; a native linker would stumble over them.
#![cfg(target_arch = "wasm32")]
#![allow(
    missing_docs,
    reason = "the contract documents what is generated from it"
)]

use std::cell::{Cell, RefCell};

wit_bindgen::generate!({ path: "../../wit", world: "expert-pack" });

use exports::modularbase::pack::expert::{Expert, Guest, GuestExpert};
use modularbase::pack::network::{Init, Network, Plan, Value};
use modularbase::pack::tensors::{Error, Step, Tensor};

struct Component;

struct Handles {
    behaviour: String,
    network: u32,
    value: Value,
    plan: Plan,
    kept: RefCell<Vec<Tensor>>,
    earlier: Cell<u32>,
}

impl Drop for Handles {
    fn drop(&mut self) {
        panic!("the destructor panics");
    }
}

impl Guest for Component {
    type Expert = Handles;
}

impl GuestExpert for Handles {
    fn load(net: &Network) -> Result<Expert, Error> {
        let behaviour = net.config("do").unwrap_or_default();
        if behaviour == "flood weights" {
            loop {
                std::mem::forget(net.weight("w", &[1], Init::Zeros)?);
            }
        }
        let x = net.hidden()?;
        let plan = net.finish(&net.scale(&x, 0.5)?)?;
        let made = Expert::new(Self {
            network: net.handle(),
            value: x,
            plan,
            kept: RefCell::default(),
            earlier: Cell::new(0),
            behaviour,
        });
        if made.get::<Self>().behaviour == "trap in a destructor" {
            drop(made);
            return Err(Error::Other("it survived".into()));
        }
        Ok(made)
    }

    fn forward(&self, step: &Step, hidden: Tensor) -> Result<Tensor, Error> {
        // SAFETY: none. These are made up, or dropped already: the host must not care.
        let tensor = |handle| unsafe { Tensor::from_handle(handle) };
        match self.behaviour.as_str() {
            "forge a tensor" => drop(tensor(4321).rows()),
            "forge a result" => return Ok(tensor(4321)),
            "take a step for a tensor" => drop(tensor(step.handle()).rows()),
            "use a dropped tensor" => {
                let handle = hidden.handle();
                drop(hidden);
                return Ok(tensor(handle));
            }
            "drop a tensor twice" => {
                drop(tensor(hidden.handle()));
            }
            "use the network in forward" => {
                // SAFETY: none, as above.
                let net = unsafe { Network::from_handle(self.network) };
                std::mem::forget(net.hidden()?);
            }
            "use a value in forward" => {
                let width = self.value.width();
                return Err(Error::Other(format!("the value has width {width}")));
            }
            "keep a tensor" => self
                .kept
                .borrow_mut()
                .push(self.plan.run(step, &[&hidden])?),
            "use a tensor of an earlier step" => {
                let made = self.plan.run(step, &[&hidden])?;
                let before = self.earlier.replace(made.handle());
                // Something else has that number by now, or nothing has.
                drop((made, tensor(before)));
            }
            "flood tensors" => loop {
                std::mem::forget(self.plan.run(step, &[&hidden])?);
            },
            "run without an end" => loop {
                drop(self.plan.run(step, &[&hidden])?);
            },
            "flood and swallow" => while self.plan.run(step, &[&hidden]).is_ok() {},
            _ => {}
        }
        Ok(hidden)
    }
}

export!(Component);

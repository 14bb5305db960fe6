//! A pack built against the frozen copy of contract 0.1.0, without the SDK: it must run on
//! every host that says it speaks 0.1.

// Only wasm has names like the contract's; a native linker would stumble over them.
#![cfg(target_arch = "wasm32")]
#![allow(
    missing_docs,
    reason = "the contract documents what is generated from it"
)]

wit_bindgen::generate!({ path: "../../wit/released/0.1.0", world: "expert-pack" });

use exports::modularbase::pack::expert::{Expert, Guest, GuestExpert};
use modularbase::pack::network::{Network, Plan};
use modularbase::pack::tensors::{Error, Step, Tensor};

struct Component;

struct Released(Plan);

impl Guest for Component {
    type Expert = Released;
}

impl GuestExpert for Released {
    fn load(net: &Network) -> Result<Expert, Error> {
        let x = net.hidden()?;
        let plan = net.finish(&net.scale(&x, 0.5)?)?;
        Ok(Expert::new(Self(plan)))
    }

    fn forward(&self, step: &Step, hidden: Tensor) -> Result<Tensor, Error> {
        self.0.run(step, &[&hidden])
    }
}

export!(Component);

//! Experts that push too much over the border. Written against the contract without the SDK,
//! to reach its lists.

// Only wasm has names like the contract's; a native linker would stumble over them.
#![cfg(target_arch = "wasm32")]
#![allow(
    missing_docs,
    reason = "the contract documents what is generated from it"
)]

wit_bindgen::generate!({ path: "../../wit", world: "expert-pack" });

use exports::modularbase::pack::expert::{Expert, Guest, GuestExpert};
use modularbase::pack::log::{Level, write};
use modularbase::pack::network::{Init, Network};
use modularbase::pack::tensors::{Error, Step, Tensor};

struct Component;

struct Border(String);

const MIB: usize = 1 << 20;

/// A text that claims to be longer than the guest's memory.
fn lie() -> &'static str {
    // SAFETY: none. The host must look before it reads.
    unsafe {
        let bytes = std::slice::from_raw_parts(std::hint::black_box(1024) as *const u8, 100 * MIB);
        std::str::from_utf8_unchecked(bytes)
    }
}

impl Guest for Component {
    type Expert = Border;
}

impl GuestExpert for Border {
    fn load(net: &Network) -> Result<Expert, Error> {
        let behaviour = net.config("do").unwrap_or_default();
        let x = net.hidden()?;
        match behaviour.as_str() {
            "100 MB of text that is not there" => drop(net.config(lie())),
            "20 MB of text" => drop(net.config(&"x".repeat(20 * MIB))),
            "text that is not UTF-8" => {
                let bytes = [0xff; 8];
                // SAFETY: none. The host must look before it believes.
                drop(net.config(unsafe { std::str::from_utf8_unchecked(&bytes) }));
            }
            "a list of millions" => drop(net.concat(&vec![&x; 2_200_000])?),
            "a shape of millions" => drop(net.weight("w", &vec![1; 2_200_000], Init::Zeros)?),
            "options without number" => {
                let how = vec![(String::new(), String::new()); 400_000];
                drop(net.mix(&x, &x, &x, &how)?);
            }
            "an error of 20 MB" => return Err(Error::Other("x".repeat(20 * MIB))),
            "an error of 4 MB" => return Err(Error::Other("x".repeat(4 * MIB))),
            "a log line of 20 MB" => write(Level::Info, &"x".repeat(20 * MIB)),
            _ => {}
        }
        Ok(Expert::new(Self(behaviour)))
    }

    fn forward(&self, _: &Step, hidden: Tensor) -> Result<Tensor, Error> {
        match self.0.as_str() {
            "an error of 20 MB in forward" => Err(Error::Other("x".repeat(20 * MIB))),
            _ => Ok(hidden),
        }
    }
}

export!(Component);

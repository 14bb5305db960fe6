//! What `wasmtime` generates from `wit/`, caged: only this door sees it.
//!
//! Resources are the types of `state`. A function that the contract gives a `result` returns a
//! [`Fault`], so that `?` sorts what the guest is told from what ends it.

#![allow(
    missing_docs,
    reason = "generated; `wit/` documents what each item means"
)]

use super::state::{self, Fault};

wasmtime::component::bindgen!({
    path: "../wit",
    inline: "
        package modularbase:host;

        world host {
            include modularbase:pack/imports@0.1.0;
            export modularbase:pack/expert@0.1.0;
            export modularbase:pack/router@0.1.0;
            export modularbase:pack/hooks@0.1.0;
        }
    ",
    world: "modularbase:host/host",
    imports: { default: trappable },
    trappable_error_type: {
        "modularbase:pack/tensors@0.1.0.error" => Fault,
    },
    with: {
        "modularbase:pack/tensors@0.1.0.tensor": crate::tensor::Tensor,
        "modularbase:pack/tensors@0.1.0.step": state::StepHandle,
        "modularbase:pack/network@0.1.0.network": state::NetworkHandle,
        "modularbase:pack/network@0.1.0.weight": state::Weight,
        "modularbase:pack/network@0.1.0.value": state::Value,
        "modularbase:pack/network@0.1.0.plan": state::GuestPlan,
        "modularbase:pack/routing@0.1.0.query": state::Query,
        "modularbase:pack/routing@0.1.0.answer": crate::roles::Answer,
        "modularbase:pack/turns@0.1.0.turn": crate::roles::Turn,
        "modularbase:pack/turns@0.1.0.advice": crate::roles::Advice,
        "modularbase:pack/turns@0.1.0.reply": crate::roles::Reply,
        "modularbase:pack/turns@0.1.0.verdict": crate::roles::Verdict,
    },
});

//! What `wit-bindgen` makes of the contract, caged: nothing outside this crate names it, but
//! for the export macros, which reach it through `__private`.
//!
//! One module for all that the host lends and one for each role a pack may export. The roles
//! share the first one's types, so that one crate may export several roles, and each is its
//! own world, so that a component exports what its author asked for and no more.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

pub mod lent {
    wit_bindgen::generate!({
        path: "wit",
        world: "imports",
        generate_unused_types: true,
    });
}

pub mod expert {
    wit_bindgen::generate!({
        path: "wit",
        world: "expert-pack",
        pub_export_macro: true,
        export_macro_name: "export_expert_role",
        with: {
            "modularbase:pack/log@0.1.0": crate::bindings::lent::modularbase::pack::log,
            "modularbase:pack/tensors@0.1.0": crate::bindings::lent::modularbase::pack::tensors,
            "modularbase:pack/network@0.1.0": crate::bindings::lent::modularbase::pack::network,
        },
    });
}

pub mod router {
    wit_bindgen::generate!({
        path: "wit",
        world: "router-pack",
        pub_export_macro: true,
        export_macro_name: "export_router_role",
        with: {
            "modularbase:pack/log@0.1.0": crate::bindings::lent::modularbase::pack::log,
            "modularbase:pack/tensors@0.1.0": crate::bindings::lent::modularbase::pack::tensors,
            "modularbase:pack/network@0.1.0": crate::bindings::lent::modularbase::pack::network,
            "modularbase:pack/routing@0.1.0": crate::bindings::lent::modularbase::pack::routing,
            "modularbase:pack/readback@0.1.0": crate::bindings::lent::modularbase::pack::readback,
        },
    });
}

pub mod hooks {
    wit_bindgen::generate!({
        path: "wit",
        world: "hooks-pack",
        pub_export_macro: true,
        export_macro_name: "export_hooks_role",
        with: {
            "modularbase:pack/log@0.1.0": crate::bindings::lent::modularbase::pack::log,
            "modularbase:pack/tensors@0.1.0": crate::bindings::lent::modularbase::pack::tensors,
            "modularbase:pack/turns@0.1.0": crate::bindings::lent::modularbase::pack::turns,
        },
    });
}

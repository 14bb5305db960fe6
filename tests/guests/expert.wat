;; An expert that gives back what it gets, by hand: for what no compiler would write.
;; Names in braces are places for the test's own text.
(module
  (import "modularbase:pack/network@0.1.0" "[resource-drop]network"
    (func $drop-network (param i32)))
  (import "modularbase:pack/tensors@0.1.0" "[resource-drop]step"
    (func $drop-step (param i32)))
  (import "[export]modularbase:pack/expert@0.1.0" "[resource-new]expert"
    (func $new-expert (param i32) (result i32)))
  (memory (export "memory") {memory})
  {items}
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    unreachable)
  (func (export "modularbase:pack/expert@0.1.0#[static]expert.load")
    (param $net i32) (result i32)
    {load}
    (call $drop-network (local.get $net))
    ;; Ok, and the handle of the expert.
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.store (i32.const 20) (call $new-expert (i32.const 0)))
    (i32.const 16))
  (func (export "modularbase:pack/expert@0.1.0#[method]expert.forward")
    (param $self i32) (param $step i32) (param $hidden i32) (result i32)
    {forward}
    (call $drop-step (local.get $step))
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.store (i32.const 20) (local.get $hidden))
    (i32.const 16)))

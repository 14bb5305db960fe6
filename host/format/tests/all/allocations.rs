//! Watches how much memory one call asks for. Owns the allocator of this test binary.
//!
//! Readers must not believe a count in a foreign file: a test that damages files holds each read
//! to a small multiple of the file's size.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the cell beside it needs no memory
// of its own and no destructor.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller keeps `alloc`'s promises, which are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `alloc` above, so from the system.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// What `call` returns, and the largest piece of memory that it asked for on this thread.
pub fn largest<T>(call: impl FnOnce() -> T) -> (T, usize) {
    LARGEST.with(|largest| largest.set(0));
    let result = call();
    (result, LARGEST.with(Cell::get))
}

#[test]
fn the_watch_sees_what_is_allocated() {
    let (vec, largest) = largest(|| vec![1u8; 12_345]);
    assert_eq!(vec.len(), 12_345);
    assert!(largest >= 12_345);
}

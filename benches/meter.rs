//! What a process costs the machine: its heap, its page faults, what of a file it has touched.
//!
//! Linux tells all but the heap in `/proc/self`; the heap is counted where it is asked for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[global_allocator]
static HEAP: Counting = Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
struct Counting;

fn grown(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    MOST.fetch_max(now, Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came, and counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Bytes of heap: as many as are in use, and the most that were since [`heap_anew`].
pub fn heap() -> (usize, usize) {
    (NOW.load(Relaxed), MOST.load(Relaxed))
}

/// Begins to look for the most anew.
pub fn heap_anew() {
    MOST.store(NOW.load(Relaxed), Relaxed);
}

/// Page faults of this process so far: those that found their page in memory, and those that
/// waited for the disk.
pub fn faults() -> (u64, u64) {
    let stat = read("/proc/self/stat");
    // The name in parentheses may hold anything; the faults are the 10th and the 12th field.
    let (_, rest) = stat.rsplit_once(')').expect("it has a name");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields[at - 3].parse().expect("it is a number");
    (number(10), number(12))
}

/// Bytes of mapped files that are in this process's page tables; of those with `part` in their
/// path.
pub fn resident(part: &str) -> usize {
    let (mut inside, mut kib) = (false, 0);
    for line in read("/proc/self/smaps").lines() {
        let first = line.split(' ').next().expect("there is a first part");
        if !first.ends_with(':') {
            inside = line.contains(part);
        } else if inside && first == "Rss:" {
            let number = line.split_whitespace().nth(1).expect("it has a number");
            kib += number.parse::<usize>().expect("it is a number");
        }
    }
    kib << 10
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).expect("Linux tells")
}

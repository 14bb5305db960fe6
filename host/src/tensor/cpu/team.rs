//! Threads of one device, and how work is cut for them.
//!
//! The pool is entered once a run; inside, operations hand out pieces. How work is cut never
//! changes a bit: a piece is whole rows or whole outputs, each computed alone. Idle threads
//! sleep, and nothing is shared with another device in the process.

use std::sync::OnceLock;

use rayon::prelude::*;

/// The threads of a device. They start with the first step that is worth them.
pub(super) struct Team {
    threads: usize,
    pool: OnceLock<Option<rayon::ThreadPool>>,
}

/// The hands that a run works with: one, or all of a team's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hands {
    count: usize,
}

/// Runs of fewer operations than this stay on the calling thread. One thread does about this
/// many in a hundred microseconds; entering the pool and waking a second costs twenty, which a
/// row through a million 8-bit parameters (forty microseconds alone) did not get back.
const WORTH_ENTERING: u64 = 6_000_000;

/// Pieces of fewer multiplications than this are not worth handing to another thread.
const WORTH_SHARING: usize = 1 << 16;

impl Team {
    pub fn new(threads: usize) -> Self {
        Self {
            threads: threads.max(1),
            pool: OnceLock::new(),
        }
    }

    /// Calls `run` with the hands that `operations` are worth.
    pub fn enter<R: Send>(&self, operations: u64, run: impl FnOnce(Hands) -> R + Send) -> R {
        if self.threads > 1 && operations >= WORTH_ENTERING {
            let pool = self.pool.get_or_init(|| {
                // Without threads the device still works, with the caller's alone.
                rayon::ThreadPoolBuilder::new()
                    .num_threads(self.threads)
                    .thread_name(|n| format!("modularbase-cpu-{n}"))
                    .build()
                    .ok()
            });
            if let Some(pool) = pool {
                let count = self.threads;
                return pool.install(|| run(Hands { count }));
            }
        }
        run(Hands { count: 1 })
    }
}

impl Hands {
    /// The calling thread.
    #[cfg(test)]
    pub const ONE: Self = Self { count: 1 };

    /// How many there are.
    pub fn count(self) -> usize {
        self.count
    }

    /// One hand alone when `multiplications` are too few to share.
    pub fn for_work(self, multiplications: usize) -> Self {
        if multiplications < WORTH_SHARING {
            Self { count: 1 }
        } else {
            self
        }
    }

    /// Calls `work` with every number below `pieces`.
    pub fn each(self, pieces: usize, work: impl Fn(usize) + Sync + Send) {
        if self.count == 1 || pieces <= 1 {
            (0..pieces).for_each(work);
        } else {
            (0..pieces).into_par_iter().with_max_len(1).for_each(work);
        }
    }

    /// Calls `work` with every row of `out` and its number; `cost` is a row's multiplications.
    pub fn rows(
        self,
        out: &mut [f32],
        width: usize,
        cost: usize,
        work: impl Fn(usize, &mut [f32]) + Sync + Send,
    ) {
        let rows = out.len() / width;
        let hands = self.for_work(rows.saturating_mul(cost));
        if hands.count == 1 {
            for (at, row) in out.chunks_exact_mut(width).enumerate() {
                work(at, row);
            }
            return;
        }
        let piece = (WORTH_SHARING / 4 / cost.max(1)).clamp(1, rows);
        out.par_chunks_mut(piece * width)
            .enumerate()
            .for_each(|(number, rows)| {
                for (at, row) in rows.chunks_exact_mut(width).enumerate() {
                    work(number * piece + at, row);
                }
            });
    }
}

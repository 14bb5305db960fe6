//! A host with a good pack in it, and the step that every expert is given.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use modularbase::pack::{GuestExpert, Limits, Pack, Sandbox, Work};
use modularbase::plan::Quota;
use modularbase::roles::{Expert, Failure};
use modularbase::tensor::{Device, Ledger, Span, Step, Tensor};

use crate::support::{Gguf, Source, guest};

/// The width of the base's rows.
pub const WIDTH: usize = 8;

/// How long a guest may take, in any call.
pub const DEADLINE: Duration = Duration::from_millis(250);

/// A host: a sandbox, a device, a ledger, and a good pack at work.
pub struct World {
    pub sandbox: Sandbox,
    pub device: Device,
    pub ledger: Ledger,
    good: Pack,
    at_work: RefCell<GuestExpert>,
    expected: Vec<u32>,
}

/// The default limits with less patience, so that all of this takes a minute at most.
pub fn limits() -> Limits {
    let work = |fuel| Work {
        fuel,
        deadline: DEADLINE,
    };
    Limits {
        handles: 5_000,
        load: work(50_000_000),
        forward: work(20_000_000),
        turn: work(50_000_000),
        quota: Quota {
            operations: 4_096,
            weights: 4_096,
            weight_bytes: 1 << 30,
            activation_bytes: 1 << 20,
            width: 1 << 16,
            ..Quota::default()
        },
        ..Limits::default()
    }
}

/// A step over these spans: sequence, start, rows.
pub fn step(spans: &[(u64, usize, usize)]) -> Arc<Step> {
    let span = |&(sequence, start, rows): &(u64, usize, usize)| Span {
        sequence,
        start,
        rows,
    };
    let tokens = spans.iter().map(|&(_, _, rows)| rows).sum();
    let step = Step::new(spans.iter().map(span).collect(), vec![0; tokens]);
    Arc::new(step.expect("the step is sound"))
}

/// Rows that are not all alike.
pub fn rows(count: usize, seed: u64) -> Tensor {
    let number = |n: usize| ((n as u64 * 37 + seed * 101) % 113) as f32 / 64.0 - 0.875;
    Tensor::new(WIDTH, (0..count * WIDTH).map(number).collect())
}

/// A tensor's bits.
pub fn bits(tensor: &Tensor) -> Vec<u32> {
    let numbers = tensor.to_vec().expect("it is in memory");
    numbers.into_iter().map(f32::to_bits).collect()
}

/// The good pack.
pub fn good() -> Source {
    let square = |gguf: Gguf, name: &str, seed: usize| {
        gguf.floats(name, &[WIDTH, WIDTH], move |n| {
            ((n * 29 + seed * 7) % 61) as f32 / 61.0 - 0.5
        })
    };
    let weights = Gguf::new().floats("norm", &[WIDTH], |n| 1.0 + n as f32 / 16.0);
    let names = ["q", "k", "v", "out"].iter().enumerate();
    let weights = names.fold(weights, |gguf, (seed, name)| square(gguf, name, seed));
    Source::new("good", guest("good")).weights(weights)
}

/// A prompt and one row after it, in a sequence that is forgotten again.
pub fn serve(expert: &mut GuestExpert) -> Result<Vec<u32>, Failure> {
    let mut out = bits(&expert.begin(&step(&[(7, 0, 70)]), &rows(70, 1)).wait()?);
    out.extend(bits(
        &expert.begin(&step(&[(7, 70, 1)]), &rows(1, 2)).wait()?,
    ));
    expert.truncate(7, 0);
    Ok(out)
}

impl World {
    pub fn new() -> Self {
        let sandbox = Sandbox::new(limits());
        let device = Device::cpu();
        let ledger = Ledger::new(64 << 20);
        let good = good().open(&sandbox);
        let mut at_work = good.expert(&device, &ledger, None).expect("it loads");
        let expected = serve(&mut at_work).expect("it runs");
        Self {
            sandbox,
            device,
            ledger,
            good,
            at_work: at_work.into(),
            expected,
        }
    }

    /// Loads a pack's expert and gives it two steps.
    pub fn run(&self, pack: &Pack) -> Result<(), Failure> {
        let mut expert = pack.expert(&self.device, &self.ledger, None)?;
        expert.begin(&step(&[(1, 0, 3)]), &rows(3, 3)).wait()?;
        expert.begin(&step(&[(1, 3, 1)]), &rows(1, 4)).wait()?;
        Ok(())
    }

    /// Whether the good pack, at work all the time, gives the bits it gave before.
    pub fn serves(&self) -> bool {
        serve(&mut self.at_work.borrow_mut()).as_ref() == Ok(&self.expected)
    }

    /// Whether the good pack can be loaded anew and gives the bits it gave before.
    pub fn loads(&self) -> bool {
        let expert = self.good.expert(&self.device, &self.ledger, None);
        expert.and_then(|mut expert| serve(&mut expert)).as_ref() == Ok(&self.expected)
    }
}

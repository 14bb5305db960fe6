//! A behaviour and how it must end; the table of how it did.

use std::fmt::Write;
use std::time::{Duration, Instant};

use modularbase::pack::{Limits, PackError, Sandbox};
use modularbase::roles::Failure;

use super::world::{DEADLINE, World, limits};
use crate::support::{Source, guest, try_open};

/// What may pass after its time until the guest is gone and the good pack has made its next step.
const GRACE: Duration = Duration::from_millis(100);

/// How often something that took too long is done before it counts: another process can take
/// the machine away once, or twice, but a host that is late is late each time.
const TRIES: usize = 3;

/// How a behaviour ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing comes of it.
    Nothing,
    /// The pack, or what it asked for, is refused; it could be asked again.
    Refusal,
    /// The guest is gone.
    Breach,
    /// The host's fault: never right.
    Outage,
    /// The pack is not opened, for what its code or its manifest is.
    NotOpened,
    /// The file is not sound; there may be no manifest to tell the pack's name.
    Unsound,
}

/// How a behaviour ended, in words.
pub struct Ended {
    end: End,
    message: String,
}

/// What is done to the host. What it must not be timed for, it does before it starts the watch.
type Act = Box<dyn Fn(&World, &mut Instant) -> Result<(), Ended>>;

/// A behaviour and how it must end.
pub struct Case {
    behaviour: String,
    end: End,
    words: &'static str,
    within: Duration,
    act: Act,
}

/// What came of a case.
pub struct Row {
    behaviour: String,
    expected: End,
    words: &'static str,
    within: Duration,
    ended: Ended,
    took: Duration,
    recovered: Duration,
    tried: usize,
    harm: Vec<&'static str>,
}

impl Case {
    /// Anything. `words` is what the message must say.
    pub fn new(
        behaviour: &str,
        end: End,
        words: &'static str,
        act: impl Fn(&World, &mut Instant) -> Result<(), Ended> + 'static,
    ) -> Self {
        Self {
            behaviour: behaviour.to_owned(),
            end,
            words,
            within: DEADLINE,
            act: Box::new(act),
        }
    }

    /// An expert that is told to `behave`, loaded and given two steps.
    pub fn expert(name: &str, behave: &str, end: End, words: &'static str) -> Self {
        Self::expert_with(name, behave, end, words, |source| source)
    }

    /// The same with another pack around it.
    pub fn expert_with(
        name: &str,
        behave: &str,
        end: End,
        words: &'static str,
        pack: impl FnOnce(Source) -> Source,
    ) -> Self {
        let source = pack(told(name, behave));
        Self::new(behave, end, words, move |world, watch| {
            let pack = source.try_open(&world.sandbox)?;
            *watch = Instant::now();
            Ok(world.run(&pack)?)
        })
    }

    /// The same in a sandbox of other limits.
    pub fn expert_within(
        name: &str,
        behave: &str,
        end: End,
        words: &'static str,
        change: impl FnOnce(&mut Limits),
    ) -> Self {
        let source = told(name, behave);
        let mut limits = limits();
        change(&mut limits);
        Self::new(behave, end, words, move |world, watch| {
            let pack = source.try_open(&Sandbox::new(limits.clone()))?;
            *watch = Instant::now();
            Ok(world.run(&pack)?)
        })
    }

    /// A pack that is opened and, should it be let in, loaded and run.
    pub fn open(behaviour: &str, end: End, words: &'static str, pack: impl Into<Bytes>) -> Self {
        let Bytes(bytes) = pack.into();
        let open = move |world: &World, watch: &mut Instant| {
            *watch = Instant::now();
            let pack = try_open(&bytes, &world.sandbox)?;
            Ok(world.run(&pack)?)
        };
        // Judging and compiling is work that a user waits for; it has a bound of its own.
        Self::new(behaviour, end, words, open).within(Duration::from_secs(2))
    }

    /// Another bound on the time than a guest's deadline.
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// Another name than what the guest is told.
    pub fn called(self, behaviour: &str) -> Self {
        let behaviour = behaviour.to_owned();
        Self { behaviour, ..self }
    }

    /// Does it, and looks at what the host is afterwards; again, when it was nothing but late.
    pub fn run(self, world: &World) -> Row {
        let mut tried = 1;
        loop {
            let row = self.once(world);
            if tried == TRIES || !row.is_late() || !row.faults().is_empty() {
                return Row { tried, ..row };
            }
            tried += 1;
        }
    }

    fn once(&self, world: &World) -> Row {
        let held = world.ledger.owners();
        let mut watch = Instant::now();
        let done = (self.act)(world, &mut watch);
        let took = watch.elapsed();
        let again = Instant::now();
        let serves = world.serves();
        let recovered = again.elapsed();
        let mut harm = Vec::new();
        if !serves {
            harm.push("the good pack at work gives other bits");
        }
        if !world.loads() {
            harm.push("the good pack loaded anew gives other bits");
        }
        if world.ledger.owners() != held {
            harm.push("the ledger holds something that it did not");
        }
        let ended = done.err().unwrap_or(Ended {
            end: End::Nothing,
            message: String::new(),
        });
        Row {
            behaviour: self.behaviour.clone(),
            expected: self.end,
            words: self.words,
            within: self.within,
            ended,
            took,
            recovered,
            tried: 1,
            harm,
        }
    }
}

/// The bytes of a pack file, sound or not.
pub struct Bytes(Vec<u8>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<Source> for Bytes {
    fn from(source: Source) -> Self {
        Self(source.bytes())
    }
}

/// A pack of a guest that is told to `behave`.
pub fn told(name: &str, behave: &str) -> Source {
    Source::new("hostile", guest(name)).model(&format!("do = \"{behave}\""))
}

impl Row {
    /// What is not as it must be.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = self.faults();
        if self.is_late() {
            let (took, recovered, tried) = (self.took, self.recovered, self.tried);
            let most = self.within + GRACE;
            wrong.push(format!(
                "took {took:?} and {recovered:?} for the good pack's step, expected at most \
                 {most:?} for both; tried {tried} times"
            ));
        }
        let behaviour = &self.behaviour;
        let say = |wrong| format!("{behaviour}: {wrong}");
        wrong.into_iter().map(say).collect()
    }

    /// Whether it took more than its time and the grace, the good pack's step included.
    fn is_late(&self) -> bool {
        self.took + self.recovered > self.within + GRACE
    }

    /// What is wrong besides the time.
    fn faults(&self) -> Vec<String> {
        let Ended { end, message } = &self.ended;
        let mut wrong: Vec<String> = self.harm.iter().map(|harm| harm.to_string()).collect();
        if *end != self.expected {
            let expected = self.expected;
            wrong.push(format!(
                "ended as {end:?}, expected {expected:?}: {message}"
            ));
        }
        if !message.contains(self.words) {
            let words = self.words;
            wrong.push(format!("says `{message}`, expected `{words}` in it"));
        }
        let named = match end {
            End::Nothing => true,
            End::Unsound => message.contains("pack.wasm: "),
            _ => message.starts_with("pack `") && message.contains("` 1.2.3: "),
        };
        if !named {
            wrong.push(format!("says `{message}`, expected the pack's name"));
        }
        if message.contains(char::is_control) || message.len() > 4096 {
            wrong.push(format!("says {message:?}, expected short and plain words"));
        }
        wrong
    }
}

/// The rows as a table, and how many were late even when they were tried again.
pub fn table(rows: &[Row]) -> String {
    let mut out = format!(
        "{:<44} {:<9} {:>8} {:>8} {:>9}  message\n",
        "behaviour", "ends as", "ms", "limit", "good ms"
    );
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    for row in rows {
        let Ended { end, message } = &row.ended;
        let short: String = message.chars().take(110).collect();
        let _ = writeln!(
            out,
            "{:<44} {:<9} {:>8.1} {:>8.0} {:>9.2}  {short}",
            row.behaviour,
            format!("{end:?}"),
            ms(row.took),
            ms(row.within),
            ms(row.recovered),
        );
    }
    let late = rows.iter().filter(|row| row.is_late());
    let again = rows.iter().filter(|row| row.tried > 1);
    let _ = writeln!(
        out,
        "{} behaviours; {} past their limit plus {GRACE:?}, the good pack's step included; {} tried \
         again for the time",
        rows.len(),
        late.count(),
        again.count()
    );
    out
}

impl From<PackError> for Ended {
    fn from(error: PackError) -> Self {
        let end = match &error {
            PackError::File(_) => End::Unsound,
            _ => End::NotOpened,
        };
        let message = error.to_string();
        Self { end, message }
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        let end = match &failure {
            Failure::Refusal { .. } => End::Refusal,
            Failure::Breach { .. } => End::Breach,
            _ => End::Outage,
        };
        let message = failure.to_string();
        Self { end, message }
    }
}

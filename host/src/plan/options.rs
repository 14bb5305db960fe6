//! Named settings of an operation, as a pack passes them: text, checked and used up.

use std::str::FromStr;

use super::PlanError;

/// How alike, as Jaro and Winkler measure it, a known option is before it is suggested.
const LIKE: f64 = 0.7;

/// The settings of one call. Each is taken once; [`Options::finish`] refuses what is left.
pub(super) struct Options<'a> {
    call: &'a str,
    given: Vec<(&'a str, &'a str)>,
    known: Vec<&'static str>,
}

impl<'a> Options<'a> {
    pub(super) fn new(call: &'a str, given: &'a [(String, String)]) -> Result<Self, PlanError> {
        const MOST: usize = 32;
        if given.len() > MOST {
            let found = given.len();
            return Err(PlanError::Shape(format!(
                "{call}: {found} options are given, expected at most {MOST}"
            )));
        }
        if let Some((key, _)) = given.iter().find(|(key, _)| key.len() > 64) {
            let key = clip(key);
            return Err(PlanError::Shape(format!(
                "{call}: there is no option `{key}`"
            )));
        }
        let given: Vec<(&str, &str)> = given
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        for (i, (key, _)) in given.iter().enumerate() {
            if given.iter().take(i).any(|(other, _)| other == key) {
                let key = clip(key);
                return Err(PlanError::Shape(format!("{call}: `{key}` is given twice")));
            }
        }
        Ok(Self {
            call,
            given,
            known: Vec::new(),
        })
    }

    /// The text of `key`.
    pub(super) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.known.push(key);
        let at = self.given.iter().position(|(given, _)| *given == key)?;
        Some(self.given.swap_remove(at).1)
    }

    /// The value of `key`, which must read as a `T`; `what` says in words what that is.
    pub(super) fn value<T: FromStr>(
        &mut self,
        key: &'static str,
        what: &str,
    ) -> Result<Option<T>, PlanError> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(self.wrong(key, text, what)),
        }
    }

    /// A whole number of at least one.
    pub(super) fn count(&mut self, key: &'static str) -> Result<Option<usize>, PlanError> {
        let what = "a whole number from 1 to 1048576";
        match self.value::<usize>(key, what)? {
            Some(n) if n == 0 || n > 1 << 20 => Err(self.wrong(key, &n.to_string(), what)),
            found => Ok(found),
        }
    }

    /// A finite number above zero.
    pub(super) fn positive(&mut self, key: &'static str) -> Result<Option<f32>, PlanError> {
        let what = "a finite number above zero";
        match self.value::<f32>(key, what)? {
            Some(x) if !(x.is_finite() && x > 0.0) => Err(self.wrong(key, &x.to_string(), what)),
            found => Ok(found),
        }
    }

    pub(super) fn wrong(&self, key: &str, found: &str, expected: &str) -> PlanError {
        let (call, found) = (self.call, clip(found));
        PlanError::Shape(format!("{call}: `{key}` is `{found}`, expected {expected}"))
    }

    pub(super) fn missing(&self, key: &str) -> PlanError {
        PlanError::Shape(format!("{}: `{key}` is missing", self.call))
    }

    /// Refuses what nobody took.
    pub(super) fn finish(self) -> Result<(), PlanError> {
        let Some((key, _)) = self.given.first() else {
            return Ok(());
        };
        let likeness = |known: &&&str| strsim::jaro_winkler(key, known);
        let nearest = self
            .known
            .iter()
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
            .filter(|near| likeness(near) > LIKE);
        let hint = match (self.call, *key) {
            ("attend", "causal") => ", `attend` is always causal".to_owned(),
            _ => nearest.map_or(String::new(), |near| format!(", the nearest is `{near}`")),
        };
        let (call, key) = (self.call, clip(key));
        Err(PlanError::Shape(format!(
            "{call}: there is no option `{key}`{hint}"
        )))
    }
}

/// A stranger's text, short enough for a message.
pub(super) fn clip(text: &str) -> String {
    const MOST: usize = 64;
    let escaped: String = text.escape_debug().take(MOST + 1).collect();
    match escaped.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", escaped.split_at(end).0),
        None => escaped,
    }
}

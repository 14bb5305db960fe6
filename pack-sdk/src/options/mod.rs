//! Typed settings of the operations that have some, and what the contract calls them.
//!
//! `Value`'s methods are the callers. The contract takes lists of names and texts, so that a
//! later host may know more of them; authors get builders that cannot misspell one. What fits
//! together is the host's to judge.

mod attention;
mod rope;

pub use attention::Attention;
pub use rope::{Rope, RopeScaling};

/// Names and texts, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options(Vec<(String, String)>);

impl Options {
    fn set(&mut self, name: &str, value: impl ToString) {
        let value = value.to_string();
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

/// How [`moe`](crate::Value::moe) chooses among its experts.
///
/// ```
/// use modularbase_pack::Mixture;
///
/// let how = Mixture::new(2).normalise(false);
/// assert_eq!(how.options().len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixture(Options);

impl Mixture {
    /// Each row goes to the `top_k` experts with the highest scores.
    ///
    /// ```
    /// # use modularbase_pack::Mixture;
    /// let how = Mixture::new(2);
    /// ```
    #[must_use]
    pub fn new(top_k: u32) -> Self {
        let mut options = Options::default();
        options.set("top-k", top_k);
        Self(options)
    }

    /// Whether the chosen gates are made to sum to 1, which they are unless said otherwise.
    ///
    /// ```
    /// # use modularbase_pack::Mixture;
    /// let how = Mixture::new(2).normalise(false);
    /// ```
    #[must_use]
    pub fn normalise(mut self, normalise: bool) -> Self {
        self.0.set("normalise", normalise);
        self
    }

    /// The same as the contract's list of names and texts.
    ///
    /// ```
    /// # use modularbase_pack::Mixture;
    /// assert_eq!(Mixture::new(2).options(), [("top-k".to_owned(), "2".to_owned())]);
    /// ```
    pub fn options(&self) -> &[(String, String)] {
        &self.0.0
    }
}

/// How [`pool`](crate::Value::pool) makes one row of many.
///
/// ```
/// use modularbase_pack::Pool;
///
/// assert_eq!(Pool::Last.name(), "last");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pool {
    /// The mean of the rows.
    Mean,
    /// The largest of each value.
    Max,
    /// The first row.
    First,
    /// The last row.
    Last,
}

impl Pool {
    /// What the contract calls it.
    ///
    /// ```
    /// # use modularbase_pack::Pool;
    /// assert_eq!(Pool::Mean.name(), "mean");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
        }
    }
}

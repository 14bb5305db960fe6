//! The ledger: every byte on a device has an owner, and is granted before it is allocated.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Grants bytes of one device's budget. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    book: Arc<Mutex<Book>>,
}

#[derive(Debug)]
struct Book {
    budget: u64,
    held: u64,
    owners: BTreeMap<String, u64>,
}

/// Bytes held by an owner until this is dropped.
#[derive(Debug)]
pub struct Grant {
    ledger: Ledger,
    owner: String,
    bytes: u64,
}

/// A grant that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("memory: `{owner}` wants {wanted} bytes, {free} of the budget of {budget} are free")]
pub struct LedgerError {
    /// Who asked.
    pub owner: String,
    /// How much.
    pub wanted: u64,
    /// How much there is.
    pub free: u64,
    /// Of how much.
    pub budget: u64,
}

impl Ledger {
    /// A ledger over `budget` bytes.
    pub fn new(budget: u64) -> Self {
        Self {
            book: Arc::new(Mutex::new(Book {
                budget,
                held: 0,
                owners: BTreeMap::new(),
            })),
        }
    }

    /// Takes `bytes` for `owner`.
    ///
    /// # Errors
    /// When they are not free. Nothing is taken then.
    pub fn grant(&self, owner: &str, bytes: u64) -> Result<Grant, LedgerError> {
        let mut grant = Grant {
            ledger: self.clone(),
            owner: owner.to_owned(),
            bytes: 0,
        };
        grant.grow(bytes)?;
        Ok(grant)
    }

    /// The whole budget.
    pub fn budget(&self) -> u64 {
        self.book().budget
    }

    /// What nobody holds.
    pub fn free(&self) -> u64 {
        let book = self.book();
        book.budget - book.held
    }

    /// Who holds how much, by name.
    pub fn owners(&self) -> Vec<(String, u64)> {
        let book = self.book();
        book.owners.iter().map(|(o, b)| (o.clone(), *b)).collect()
    }

    /// A panic elsewhere leaves the book in order: each change is made whole under the lock.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grant {
    /// How many bytes it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes `more` bytes for the same owner.
    ///
    /// # Errors
    /// When they are not free. The grant is as it was then.
    pub fn grow(&mut self, more: u64) -> Result<(), LedgerError> {
        if more == 0 {
            return Ok(());
        }
        let mut book = self.ledger.book();
        let free = book.budget - book.held;
        if more > free {
            return Err(LedgerError {
                owner: self.owner.clone(),
                wanted: more,
                free,
                budget: book.budget,
            });
        }
        book.held += more;
        *book.owners.entry(self.owner.clone()).or_default() += more;
        drop(book);
        self.bytes += more;
        Ok(())
    }

    /// Gives `less` bytes back, at most all it holds.
    pub fn shrink(&mut self, less: u64) {
        let less = less.min(self.bytes);
        self.bytes -= less;
        let mut book = self.ledger.book();
        book.held -= less;
        if let Some(held) = book.owners.get_mut(&self.owner) {
            *held -= less;
            if *held == 0 {
                book.owners.remove(&self.owner);
            }
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_past_the_budget_is_refused_and_takes_nothing() {
        let ledger = Ledger::new(100);
        let held = ledger.grant("base", 60).expect("it fits");
        let refused = ledger.grant("pack `a`", 41).expect_err("40 are free");
        assert_eq!(
            (refused.wanted, refused.free, refused.budget),
            (41, 40, 100)
        );
        assert_eq!(ledger.owners(), [("base".to_owned(), 60)]);
        drop(held);
        assert_eq!((ledger.free(), ledger.owners()), (100, vec![]));
    }

    #[test]
    fn grants_of_one_owner_add_up_and_shrink() {
        let ledger = Ledger::new(100);
        let mut first = ledger.grant("kv", 10).expect("it fits");
        let _second = ledger.grant("kv", 20).expect("it fits");
        first.grow(5).expect("it fits");
        first.shrink(1000);
        let _nothing = ledger.grant("scratch", 0).expect("it fits");
        assert_eq!(ledger.owners(), [("kv".to_owned(), 20)]);
    }
}

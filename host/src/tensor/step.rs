//! A step: one pass over a ragged batch.

use crate::plan::RowKind;

/// Rows of one sequence in a step, at consecutive positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Whose rows they are.
    pub sequence: u64,
    /// The position of the first.
    pub start: usize,
    /// How many.
    pub rows: usize,
}

/// One pass over rows of several sequences, side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    spans: Vec<Span>,
    tokens: Vec<u32>,
}

/// Why a step is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// There is nothing to do.
    #[error("step has no rows")]
    Empty,
    /// A span without rows.
    #[error("step: sequence {sequence} has no rows")]
    EmptySpan {
        /// Whose.
        sequence: u64,
    },
    /// A sequence stands twice in the step.
    #[error("step: sequence {sequence} stands in it twice")]
    Twice {
        /// Which.
        sequence: u64,
    },
    /// The token ids are not one for each row.
    #[error("step: {tokens} token ids for {rows} rows")]
    Tokens {
        /// How many ids.
        tokens: usize,
        /// How many rows.
        rows: usize,
    },
}

impl Step {
    /// A step over `spans`, with each row's token id.
    ///
    /// # Errors
    /// When it has no rows, when a sequence stands in it twice, when ids and rows differ.
    pub fn new(spans: Vec<Span>, tokens: Vec<u32>) -> Result<Self, StepError> {
        if spans.is_empty() {
            return Err(StepError::Empty);
        }
        let mut seen = std::collections::HashSet::with_capacity(spans.len());
        let mut rows = 0usize;
        for &Span {
            sequence, rows: n, ..
        } in &spans
        {
            if n == 0 {
                return Err(StepError::EmptySpan { sequence });
            }
            if !seen.insert(sequence) {
                return Err(StepError::Twice { sequence });
            }
            rows = rows.saturating_add(n);
        }
        if tokens.len() != rows {
            let tokens = tokens.len();
            return Err(StepError::Tokens { tokens, rows });
        }
        Ok(Self { spans, tokens })
    }

    /// Its spans, in the order of their rows.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The token id of each row.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// How many rows a value of that kind has in it.
    pub fn rows_of(&self, kind: RowKind) -> usize {
        match kind {
            RowKind::Pooled => self.spans.len(),
            RowKind::Step | RowKind::Tokens => self.rows(),
        }
    }
}

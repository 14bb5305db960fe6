//! The executor against a plain computation in double precision, and its laws.

mod laws;
mod model;
mod operations;
mod reference;

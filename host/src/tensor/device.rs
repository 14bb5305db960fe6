//! Which device there is, and how a plan gets onto it.

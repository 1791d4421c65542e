//! The commands of the benchmark: that they work, not how fast.

mod compare;
mod costs;
mod explore;

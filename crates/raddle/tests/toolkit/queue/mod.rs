//! The queues.

mod basics;
mod batch;
mod dropping;
mod limit;
mod priority;
mod shutdown;
mod simple;
mod stress;
mod tasks;
mod waiting;

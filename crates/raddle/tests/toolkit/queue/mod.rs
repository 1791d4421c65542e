//! The queues.

mod basics;
mod batch;
mod dropping;
mod priority;
mod shutdown;
mod simple;
mod stress;
mod tasks;
mod waiting;

//! The pipeline by its public interface: connections, the database, sinks that fail.

mod database;
mod explored;
mod network;
#[cfg(feature = "postgres")]
mod postgres;
mod sinks;
mod support;

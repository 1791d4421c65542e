//! The pipeline by its public interface: connections, the database, sinks that fail.

mod database;
mod explored;
mod network;
mod sinks;
mod support;

//! The pipeline by its public interface: connections, the database, sinks that fail.

mod conformance;
mod database;
mod explored;
mod http;
mod network;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
mod relp;
mod serving;
mod sinks;
mod sqlite;
mod sqlite_file;
mod sqlite_upkeep;
mod support;
mod unstored;

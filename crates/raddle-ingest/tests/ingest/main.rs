//! The pipeline by its public interface: connections, the database, sinks that fail.

#[path = "../support/mod.rs"]
mod common;
mod conformance;
mod explored;
mod http;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
mod relp;
mod serving;
mod sqlite;
mod sqlite_file;
mod sqlite_upkeep;
mod support;
mod unstored;

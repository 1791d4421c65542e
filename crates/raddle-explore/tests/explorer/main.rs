//! The explorer by its public interface: what it finds, what it reports, and how a failure is replayed.

mod alone;
mod bindings;
mod complete;
mod failures;
mod last_reference;
mod outside;
mod page;
mod programs;
mod racecond;
mod races;
mod readme;
mod replay;
mod reports;
mod reuse;
mod tutorial;

#[path = "../support/programs.rs"]
#[expect(dead_code, reason = "the figures are for reading")]
mod corpus;

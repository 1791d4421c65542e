//! The program `raddle`, run as a child process.

mod command_line;
mod operating;
#[cfg(feature = "postgres")]
mod postgres;
mod questions;
mod reloading;
mod service;
mod settings;
mod signals;
mod stopping;
#[path = "../support/mod.rs"]
mod support;

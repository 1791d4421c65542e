//! The program `raddle`, run as its users run it.

mod command_line;
mod operating;
mod questions;
mod reloading;
mod service;
mod settings;
mod signals;
mod stopping;
mod support;

//! The program `raddle`, run as its users run it.

mod command_line;
mod stopping;
mod support;

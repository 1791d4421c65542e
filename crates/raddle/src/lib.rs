//! Python's threading toolkit for Rust.
#![deny(unsafe_code)]

mod erase;
pub mod host;
mod raw;
pub mod thread;

pub use thread::{JoinHandle, Thread};

//! The protocols of connections.

#![allow(dead_code, reason = "the server is being built")]

pub(crate) mod interface;
pub(crate) mod lines;

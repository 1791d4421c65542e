//! The protocols of connections.

#![allow(dead_code, reason = "the server is being built")]

pub(crate) mod http;
pub(crate) mod interface;
pub(crate) mod json;
pub(crate) mod lines;
pub(crate) mod relp;
#[cfg(test)]
pub(crate) mod testing;

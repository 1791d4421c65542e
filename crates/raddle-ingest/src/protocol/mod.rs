//! The protocols of connections.

#![allow(dead_code, reason = "the server is being built")]

pub(crate) mod admin;
mod frames;
pub(crate) mod http;
pub(crate) mod interface;
pub(crate) mod json;
#[cfg(test)]
mod json_tests;
#[cfg(test)]
mod line_model_tests;
#[cfg(test)]
mod line_tests;
pub(crate) mod lines;
pub(crate) mod proxy;
pub(crate) mod recognise;
#[cfg(test)]
mod recognition_tests;
pub(crate) mod relp;
#[cfg(test)]
pub(crate) mod testing;

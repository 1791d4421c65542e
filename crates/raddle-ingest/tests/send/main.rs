//! Sending: to a server, to receivers that misbehave, and over connections that are lost.
#![allow(dead_code, unreachable_pub, reason = "a test crate")]

#[path = "../support/mod.rs"]
mod common;
mod receivers;
mod servers;
mod support;

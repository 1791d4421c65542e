//! Sending: to a server, to receivers that misbehave, and over connections that are lost.
#![allow(dead_code, unreachable_pub, reason = "a test crate")]

mod receivers;
mod servers;
mod support;

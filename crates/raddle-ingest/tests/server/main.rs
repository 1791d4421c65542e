//! The server by its public interface: peers on real sockets, the real pipeline, and a sink in memory.

#[path = "../support/mod.rs"]
mod common;
mod drain;
mod fairness;
mod hostile;
mod limits;
mod listeners;
mod replies;
mod support;
mod tcp;
mod udp;

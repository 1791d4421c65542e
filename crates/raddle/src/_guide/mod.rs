//! A guide in chapters; every program in it is compiled and run as a test.
//!
//! | chapter | content |
//! |---|---|
//! | [`tutorial`] | a threads tutorial, one program at a time, with its failures and the output of raddle |
//! | [`queues`] | bounded queues, shutdown, batches, task counting, priorities |
//! | [`pools`] | pools, futures, scopes, cancellation, failures |
//! | [`timers`] | delays, repetition, cancellation, lateness |
//! | [`deadlocks`] | findings of the watch, its reports, dumps, lock orders |
//! | [`ending`] | the end of the program, daemons, `exit` |
//! | [`forks`] | forked children and signal handlers |
//! | [`from_python`] | coming from `threading`, `queue` and `concurrent.futures` |
//! | [`from_std`] | coming from `std::thread` and `std::sync` |
//! | [`from_crossbeam`] | coming from crossbeam |
//! | [`from_parking_lot`] | coming from `parking_lot` |
//! | [`from_rayon`] | coming from rayon |
//!
//! The chapters about exploration, and those for users of loom and shuttle, are in the crate `raddle-explore`, in its module
//! `_guide`: a first test, reading a report, replay and CI, and the bugs of the tutorial under exploration.
//!
//! The modules of this guide contain nothing but documentation, and are exempt from semantic versioning.

#[doc = include_str!("deadlocks.md")]
pub mod deadlocks {}

#[doc = include_str!("ending.md")]
pub mod ending {}

#[doc = include_str!("forks.md")]
pub mod forks {}

#[doc = include_str!("from_crossbeam.md")]
pub mod from_crossbeam {}

#[doc = include_str!("from_parking_lot.md")]
pub mod from_parking_lot {}

#[doc = include_str!("from_python.md")]
pub mod from_python {}

#[doc = include_str!("from_rayon.md")]
pub mod from_rayon {}

#[doc = include_str!("from_std.md")]
pub mod from_std {}

#[doc = include_str!("pools.md")]
pub mod pools {}

#[doc = include_str!("queues.md")]
pub mod queues {}

#[doc = include_str!("timers.md")]
pub mod timers {}

#[doc = include_str!("tutorial.md")]
pub mod tutorial {}

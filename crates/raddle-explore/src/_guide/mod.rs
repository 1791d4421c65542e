//! A guide to exploration, in chapters; every program in it is compiled and run as a test.
//!
//! | chapter | content |
//! |---|---|
//! | [`first_test`] | a first exploration, step by step |
//! | [`reports`] | how to read a report |
//! | [`replay`] | replaying a schedule, and exploration in CI |
//! | [`tutorial`] | the bugs of a threads tutorial, found |
//! | [`from_loom`] | coming from loom |
//! | [`from_shuttle`] | coming from shuttle |
//!
//! The guide to the toolkit itself is `raddle::_guide`.
//!
//! The modules of this guide contain nothing but documentation, and are exempt from semantic versioning.

#[doc = include_str!("first_test.md")]
pub mod first_test {}

#[doc = include_str!("from_loom.md")]
pub mod from_loom {}

#[doc = include_str!("from_shuttle.md")]
pub mod from_shuttle {}

#[doc = include_str!("replay.md")]
pub mod replay {}

#[doc = include_str!("reports.md")]
pub mod reports {}

#[doc = include_str!("tutorial.md")]
pub mod tutorial {}

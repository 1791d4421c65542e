//! An oracle for the explorer: random programs, and their outcomes by different searches.

pub(crate) mod compare;
pub(crate) mod generate;
pub(crate) mod model;
pub(crate) mod program;
pub(crate) mod run;
pub(crate) mod traces;

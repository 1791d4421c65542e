//! The settings of `raddle ingest`.

#[cfg(test)]
mod example;
mod explain;
mod file;
pub(crate) mod keys;
mod resolve;

pub(crate) use resolve::{
    FromFlags, Kind, ListenSettings, Resolved, Settings, SinkSettings, SqliteSettings, resolve,
};

//! Files of messages that are not in the database: how they are written, and imported later.
//!
//! A file has a line of JSON for each message, with all its columns. The first line identifies the file:
//!
//! ```json
//! {"unstored":2,"id":"unstored-18c2f1a90b3e4d00-4711","database":"/var/lib/raddle/messages.db"}
//! {"received":1700000000000000,"source":"tcp","peer":"127.0.0.1:40312","text":"a message"}
//! {"received":1700000000000000,"source":"tcp","peer":"127.0.0.1:40312","reason":"not UTF-8","length":2,"bytes":"fffe"}
//! ```
//!
//! An import numbers the messages of a file, with the id of the file as the sender's name. The sink stores each number once, so an import
//! that was interrupted continues where it ended.

mod file;
mod format;
mod import;

pub(crate) use file::Aside;
pub use file::UnstoredFile;
pub use import::{ImportError, Imported, import};

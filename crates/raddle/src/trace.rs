//! What the threads did, step by step.
//!
//! A [`Recording`] collects what each thread does with raddle's objects, in the order in which it happened: which
//! thread, which object, which line, and for a [`Shared`](crate::Shared) cell the values. While none runs, this
//! costs what the [seam](crate::host) costs in any case, one branch.
//!
//! ```
//! use raddle::{Shared, Thread, trace};
//! use std::sync::Arc;
//!
//! let recording = trace::Recording::start();
//! let value = Arc::new(Shared::new(0));
//! Thread::new({ let value = value.clone(); move || value.set(value.get() + 1) }).name("adder").start()?.join()?;
//! let seen: Vec<_> = recording.finish().into_iter().filter(|step| &*step.thread == "adder").filter_map(|step| step.value).collect();
//! assert_eq!(seen, ["0", "0 → 1"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::host::{Kind, Object, Recording, Step, note};

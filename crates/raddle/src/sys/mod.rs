//! The operating system and the processor: the lowest layer, which knows nothing of the rest of the crate.

pub(crate) mod os;
pub(crate) mod prefetch;
pub(crate) mod spin;

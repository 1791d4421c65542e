//! The operating system and the processor: the lowest layer, which does not depend on the rest of the crate.

pub(crate) mod os;
pub(crate) mod prefetch;
pub(crate) mod spin;

//! File descriptors: how many there may be, and how many of them connections may use.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::server::listener::ServerError;

/// Raises the soft limit of open files of this process to `wanted`, or to the hard limit if that is lower.
///
/// The limit is never lowered. Returns the limit that holds from now on. A server never raises the limit by itself.
///
/// # Errors
/// Returns the operating system's error if the limit cannot be raised.
pub fn raise_descriptor_limit(wanted: u64) -> Result<u64, ServerError> {
    let fails = |error: nix::Error| {
        ServerError::new("cannot raise the limit of open files", io::Error::from_raw_os_error(error as i32))
    };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(fails)?;
    let raised = wanted.min(hard).max(soft);
    if raised > soft {
        setrlimit(Resource::RLIMIT_NOFILE, raised, hard).map_err(fails)?;
    }
    Ok(raised)
}

/// Returns how many connections fit into the limit of open files, if `reserved` descriptors are kept for other uses.
///
/// At least one fits.
pub(super) fn connections_that_fit(reserved: usize) -> usize {
    let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let soft = usize::try_from(soft).unwrap_or(usize::MAX);
    soft.saturating_sub(open_now() + reserved).max(1)
}

/// Returns the number of open descriptors of this process, or a guess where that cannot be known.
fn open_now() -> usize {
    // Reading the directory needs a descriptor itself.
    std::fs::read_dir("/proc/self/fd").map_or(16, |entries| entries.count().saturating_sub(1))
}

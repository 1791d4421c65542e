//! A re-entrant lock: the thread that holds it may acquire it again.
//!
//! ```text
//! cargo run --example deadlock_rlock
//! ```
//!
//! Watch for: `acquired lock twice`, where the example `deadlock` blocks. The lock must be released as often as it
//! was acquired. Another release is an error.
mod support;

use log::info;
use raddle::NotOwnerError;
use raddle::RLock;

fn main() -> Result<(), NotOwnerError> {
    support::log_to_stderr();
    let lock = RLock::new();
    info!("before first acquire");
    lock.acquire();
    info!("before second acquire");
    lock.acquire();
    info!("acquired lock twice");
    lock.release()?;
    lock.release()?;
    info!("released lock twice");
    if let Err(error) = lock.release() {
        info!("released once too often: {error}");
    }
    Ok(())
}

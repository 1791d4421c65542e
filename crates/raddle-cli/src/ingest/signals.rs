//! The signals of `raddle ingest`. None but SIGKILL, and those of faults, ends the program without a drain.
//!
//! | signal | effect |
//! |---|---|
//! | SIGTERM, SIGINT, SIGPWR, SIGXCPU | drains; a second one ends the program at once, unless it is the same one within a second |
//! | SIGHUP | reads the settings again |
//! | SIGUSR1, SIGUSR2 | logs the books |
//! | SIGQUIT | prints the threads and, while the watch is on, what each waits for |
//! | SIGPIPE, SIGXFSZ | an error of the write, which is retried |
//! | SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGSTKFLT, real-time signals | none |

use std::io;

use raddle::Thread;
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
};
use signal_hook::iterator::Signals;

/// The request of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Stop,
    Reload,
    Report,
}

/// Numbers that exist on Linux only.
#[cfg(all(
    target_os = "linux",
    not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64"))
))]
mod linux {
    pub(super) const PWR: i32 = 30;
    pub(super) const STKFLT: i32 = 16;
    /// The C library keeps the first two for itself.
    pub(super) const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;
}

fn request(signal: i32) -> Option<Request> {
    match signal {
        SIGTERM | SIGINT | SIGXCPU => Some(Request::Stop),
        #[cfg(all(
            target_os = "linux",
            not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64"))
        ))]
        linux::PWR => Some(Request::Stop),
        SIGHUP => Some(Request::Reload),
        SIGUSR1 | SIGUSR2 => Some(Request::Report),
        _ => None,
    }
}

fn name(signal: i32) -> String {
    match signal {
        #[cfg(all(
            target_os = "linux",
            not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64"))
        ))]
        linux::PWR => return "SIGPWR".to_owned(),
        #[cfg(all(
            target_os = "linux",
            not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64"))
        ))]
        linux::STKFLT => return "SIGSTKFLT".to_owned(),
        _ => {}
    }
    signal_hook::low_level::signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

/// Calls `act` with the requests of signals, on a thread of its own, from now on.
pub(crate) fn handle(act: impl Fn(Request, &str) + Send + Sync + 'static) -> io::Result<()> {
    raddle::watch::dump_on_sigquit()?;
    let mut handled =
        vec![SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ, SIGALRM, SIGVTALRM, SIGPROF, SIGIO];
    #[cfg(all(
        target_os = "linux",
        not(any(target_arch = "mips", target_arch = "mips64", target_arch = "sparc64"))
    ))]
    {
        handled.extend([linux::PWR, linux::STKFLT]);
        handled.extend(linux::REAL_TIME);
    }
    let mut signals = Signals::new(handled)?;
    let listener = Thread::new(move || {
        for signal in signals.forever() {
            match request(signal) {
                Some(request) => act(request, &name(signal)),
                None => log::debug!("{} has no effect", name(signal)),
            }
        }
    });
    // A daemon: this thread never terminates and must not keep the program alive.
    drop(listener.name("signals").daemon(true).start().map_err(io::Error::other)?);
    Ok(())
}

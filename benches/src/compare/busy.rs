//! Busy processes that run during the measurement.

use std::hint::black_box;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::thread;

/// The busy processes, terminated on drop.
pub(super) struct Busy(Vec<Child>);

impl Busy {
    pub(super) fn start(count: u32) -> io::Result<Self> {
        let mut all = Self(Vec::new());
        let program = std::env::current_exe()?;
        for _ in 0..count {
            all.0.push(Command::new(&program).arg("burn").stdin(Stdio::piped()).spawn()?);
        }
        Ok(all)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // A process that has terminated already is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Uses a processor until standard input is closed, which happens at the latest when the parent terminates.
pub(crate) fn burn() {
    #[expect(clippy::disallowed_methods, reason = "this has nothing to do with raddle")]
    let end = thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()));
    while !end.is_finished() {
        for turn in 0..1_000_000 {
            black_box(turn);
        }
    }
}

//! Wake-ups of the threads of this process.

use std::fs;
use std::time::Duration;

use crate::clock::{processor_time, sleep};
use crate::compare::case::{Sample, Scale};

/// Counts the wake-ups of the other threads while the process is idle.
#[expect(clippy::cast_precision_loss, reason = "there are few")]
pub(super) fn wakes(scale: Scale) -> Sample {
    sleep(Duration::from_millis(20)); // until all are idle
    let before = sleeps();
    let used = processor_time();
    sleep(Duration::from_millis(scale.millis(300)));
    let used = processor_time().saturating_sub(used);
    let after = sleeps();
    Sample { value: after.saturating_sub(before) as f64, cpu: used.as_secs_f64() * 1e9 }
}

/// Returns the number of voluntary context switches of the other threads, or 0 without `/proc`.
fn sleeps() -> u64 {
    let own = fs::canonicalize("/proc/thread-self").ok();
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let others = tasks.filter(|task| fs::canonicalize(task.path()).ok() != own);
    others.filter_map(|task| sleeps_of(&fs::read_to_string(task.path().join("status")).ok()?)).sum()
}

fn sleeps_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_switches_are_read_from_a_status() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(sleeps_of(status), Some(12));
    }
}

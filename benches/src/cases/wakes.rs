//! How often the threads of this process wake up.

use std::fs;
use std::time::Duration;

use crate::clock::{processor_time, sleep};
use crate::compare::case::{Sample, Scale};

/// Lets the process be idle for a while, and counts how often one of its other threads went to sleep again.
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

/// How often the threads, except the one that runs this, gave up their processor; 0 where there is no `/proc`.
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
    fn the_count_is_found_in_a_status() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(sleeps_of(status), Some(12));
    }
}

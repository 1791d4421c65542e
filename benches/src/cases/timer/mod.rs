//! Timers: the cost of scheduling and cancelling, and the delay of calls.

mod peers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::wakes::wakes;
use crate::clock::{Clock, processor_time, sleep};
use crate::compare::case::{Case, Goal, Sample, Scale, Unit};
use crate::compare::drive::alone;
use peers::{Crate, Threads, Timers, Tokio};

const HOUR: Duration = Duration::from_hours(1);

pub(super) fn cases() -> Vec<Case> {
    let late = "how late the median of 200 timers is, one each 100 µs";
    let idle = "wake-ups of all threads in 300 ms, while a timer waits";
    let cancelled = Case::new("timer/schedule-cancel", "a timer, 400 at a time", Goal::Ratio(1.0));
    let cancelled = cancelled.raddle("raddle Timer", cancel::<Raddle>).peer("timer", cancel::<Crate>);
    let cancelled = cancelled.peer("tokio sleep, abort", cancel::<Tokio>);
    let lateness = Case::new("timer/lateness", late, Goal::Ratio(0.8));
    let lateness = lateness.raddle("raddle Timer", lateness_of::<Raddle>);
    let lateness = lateness.peer("timer", lateness_of::<Crate>).peer("tokio sleep", lateness_of::<Tokio>);
    let idle = Case::new("idle/timer", idle, Goal::Most(0.0)).unit(Unit::Count);
    let idle = idle.raddle("raddle Timer", wakes_of::<Raddle>);
    vec![
        cancelled.peer("a thread each", cancel::<Threads>),
        lateness.peer("a thread each", lateness_of::<Threads>),
        idle.peer("timer", wakes_of::<Crate>).peer("tokio sleep", wakes_of::<Tokio>),
    ]
}

fn cancel<T: Timers>(scale: Scale) -> Sample {
    let (ops, timers) = (scale.ops(T::MANY), T::start());
    timers.cancel(timers.schedule(HOUR, || ()));
    let batch = ops.min(400);
    let batches = ops / batch;
    alone(batches * batch, || {
        for _ in 0..batches {
            let handles: Vec<_> = (0..batch).map(|_| timers.schedule(HOUR, || ())).collect();
            for handle in handles {
                timers.cancel(handle);
            }
        }
    })
}

fn lateness_of<T: Timers>(scale: Scale) -> Sample {
    let (count, timers) = (if scale.short { 20 } else { 200 }, T::start());
    let late: Arc<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(0)).collect();
    let fired = Arc::new(AtomicUsize::new(0));
    let (clock, used) = (Clock::start(), processor_time());
    let handles: Vec<_> = (0..count)
        .map(|place| {
            let due =
                Duration::from_millis(5) + Duration::from_micros(100) * u32::try_from(place).unwrap_or(0);
            let (late, fired) = (late.clone(), fired.clone());
            timers.schedule(due.saturating_sub(clock.elapsed()), move || {
                let nanos = clock.elapsed().saturating_sub(due).as_nanos();
                late[place].store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
                fired.fetch_add(1, Ordering::Release);
            })
        })
        .collect();
    while fired.load(Ordering::Acquire) < count {
        sleep(Duration::from_millis(1));
    }
    let used = processor_time().saturating_sub(used);
    drop(handles);
    let mut late: Vec<u64> = late.iter().map(|late| late.load(Ordering::Relaxed)).collect();
    late.sort_unstable();
    median_lateness(late[count / 2], used, count)
}

#[expect(clippy::cast_precision_loss, reason = "what is lost is far below what is measured")]
fn median_lateness(nanos: u64, used: Duration, count: usize) -> Sample {
    Sample { value: nanos as f64, cpu: used.as_secs_f64() * 1e9 / count as f64 }
}

fn wakes_of<T: Timers>(scale: Scale) -> Sample {
    let timers = T::start();
    let handle = timers.schedule(HOUR, || ());
    let sample = wakes(scale);
    timers.cancel(handle);
    sample
}

/// Timers of raddle, which share a service thread.
struct Raddle;

impl Timers for Raddle {
    type Handle = raddle::Timer;

    fn start() -> Self {
        Self
    }

    fn schedule(&self, delay: Duration, task: impl FnOnce() + Send + 'static) -> raddle::Timer {
        raddle::Timer::after(delay, task)
    }

    fn cancel(&self, handle: raddle::Timer) {
        handle.cancel();
    }
}

//! When a timer is due, and when a repeating one is due next.

use std::time::{Duration, Instant};

/// When a timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    At(Instant),
    /// At a moment that the clock cannot tell.
    Never,
}

impl From<Option<Instant>> for Due {
    fn from(moment: Option<Instant>) -> Self {
        moment.map_or(Due::Never, Due::At)
    }
}

/// The first tick on the grid that has not passed at `now`, and how many have passed since the one at `due`.
pub(super) fn next_tick(due: Instant, period: Duration, now: Instant) -> (Due, u64) {
    let Some(next) = due.checked_add(period) else {
        return (Due::Never, 0);
    };
    if period.is_zero() {
        return (Due::At(now), 0);
    }
    if next >= now {
        return (Due::At(next), 0);
    }
    let (behind, period) = ((now - next).as_nanos(), period.as_nanos());
    let missed = behind.div_ceil(period);
    let ahead = u64::try_from(missed * period - behind).ok().map(Duration::from_nanos);
    (ahead.and_then(|ahead| now.checked_add(ahead)).into(), u64::try_from(missed).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Due, next_tick};
    use std::time::Duration;

    #[test]
    fn a_repeating_timer_stays_on_its_grid_and_counts_what_it_missed() {
        let (start, ms) = (crate::rt::now(), Duration::from_millis);
        let after = |run| next_tick(start, ms(10), start + run);
        assert_eq!(after(ms(0)), (Due::At(start + ms(10)), 0));
        assert_eq!(after(ms(9)), (Due::At(start + ms(10)), 0));
        assert_eq!(after(ms(10)), (Due::At(start + ms(10)), 0), "due now, not missed");
        assert_eq!(after(ms(11)), (Due::At(start + ms(20)), 1));
        assert_eq!(after(ms(20)), (Due::At(start + ms(20)), 1));
        assert_eq!(after(ms(95)), (Due::At(start + ms(100)), 9));
    }

    #[test]
    fn the_ends_of_the_range_are_no_errors() {
        let (start, ms) = (crate::rt::now(), Duration::from_millis);
        assert_eq!(next_tick(start, Duration::ZERO, start + ms(5)), (Due::At(start + ms(5)), 0));
        assert_eq!(next_tick(start, Duration::MAX, start), (Due::Never, 0));
        let year = Duration::from_hours(365 * 24);
        let (next, missed) = next_tick(start, Duration::from_nanos(1), start + year);
        assert_eq!((next, u128::from(missed)), (Due::At(start + year), year.as_nanos() - 1));
    }
}

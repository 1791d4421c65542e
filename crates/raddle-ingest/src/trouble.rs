//! What is said of a sink that fails, and what is not said again.

use std::time::{Duration, Instant};

/// How long storing must have gone well before a failure is news again.
const CALM: Duration = Duration::from_secs(10);

/// The failures of a sink, until storing has gone well for a while.
///
/// On a disk that is almost full success and failure take turns, and a line for each would bury all others.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    since: Instant,
    last: Instant,
    /// The reasons that were said.
    told: Vec<String>,
    /// Whether something was stored since the last thing that was said, which was said, too.
    succeeded: bool,
}

impl Trouble {
    /// Notes a failure; a line to say if its reason is news.
    pub(crate) fn failed(&mut self, reason: &str, now: Instant) -> Option<String> {
        self.current.take_if(|current| now - current.last >= CALM && current.succeeded);
        let current = self.current.get_or_insert_with(|| Current {
            since: now,
            last: now,
            told: Vec::new(),
            succeeded: false,
        });
        current.last = now;
        if current.told.iter().any(|told| told == reason) {
            return None;
        }
        current.told.push(reason.to_owned());
        current.succeeded = false; // whoever heard of this wants to hear of its end
        Some(format!("cannot store: {reason}; messages are held back and tried again"))
    }

    /// Notes a success; a line to say if that is news.
    pub(crate) fn stored(&mut self, now: Instant) -> Option<String> {
        let current = self.current.as_mut()?;
        if std::mem::replace(&mut current.succeeded, true) {
            return None;
        }
        Some(format!("storing again, after {:.1} s", (now - current.since).as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_and_failure_in_turns_are_told_once() {
        let (mut trouble, begin) = (Trouble::default(), raddle::time::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(trouble.stored(at(0)), None);
        assert!(trouble.failed("full", at(1)).unwrap().starts_with("cannot store: full; "));
        assert_eq!(trouble.failed("full", at(30)), None, "it has not gone well meanwhile");
        assert_eq!(trouble.stored(at(31)).unwrap(), "storing again, after 30.0 s");
        for second in 32..60 {
            assert_eq!(trouble.failed("full", at(second)), None);
            assert_eq!(trouble.stored(at(second)), None);
        }
        assert!(trouble.failed("locked", at(60)).unwrap().starts_with("cannot store: locked; "));
        assert_eq!(trouble.stored(at(60)).unwrap(), "storing again, after 59.0 s");
        assert_eq!(trouble.stored(at(61)), None);
        assert!(trouble.failed("full", at(70)).unwrap().starts_with("cannot store: full; "));
        assert_eq!(trouble.stored(at(71)).unwrap(), "storing again, after 1.0 s");
    }
}

//! What the demo shows while it runs.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use raddle::time;

use crate::output::say;

/// Between two plain lines, where nobody could see a bar move.
const LINE: Duration = Duration::from_millis(500);

/// Bars on a terminal, a line now and then elsewhere.
pub(crate) enum Display {
    Bars { bars: MultiProgress, sent: ProgressBar, queued: ProgressBar, stored: ProgressBar },
    Lines { queue: usize, next: Instant },
}

impl Display {
    pub(crate) fn new(messages: u64, queue: usize) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { queue, next: time::now() };
        }
        let bars = MultiProgress::new();
        let bar = |name: &'static str, length| {
            let style = ProgressStyle::with_template("{prefix:>6} [{bar:40}] {human_pos} of {human_len}");
            let bar = ProgressBar::new(length).with_prefix(name);
            bars.add(
                bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")),
            )
        };
        let (sent, queued, stored) =
            (bar("sent", messages), bar("queue", queue as u64), bar("stored", messages));
        Self::Bars { bars, sent, queued, stored }
    }

    pub(crate) fn show(&mut self, sent: u64, queued: usize, stored: u64) {
        match self {
            Self::Bars { sent: first, queued: second, stored: third, .. } => {
                first.set_position(sent);
                second.set_position(queued as u64);
                third.set_position(stored);
            }
            Self::Lines { queue, next } => {
                if time::now() >= *next {
                    *next = time::now() + LINE;
                    say(&format!("sent {sent}, in the queue {queued} of {queue}, stored {stored}"));
                }
            }
        }
    }

    /// Takes the bars away: what was reached is said in words.
    pub(crate) fn end(self) {
        if let Self::Bars { bars, .. } = self {
            let _ = bars.clear();
        }
    }
}

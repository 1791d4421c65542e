//! Progress of the demo.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use raddle::time;

use crate::output::print_line;

/// Interval of the plain lines that replace the bars where there is no terminal.
const LINE: Duration = Duration::from_millis(500);

/// Bars on a terminal, periodic lines elsewhere.
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
                    print_line(&format!("sent {sent}, queued {queued} of {queue}, stored {stored}"));
                }
            }
        }
    }

    /// Removes the bars: the final counts are printed as text.
    pub(crate) fn end(self) {
        if let Self::Bars { bars, .. } = self {
            let _ = bars.clear();
        }
    }
}

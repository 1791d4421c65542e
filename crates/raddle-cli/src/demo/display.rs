//! The progress of the demo.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use raddle::time;

use crate::output::{hide_live, print_line, show_live};

/// Interval of the live line.
const FRAME: Duration = Duration::from_millis(50);

/// Interval of the plain lines that replace it where there is no terminal.
const LINE: Duration = Duration::from_millis(500);

/// The length of the bar.
const LENGTH: u64 = 40;

/// A live line on a terminal, periodic lines elsewhere.
pub(crate) struct Display {
    messages: u64,
    is_live: bool,
    next: Instant,
}

impl Display {
    pub(crate) fn new(messages: u64) -> Self {
        Self { messages, is_live: std::io::stderr().is_terminal(), next: time::now() }
    }

    pub(crate) fn show(&mut self, sent: u64, acknowledged: u64) {
        let now = time::now();
        if now < self.next {
            return;
        }
        let counts = format!("sent {sent}, acknowledged {acknowledged} of {}", self.messages);
        if self.is_live {
            self.next = now + FRAME;
            let part = |count: u64| usize::try_from(LENGTH * count / self.messages.max(1)).unwrap_or(0);
            let (stored, under_way) = (part(acknowledged), part(sent) - part(acknowledged).min(part(sent)));
            let bar = format!("{}{}", "=".repeat(stored), "-".repeat(under_way));
            show_live(format!("[{bar:40}] {counts}"));
        } else {
            self.next = now + LINE;
            print_line(&counts);
        }
    }

    /// Removes the live line: the final counts are printed as text.
    pub(crate) fn end(&self) {
        if self.is_live {
            hide_live();
        }
    }
}

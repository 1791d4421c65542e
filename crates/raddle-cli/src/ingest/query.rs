//! The commands `raddle ingest query` and `raddle ingest rejected`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use raddle_ingest::{CountBy, Filter, MessageReader, RejectedMessage, StoredMessage};
use serde_json::{Value, json};

use super::args::{DatabaseArgs, FilterArgs, QueryArgs, RejectedArgs};
use crate::failure::Failure;
use crate::output::{print_line, report_error};
use crate::settings::{self, SinkSettings};

/// The length of the longest bar.
const BAR: u64 = 50;

/// The largest number of lines of a plot.
const LINES: u64 = 40;

/// How much of a rejected message a line of text shows, in bytes.
const SHOWN: usize = 256;

/// The width below which lines are not shortened further.
const NARROW: usize = 40;

/// The time that a plot covers unless another is given.
const PLOTTED: Duration = Duration::from_hours(1);

/// The intervals of a plot, in seconds.
const INTERVALS: [u64; 14] = [1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400];

/// Written to standard error, so that output that is read by a program stays empty.
const NONE: &str = "no stored message meets the conditions";

/// Runs `raddle ingest query`.
pub(crate) fn query(args: &QueryArgs) -> Result<(), Failure> {
    let reader = open(&args.database)?;
    let mut filter = filter(&args.filter);
    (filter.host, filter.app, filter.severity) = (args.host.clone(), args.app.clone(), args.severity);
    if args.rate {
        let time = args.filter.since.unwrap_or(PLOTTED);
        let now = SystemTime::now();
        filter.since = now.checked_sub(time);
        let interval = interval(time);
        let rate = reader.rate(&filter, interval)?;
        let now = Timestamp::try_from(now).map_or(i64::MAX, Timestamp::as_microsecond);
        let since = now.saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
        return print_rate(&rate, interval, since, now, args.filter.json);
    }
    if let Some(column) = &args.count_by {
        let by = match &**column {
            "peer" => CountBy::Peer,
            "host" => CountBy::Host,
            "app" => CountBy::App,
            "severity" => CountBy::Severity,
            _ => CountBy::Source,
        };
        let counts = reader.counts(by, &filter)?;
        if counts.is_empty() {
            report_error(NONE);
        }
        for (name, count) in counts {
            if args.filter.json {
                print_line(&visible_json(&json!({ &**column: name, "count": count })));
            } else {
                print_line(&format!("{count:>12}  {}", visible(&name)));
            }
        }
        return Ok(());
    }
    let messages = reader.newest(&filter, args.newest)?;
    if messages.is_empty() {
        report_error(NONE);
    }
    let width = width(&args.filter);
    for message in messages.iter().rev() {
        print_line(&if args.filter.json {
            message_json(message)
        } else {
            shortened(message_text(message), width)
        });
    }
    Ok(())
}

/// Runs `raddle ingest rejected`.
pub(crate) fn rejected(args: &RejectedArgs) -> Result<(), Failure> {
    let reader = open(&args.database)?;
    let filter = filter(&args.filter);
    if !args.filter.json {
        let reasons = reader.reasons(&filter)?;
        if reasons.is_empty() {
            report_error("no rejected message meets the conditions");
        }
        for reason in reasons {
            let latest = time(reason.latest);
            print_line(&format!("{:>12}  {}, the latest at {latest}", reason.count, visible(&reason.reason)));
        }
    }
    let width = width(&args.filter);
    for message in reader.newest_rejected(&filter, args.newest)?.iter().rev() {
        print_line(&if args.filter.json {
            rejected_json(message)
        } else {
            let shown = if args.filter.full { usize::MAX } else { SHOWN };
            shortened(rejected_text(message, shown), width)
        });
    }
    Ok(())
}

fn open(args: &DatabaseArgs) -> Result<MessageReader, Failure> {
    let settings = settings::resolve(&args.settings()).map_err(Failure::usage)?.settings;
    match &settings.sink {
        SinkSettings::Sqlite(sqlite) => Ok(MessageReader::open(&sqlite.path)?),
        SinkSettings::Postgres { schema, .. } => Err(Failure::new(format!(
            "the messages are in PostgreSQL: psql -c 'SELECT * FROM {schema}.readable_messages ORDER BY received DESC LIMIT 10'"
        ))),
    }
}

fn filter(args: &FilterArgs) -> Filter {
    Filter {
        source: args.source.clone(),
        peer: args.peer.clone(),
        since: args.since.and_then(|since| SystemTime::now().checked_sub(since)),
        text: args.text.clone(),
        ..Filter::default()
    }
}

fn time(micros: i64) -> String {
    Timestamp::from_microsecond(micros).map_or_else(|_| micros.to_string(), |time| format!("{time:.6}"))
}

/// Returns whether a terminal obeys the character, or shows it where it is not.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Returns a text without characters that a terminal would obey.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if is_control(c) {
            visible.extend(c.escape_default());
        } else {
            visible.push(c);
        }
    }
    visible
}

/// Returns JSON in which such characters are escaped, too: `serde_json` escapes those below the space only.
fn visible_json(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        if is_control(c) {
            // All of them are in one unit of UTF-16.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Returns the width of the terminal to which the output goes, unless whole texts are wanted.
fn width(args: &FilterArgs) -> Option<usize> {
    let (_, columns) = console::Term::stdout().size_checked().filter(|_| !args.full)?;
    Some(usize::from(columns).max(NARROW))
}

/// Returns a line that is not wider than the terminal.
fn shortened(line: String, width: Option<usize>) -> String {
    let Some(width) = width else { return line };
    match line.char_indices().nth(width) {
        None => line,
        Some(_) => line.chars().take(width - 1).chain(['…']).collect(),
    }
}

fn message_text(message: &StoredMessage) -> String {
    format!(
        "{} {} {} {}",
        time(message.received),
        visible(&message.source),
        visible(&message.peer),
        visible(&message.text)
    )
}

fn message_json(it: &StoredMessage) -> String {
    visible_json(&json!({
        "id": it.id, "received": time(it.received), "source": it.source, "peer": it.peer, "sent": it.sent.map(time),
        "facility": it.facility, "severity": it.severity, "host": it.host, "app": it.app, "process": it.process,
        "message_id": it.message_id, "text": it.text, "body": it.body,
    }))
}

fn rejected_text(message: &RejectedMessage, most: usize) -> String {
    let RejectedMessage { source, peer, reason, length, bytes, .. } = message;
    let (peer, reason, shown) =
        (visible(peer), visible(reason), bytes[..bytes.len().min(most)].escape_ascii());
    let rest = if bytes.len() > most { format!("… ({} bytes)", bytes.len()) } else { String::new() };
    format!("{} {} {peer} {reason}, {length} bytes: {shown}{rest}", time(message.received), visible(source))
}

fn rejected_json(it: &RejectedMessage) -> String {
    visible_json(&json!({
        "id": it.id, "received": time(it.received), "source": it.source, "peer": it.peer, "reason": it.reason,
        "length": it.length, "bytes": it.bytes.escape_ascii().to_string(),
    }))
}

/// Returns the interval for which a plot has at most [`LINES`] lines.
fn interval(time: Duration) -> Duration {
    let needed = time.as_secs().div_ceil(LINES - 1).max(1);
    let known = INTERVALS.into_iter().find(|interval| *interval >= needed);
    Duration::from_secs(known.unwrap_or(needed.div_ceil(86_400) * 86_400))
}

fn print_rate(
    rate: &BTreeMap<i64, u64>,
    interval: Duration,
    since: i64,
    now: i64,
    json: bool,
) -> Result<(), Failure> {
    let step = i64::try_from(interval.as_micros()).map_err(Failure::new)?;
    // From the first message on: the intervals before it are known to be empty.
    let Some((first, _)) = rate.first_key_value() else {
        print_line("no messages in this time");
        return Ok(());
    };
    let begin = (*first).max(since.div_euclid(step) * step);
    let most = rate.values().copied().max().unwrap_or(0);
    let mut at = begin;
    while at <= now {
        let count = rate.get(&at).copied().unwrap_or(0);
        if json {
            let object = json!({ "time": time(at), "seconds": interval.as_secs(), "messages": count });
            print_line(&object.to_string());
        } else {
            print_line(&plot_line(at, count, most, interval.as_secs()));
        }
        at += step;
    }
    Ok(())
}

fn plot_line(at: i64, count: u64, most: u64, seconds: u64) -> String {
    let mut line =
        Timestamp::from_microsecond(at).map_or_else(|_| at.to_string(), |time| format!("{time:.0}"));
    line.push_str("  ");
    // In eighths of a character.
    let eighths =
        u64::try_from(u128::from(count) * u128::from(BAR * 8) / u128::from(most.max(1))).unwrap_or(0);
    let eighths = if count > 0 { eighths.max(1) } else { 0 };
    for _ in 0..eighths / 8 {
        line.push('█');
    }
    if !eighths.is_multiple_of(8) {
        let part = u32::try_from(8 - eighths % 8).unwrap_or(0);
        line.extend(char::from_u32(0x2588 + part));
    }
    let (whole, tenths) = (count / seconds, count * 10 / seconds % 10);
    let _ = write!(line, " {whole}.{tenths}/s");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plot_fits_on_a_screen() {
        for (seconds, interval_of) in [(1, 1), (60, 2), (3600, 300), (86_400, 3600), (7 * 86_400, 21_600)] {
            assert_eq!(interval(Duration::from_secs(seconds)).as_secs(), interval_of, "{seconds}");
        }
        assert_eq!(interval(Duration::from_hours(24 * 365)).as_secs(), 10 * 86_400);
    }

    #[test]
    fn bars_are_in_proportion() {
        assert_eq!(plot_line(0, 100, 100, 10), format!("1970-01-01T00:00:00Z  {} 10.0/s", "█".repeat(50)));
        assert_eq!(plot_line(0, 51, 100, 10), format!("1970-01-01T00:00:00Z  {}▌ 5.1/s", "█".repeat(25)));
        assert_eq!(plot_line(0, 0, 100, 10), "1970-01-01T00:00:00Z   0.0/s");
        assert_eq!(plot_line(0, 1, u64::MAX, 10), "1970-01-01T00:00:00Z  ▏ 0.1/s");
    }

    #[test]
    fn text_cannot_control_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\r\n\u{202e}é"), "a\\u{1b}[2Jb\\r\\n\\u{202e}é");
        let evil = "\u{1b}]0;title\u{7}\u{9b}31m\u{7f}\u{85}\u{2028}\u{202e}\u{2066}\u{200f}\u{feff}\t";
        let (mut message, mut rejected) = (StoredMessage::default(), RejectedMessage::default());
        for text in [&mut message.source, &mut message.peer, &mut message.text, &mut message.body] {
            evil.clone_into(text);
        }
        message.host = Some(evil.to_owned());
        for text in [&mut rejected.source, &mut rejected.peer, &mut rejected.reason] {
            evil.clone_into(text);
        }
        rejected.bytes = evil.into();
        for shown in [
            message_text(&message),
            message_json(&message),
            rejected_text(&rejected, 10),
            rejected_text(&rejected, usize::MAX),
            rejected_json(&rejected),
        ] {
            assert!(!shown.contains(is_control), "{shown:?}");
        }
        let json: Value = serde_json::from_str(&message_json(&message)).unwrap();
        assert_eq!(json["text"], evil, "programs that read JSON get the text as it is");
    }

    #[test]
    fn line_fits_into_the_terminal() {
        let long = "é".repeat(100);
        assert_eq!(shortened(long.clone(), Some(80)), format!("{}…", "é".repeat(79)));
        for width in [Some(100), Some(200), None] {
            assert_eq!(shortened(long.clone(), width), long);
        }
    }
}

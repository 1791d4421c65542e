//! Syslog messages: the columns that are parsed from a text, by RFC 5424 or RFC 3164.

use std::cell::{Cell, OnceCell};
use std::time::SystemTime;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, tz};
use syslog_loose::{ProcId, Protocol, Variant};

use crate::message::{Header, micros};

/// The highest priority: facility 23, severity 7.
const HIGHEST_PRIORITY: u8 = 23 * 8 + 7;

/// A date without a year that is further away than half a year could as well belong to another year.
const HALF_A_YEAR: i32 = 183;

/// Parses texts that arrived together.
///
/// A text without `<PRI>` at its beginning has no header. A text with it has at least a facility and a severity. The other columns are those
/// that `syslog_loose` finds.
pub(crate) struct Parser<'a> {
    /// The zone of times that do not name theirs.
    zone: &'a TimeZone,
    received: SystemTime,
    /// The time of the arrival in the zone, once it is needed.
    local: OnceCell<Option<DateTime>>,
}

impl<'a> Parser<'a> {
    /// Creates a parser for texts that were read at the time `received`, from a sender in `zone`.
    pub(crate) fn new(zone: &'a TimeZone, received: SystemTime) -> Self {
        Self { zone, received, local: OnceCell::new() }
    }

    /// Returns the columns of a text.
    pub(crate) fn header<'t>(&self, text: &'t str) -> Header<'t> {
        let Some((priority, after)) = priority(text) else {
            return Header { body: text, ..Header::default() };
        };
        let header = Header {
            facility: Some(priority / 8),
            severity: Some(priority % 8),
            body: after.trim_ascii_start(),
            ..Header::default()
        };
        // Both kinds of headers begin with a digit, the name of a month, or the absence of a time.
        match after.trim_ascii_start().as_bytes().first() {
            Some(first) if first.is_ascii_alphanumeric() || *first == b'-' => {}
            _ => return header,
        }
        let unsure = Cell::new(false);
        let year = |(month, day, ..): (u32, u32, u32, u32, u32)| {
            self.nearest_year(month, day).unwrap_or_else(|| {
                unsure.set(true);
                2000 // a leap year, so that the other columns are found
            })
        };
        // A time without a zone is read as if it were UTC, and converted below.
        let parsed =
            syslog_loose::parse_message_with_year_exact_tz(text, year, Some(chrono::Utc), Variant::Either);
        let Ok(message) = parsed else { return header };
        let is_local = after.trim_ascii_start().starts_with(|first: char| first.is_ascii_alphabetic());
        let sent = message.timestamp.filter(|_| !unsure.get()).map(|time| time.timestamp_micros());
        let sent = if is_local { sent.and_then(|sent| self.to_utc(sent)) } else { sent };
        let (mut host, mut app) = (non_empty(message.hostname), non_empty(message.appname));
        let is_old = message.protocol == Protocol::RFC3164;
        if is_old && app.is_none() && host.is_some_and(|host| after_slice(text, host).starts_with(':')) {
            // `myapp: text`, without a host
            (host, app) = (None, host);
        }
        let process = match message.procid {
            Some(ProcId::Name(name)) => non_empty(Some(name)),
            Some(ProcId::PID(number)) if is_old => app
                .and_then(|app| after_slice(text, app).strip_prefix('[')?.split(']').next())
                .filter(|process| process.parse() == Ok(number)),
            Some(ProcId::PID(number)) => {
                text.split_whitespace().nth(4).filter(|process| process.parse() == Ok(number))
            }
            None => None,
        };
        let body = message.msg;
        let body = if is_old { body } else { body.strip_prefix('\u{feff}').unwrap_or(body) };
        Header { sent, host, app, process, message_id: non_empty(message.msgid), body, ..header }
    }

    /// Returns the year in which the date is nearest to the arrival, if it is near.
    fn nearest_year(&self, month: u32, day: u32) -> Option<i32> {
        let today = self.local()?.date();
        let date = |year| Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok();
        let distance = |date: Date| Some((date - today).get_days().abs());
        [0, -1, 1]
            .into_iter()
            .filter_map(|offset| {
                let year = today.year().checked_add(offset)?;
                Some((distance(date(year)?)?, year))
            })
            .min()
            .filter(|(distance, _)| *distance <= HALF_A_YEAR)
            .map(|(_, year)| year.into())
    }

    /// Returns the time of the arrival in the zone.
    fn local(&self) -> Option<DateTime> {
        *self.local.get_or_init(|| {
            let received = Timestamp::from_microsecond(micros(self.received)).ok()?;
            Some(self.zone.to_datetime(received))
        })
    }

    /// Converts a time of the zone, given as if it were UTC. Returns `None` for a time that exists twice or not at all in the zone.
    fn to_utc(&self, local: i64) -> Option<i64> {
        let local = Timestamp::from_microsecond(local).ok()?;
        let local = tz::Offset::UTC.to_datetime(local);
        let utc = self.zone.to_ambiguous_timestamp(local).unambiguous().ok()?;
        Some(utc.as_microsecond())
    }
}

/// Returns the priority at the beginning of a text, and the text behind it.
fn priority(text: &str) -> Option<(u8, &str)> {
    let (number, after) = text.strip_prefix('<')?.split_at_checked(text.find('>')?.checked_sub(1)?)?;
    if !(1..=3).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let priority = number.parse().ok().filter(|priority| *priority <= HIGHEST_PRIORITY)?;
    Some((priority, &after[1..]))
}

fn non_empty(column: Option<&str>) -> Option<&str> {
    column.filter(|column| !column.is_empty())
}

/// Returns what follows `part`, a slice of `text`.
fn after_slice<'t>(text: &'t str, part: &str) -> &'t str {
    let begin = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize);
    begin.and_then(|begin| text.get(begin + part.len()..)).unwrap_or("")
}

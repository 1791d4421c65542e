//! Syslog messages: the columns that are parsed from a text, by RFC 5424 or RFC 3164.

use std::cell::{Cell, OnceCell};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use syslog_loose::{ProcId, Protocol, Variant};

use crate::message::{Header, micros};
use crate::syslog_forms::{self, Form, Local, Time};

/// The highest priority: facility 23, severity 7.
const HIGHEST_PRIORITY: u8 = 23 * 8 + 7;

/// A date without a year that is further away than half a year may belong to another year.
const HALF_A_YEAR: i32 = 183;

/// Parses texts that arrived together.
///
/// A text without `<PRI>` at its beginning has no header. A text with it has at least a facility and a severity. The other columns are those
/// that `syslog_loose` finds.
pub(crate) struct Parser<'a> {
    /// The zone of times that do not name theirs.
    zone: &'a TimeZone,
    received: SystemTime,
    /// The day of the arrival in the zone, once it is needed.
    today: OnceCell<Option<Date>>,
    /// The last time without a year and a zone, and its conversion: most messages that arrive together have the same
    /// time.
    last: Cell<Option<(Local, Option<i64>)>>,
}

/// The day does not exist in any year.
struct NoSuchDay;

impl<'a> Parser<'a> {
    /// Creates a parser for texts that were read at the time `received`, from a sender in `zone`.
    pub(crate) fn new(zone: &'a TimeZone, received: SystemTime) -> Self {
        Self { zone, received, today: OnceCell::new(), last: Cell::new(None) }
    }

    /// Returns the columns of a text.
    pub(crate) fn header<'t>(&self, text: &'t str) -> Header<'t> {
        let Some((priority, after)) = priority(text) else {
            return Header { body: text, ..Header::default() };
        };
        let mut header =
            Header { facility: Some(priority / 8), severity: Some(priority % 8), ..Header::default() };
        let Some(form) = syslog_forms::find(after) else {
            return self.general(text, after, header);
        };
        header.sent = match form.time {
            Time::Absent => None,
            Time::Known(sent) => Some(sent),
            Time::Local(local) => match self.last.get() {
                Some((last, sent)) if last == local => sent,
                _ => match self.local(local) {
                    Ok(sent) => {
                        self.last.set(Some((local, sent)));
                        sent
                    }
                    Err(NoSuchDay) => return self.general(text, after, header),
                },
            },
        };
        let Form { host, app, process, message_id, body, .. } = form;
        Header { host, app, process, message_id, body, ..header }
    }

    /// Returns the columns that `syslog_loose` finds; `after` is the text behind the priority.
    fn general<'t>(&self, text: &'t str, after: &'t str, header: Header<'t>) -> Header<'t> {
        let after = after.trim_start();
        let header = Header { body: after, ..header };
        if !syslog_forms::may_begin(after) {
            return header;
        }
        let unsure = Cell::new(false);
        let year = |(month, day, ..): (u32, u32, u32, u32, u32)| {
            let date = (i8::try_from(month).ok(), i8::try_from(day).ok());
            let year = if let (Some(month), Some(day)) = date { self.nearest_year(month, day) } else { None };
            year.map_or_else(
                || {
                    unsure.set(true);
                    2000 // a leap year, so that the other columns are found
                },
                i32::from,
            )
        };
        // A time without a zone is read as if it were UTC, and converted below.
        let parsed =
            syslog_loose::parse_message_with_year_exact_tz(text, year, Some(chrono::Utc), Variant::Either);
        let Ok(message) = parsed else { return header };
        let sent = message.timestamp.filter(|_| !unsure.get()).map(|time| time.timestamp_micros());
        let is_local = after.starts_with(|first: char| first.is_ascii_alphabetic());
        let sent = if is_local { sent.and_then(|sent| self.utc_of_micros(sent)) } else { sent };
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

    /// Returns the time in microseconds since 1970, UTC, or `None` if it is unsure.
    fn local(&self, local: Local) -> Result<Option<i64>, NoSuchDay> {
        let Local { month, day, hour, minute, second } = local;
        match self.nearest_year(month, day) {
            Some(year) => {
                let time = DateTime::new(year, month, day, hour, minute, second, 0);
                Ok(self.utc(time.map_err(|_| NoSuchDay)?))
            }
            // 29 February exists in the year 2000.
            None => Date::new(2000, month, day).map(|_| None).map_err(|_| NoSuchDay),
        }
    }

    /// Returns the year in which the date is nearest to the arrival, if it is near.
    fn nearest_year(&self, month: i8, day: i8) -> Option<i16> {
        let today = (*self.today.get_or_init(|| {
            let received = Timestamp::from_microsecond(micros(self.received)).ok()?;
            Some(self.zone.to_datetime(received).date())
        }))?;
        let distance = |year| Some((Date::new(year, month, day).ok()? - today).get_days().abs());
        [0, -1, 1]
            .into_iter()
            .filter_map(|offset| {
                let year = today.year().checked_add(offset)?;
                Some((distance(year)?, year))
            })
            .min()
            .filter(|(distance, _)| *distance <= HALF_A_YEAR)
            .map(|(_, year)| year)
    }

    /// Converts a time of the zone, in microseconds as if it were UTC.
    fn utc_of_micros(&self, local: i64) -> Option<i64> {
        self.utc(Offset::UTC.to_datetime(Timestamp::from_microsecond(local).ok()?))
    }

    /// Converts a time of the zone. Returns `None` for a time that exists twice or not at all in the zone.
    fn utc(&self, local: DateTime) -> Option<i64> {
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::strategy::Strategy as _;

    use super::*;
    use crate::books::SourceId;
    use crate::message::{Content, Parcel};

    /// 2026-11-29 20:30:03 UTC.
    const RECEIVED: u64 = 1_795_984_203;

    /// Shows the columns of a text that arrives at `RECEIVED`, and the time as text.
    fn columns_in(zone: &str, text: &str) -> String {
        columns_at(zone, RECEIVED, text)
    }

    fn columns_at(zone: &str, received: u64, text: &str) -> String {
        let zone = if zone == "UTC" { TimeZone::UTC } else { TimeZone::get(zone).unwrap() };
        let header = Parser::new(&zone, UNIX_EPOCH + Duration::from_secs(received)).header(text);
        let Header { facility, severity, sent, host, app, process, message_id, body } = header;
        let number = |number: Option<u8>| number.map_or("-".to_owned(), |number| number.to_string());
        let sent = sent.map_or("-".to_owned(), |sent| Timestamp::from_microsecond(sent).unwrap().to_string());
        let [host, app, process, message_id] =
            [host, app, process, message_id].map(|column| column.unwrap_or("-"));
        let (facility, severity) = (number(facility), number(severity));
        format!("{facility}.{severity} {sent} {host} {app} {process} {message_id} {body:?}")
    }

    #[track_caller]
    fn check(text: &str, columns: &str) {
        assert_eq!(columns_in("UTC", text), columns, "{text}");
    }

    #[test]
    fn text_without_priority_has_no_header() {
        for text in [
            "",
            "plain",
            "<",
            "<>",
            "<13",
            "<a>b",
            "<1234>a",
            "<192>a",
            "<999>1 - - - - - - a",
            "<+1>a",
            "< 1>a",
            " <13>a",
            "<é>",
            "Nov 29 20:30:03 vm root: one",
            "1 2026-11-29T20:30:03Z vm root - - - one",
            "{\"a\": 1}",
        ] {
            check(text, &format!("-.- - - - - - {text:?}"));
        }
    }

    #[test]
    fn text_with_a_priority_alone_has_a_body() {
        check("<13>", "1.5 - - - - - \"\"");
        check("<191>hi", "23.7 - - - - - \"hi\"");
        check("<11>app: x", "1.3 - - - - - \"app: x\"");
        check("<0> 42 is the answer", "0.0 - - - - - \"42 is the answer\"");
        check("<13>Nov 31 20:30:03 vm root: one", "1.5 - - - - - \"Nov 31 20:30:03 vm root: one\"");
        check("<13>[a b=\"c\"] x", "1.5 - - - - - \"[a b=\\\"c\\\"] x\"");
    }

    #[test]
    fn columns_of_rfc_5424_are_parsed() {
        check(
            "<13>1 2026-11-29T20:30:03.423142+00:00 vm root - - [timeQuality tzKnown=\"1\" isSynced=\"0\"] one",
            "1.5 2026-11-29T20:30:03.423142Z vm root - - \"one\"",
        );
        check(
            "<165>1 2003-10-11T22:14:15.003-07:00 host.example app 21473 ID47 [a@1 b=\"\\\"]\"][c@2] \u{feff}tëxt",
            "20.5 2003-10-12T05:14:15.003Z host.example app 21473 ID47 \"tëxt\"",
        );
        check("<13>1 - - root - - - one", "1.5 - - root - - \"one\"");
        check("<13>1 - - - 0042 - - one", "1.5 - - - 0042 - \"one\"");
        check("<13>1 - - - worker-1 - - one", "1.5 - - - worker-1 - \"one\"");
        check("<13>1 - - - - - -", "1.5 - - - - - \"\"");
        check(
            "<13>1 2026-11-29T20:31:52Z vm app - - -  two\nlines\n",
            "1.5 2026-11-29T20:31:52Z vm app - - \"two\\nlines\"",
        );
    }

    #[test]
    fn columns_of_rfc_3164_are_parsed() {
        check("<13>Nov 29 20:30:03 vm root: one", "1.5 2026-11-29T20:30:03Z vm root - - \"one\"");
        check("<34>Nov  9 20:30:03 vm su[231]: a: b", "4.2 2026-11-09T20:30:03Z vm su 231 - \"a: b\"");
        check("<34>Nov  9 20:30:03 vm su[0231]: a", "4.2 2026-11-09T20:30:03Z vm su 0231 - \"a\"");
        check("<34>Nov  9 20:30:03 vm su[x]: a", "4.2 2026-11-09T20:30:03Z vm su x - \"a\"");
        check("<13>Nov 29 20:30:03 app: one", "1.5 2026-11-29T20:30:03Z - app - - \"one\"");
        check("<13>Nov 29 2024 20:30:03 vm app: one", "1.5 2024-11-29T20:30:03Z vm app - - \"one\"");
        // rsyslog's forward format
        check(
            "<13>2026-11-29T20:30:03.5+01:00 vm app[7]: one",
            "1.5 2026-11-29T19:30:03.5Z vm app 7 - \"one\"",
        );
    }

    #[test]
    fn date_without_a_year_is_in_the_nearest_year() {
        let year = |received: &str, date: &str| {
            let received = received.parse::<Timestamp>().unwrap().as_second().unsigned_abs();
            let columns = columns_at("UTC", received, &format!("<13>{date} 00:00:01 vm app: x"));
            columns.split(' ').nth(1).unwrap().to_owned()
        };
        assert_eq!(year("2026-01-01T00:00:00Z", "Dec 31"), "2025-12-31T00:00:01Z");
        assert_eq!(year("2025-12-31T23:59:59Z", "Jan  1"), "2026-01-01T00:00:01Z");
        assert_eq!(year("2026-07-01T00:00:00Z", "Jan  2"), "2026-01-02T00:00:01Z");
        assert_eq!(year("2026-07-01T00:00:00Z", "Dec 30"), "2026-12-30T00:00:01Z");
        assert_eq!(year("2024-03-01T00:00:00Z", "Feb 29"), "2024-02-29T00:00:01Z");
        assert_eq!(year("2024-12-31T00:00:00Z", "Feb 29"), "-", "more than half a year ago");
        assert_eq!(year("2026-03-01T00:00:00Z", "Feb 29"), "-", "no such day");
        // The other columns are there.
        check("<13>Feb 29 20:30:03 vm app: x", "1.5 - vm app - - \"x\"");
    }

    #[test]
    fn time_without_a_zone_is_in_the_zone_of_the_source() {
        let berlin = |text: &str| columns_in("Europe/Berlin", text);
        assert_eq!(berlin("<13>Nov 29 21:30:03 vm a: x"), "1.5 2026-11-29T20:30:03Z vm a - - \"x\"");
        assert_eq!(berlin("<13>Jul  1 2026 21:30:03 vm a: x"), "1.5 2026-07-01T19:30:03Z vm a - - \"x\"");
        assert_eq!(
            berlin("<13>1 2026-11-29T21:30:03Z vm a - - - x"),
            "1.5 2026-11-29T21:30:03Z vm a - - \"x\""
        );
        assert_eq!(berlin("<13>2026-11-29T21:30:03Z vm a: x"), "1.5 2026-11-29T21:30:03Z vm a - - \"x\"");
        // twice, and not at all, in the nights in which the clocks change
        assert_eq!(berlin("<13>Oct 25 2026 02:30:00 vm a: x"), "1.5 - vm a - - \"x\"");
        assert_eq!(berlin("<13>Mar 29 2026 02:30:00 vm a: x"), "1.5 - vm a - - \"x\"");
    }

    #[test]
    fn messages_of_one_read_have_their_own_times() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let parser = Parser::new(&zone, UNIX_EPOCH + Duration::from_secs(RECEIVED));
        let seconds = |text: &str| parser.header(text).sent.map(|sent| sent / 1_000_000);
        let sent = Some(i64::try_from(RECEIVED).unwrap());
        assert_eq!(seconds("<13>Nov 29 21:30:03 vm a: x"), sent);
        assert_eq!(seconds("<13>Nov 29 21:30:03 vm a: y"), sent);
        assert_eq!(seconds("<13>Oct 25 02:30:00 vm a: twice"), None);
        assert_eq!(seconds("<13>Oct 25 02:30:00 vm a: twice"), None);
        assert_eq!(seconds("<13>Nov 29 21:30:04 vm a: z"), sent.map(|sent| sent + 1));
        assert_eq!(seconds("<13>Nov 29 21:30:03 vm a: x"), sent);
    }

    /// A year that is nearest in the zone, though not in UTC.
    #[test]
    fn nearest_year_is_counted_in_the_zone() {
        let received = "2026-12-31T20:00:00Z".parse::<Timestamp>().unwrap().as_second().unsigned_abs();
        assert_eq!(
            columns_at("Asia/Tokyo", received, "<13>Jan  1 05:00:00 vm a: x"),
            "1.5 2026-12-31T20:00:00Z vm a - - \"x\""
        );
    }

    /// Messages in the usual forms, which the property below changes a little.
    const USUAL: &[&str] = &[
        "<13>1 2026-11-29T20:30:03.423142+00:00 vm root - - [timeQuality tzKnown=\"1\" isSynced=\"0\"] one",
        "<165>1 2003-10-11T22:14:15.003-07:00 host.example app 21473 ID47 [a@1 b=\"\\\"]\"][c@2] \u{feff}tëxt",
        "<13>1 - - root - - - one",
        "<13>1 2026-11-29T20:31:52Z vm app - - -  two\nlines\n",
        "<13>1 2026-11-29T20:31:52Z - - - - -",
        "<13>Nov 29 20:30:03 vm root: one",
        "<34>Nov  9 20:30:03 vm su[0231]: a: b",
        "<34>Feb 29 20:30:03 vm su[x]: [a b=\"c\"] a",
        "<13>Nov 29 2024 20:30:03 vm app: one",
        "<13>2026-11-29T20:30:03.5+01:00 vm app[7]: one",
        "<13>one",
    ];

    /// The texts that the changes insert.
    const INSERTED: &[&str] = &[
        " ",
        "  ",
        "\t",
        "-",
        ":",
        "[",
        "]",
        "\"",
        "\\",
        "=",
        "0",
        "9",
        "a",
        "é",
        "\u{a0}",
        "\n",
        "<",
        ">",
        "- ",
        "+",
        ".",
        "Z",
        "T",
        "app[1]",
        ": ",
        "[a b=\"c\"]",
        "60",
        "29",
        "Dec",
    ];

    fn changed(text: &str, changes: &[(u8, u8, u8)]) -> String {
        let mut text: Vec<char> = text.chars().collect();
        for (at, kind, inserted) in changes {
            let at = usize::from(*at) % (text.len() + 1);
            if *kind < 128 {
                let inserted = INSERTED[usize::from(*inserted) % INSERTED.len()];
                text.splice(at..at, inserted.chars());
            } else {
                let end = text.len().min(at + usize::from(*kind % 4));
                text.drain(at..end);
            }
        }
        text.into_iter().collect()
    }

    /// Parts of messages, in any order.
    const HOSTILE: &[&str] = &[
        "<",
        ">",
        "<13>",
        "<191>",
        "<192>",
        "<999>",
        "<0013>",
        "1 ",
        "-",
        " - - -",
        "[",
        "]",
        "[a@1 b=\"",
        "\"]",
        "\\]",
        "\\\"",
        "\"",
        "=",
        "2026-01-02T03:04:05.123456Z ",
        "Jan  2 03:04:05 ",
        "Feb 29 23:59:60 ",
        "host ",
        "app[12]: ",
        "app: ",
        ": ",
        "\u{feff}",
        "\n",
        "%",
        "99999999999999999999",
        "+24:00",
        "é",
        "\u{2028}",
    ];

    /// The number of inputs is that of the variable `RADDLE_FUZZ_INPUTS`, as before a release.
    fn config(inputs: u32) -> proptest::test_runner::Config {
        let cases = std::env::var("RADDLE_FUZZ_INPUTS").ok().and_then(|cases| cases.parse().ok());
        let cases = cases.unwrap_or(inputs);
        proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() }
    }

    proptest::proptest! {
        #![proptest_config(config(2000))]

        /// A text of any characters is kept whole, and has columns only if it begins with a priority.
        #[test]
        fn text_of_any_characters_is_kept_whole(
            parts in proptest::collection::vec(proptest::prop_oneof![
                proptest::sample::select(HOSTILE.to_vec()).prop_map(str::to_owned),
                proptest::prelude::any::<char>().prop_map(String::from),
            ], 0..60),
        ) {
            let text = parts.concat();
            let zone = TimeZone::UTC;
            let parser = Parser::new(&zone, UNIX_EPOCH + Duration::from_secs(RECEIVED));
            let mut parcel = Parcel::new(SourceId::FIRST, "peer".into(), UNIX_EPOCH);
            parcel.push(&text, |text| parser.header(text));
            proptest::prop_assert_eq!(parcel.len(), 1);
            let Content::Text(kept, header) = parcel.row(0).content else { unreachable!("a text") };
            proptest::prop_assert_eq!(kept, &text);
            proptest::prop_assert!(kept.ends_with(header.body) || kept.contains(header.body));
            proptest::prop_assert!(header.facility.is_none_or(|it| it < 24) && header.severity.is_none_or(|it| it < 8));
            if header.facility.is_none() {
                proptest::prop_assert_eq!(header, Header { body: kept, ..Header::default() });
            }
        }

        /// The columns are those of the general parser, whether or not the text has a usual form.
        #[test]
        fn columns_of_usual_forms_are_those_of_the_general_parser(
            usual in 0..USUAL.len(),
            changes in proptest::collection::vec(proptest::prelude::any::<(u8, u8, u8)>(), 0..4),
        ) {
            let text = changed(USUAL[usual], &changes);
            let zone = TimeZone::UTC;
            let parser = Parser::new(&zone, UNIX_EPOCH + Duration::from_secs(RECEIVED));
            let header = parser.header(&text);
            if let Some((priority, after)) = priority(&text) {
                let known = Header { facility: Some(priority / 8), severity: Some(priority % 8), ..Header::default() };
                proptest::prop_assert_eq!(header, parser.general(&text, after, known));
                if !syslog_forms::may_begin(after.trim_start()) {
                    let parsed = syslog_loose::parse_message_with_year_exact_tz(
                        &text, |_| 2000, Some(chrono::Utc), Variant::Either,
                    );
                    proptest::prop_assert!(parsed.is_err(), "a header is found");
                }
            }
            // Every column is a part of the text: `push` panics if one is not.
            let mut parcel = Parcel::new(SourceId::FIRST, "peer".into(), UNIX_EPOCH);
            parcel.push(&text, |text| parser.header(text));
            let Content::Text(kept, header) = parcel.row(0).content else { unreachable!("a text") };
            proptest::prop_assert_eq!(kept, &text);
            if header.facility.is_none() {
                proptest::prop_assert_eq!(header, Header { body: kept, ..Header::default() });
            }
        }
    }

    #[test]
    fn edges_of_times_are_those_of_the_general_parser() {
        let zone = TimeZone::UTC;
        let parser = Parser::new(&zone, UNIX_EPOCH + Duration::from_secs(RECEIVED));
        for time in [
            "2026-11-29T20:30:03+23:59",
            "2026-11-29T20:30:03+24:00",
            "2026-11-29T20:30:03-23:59",
            "2026-11-29T20:30:03-99:00",
            "2026-11-29T20:30:03+00:59",
            "2026-11-29T20:30:03+00:60",
            "2026-11-29T20:30:03+0000",
            "2026-11-29T20:30:03",
            "2026-11-29T20:30:03.Z",
            "2026-11-29T20:30:03.1234567Z",
            "2026-11-29T20:30:03.999999999Z",
            "2026-11-29T20:30:03.9999999999Z",
            "2026-11-29T23:59:59Z",
            "2026-11-29T23:59:60Z",
            "2026-11-29T23:60:00Z",
            "2026-11-29T24:00:00Z",
            "2026-02-29T20:30:03Z",
            "2024-02-29T20:30:03Z",
            "2026-00-29T20:30:03Z",
            "2026-13-29T20:30:03Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59Z",
            "1969-12-31T23:59:59.9Z",
            "Nov 29 24:00:00",
            "Nov 29 23:60:00",
            "Nov 29 23:59:60",
            "Nov 31 23:59:59",
            "Nov 00 23:59:59",
            "Nov  0 23:59:59",
            "Feb 30 23:59:59",
            "Nov 29  3:59:59",
            "nov 29 23:59:59",
        ] {
            for text in [format!("<13>1 {time} vm app 1 - - x"), format!("<13>{time} vm app[1]: x")] {
                let (priority, after) = priority(&text).unwrap();
                let known = Header {
                    facility: Some(priority / 8),
                    severity: Some(priority % 8),
                    ..Header::default()
                };
                assert_eq!(parser.header(&text), parser.general(&text, after, known), "{text}");
            }
        }
    }

    /// If no usual form was found, the property above would compare the general parser with itself.
    #[test]
    fn usual_forms_are_found() {
        let found = USUAL.iter().filter(|text| syslog_forms::find(priority(text).unwrap().1).is_some());
        assert_eq!(found.count(), USUAL.len() - 3);
    }
}

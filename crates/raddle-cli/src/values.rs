//! Parsers for values on the command line.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};

/// The kinds of listeners.
pub(crate) const KINDS: &[&str] = &["tcp", "udp", "relp", "http", "admin"];

/// Parses a whole number in a range.
pub(crate) fn whole(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let (from, to) = (range.start(), range.end());
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| match *to {
        u64::MAX => format!("expected a whole number, {from} or more"),
        to => format!("expected a whole number from {from} to {to}"),
    })
}

/// Parses a whole number.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

/// Parses a count of at least one.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    whole(text, 1..=100_000_000)?.try_into().map_err(|_| "the value is too large".to_owned())
}

/// Checks the form of an address: `127.0.0.1:5140`, `localhost:5140`, `[::1]:5140`. The host is resolved later.
pub(crate) fn host_and_port(text: &str) -> Result<String, String> {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let is_host = |host: &str| !host.is_empty() && (host.starts_with('[') || !host.contains(':'));
    match text.rsplit_once(':') {
        Some((host, port)) if is_host(host) && is_port(port) => Ok(text.to_owned()),
        _ => Err("expected HOST:PORT, such as 127.0.0.1:5140, localhost:5140 or [::1]:5140".to_owned()),
    }
}

/// Parses a size in bytes: `200`, `64KiB`, `1MiB`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => return Err("expected a size in bytes, KiB, MiB or GiB, such as 64KiB".to_owned()),
    };
    let number: usize = number
        .parse()
        .map_err(|_| "expected a size that begins with a whole number, such as 64KiB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "the value is too large".to_owned())
}

/// Parses the length limit of a message: at least one byte, and no more than a row of the database can hold.
pub(crate) fn message_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        0 => Err("the limit must be at least 1 byte".to_owned()),
        size if size > 256 << 20 => Err("the limit must not exceed 256MiB".to_owned()),
        size => Ok(size),
    }
}

/// Parses a truth value.
pub(crate) fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "expected true or false".to_owned())
}

/// Parses the permissions of a file, as octal digits.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| "expected permissions as octal digits, such as 0640".to_owned())
}

/// Parses a time zone: `UTC`, `local`, `Europe/Berlin`, `+02:00`.
pub(crate) fn zone(text: &str) -> Result<TimeZone, String> {
    let zone = match text {
        "UTC" => Some(TimeZone::UTC),
        "local" => Some(TimeZone::system()),
        _ => offset(text).or_else(|| TimeZone::get(text).ok()),
    };
    zone.ok_or_else(|| {
        "expected UTC, local, an offset such as +02:00, or a known zone such as Europe/Berlin".to_owned()
    })
}

/// Parses an offset from UTC: `+02:00`, `-03:30`.
fn offset(text: &str) -> Option<TimeZone> {
    let digits =
        |text: &str, below: i32| text.parse().ok().filter(|it| text.len() == 2 && (0..below).contains(it));
    let (hours, minutes) = text.strip_prefix(['+', '-'])?.split_once(':')?;
    let seconds = digits(hours, 24)? * 3600 + digits(minutes, 60)? * 60;
    let seconds = if text.starts_with('-') { -seconds } else { seconds };
    Some(TimeZone::fixed(Offset::from_seconds(seconds).ok()?))
}

/// Parses an address to listen on, with its kind in front unless it is TCP: `127.0.0.1:5140`, `udp://127.0.0.1:5140`.
pub(crate) fn listener(text: &str) -> Result<(String, String), String> {
    let (kind, address) = text.split_once("://").unwrap_or(("tcp", text));
    if !KINDS.contains(&kind) {
        return Err(format!("expected one of the kinds {}, such as udp://127.0.0.1:5140", KINDS.join(", ")));
    }
    Ok((kind.to_owned(), host_and_port(address)?))
}

/// Returns a parser that checks a text, and keeps it as it is.
pub(crate) fn checked<T>(
    parse: fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<String, String> + Clone {
    move |text| parse(text).map(|_| text.to_owned())
}

/// Parses a duration: `20ms`, `1s`, `1.5s`, `30d`, `0`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        "" if number == "0" => 1.0,
        _ => return Err("expected a duration in us, ms, s, min, h or d, such as 20ms".to_owned()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "expected a duration that begins with a number, such as 20ms".to_owned())?;
    Duration::try_from_secs_f64(number * factor).map_err(|_| "the value is too large".to_owned())
}

/// Splits a value into its number and its unit.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units_and_limits() {
        assert_eq!(size("200"), Ok(200));
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("1 MiB"), Ok(1 << 20));
        for wrong in ["", "KiB", "64kb", "-1", "1.5KiB", "99999999999999999999", "99999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(message_size("0").is_err());
        assert!(message_size("257MiB").is_err());
        assert_eq!(message_size("1"), Ok(1));
    }

    #[test]
    fn numbers_are_whole_and_in_range() {
        assert_eq!((number("0"), number("18446744073709551615")), (Ok(0), Ok(u64::MAX)));
        assert_eq!(number("-1").unwrap_err(), "expected a whole number, 0 or more");
        assert_eq!(count("1"), Ok(1));
        for wrong in ["", "0", "-1", "1.5", "many", "100000001"] {
            assert_eq!(count(wrong).unwrap_err(), "expected a whole number from 1 to 100000000", "{wrong}");
        }
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for right in ["127.0.0.1:0", "localhost:5140", "[::1]:5140", "a-host.example:65535"] {
            assert_eq!(host_and_port(right).as_deref(), Ok(right));
        }
        for wrong in ["", "nonsense", "localhost", ":5140", "localhost:", "::1", "[::1]", "h:65536", "h:-1"] {
            assert!(host_and_port(wrong).unwrap_err().starts_with("expected HOST:PORT"), "{wrong}");
        }
    }

    #[test]
    fn listeners_have_a_kind() {
        let pair = |kind: &str, address: &str| Ok((kind.to_owned(), address.to_owned()));
        assert_eq!(listener("127.0.0.1:1"), pair("tcp", "127.0.0.1:1"));
        assert_eq!(listener("udp://[::1]:1"), pair("udp", "[::1]:1"));
        assert!(
            listener("tls://127.0.0.1:1").unwrap_err().starts_with("expected one of the kinds tcp, udp, ")
        );
        assert!(listener("udp://127.0.0.1").unwrap_err().starts_with("expected HOST:PORT"));
    }

    #[test]
    fn permissions_are_octal() {
        assert_eq!((mode("0640"), mode("600")), (Ok(0o640), Ok(0o600)));
        for wrong in ["", "0888", "1777", "rw", "+640", "0o640"] {
            assert!(mode(wrong).unwrap_err().starts_with("expected permissions"), "{wrong}");
        }
    }

    #[test]
    fn zones_are_known() {
        for right in ["UTC", "local", "+02:00", "-11:30"] {
            assert!(zone(right).is_ok(), "{right}");
        }
        for wrong in ["", "Nowhere/Town", "+2", "+24:00", "2:00", "+02:60"] {
            assert!(zone(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(time("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(time("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("30d"), Ok(Duration::from_hours(720)));
        assert_eq!(time("0"), Ok(Duration::ZERO));
        for wrong in ["", "20", "ms", "-1s", "1.2.3s", "1w", "99999999999999999999999min"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}

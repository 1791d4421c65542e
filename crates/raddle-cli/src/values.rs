//! Sizes and times as people write them on a command line.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A whole number of a range.
pub(crate) fn whole(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let (from, to) = (range.start(), range.end());
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| match *to {
        u64::MAX => format!("it is a whole number, {from} or more"),
        to => format!("it is a whole number from {from} to {to}"),
    })
}

/// A whole number.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

/// A number of things of which there must be one.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    whole(text, 1..=100_000_000)?.try_into().map_err(|_| "that is more than there can be".to_owned())
}

/// `127.0.0.1:5140`, `localhost:5140`, `[::1]:5140`: whether there is such a host is found out later.
pub(crate) fn host_and_port(text: &str) -> Result<String, String> {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let is_host = |host: &str| !host.is_empty() && (host.starts_with('[') || !host.contains(':'));
    match text.rsplit_once(':') {
        Some((host, port)) if is_host(host) && is_port(port) => Ok(text.to_owned()),
        _ => Err("HOST:PORT is wanted: 127.0.0.1:5140, localhost:5140 or [::1]:5140".to_owned()),
    }
}

/// `200`, `64KiB`, `1MiB`: bytes.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => return Err("a size is a number of bytes, KiB or MiB: 64KiB".to_owned()),
    };
    let number: usize = number.parse().map_err(|_| "a size begins with a whole number: 64KiB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "that is more than there can be".to_owned())
}

/// The longest message: at least a byte, and no more than a row of the database can hold.
pub(crate) fn message_size(text: &str) -> Result<usize, String> {
    match size(text)? {
        0 => Err("a message of no bytes is too small".to_owned()),
        size if size > 256 << 20 => Err("more than 256MiB is too large for a message".to_owned()),
        size => Ok(size),
    }
}

/// `20ms`, `1s`, `1.5s`, `0`: a time.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "" if number == "0" => 1.0,
        _ => return Err("a time is a number of us, ms, s or min: 20ms".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "a time begins with a number: 20ms".to_owned())?;
    Duration::try_from_secs_f64(number * factor).map_err(|_| "that is longer than there can be".to_owned())
}

/// The number and what comes after it.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
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
    fn numbers() {
        assert_eq!((number("0"), number("18446744073709551615")), (Ok(0), Ok(u64::MAX)));
        assert_eq!(number("-1").unwrap_err(), "it is a whole number, 0 or more");
        assert_eq!(count("1"), Ok(1));
        for wrong in ["", "0", "-1", "1.5", "many", "100000001"] {
            assert_eq!(count(wrong).unwrap_err(), "it is a whole number from 1 to 100000000", "{wrong}");
        }
    }

    #[test]
    fn hosts_and_ports() {
        for right in ["127.0.0.1:0", "localhost:5140", "[::1]:5140", "a-host.example:65535"] {
            assert_eq!(host_and_port(right).as_deref(), Ok(right));
        }
        for wrong in ["", "nonsense", "localhost", ":5140", "localhost:", "::1", "[::1]", "h:65536", "h:-1"] {
            assert!(host_and_port(wrong).unwrap_err().starts_with("HOST:PORT is wanted"), "{wrong}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(time("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("0"), Ok(Duration::ZERO));
        for wrong in ["", "20", "ms", "-1s", "1.2.3s", "1h", "99999999999999999999999min"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}

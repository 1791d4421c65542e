//! Sizes and times as people write them on a command line.

use std::time::Duration;

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
    fn times() {
        assert_eq!(time("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(time("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("0"), Ok(Duration::ZERO));
        for wrong in ["", "20", "ms", "-1s", "1.2.3s", "1h", "99999999999999999999999min"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}

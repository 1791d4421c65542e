//! Formatting of numbers and table rows.

/// A line of a table: a label and its values.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) values: Vec<String>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, values: impl IntoIterator<Item = String>) -> Self {
        Self { what: what.into(), values: values.into_iter().collect() }
    }
}

/// Formats a time with a suitable unit.
pub(crate) fn time(nanos: f64) -> String {
    match nanos {
        ns if ns < 1e3 => format!("{} ns", three_digits(ns)),
        ns if ns < 1e6 => format!("{} µs", three_digits(ns / 1e3)),
        ns if ns < 1e9 => format!("{} ms", three_digits(ns / 1e6)),
        ns => format!("{} s", three_digits(ns / 1e9)),
    }
}

/// Formats a number with three significant digits, or all digits before the point.
pub(crate) fn three_digits(number: f64) -> String {
    match number {
        n if n < 0.0995 => format!("{n:.4}"),
        n if n < 0.995 => format!("{n:.3}"),
        n if n < 9.995 => format!("{n:.2}"),
        n if n < 99.95 => format!("{n:.1}"),
        n => format!("{n:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit() {
        let times = [0.251, 2.5, 99.96, 1234.0, 5e6, 2.25e9].map(time);
        assert_eq!(times, ["0.251 ns", "2.50 ns", "100 ns", "1.23 µs", "5.00 ms", "2.25 s"]);
    }
}

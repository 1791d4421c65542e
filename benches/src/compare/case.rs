//! What is measured, and by whom.

use serde::Serialize;

/// How much work a sample is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) short: bool,
}

impl Scale {
    /// The number of operations for a sample: `full`, or very few in a short run. It is a multiple of 8, so that
    /// up to 8 threads can share it.
    pub(crate) fn ops(self, full: u64) -> u64 {
        let ops = if self.short { full.min(10_000) / 100 } else { full };
        ops.next_multiple_of(8).max(8)
    }

    /// How long something is watched, in milliseconds.
    pub(crate) fn millis(self, full: u64) -> u64 {
        if self.short { full.div_ceil(10) } else { full }
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// Nanoseconds an operation, or what the case's unit says.
    pub(crate) value: f64,
    /// Nanoseconds of processor time an operation.
    pub(crate) cpu: f64,
}

/// What a contender is to the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// raddle
    Raddle,
    /// The best of these is what raddle is compared with.
    Peer,
    /// Never sleeps while it waits: it shows what that would win, and does not count.
    Spins,
    /// Shown, and does not count: it does less than raddle, or it is another way to use raddle.
    Extra,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    /// Nanoseconds an operation.
    Time,
    /// A part of 1; more is better.
    Share,
    /// A number.
    Count,
}

/// What raddle is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Goal {
    /// At most this multiple of the best peer that counts.
    Ratio(f64),
    /// At most this value, whatever the peers do.
    Most(f64),
    /// At least this value, whatever the peers do.
    Least(f64),
}

type Run = Box<dyn Fn(Scale) -> Sample>;

/// Who takes part in a case, and how it is measured.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) run: Run,
}

/// The same work for all contenders.
pub(crate) struct Case {
    /// The group, a slash, and the rest.
    pub(crate) name: String,
    /// What an operation is.
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    pub(crate) goal: Goal,
    pub(crate) contenders: Vec<Contender>,
}

impl Case {
    pub(crate) fn new(name: impl Into<String>, what: &'static str, goal: Goal) -> Self {
        Self { name: name.into(), what, unit: Unit::Time, goal, contenders: Vec::new() }
    }

    pub(crate) fn unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    pub(crate) fn raddle(self, name: &str, run: impl Fn(Scale) -> Sample + 'static) -> Self {
        self.with(name, Kind::Raddle, run)
    }

    pub(crate) fn peer(self, name: &str, run: impl Fn(Scale) -> Sample + 'static) -> Self {
        self.with(name, Kind::Peer, run)
    }

    pub(crate) fn spins(self, name: &str, run: impl Fn(Scale) -> Sample + 'static) -> Self {
        self.with(name, Kind::Spins, run)
    }

    pub(crate) fn extra(self, name: &str, run: impl Fn(Scale) -> Sample + 'static) -> Self {
        self.with(name, Kind::Extra, run)
    }

    fn with(mut self, name: &str, kind: Kind, run: impl Fn(Scale) -> Sample + 'static) -> Self {
        self.contenders.push(Contender { name: name.to_owned(), kind, run: Box::new(run) });
        self
    }
}

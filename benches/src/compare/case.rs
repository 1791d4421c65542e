//! Cases and their contenders.

use serde::Serialize;

/// The amount of work per sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) short: bool,
}

impl Scale {
    /// Returns the number of operations per sample: `full`, or few in a short run. It is a multiple of 8, for up to
    /// 8 threads.
    pub(crate) fn ops(self, full: u64) -> u64 {
        let ops = if self.short { full.min(10_000) / 100 } else { full };
        ops.next_multiple_of(8).max(8)
    }

    /// Returns the duration of an observation in milliseconds.
    pub(crate) fn millis(self, full: u64) -> u64 {
        if self.short { full.div_ceil(10) } else { full }
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// Nanoseconds per operation, or a value in the unit of the case.
    pub(crate) value: f64,
    /// Nanoseconds of processor time per operation.
    pub(crate) cpu: f64,
}

/// The role of a contender in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// raddle
    Raddle,
    /// Another library; raddle is compared with the best of them.
    Peer,
    /// Spins without ever parking: shown for reference, not compared.
    Spins,
    /// Another use of raddle, or a library with fewer guarantees: shown for reference, not compared.
    Extra,
}

/// The unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    /// Nanoseconds per operation.
    Time,
    /// A fraction; more is better.
    Share,
    /// A count.
    Count,
}

/// The goal for raddle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Goal {
    /// At most this multiple of the best peer.
    Ratio(f64),
    /// At most this value.
    Most(f64),
    /// At least this value.
    Least(f64),
}

type Run = Box<dyn Fn(Scale) -> Sample>;

/// A participant of a case, with its measurement.
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) run: Run,
}

/// A workload, the same for all contenders.
pub(crate) struct Case {
    /// The name: group, slash, name in the group.
    pub(crate) name: String,
    /// Describes one operation.
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

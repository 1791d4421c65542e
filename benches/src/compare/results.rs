//! Results of the rounds.

use super::case::{Case, Goal, Kind, Sample, Unit};

/// A case, with the samples of its contenders in the order of the case.
pub(crate) struct Results {
    pub(crate) case: Case,
    pub(crate) samples: Vec<Vec<Sample>>,
}

/// The median of the samples and their extremes.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Results {
    pub(crate) fn new(case: Case) -> Self {
        let samples = case.contenders.iter().map(|_| Vec::new()).collect();
        Self { case, samples }
    }

    /// Returns the values of a contender.
    pub(crate) fn spread(&self, contender: usize) -> Spread {
        Spread::of(self.samples[contender].iter().map(|sample| sample.value))
    }

    /// Returns the median of a contender's processor time per operation.
    pub(crate) fn cpu(&self, contender: usize) -> f64 {
        Spread::of(self.samples[contender].iter().map(|sample| sample.cpu)).median
    }

    /// Returns the median of raddle.
    pub(crate) fn raddle(&self) -> Option<f64> {
        self.places(Kind::Raddle).map(|place| self.spread(place).median).next()
    }

    /// Returns the peer with the best median.
    pub(crate) fn best_peer(&self) -> Option<usize> {
        let median = |place: &usize| self.spread(*place).median;
        let peers = self.places(Kind::Peer);
        match self.case.unit {
            Unit::Share => peers.max_by(|a, b| median(a).total_cmp(&median(b))),
            Unit::Time | Unit::Count => peers.min_by(|a, b| median(a).total_cmp(&median(b))),
        }
    }

    /// Returns the ratio of the medians of raddle and the best peer.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let best = self.spread(self.best_peer()?).median;
        self.raddle().map(|own| own / best).filter(|ratio| ratio.is_finite())
    }

    /// Returns the ratio of the medians of a contender and raddle.
    pub(crate) fn ratio_to_raddle(&self, contender: usize) -> Option<f64> {
        let own = self.raddle()?;
        Some(self.spread(contender).median / own).filter(|ratio| ratio.is_finite())
    }

    /// Returns whether the goal was reached, or `None` without a comparable peer.
    pub(crate) fn is_ok(&self) -> Option<bool> {
        match self.case.goal {
            Goal::Ratio(goal) => Some(self.ratio()? <= goal),
            Goal::Most(most) => Some(self.raddle()? <= most),
            Goal::Least(least) => Some(self.raddle()? >= least),
        }
    }

    fn places(&self, kind: Kind) -> impl Iterator<Item = usize> {
        let contenders = self.case.contenders.iter().enumerate();
        contenders.filter(move |(_, it)| it.kind == kind).map(|(place, _)| place)
    }
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Self { median: f64::NAN, min: f64::NAN, max: f64::NAN };
        };
        let middle = values.len() / 2;
        let below = if values.len() % 2 == 1 { middle } else { middle - 1 };
        Self { median: f64::midpoint(values[below], values[middle]), min, max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(goal: Goal, unit: Unit, values: &[(Kind, f64)]) -> Results {
        let mut case = Case::new("a/b", "an operation", goal).unit(unit);
        for (kind, value) in values {
            let sample = Sample { value: *value, cpu: 1.0 };
            case = match kind {
                Kind::Raddle => case.raddle("raddle", move |_| sample),
                Kind::Peer => case.peer("peer", move |_| sample),
                Kind::Spins => case.spins("spins", move |_| sample),
                Kind::Extra => case.extra("extra", move |_| sample),
            };
        }
        let mut results = Results::new(case);
        for (place, (_, value)) in values.iter().enumerate() {
            results.samples[place].push(Sample { value: *value, cpu: 1.0 });
        }
        results
    }

    #[test]
    fn best_peer_excludes_spinning_contenders() {
        let values = [(Kind::Raddle, 6.0), (Kind::Spins, 1.0), (Kind::Peer, 8.0), (Kind::Peer, 5.0)];
        let timed = results(Goal::Ratio(1.0), Unit::Time, &values);
        assert_eq!((timed.best_peer(), timed.ratio(), timed.is_ok()), (Some(3), Some(1.2), Some(false)));
        let shared = results(Goal::Least(0.5), Unit::Share, &values);
        assert_eq!((shared.best_peer(), shared.is_ok()), (Some(2), Some(true)));
    }

    #[test]
    fn absolute_goal_needs_no_peer() {
        let idle = results(Goal::Most(0.0), Unit::Count, &[(Kind::Raddle, 0.0)]);
        assert_eq!((idle.ratio(), idle.is_ok()), (None, Some(true)));
    }

    #[test]
    fn median_of_two_is_between_them() {
        let spread = Spread::of([3.0, 1.0].into_iter());
        assert_eq!([spread.min, spread.median, spread.max].map(|it| it.to_string()), ["1", "2", "3"]);
    }
}

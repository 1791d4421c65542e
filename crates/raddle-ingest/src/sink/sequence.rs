//! Which messages of a batch are new, by the numbers of their senders.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::interface::{Batch, RowOutcome};
use crate::message::{Parcel, Row, Sequence};

/// The messages of a batch that are to be stored.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The messages to be stored, in order.
    pub(crate) new: Vec<Place<'a>>,
    /// The others, by ascending index.
    pub(crate) exceptions: Vec<(usize, RowOutcome)>,
    /// The senders of which something is stored, and the numbers of their last messages.
    pub(crate) last: Vec<(&'a str, u64)>,
}

/// Where a message is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Its index in the batch.
    pub(crate) index: usize,
    parcel: &'a Parcel,
    row: usize,
}

impl<'a> Place<'a> {
    /// Returns the message.
    pub(crate) fn row(&self) -> Row<'a> {
        self.parcel.row(self.row)
    }
}

/// Decides which messages are to be stored. `last_of` looks up the number of the last message that is stored of a sender, 0 if
/// there is none; it is called once for each sender.
pub(crate) fn plan<E>(batch: &Batch, mut last_of: impl FnMut(&str) -> Result<u64, E>) -> Result<Plan<'_>, E> {
    let mut plan = Plan { new: Vec::with_capacity(batch.len()), exceptions: Vec::new(), last: Vec::new() };
    let mut last: HashMap<&str, (u64, bool)> = HashMap::new();
    let mut begin = 0;
    for parcel in batch.parcels() {
        let mut skipped = 0;
        if let Some(sequence) = parcel.sequence() {
            let (last, is_changed) = match last.entry(&sequence.sender) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let last = last_of(&sequence.sender)?;
                    entry.insert((last, false))
                }
            };
            let Some(known) = known(*last, sequence, parcel.len()) else {
                let outcome = RowOutcome::OutOfSequence { expected: *last + 1 };
                plan.exceptions.extend((begin..begin + parcel.len()).map(|index| (index, outcome.clone())));
                begin += parcel.len();
                continue;
            };
            skipped = known;
            plan.exceptions.extend((begin..begin + skipped).map(|index| (index, RowOutcome::Duplicate)));
            if skipped < parcel.len() {
                *last = sequence.first + parcel.len() as u64 - 1;
                *is_changed = true;
            }
        }
        let places = (skipped..parcel.len()).map(|row| Place { index: begin + row, parcel, row });
        plan.new.extend(places);
        begin += parcel.len();
    }
    plan.last = last
        .into_iter()
        .filter_map(|(sender, (last, is_changed))| is_changed.then_some((sender, last)))
        .collect();
    Ok(plan)
}

/// Returns how many of `count` numbered messages are stored already, all from the front; `None` if the numbers are out of sequence.
pub(crate) fn known(last: u64, sequence: &Sequence, count: usize) -> Option<usize> {
    // Numbers count from 1. The range of the database's column is far larger than the number of messages that can be
    // stored.
    if sequence.first == 0 || sequence.first > last + 1 {
        return None;
    }
    let known = last + 1 - sequence.first;
    Some(usize::try_from(known).unwrap_or(usize::MAX).min(count))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::books::SourceId;

    fn parcel(sender: &str, first: u64, count: usize) -> Parcel {
        let mut parcel = Parcel::new(SourceId::FIRST, "peer".into(), UNIX_EPOCH);
        for _ in 0..count {
            parcel.push_text("x");
        }
        if !sender.is_empty() {
            parcel.set_sequence(Sequence { sender: sender.into(), first });
        }
        parcel
    }

    #[test]
    fn numbers_decide_what_is_new() {
        let batch = Batch::new(vec![
            parcel("a", 4, 4),  // 0..4: 4 and 5 are known
            parcel("", 0, 1),   // 4
            parcel("b", 2, 1),  // 5: begins in the middle
            parcel("a", 8, 1),  // 6: follows the first parcel
            parcel("a", 10, 1), // 7: a gap
            parcel("a", 1, 3),  // 8..11: all known
            parcel("b", 1, 2),  // 11..13
            parcel("c", 0, 1),  // 13: numbers begin with 1
        ]);
        let mut asked = Vec::new();
        let plan = plan(&batch, |sender| {
            asked.push(sender.to_owned());
            Ok::<_, Infallible>(if sender == "a" { 5 } else { 0 })
        });
        let mut plan = plan.unwrap();
        assert_eq!(asked, ["a", "b", "c"], "one look for each");
        let new: Vec<usize> = plan.new.iter().map(|place| place.index).collect();
        assert_eq!(new, [2, 3, 4, 6, 11, 12]);
        let out = |expected| RowOutcome::OutOfSequence { expected };
        let exceptions = [
            (0, RowOutcome::Duplicate),
            (1, RowOutcome::Duplicate),
            (5, out(1)),
            (7, out(9)),
            (8, RowOutcome::Duplicate),
            (9, RowOutcome::Duplicate),
            (10, RowOutcome::Duplicate),
            (13, out(1)),
        ];
        assert_eq!(plan.exceptions, exceptions);
        plan.last.sort_unstable();
        assert_eq!(plan.last, [("a", 8), ("b", 2)]);
    }
}

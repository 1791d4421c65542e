//! A schedule as a word that can be given to a command.

use std::fmt;
use std::str::FromStr;

use crate::search::Execution;
use crate::stage::{Grain, Rules, Time};

/// A schedule: what was chosen wherever there was a choice, and a mark by which to notice that the program did
/// something else on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) grain: Grain,
    pub(crate) time: Time,
    /// Of the operations, not of the lines that they stand on: those may move.
    pub(crate) mark: u32,
    /// Over so many steps.
    pub(crate) steps: usize,
    /// Places among the options; 0, go on with the same thread, at the end left out.
    pub(crate) choices: Vec<usize>,
}

impl Token {
    pub(crate) fn new(execution: &Execution, rules: Rules) -> Self {
        let mut choices = execution.choices.clone();
        while choices.last() == Some(&0) {
            choices.pop();
        }
        let failed = execution.failure.is_some();
        let steps = if failed { execution.failed_at } else { execution.events.len() };
        Self { grain: rules.grain, time: rules.time, mark: mark(execution, steps), steps, choices }
    }
}

/// FNV-1a over who did what to which kind of object in the first steps.
pub(crate) fn mark(execution: &Execution, steps: usize) -> u32 {
    let events = execution.events.iter().take(steps);
    let words = events.filter_map(|event| Some((event.thread, event.op?)));
    let text = words.flat_map(|(thread, op)| format!("{thread}{:?}{}", op.kind, op.object.what).into_bytes());
    text.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grain = if self.grain == Grain::Atoms { 'a' } else { 'o' };
        let time = if self.time == Time::Quiescent { 'q' } else { 'e' };
        write!(f, "r1{grain}{time}-{:08x}.{}-", self.mark, self.steps)?;
        let mut zeros = 0;
        let mut separator = "";
        for &choice in &self.choices {
            if choice == 0 {
                zeros += 1;
            } else {
                write!(f, "{separator}{zeros}.{choice}")?;
                (zeros, separator) = (0, "_");
            }
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text.trim()).ok_or_else(|| {
            format!("{text:?} is no token of a schedule; one looks like r1oe-0a1b2c3d.17-12.1_3.2")
        })
    }
}

fn parse(text: &str) -> Option<Token> {
    let mut parts = text.strip_prefix("r1")?.split('-');
    let (kind, hash, runs) = (parts.next()?, parts.next()?, parts.next()?);
    let (grain, time) = match kind {
        "oe" => (Grain::Operations, Time::Explored),
        "oq" => (Grain::Operations, Time::Quiescent),
        "ae" => (Grain::Atoms, Time::Explored),
        "aq" => (Grain::Atoms, Time::Quiescent),
        _ => return None,
    };
    let mut choices = Vec::new();
    for run in runs.split('_').filter(|run| !run.is_empty()) {
        let (zeros, choice) = run.split_once('.')?;
        let zeros: usize = zeros.parse().ok().filter(|zeros| *zeros <= MOST)?;
        choices.resize(choices.len() + zeros, 0);
        choices.push(choice.parse().ok()?);
    }
    let (hash, steps) = hash.split_once('.')?;
    let (mark, steps) = (u32::from_str_radix(hash, 16).ok()?, steps.parse().ok()?);
    parts.next().is_none().then_some(Token { grain, time, mark, steps, choices })
}

/// More choices than any execution has.
const MOST: usize = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_it_was_written_as() {
        for choices in [vec![], vec![1], vec![0, 0, 0, 2, 1, 0, 3]] {
            let token = Token { grain: Grain::Atoms, time: Time::Explored, mark: 0xab, steps: 9, choices };
            assert_eq!(token.to_string().parse(), Ok(token));
        }
        let token: Token = "r1oq-000000ab.3-12.1_0.2".parse().unwrap();
        assert_eq!((token.choices.len(), token.time), (14, Time::Quiescent));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in [
            "",
            "r1",
            "r2oe-0.1-",
            "r1xx-0.1-",
            "r1oe-zz.1-",
            "r1oe-0-",
            "r1oe-0.1-1",
            "r1oe-0.1-1.x",
            "r1oe-0.1-1.1-2",
        ] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }
}

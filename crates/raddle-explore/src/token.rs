//! A schedule as a word that can be given to a command.

use std::fmt;
use std::path::Path;
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
    hash(text)
}

/// FNV-1a.
pub(crate) fn hash(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A token that is longer than this goes into a file, whose name is shown instead.
pub(crate) const SHOWN: usize = 200;

/// The version of the format. The choices of an earlier one mean something else.
const VERSION: &str = "r2";

/// So many zeros, and then a choice that is none.
type Item = (usize, usize);

/// The longest block of items of which repetitions are looked for.
const BLOCK: usize = 32;

impl Token {
    fn items(&self) -> Vec<Item> {
        let mut zeros = 0;
        let mut items = Vec::new();
        for &choice in &self.choices {
            if choice == 0 {
                zeros += 1;
            } else {
                items.push((std::mem::take(&mut zeros), choice));
            }
        }
        items
    }
}

/// The block with which `items` begin, and how often it comes in a row: the one that leaves out the most items.
fn block(items: &[Item]) -> (usize, usize) {
    let repeats = |length: usize| {
        let block = &items[..length];
        (length, items.chunks_exact(length).take_while(|next| *next == block).count())
    };
    let saves = |(length, count): &(usize, usize)| length * (count - 1);
    let longest = (1..=BLOCK.min(items.len())).map(repeats).rev().max_by_key(saves);
    longest.filter(|block| saves(block) > 1).unwrap_or((1, 1))
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grain = if self.grain == Grain::Atoms { 'a' } else { 'o' };
        let time = if self.time == Time::Quiescent { 'q' } else { 'e' };
        write!(f, "{VERSION}{grain}{time}-{:08x}.{}-", self.mark, self.steps)?;
        let items = self.items();
        let mut rest = &items[..];
        while !rest.is_empty() {
            let (length, count) = block(rest);
            for (place, (zeros, choice)) in rest[..length].iter().enumerate() {
                let separator = match (place, rest.len() == items.len()) {
                    (0, true) => "",
                    (0, false) => "_",
                    _ => "+",
                };
                write!(f, "{separator}{zeros}.{choice}")?;
            }
            if count > 1 {
                write!(f, "x{count}")?;
            }
            rest = &rest[length * count..];
        }
        Ok(())
    }
}

impl Token {
    /// The token that `text` is, or that the file with this name holds.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        text.parse().or_else(|error| match std::fs::read_to_string(text) {
            Ok(file) => file.parse().map_err(|error| format!("in the file {}: {error}", cut(text))),
            Err(_) if !is_path(text) => Err(error),
            Err(io) => {
                Err(format!("{} is neither the token of a schedule nor a file with one: {io}", cut(text)))
            }
        })
    }

    /// The token as a report or an error shows it.
    pub(crate) fn shown(&self) -> String {
        cut(&self.to_string())
    }
}

fn is_path(text: &str) -> bool {
    text.contains(std::path::is_separator)
        || Path::new(text).extension().is_some_and(|extension| extension == "token")
}

/// The beginning of a text that is too long to be shown.
fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(SHOWN / 4).collect::<String>())
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let earlier = text.strip_prefix("r1").is_some_and(|rest| rest.chars().nth(2) == Some('-'));
        parse(text).ok_or_else(|| {
            let text = cut(text);
            if earlier {
                return format!(
                    "{text:?} is a token of an earlier version of raddle-explore, whose choices mean something else: run \
                     the test without it to get a new one"
                );
            }
            format!("{text:?} is no token of a schedule; one looks like r2oe-0a1b2c3d.17-12.1_3.2")
        })
    }
}

fn parse(text: &str) -> Option<Token> {
    let mut parts = text.strip_prefix(VERSION)?.split('-');
    let (kind, hash, blocks) = (parts.next()?, parts.next()?, parts.next()?);
    let (grain, time) = match kind {
        "oe" => (Grain::Operations, Time::Explored),
        "oq" => (Grain::Operations, Time::Quiescent),
        "ae" => (Grain::Atoms, Time::Explored),
        "aq" => (Grain::Atoms, Time::Quiescent),
        _ => return None,
    };
    let mut choices = Vec::new();
    for block in blocks.split('_').filter(|block| !block.is_empty()) {
        let (block, count) = block.split_once('x').unwrap_or((block, "1"));
        let count: usize = count.parse().ok().filter(|count| *count <= MOST)?;
        let mut once = Vec::new();
        for item in block.split('+') {
            let (zeros, choice) = item.split_once('.')?;
            let zeros: usize = zeros.parse().ok().filter(|zeros| *zeros <= MOST)?;
            once.resize(once.len() + zeros, 0);
            once.push(choice.parse().ok()?);
        }
        let all = once.len().checked_mul(count).filter(|all| *all <= MOST)?;
        choices.extend(once.iter().cycle().take(all));
    }
    let (hash, steps) = hash.split_once('.')?;
    let (mark, steps) = (u32::from_str_radix(hash, 16).ok()?, steps.parse().ok()?);
    parts.next().is_none().then_some(Token { grain, time, mark, steps, choices })
}

/// More choices than any execution has.
const MOST: usize = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(choices: Vec<usize>) -> Token {
        Token { grain: Grain::Atoms, time: Time::Explored, mark: 0xab, steps: 9, choices }
    }

    #[test]
    fn a_token_is_what_it_was_written_as() {
        for choices in [vec![], vec![1], vec![0, 0, 0, 2, 1, 0, 3]] {
            let token = token(choices);
            assert_eq!(token.to_string().parse(), Ok(token));
        }
        let token: Token = "r2oq-000000ab.3-12.1_0.2".parse().unwrap();
        assert_eq!((token.choices.len(), token.time), (14, Time::Quiescent));
    }

    #[test]
    fn repeated_choices_are_written_once() {
        let ones = token(vec![1; 5_000]);
        assert_eq!(ones.to_string(), "r2ae-000000ab.9-0.1x5000");
        let block = [0, 0, 1, 2, 0, 3];
        let mut choices = vec![0, 4];
        choices.extend(block.iter().cycle().take(6 * 300));
        choices.push(1);
        let blocks = token(choices);
        assert_eq!(blocks.to_string(), "r2ae-000000ab.9-1.4_2.1+0.2+1.3x300_0.1");
        for token in [ones, blocks] {
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    /// Whatever the choices are, the token is what it was.
    #[test]
    fn irregular_choices_survive() {
        let mut seed = 1_u64;
        for length in 0..150 {
            let choices = (0..length).map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 60) as usize % 3
            });
            let mut choices: Vec<_> = choices.collect();
            choices.push(1);
            let token = token(choices);
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in [
            "",
            "r2",
            "r3oe-0.1-",
            "r2xx-0.1-",
            "r2oe-zz.1-",
            "r2oe-0-",
            "r2oe-0.1-1",
            "r2oe-0.1-1.x",
            "r2oe-0.1-1.1x",
            "r2oe-0.1-1.1+",
            "r2oe-0.1-1.1x99999999999",
            "r2oe-0.1-9999.1x9999",
            "r2oe-0.1-1.1-2",
        ] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }

    #[test]
    fn token_of_an_earlier_version_is_told_apart() {
        let error = "r1oe-0a1b2c3d.17-12.1_3.2".parse::<Token>().unwrap_err();
        assert!(error.contains("earlier version"), "{error}");
        let error = "nonsense ".repeat(100).parse::<Token>().unwrap_err();
        assert!(error.contains("is no token") && error.len() < 200, "{error}");
    }
}

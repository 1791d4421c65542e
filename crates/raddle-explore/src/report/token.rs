//! The token of a schedule: the choices of an execution as one word of text.
//!
//! `r2oe-7b3b6048.16-2.2_0.1x3` consists of the format's version (`r2`), the grain (`o` or `a`) and the time mode (`e` or
//! `q`); the fingerprint of the first steps and their number; and the choices. A choice is the position of the chosen
//! task among the enabled ones, and 0 continues the current task. `2.2` stands for two zeros and a 2, `x3` repeats a
//! block, `_` separates blocks, and `+` separates the choices of one block. Zeros at the end are left out.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::options::{Grain, Rules, Time};
use crate::runtime::Trace;

/// The choices of an execution, and a fingerprint that shows whether the program takes the same steps again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) grain: Grain,
    pub(crate) time: Time,
    /// A hash of the operations without their source lines, which may move.
    pub(crate) fingerprint: u32,
    /// The number of steps that the fingerprint covers.
    pub(crate) steps: usize,
    /// The chosen positions among the enabled tasks, without zeros at the end.
    pub(crate) choices: Vec<usize>,
}

impl Token {
    pub(crate) fn new(trace: &Trace, rules: Rules) -> Self {
        let mut choices = trace.choices.clone();
        while choices.last() == Some(&0) {
            choices.pop();
        }
        let failed = trace.failure.is_some();
        let steps = if failed { trace.failed_at } else { trace.events.len() };
        Self { grain: rules.grain, time: rules.time, fingerprint: fingerprint(trace, steps), steps, choices }
    }
}

/// A hash of the first steps: the thread, the kind of operation, and the kind of object of each.
pub(crate) fn fingerprint(trace: &Trace, steps: usize) -> u32 {
    let events = trace.events.iter().take(steps);
    let words = events.filter_map(|event| Some((event.thread, event.op?)));
    let text =
        words.flat_map(|(thread, op)| format!("{thread}{:?}{}", op.kind, op.object.type_name).into_bytes());
    hash(text)
}

/// FNV-1a, 32 bits.
pub(crate) fn hash(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A longer token is written to a file, whose name is shown instead.
pub(crate) const LONGEST_SHOWN: usize = 200;

/// The version of the format. Choices of an earlier version have another meaning.
const VERSION: &str = "r2";

/// A number of zeros, and the choice other than zero that follows them.
type Item = (usize, usize);

/// The length of the longest block whose repetitions are found.
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

/// The length of the first block of `items` and how often it is repeated, such that repetition saves the most items.
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
        write!(f, "{VERSION}{grain}{time}-{:08x}.{}-", self.fingerprint, self.steps)?;
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
    /// Parses `text`, or the contents of the file with that name.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        text.parse().or_else(|error| match std::fs::read_to_string(text) {
            Ok(file) => file.parse().map_err(|error| format!("in the file {}: {error}", cut(text))),
            Err(_) if !is_path(text) => Err(error),
            Err(io) => Err(format!(
                "{} is neither the token of a schedule nor a file that contains one: {io}",
                cut(text)
            )),
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

/// The beginning of a text that is too long to be shown, or the text.
fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST_SHOWN {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(LONGEST_SHOWN / 4).collect::<String>())
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
                    "{text:?} is a token of an earlier version of raddle-explore and cannot be replayed; run the test \
                     without it to get a new one"
                );
            }
            format!("{text:?} is not the token of a schedule; a token looks like r2oe-0a1b2c3d.17-12.1_3.2")
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
    let (fingerprint, steps) = (u32::from_str_radix(hash, 16).ok()?, steps.parse().ok()?);
    parts.next().is_none().then_some(Token { grain, time, fingerprint, steps, choices })
}

/// More choices than any execution has.
const MOST: usize = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(choices: Vec<usize>) -> Token {
        Token { grain: Grain::Atoms, time: Time::Explored, fingerprint: 0xab, steps: 9, choices }
    }

    #[test]
    fn token_survives_a_round_trip() {
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

    #[test]
    fn irregular_choices_survive_a_round_trip() {
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
    fn invalid_tokens_are_rejected() {
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
    fn token_of_an_earlier_version_has_an_error_of_its_own() {
        let error = "r1oe-0a1b2c3d.17-12.1_3.2".parse::<Token>().unwrap_err();
        assert!(error.contains("earlier version"), "{error}");
        let error = "nonsense ".repeat(100).parse::<Token>().unwrap_err();
        assert!(error.contains("is not the token") && error.len() < 200, "{error}");
    }
}

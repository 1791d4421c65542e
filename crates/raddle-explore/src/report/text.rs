//! The report as text.

use std::fmt::{self, Write as _};

use raddle::rt::Place;

use super::content::Content;
use super::story::{Step, Story, position_of, waits_for};

/// Longer executions are cut in the middle; the page and the JSON have all steps.
const MAX_STEPS: usize = 120;

pub(super) fn write(f: &mut fmt::Formatter<'_>, report: &Content) -> fmt::Result {
    let story = report.story();
    head(f, report, &story)?;
    steps(f, &story)?;
    end(f, &story)?;
    tail(f, report)
}

fn head(f: &mut fmt::Formatter<'_>, report: &Content, story: &Story<'_>) -> fmt::Result {
    let headline = story.headline();
    if let Some(warning) = &report.warning {
        write!(f, "{warning}\n\n")?;
    }
    f.write_str(&headline.title)?;
    if let Some(at) = &headline.at {
        write!(f, ", at {at}")?;
    }
    if !headline.message.is_empty() {
        write!(f, ":\n{}", indented(&headline.message))?;
    }
    let found = &report.found;
    match found.execution {
        Some(trace) => write!(f, "\n\nfound in execution {trace} by {}; ", found.strategy)?,
        None if found.replayed => f.write_str("\n\nreplayed from its token; ")?,
        None => f.write_str("\n\n")?,
    }
    match found.preemptions {
        0 => f.write_str("no preemption"),
        1 => f.write_str("1 preemption"),
        count => write!(f, "{count} preemptions"),
    }?;
    if found.shrunk_from > found.preemptions {
        write!(f, " (shrunk from {})", found.shrunk_from)?;
    }
    f.write_str("\n\n")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// One line for each step, with the columns thread, operation and source line.
fn steps(f: &mut fmt::Formatter<'_>, story: &Story<'_>) -> fmt::Result {
    let steps = story.steps();
    let what: Vec<_> = steps.iter().map(did).collect();
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).min(44);
    let threads = steps.iter().map(|step| step.record.thread).chain(story.to_come().map(|to_come| to_come.0));
    let names = width(&mut threads.map(|thread| story.thread(thread).chars().count()));
    let wide = width(&mut what.iter().map(|text| text.chars().count()));
    let (rows, mut last) = (rows(&steps, &what), usize::MAX);
    let left_out = MAX_STEPS / 2..rows.len().saturating_sub(MAX_STEPS / 2);
    for (place, row) in rows.iter().enumerate() {
        if left_out.len() > 1 && left_out.contains(&place) {
            if place == left_out.start {
                let of = |rows: &[Row]| rows.iter().map(Row::steps).sum::<usize>();
                writeln!(f, "         … {} steps, see the page or the JSON …", of(&rows[left_out.clone()]))?;
            }
            continue;
        }
        let number = match row {
            Row::Step(number) => *number,
            Row::Again { steps: 1, times } => {
                writeln!(f, "         … the step above is repeated {times} times …")?;
                continue;
            }
            Row::Again { steps, times } => {
                writeln!(f, "         … the {steps} steps above are repeated {times} times …")?;
                continue;
            }
        };
        let (step, what) = (&steps[number], &what[number]);
        if let Some(preempted) = step.record.preempts {
            writeln!(f, "       -- preempted: \"{}\" could have continued", story.thread(preempted))?;
        }
        let (name, star) = (story.thread(step.record.thread), if step.pair { '*' } else { ' ' });
        let name = if step.record.thread == last { "" } else { name };
        last = step.record.thread;
        let hint = step.hint.map(|hint| format!("{hint} ")).unwrap_or_default();
        let at = step.at.map(|at| format!("  {hint}{}", line_of(at))).unwrap_or_default();
        let line = format!("{star}{:>5}  {name:names$}  {what:wide$}{at}", number + 1);
        writeln!(f, "{}", line.trim_end())?;
    }
    if let Some((thread, what, op)) = story.to_come() {
        writeln!(f, "*       {:names$}  next: {what}  {}", story.thread(thread), line_of(op.at))?;
    }
    if steps.iter().any(|step| step.pair) {
        f.write_str(
            "\n* the order of these two steps decides: in the other order, the program does not fail in this way\n",
        )?;
    }
    Ok(())
}

/// One line of the table of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// The step with this index.
    Step(usize),
    /// The last `steps` steps are repeated `times` times.
    Again { steps: usize, times: usize },
}

impl Row {
    /// The number of steps that it stands for.
    fn steps(&self) -> usize {
        match self {
            Row::Step(_) => 1,
            Row::Again { steps, times } => steps * times,
        }
    }
}

/// The rows of an execution. A long one is shown without repetitions, and a longer one without those that differ in
/// values only.
fn rows(steps: &[Step<'_>], what: &[String]) -> Vec<Row> {
    let key = |step: &Step<'_>| (step.record.thread, step.at, step.record.preempts, step.pair);
    let exact: Vec<_> = steps.iter().zip(what).map(|(step, what)| (key(step), what)).collect();
    let rows = collapsed(&exact);
    if rows.len() <= MAX_STEPS {
        return rows;
    }
    let similar: Vec<_> = steps.iter().map(|step| (key(step), &step.text, step.record.timed_out)).collect();
    collapsed(&similar)
}

/// The steps with these keys, without repetitions of up to [`LONGEST_BLOCK`] steps.
fn collapsed<K: PartialEq>(keys: &[K]) -> Vec<Row> {
    let (mut rows, mut at) = (Vec::new(), 0);
    while at < keys.len() {
        let rest = &keys[at..];
        let repeated = |length: usize| {
            let block = &rest[..length];
            (length, rest.chunks_exact(length).take_while(|next| *next == block).count())
        };
        let saved = |(length, count): &(usize, usize)| length * (count - 1);
        let best = (1..=LONGEST_BLOCK.min(rest.len())).map(repeated).rev().max_by_key(saved);
        let (length, count) = best.filter(|best| saved(best) >= MIN_SAVED).unwrap_or((1, 1));
        rows.extend((at..at + length).map(Row::Step));
        if count > 1 {
            rows.push(Row::Again { steps: length, times: count - 1 });
        }
        at += length * count;
    }
    rows
}

/// Longer repetitions are not recognized.
const LONGEST_BLOCK: usize = 48;

/// Fewer repeated steps are shown.
const MIN_SAVED: usize = 10;

/// The place without its column: `file:line`, and the function if it is known.
fn line_of(at: Place) -> String {
    let function = at.function().map(|function| format!(", in {function}")).unwrap_or_default();
    format!("{}:{}{function}", at.file(), at.line())
}

/// The operation of a step, in words.
fn did(step: &Step<'_>) -> String {
    let mut text = step.text.clone();
    if let Some(value) = &step.value {
        let _ = write!(text, ": {value}");
    }
    if step.record.timed_out {
        let sleeps = step.record.kind == Some(raddle::rt::Kind::Sleep);
        let _ = write!(text, "{} {:?}", if sleeps { " until" } else { ": times out at" }, step.record.clock);
    }
    if let Some(wakes) = &step.wakes {
        let _ = write!(text, "; {wakes}");
    }
    text
}

/// The blocked threads, the objects of their waits, and the threads that hold those.
fn end(f: &mut fmt::Formatter<'_>, story: &Story<'_>) -> fmt::Result {
    if story.waits().is_empty() {
        return Ok(());
    }
    f.write_str("\nblocked at the end:\n")?;
    for wait in story.waits() {
        let (waiter, object) = (story.thread(wait.thread), story.object(wait.object));
        let (place, hint) = position_of(wait);
        writeln!(f, "  thread \"{waiter}\" {} {object}, {hint} {place}", waits_for(wait))?;
        for hold in story.holders(wait) {
            let what = if wait.held.is_some() { "held" } else { "acquired" };
            writeln!(f, "      {what} by thread \"{}\" at {}", story.thread(hold.by), hold.since)?;
        }
    }
    if let Some(cycle) = story.cycle() {
        let names: Vec<_> = cycle.iter().chain(cycle.first()).map(|thread| story.thread(*thread)).collect();
        writeln!(f, "  cycle: {}", names.join(" → "))?;
    }
    Ok(())
}

fn tail(f: &mut fmt::Formatter<'_>, report: &Content) -> fmt::Result {
    if let Some(note) = &report.note {
        writeln!(f, "\n{note}")?;
    }
    write!(f, "\nto replay this schedule: {}", report.replay_command())?;
    match &report.page {
        Some(Ok(page)) => write!(f, "\nto step through it: open {}", page.display()),
        Some(Err(error)) => write!(f, "\nthe page could not be written: {error}"),
        None => f.write_str("\nto step through it: set RADDLE_REPORT to a directory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_steps_are_one_row() {
        let steps = |text: &str| collapsed(text.as_bytes());
        assert_eq!(steps("abcabc").len(), 6, "too few to leave out");
        assert_eq!(steps(&"a".repeat(20_000)), [Row::Step(0), Row::Again { steps: 1, times: 19_999 }]);
        let text = format!("x{}y", "abcd".repeat(100));
        let rows = steps(&text);
        assert_eq!(rows[4..], [Row::Step(4), Row::Again { steps: 4, times: 99 }, Row::Step(401)]);
        assert_eq!(rows.iter().map(Row::steps).sum::<usize>(), text.len());
    }
}

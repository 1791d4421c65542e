//! Where the choices of an execution come from: a search in depth, dice, or an earlier execution.

/// One choice among several, with what each option costs: bit `k` of `dear` is set if option `k` is a preemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Branch {
    options: usize,
    dear: u32,
    /// Preemptions before this choice.
    spent: usize,
    chosen: usize,
}

impl Branch {
    fn spent_after(self) -> usize {
        self.spent + usize::from(self.dear >> self.chosen & 1 == 1)
    }
}

/// The choices of one execution after the other.
#[derive(Debug)]
pub(crate) struct Course {
    trail: Vec<Branch>,
    at: usize,
    source: Source,
    /// Some option was left out because of the bound.
    pruned: bool,
}

#[derive(Debug)]
enum Source {
    /// First options first, with at most so many preemptions.
    Depth { bound: usize },
    /// Dice, with the state of their generator.
    Dice(u64),
    /// What was chosen before, first options after it.
    Again(Vec<usize>),
}

impl Course {
    /// Every course of choices with at most `bound` preemptions, one after the other.
    pub(crate) fn depth(bound: usize) -> Self {
        Self::new(Source::Depth { bound })
    }

    /// Choices thrown with dice.
    pub(crate) fn dice(seed: u64) -> Self {
        Self::new(Source::Dice(seed))
    }

    /// The choices of an earlier execution.
    pub(crate) fn again(choices: &[usize]) -> Self {
        Self::new(Source::Again(choices.to_vec()))
    }

    fn new(source: Source) -> Self {
        Self { trail: Vec::new(), at: 0, source, pruned: false }
    }

    /// Chooses one of `options`, of which those in the mask `dear` are preemptions; the first one never is.
    pub(crate) fn choose(&mut self, options: usize, dear: u32) -> usize {
        let spent = self.at.checked_sub(1).map_or(0, |before| self.trail[before].spent_after());
        let planned = self.trail.get(self.at).copied();
        let chosen = match (&mut self.source, planned) {
            (Source::Depth { .. }, Some(planned)) => planned.chosen,
            (Source::Depth { .. }, None) => 0,
            (Source::Dice(seed), _) => thrown(seed, options),
            (Source::Again(choices), _) => choices.get(self.at).copied().unwrap_or(0),
        };
        let branch = Branch { options, dear, spent, chosen };
        let same = chosen < options && planned.is_none_or(|planned| planned == branch);
        assert!(same, "after the same choices the scenario came to another one: {planned:?}, now {branch:?}");
        if planned.is_none() {
            self.trail.push(branch);
        }
        self.at += 1;
        chosen
    }

    /// Sets out for the next course; false: there is none.
    pub(crate) fn advance(&mut self) -> bool {
        self.at = 0;
        let Source::Depth { bound } = self.source else {
            self.trail.clear();
            return true;
        };
        while let Some(last) = self.trail.last_mut() {
            while last.chosen + 1 < last.options {
                last.chosen += 1;
                if last.spent_after() <= bound {
                    return true;
                }
                self.pruned = true;
            }
            self.trail.pop();
        }
        false
    }

    /// Whether every course there is fits into the bound.
    pub(crate) fn complete(&self) -> bool {
        !self.pruned
    }

    /// The choices so far, first options at the end left out.
    pub(crate) fn choices(&self) -> Vec<usize> {
        let mut choices: Vec<_> = self.trail[..self.at].iter().map(|branch| branch.chosen).collect();
        while choices.last() == Some(&0) {
            choices.pop();
        }
        choices
    }
}

/// Splitmix64: small, and good enough for dice.
fn thrown(seed: &mut u64, sides: usize) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).expect("fewer sides than a usize counts")
}

#[test]
fn a_search_in_depth_meets_every_course_within_its_bound_once() {
    // Three choices of three options each, of which the second and third are preemptions.
    let courses = |bound| {
        let mut course = Course::depth(bound);
        let mut seen = std::collections::BTreeSet::new();
        loop {
            let taken = [(); 3].map(|()| course.choose(3, 0b110));
            assert!(seen.insert(taken), "{taken:?} came twice");
            if !course.advance() {
                return (seen.len(), course.complete());
            }
        }
    };
    assert_eq!([0, 1, 2, 3].map(courses), [(1, false), (7, false), (19, false), (27, true)]);
}

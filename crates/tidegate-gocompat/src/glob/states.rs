//! A small automaton: a program of instructions, run as the set of places it can be in.

/// One instruction.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Exactly this character.
    Char(char),
    /// Any character but the separators.
    NotSeparator,
    /// Any character at all.
    Anything,
    /// A character of a class; `ranges` are inclusive.
    Class {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
    /// Goes on at both places, relative to the start of the program.
    Split(usize, usize),
    /// Goes on elsewhere.
    Jump(usize),
}

/// A program; its end means a match.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    pub(super) separators: Vec<char>,
}

impl Program {
    pub(super) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Zero or more of a one-character step.
    pub(super) fn star(&mut self, step: Step) {
        let start = self.steps.len();
        self.push(Step::Split(start + 1, start + 3));
        self.push(step);
        self.push(Step::Jump(start));
    }

    /// Whether the whole text matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut current = States::new(self.steps.len());
        let mut next = States::new(self.steps.len());
        self.enter(0, &mut current);
        for c in text.chars() {
            next.clear();
            for i in 0..current.list.len() {
                let at = current.list[i];
                if self.steps.get(at).is_some_and(|step| self.accepts(step, c)) {
                    self.enter(at + 1, &mut next);
                }
            }
            std::mem::swap(&mut current, &mut next);
            if current.list.is_empty() {
                return false;
            }
        }
        current.set[self.steps.len()]
    }

    fn accepts(&self, step: &Step, c: char) -> bool {
        match step {
            Step::Char(wanted) => *wanted == c,
            Step::NotSeparator => !self.separators.contains(&c),
            Step::Anything => true,
            Step::Class { ranges, negated } => {
                ranges.iter().any(|(lo, hi)| (*lo..=*hi).contains(&c)) != *negated
            }
            Step::Split(..) | Step::Jump(_) => false,
        }
    }

    /// Adds a place and all it leads to without reading.
    fn enter(&self, at: usize, states: &mut States) {
        let mut pending = vec![at];
        while let Some(at) = pending.pop() {
            if !states.add(at) {
                continue;
            }
            match self.steps.get(at) {
                Some(Step::Split(a, b)) => pending.extend([*b, *a]),
                Some(Step::Jump(to)) => pending.push(*to),
                Some(Step::Char(_) | Step::NotSeparator | Step::Anything | Step::Class { .. })
                | None => {}
            }
        }
    }
}

/// A set of places that can be walked in order of arrival.
struct States {
    set: Vec<bool>,
    list: Vec<usize>,
}

impl States {
    fn new(steps: usize) -> Self {
        States {
            set: vec![false; steps + 1],
            list: Vec::new(),
        }
    }

    fn add(&mut self, at: usize) -> bool {
        let new = !self.set[at];
        if new {
            self.set[at] = true;
            self.list.push(at);
        }
        new
    }

    fn clear(&mut self) {
        for at in self.list.drain(..) {
            self.set[at] = false;
        }
    }
}

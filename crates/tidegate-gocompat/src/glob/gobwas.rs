//! The dialect of `gobwas/glob`: `*` stops at separators (when there are any), `**` does not,
//! `{a,b}` nests, a class is either one range or a list, negated by `!` only.

use super::states::{Program, Step};
use super::{GlobError, MAX_NESTING, MAX_PATTERN};

/// A compiled pattern.
///
/// ```
/// use tidegate_gocompat::Glob;
/// assert!(Glob::new("team-{a,b}-*", &[])?.matches("team-a-prod/eu"));
/// assert!(!Glob::new("https://*/repo", &['/'])?.matches("https://a/b/repo"));
/// # Ok::<(), tidegate_gocompat::GlobError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Glob {
    program: Program,
}

impl Glob {
    /// Compiles a pattern; `*` and `?` do not cross the separators.
    ///
    /// # Errors
    /// When gobwas refuses the pattern, or [`GlobError::TooComplex`].
    pub fn new(pattern: &str, separators: &[char]) -> Result<Glob, GlobError> {
        if pattern.len() > MAX_PATTERN {
            return Err(GlobError::TooComplex);
        }
        let mut compiler = Compiler {
            rest: pattern
                .chars()
                .collect::<Vec<char>>()
                .into_iter()
                .peekable(),
            program: Program {
                steps: Vec::new(),
                separators: separators.to_vec(),
            },
            open: Vec::new(),
        };
        compiler.compile()?;
        Ok(Glob {
            program: compiler.program,
        })
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.program.matches(text)
    }
}

struct Compiler {
    rest: std::iter::Peekable<std::vec::IntoIter<char>>,
    program: Program,
    open: Vec<Alternatives>,
}

/// An open brace: where its split is to be written, and the jumps to its end.
struct Alternatives {
    split: usize,
    jumps: Vec<usize>,
}

impl Compiler {
    fn compile(&mut self) -> Result<(), GlobError> {
        while let Some(c) = self.rest.next() {
            match c {
                '*' if self.rest.next_if_eq(&'*').is_some() => self.program.star(Step::Anything),
                '*' => self.program.star(Step::NotSeparator),
                '?' => self.program.push(Step::NotSeparator),
                '[' => self.class()?,
                '{' => self.open_brace()?,
                ',' if !self.open.is_empty() => self.next_alternative(),
                '}' if !self.open.is_empty() => self.close_brace(),
                // At the end it escapes nothing, and gobwas does not mind.
                '\\' => {
                    if let Some(escaped) = self.rest.next() {
                        self.program.push(Step::Char(escaped));
                    }
                }
                _ => self.program.push(Step::Char(c)),
            }
        }
        // gobwas takes braces left open as closed at the end.
        while !self.open.is_empty() {
            self.close_brace();
        }
        Ok(())
    }

    fn open_brace(&mut self) -> Result<(), GlobError> {
        if self.open.len() >= MAX_NESTING {
            return Err(GlobError::TooComplex);
        }
        self.open.push(Alternatives {
            split: self.program.steps.len(),
            jumps: Vec::new(),
        });
        // Written over when the next alternative begins.
        self.program.push(Step::Jump(self.program.steps.len() + 1));
        Ok(())
    }

    fn next_alternative(&mut self) {
        let end = self.program.steps.len();
        if let Some(alternatives) = self.open.last_mut() {
            alternatives.jumps.push(end);
            self.program.steps.push(Step::Jump(0));
            self.program.steps[alternatives.split] = Step::Split(alternatives.split + 1, end + 1);
            alternatives.split = end + 1;
            self.program.steps.push(Step::Jump(end + 2));
        }
    }

    fn close_brace(&mut self) {
        let end = self.program.steps.len();
        if let Some(alternatives) = self.open.pop() {
            for jump in alternatives.jumps {
                self.program.steps[jump] = Step::Jump(end);
            }
        }
    }

    /// `[a-z]`, `[!a-z]`, `[abc]`, `[!abc]`.
    fn class(&mut self) -> Result<(), GlobError> {
        let negated = self.rest.next_if_eq(&'!').is_some();
        let first = self.rest.next().ok_or(GlobError::Class)?;
        if self.rest.next_if_eq(&'-').is_some() {
            let (lo, hi) = (first, self.rest.next().ok_or(GlobError::Class)?);
            if self.rest.next() != Some(']') {
                return Err(GlobError::Range);
            }
            if hi < lo {
                return Err(GlobError::Order { lo, hi });
            }
            self.program.push(Step::Class {
                ranges: vec![(lo, hi)],
                negated,
            });
            return Ok(());
        }
        let mut ranges = Vec::new();
        let mut next = Some(first);
        loop {
            let c = match next.ok_or(GlobError::Class)? {
                ']' => break,
                '\\' => self.rest.next().ok_or(GlobError::Class)?,
                c => c,
            };
            ranges.push((c, c));
            next = self.rest.next();
        }
        if ranges.is_empty() {
            return Err(GlobError::Class);
        }
        self.program.push(Step::Class { ranges, negated });
        Ok(())
    }
}

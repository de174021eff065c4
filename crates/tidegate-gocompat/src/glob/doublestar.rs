//! The dialect of `bmatcuk/doublestar` v4: `**` as a whole path segment crosses `/`, zero segments
//! included; elsewhere it is `*`. Leading dots are nothing special.

use super::states::{Program, Step};
use super::{GlobError, MAX_ALTERNATIVES, MAX_NESTING, MAX_PATTERN};

const SEPARATOR: char = '/';
/// Stands in an expanded pattern where a brace opened: stars on both sides of it do not join, and
/// a segment begins behind it (both as doublestar does it). No pattern from outside holds it.
const BRACE: char = '\u{10FFFF}';

/// A compiled path pattern.
///
/// ```
/// use tidegate_gocompat::PathGlob;
/// let glob = PathGlob::new("apps/**/{dev,prod}.yaml")?;
/// assert!(glob.matches("apps/dev.yaml") && glob.matches("apps/a/b/prod.yaml"));
/// # Ok::<(), tidegate_gocompat::GlobError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PathGlob {
    /// One program for each way through the braces.
    programs: Vec<Program>,
}

impl PathGlob {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Unbalanced brackets or braces, a backslash at the end, or [`GlobError::TooComplex`].
    pub fn new(pattern: &str) -> Result<PathGlob, GlobError> {
        if pattern.len() > MAX_PATTERN || pattern.contains(BRACE) {
            return Err(GlobError::TooComplex);
        }
        let pattern: Vec<char> = pattern.chars().collect();
        let mut expanded = Vec::new();
        expand(&pattern, 0, &mut expanded)?;
        let programs: Result<Vec<Program>, GlobError> =
            expanded.iter().map(|pattern| compile(pattern)).collect();
        programs.map(|programs| PathGlob { programs })
    }

    /// Whether the whole path matches.
    pub fn matches(&self, path: &str) -> bool {
        self.programs.iter().any(|program| program.matches(path))
    }
}

/// The patterns that the first brace stands for, and so on for the braces left in them.
fn expand(pattern: &[char], depth: usize, out: &mut Vec<Vec<char>>) -> Result<(), GlobError> {
    if depth > MAX_NESTING || out.len() >= MAX_ALTERNATIVES {
        return Err(GlobError::TooComplex);
    }
    let Some(open) = find_open(pattern)? else {
        out.push(pattern.to_vec());
        return Ok(());
    };
    let (commas, close) = find_close(pattern, open)?;
    let mut start = open + 1;
    for end in commas.into_iter().chain([close]) {
        let alternative = [
            &pattern[..open],
            &[BRACE],
            &pattern[start..end],
            &pattern[close + 1..],
        ]
        .concat();
        expand(&alternative, depth + 1, out)?;
        start = end + 1;
    }
    Ok(())
}

/// The first brace that is neither escaped nor inside a class.
fn find_open(pattern: &[char]) -> Result<Option<usize>, GlobError> {
    let mut at = 0;
    while let Some(c) = pattern.get(at) {
        match c {
            '\\' => at += 1,
            '[' => at = class_end(pattern, at)?,
            '{' => return Ok(Some(at)),
            '}' => return Err(GlobError::Braces),
            _ => {}
        }
        at += 1;
    }
    Ok(None)
}

/// The commas of a brace and its end. Brackets inside count as plain characters here.
fn find_close(pattern: &[char], open: usize) -> Result<(Vec<usize>, usize), GlobError> {
    let mut commas = Vec::new();
    let mut depth = 0;
    let mut at = open;
    while let Some(c) = pattern.get(at) {
        match c {
            '\\' => at += 1,
            '{' => depth += 1,
            '}' if depth == 1 => return Ok((commas, at)),
            '}' => depth -= 1,
            ',' if depth == 1 => commas.push(at),
            _ => {}
        }
        at += 1;
    }
    Err(GlobError::Braces)
}

/// The place of the `]` that ends the class at `open`.
fn class_end(pattern: &[char], open: usize) -> Result<usize, GlobError> {
    let mut at = open + 1;
    if matches!(pattern.get(at), Some('!' | '^')) {
        at += 1;
    }
    if matches!(pattern.get(at), None | Some(']')) {
        return Err(GlobError::Class);
    }
    while let Some(c) = pattern.get(at) {
        match c {
            '\\' => at += 1,
            ']' => return Ok(at),
            _ => {}
        }
        at += 1;
    }
    Err(GlobError::Class)
}

fn compile(pattern: &[char]) -> Result<Program, GlobError> {
    let mut program = Program {
        steps: Vec::new(),
        separators: vec![SEPARATOR],
    };
    let mut at = 0;
    while let Some(&c) = pattern.get(at) {
        let rest = &pattern[at..];
        let segment_start = at == 0 || matches!(pattern[at - 1], SEPARATOR | BRACE);
        match c {
            BRACE => {}
            // At the end, `/**` and `/**/` also match the directory itself.
            '/' if rest == ['/', '*', '*'] => {
                let start = program.steps.len();
                program.push(Step::Split(start + 1, start + 5));
                program.push(Step::Char(SEPARATOR));
                program.star(Step::Anything);
                return Ok(program);
            }
            '/' if rest == ['/', '*', '*', '/'] => {
                let start = program.steps.len();
                program.push(Step::Split(start + 1, start + 8));
                program.push(Step::Char(SEPARATOR));
                whole_segments(&mut program);
                return Ok(program);
            }
            '*' if segment_start && rest == ['*', '*'] => {
                program.star(Step::Anything);
                return Ok(program);
            }
            '*' if segment_start && rest.starts_with(&['*', '*', '/']) => {
                whole_segments(&mut program);
                at += 3;
                continue;
            }
            '*' => {
                program.star(Step::NotSeparator);
                at += if rest.starts_with(&['*', '*']) { 2 } else { 1 };
                continue;
            }
            '?' => program.push(Step::NotSeparator),
            '[' => {
                let end = class_end(pattern, at)?;
                program.push(class(&pattern[at + 1..end])?);
                at = end;
            }
            '\\' => {
                at += 1;
                program.push(Step::Char(*pattern.get(at).ok_or(GlobError::Escape)?));
            }
            _ => program.push(Step::Char(c)),
        }
        at += 1;
    }
    Ok(program)
}

/// Any number of segments, each with the separator behind it.
fn whole_segments(program: &mut Program) {
    let start = program.steps.len();
    program.push(Step::Split(start + 1, start + 6));
    program.star(Step::NotSeparator);
    program.push(Step::Char(SEPARATOR));
    program.push(Step::Jump(start));
}

/// The inside of a class: characters, ranges and escapes, negated by `!` or `^`.
fn class(inside: &[char]) -> Result<Step, GlobError> {
    let negated = matches!(inside.first(), Some('!' | '^'));
    let mut rest = inside[usize::from(negated)..].iter().copied().peekable();
    let mut ranges: Vec<(char, char)> = Vec::new();
    // A character that may still begin a range.
    let mut last = None;
    while let Some(c) = rest.next() {
        if let (Some(lo), '-', Some(_)) = (last, c, rest.peek()) {
            let mut hi = rest.next();
            if hi == Some('\\') {
                hi = rest.next();
            }
            ranges.push((lo, hi.ok_or(GlobError::Class)?));
            last = None;
            continue;
        }
        let c = if c == '\\' {
            rest.next().ok_or(GlobError::Class)?
        } else {
            c
        };
        ranges.push((c, c));
        last = Some(c);
    }
    Ok(Step::Class { ranges, negated })
}

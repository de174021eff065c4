//! Changes as text: one row a field, a unified diff for strings of several lines. Colour is a choice of the caller.

use std::fmt::Write as _;

use serde_json::Value;

use super::FieldChange;

/// Lines around a change of a multi-line string.
const CONTEXT: usize = 3;

/// Texts whose product of line counts is larger are shown as replaced: aligning them would take too long.
const MAX_CELLS: usize = 4_000_000;

/// Whether rows are coloured with ANSI escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Plain,
    Ansi,
}

/// All changes, one row each: `+` new, `-` gone, `~` changed.
pub fn render(changes: &[FieldChange], colour: Colour) -> String {
    let mut out = String::new();
    for change in changes {
        let path = if change.path.is_empty() {
            "."
        } else {
            change.path.as_str()
        };
        match (&change.before, &change.after) {
            (Some(Value::String(a)), Some(Value::String(b)))
                if a.contains('\n') || b.contains('\n') =>
            {
                row(&mut out, colour, '~', &format!("{path}:"));
                for line in unified(a, b).lines() {
                    let mark = line.chars().next().unwrap_or(' ');
                    paint(&mut out, colour, mark, &format!("    {line}"));
                }
            }
            (Some(a), Some(b)) => row(
                &mut out,
                colour,
                '~',
                &format!("{path}: {} -> {}", show(a), show(b)),
            ),
            (Some(a), None) => row(&mut out, colour, '-', &format!("{path}: {}", show(a))),
            (None, Some(b)) => row(&mut out, colour, '+', &format!("{path}: {}", show(b))),
            (None, None) => {}
        }
    }
    out
}

fn row(out: &mut String, colour: Colour, mark: char, text: &str) {
    paint(out, colour, mark, &format!("{mark} {text}"));
}

fn paint(out: &mut String, colour: Colour, mark: char, line: &str) {
    let code = match mark {
        '+' => 32,
        '-' => 31,
        '~' => 33,
        '@' => 36,
        _ => 0,
    };
    let done = if colour == Colour::Ansi && code != 0 {
        writeln!(out, "\u{1b}[{code}m{line}\u{1b}[0m")
    } else {
        writeln!(out, "{line}")
    };
    done.expect("a string takes all writes");
}

fn show(value: &Value) -> String {
    value.to_string()
}

/// A unified diff of two texts without a header.
pub fn unified(before: &str, after: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) =
        (before.split('\n').collect(), after.split('\n').collect());
    let steps = align(&a, &b);
    let mut out = String::new();
    let mut at = 0;
    while let Some(first) = (at..steps.len()).find(|&i| steps[i].mark != ' ') {
        let start = first.saturating_sub(CONTEXT).max(at);
        let mut end = first;
        let mut quiet = 0;
        for (i, step) in steps.iter().enumerate().skip(first) {
            if step.mark == ' ' {
                quiet += 1;
                if quiet > 2 * CONTEXT {
                    break;
                }
            } else {
                quiet = 0;
                end = i;
            }
        }
        let stop = (end + 1 + CONTEXT).min(steps.len());
        hunk(&mut out, &steps, start, stop);
        at = stop;
    }
    out
}

struct Step<'t> {
    mark: char,
    text: &'t str,
}

fn hunk(out: &mut String, steps: &[Step<'_>], start: usize, stop: usize) {
    let count = |from: usize, to: usize, other: char| {
        steps[from..to].iter().filter(|s| s.mark != other).count()
    };
    let (old, new) = (count(0, start, '+') + 1, count(0, start, '-') + 1);
    let (old_len, new_len) = (count(start, stop, '+'), count(start, stop, '-'));
    writeln!(out, "@@ -{old},{old_len} +{new},{new_len} @@").expect("a string takes all writes");
    for step in &steps[start..stop] {
        writeln!(out, "{}{}", step.mark, step.text).expect("a string takes all writes");
    }
}

/// The longest common subsequence as steps.
fn align<'t>(a: &[&'t str], b: &[&'t str]) -> Vec<Step<'t>> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let most = a.len().min(b.len()) - head;
    let tail = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take(most)
        .take_while(|(x, y)| x == y)
        .count();
    let (x, y) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let mut steps: Vec<Step<'t>> = a[..head]
        .iter()
        .map(|text| Step { mark: ' ', text })
        .collect();
    if x.len().saturating_mul(y.len()) > MAX_CELLS {
        steps.extend(x.iter().map(|text| Step { mark: '-', text }));
        steps.extend(y.iter().map(|text| Step { mark: '+', text }));
    } else {
        common(x, y, &mut steps);
    }
    steps.extend(
        a[a.len() - tail..]
            .iter()
            .map(|text| Step { mark: ' ', text }),
    );
    steps
}

fn common<'t>(x: &[&'t str], y: &[&'t str], steps: &mut Vec<Step<'t>>) {
    let width = y.len() + 1;
    let mut best = vec![0u32; (x.len() + 1) * width];
    for i in (0..x.len()).rev() {
        for j in (0..y.len()).rev() {
            best[i * width + j] = if x[i] == y[j] {
                best[(i + 1) * width + j + 1] + 1
            } else {
                best[(i + 1) * width + j].max(best[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < x.len() || j < y.len() {
        if i < x.len() && j < y.len() && x[i] == y[j] {
            steps.push(Step {
                mark: ' ',
                text: x[i],
            });
            (i, j) = (i + 1, j + 1);
        } else if i < x.len()
            && (j == y.len() || best[(i + 1) * width + j] >= best[i * width + j + 1])
        {
            steps.push(Step {
                mark: '-',
                text: x[i],
            });
            i += 1;
        } else {
            steps.push(Step {
                mark: '+',
                text: y[j],
            });
            j += 1;
        }
    }
}

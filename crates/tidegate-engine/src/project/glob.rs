//! Globs as Argo CD's rules read them: `*` stops at separators, `**` does not, `?`, `[a-z]`, `{a,b}`, `\` quotes.

/// Longest pattern that is read; a longer one matches nothing.
const PATTERN_MAX: usize = 1024;
/// Most alternatives that braces may multiply to; a pattern with more matches nothing.
const ALTERNATIVES_MAX: usize = 256;

/// Whether a text matches a pattern; without separators `*` takes everything.
pub(crate) fn matches(pattern: &str, text: &str, separators: &[char]) -> bool {
    if pattern.len() > PATTERN_MAX {
        return false;
    }
    let text: Vec<char> = text.chars().collect();
    let alternatives = expand(&pattern.chars().collect::<Vec<_>>());
    alternatives
        .iter()
        .any(|pattern| walk(pattern, &text, separators))
}

/// A pattern without braces for each choice.
fn expand(pattern: &[char]) -> Vec<Vec<char>> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_vec()];
    while let Some(next) = open.pop() {
        if done.len() + open.len() > ALTERNATIVES_MAX {
            return Vec::new();
        }
        match first_braces(&next) {
            Some((start, end, choices)) => {
                for choice in choices.into_iter().rev() {
                    let mut text = next[..start].to_vec();
                    text.extend(choice);
                    text.extend(&next[end + 1..]);
                    open.push(text);
                }
            }
            None => done.push(next),
        }
    }
    done
}

type Braces = (usize, usize, Vec<Vec<char>>);

/// The first `{…}` with its choices.
fn first_braces(pattern: &[char]) -> Option<Braces> {
    let mut start = None;
    let mut depth = 0usize;
    let mut choices = vec![Vec::new()];
    let mut at = 0;
    while at < pattern.len() {
        let c = pattern[at];
        if c == '\\' && at + 1 < pattern.len() {
            if depth > 0
                && let Some(last) = choices.last_mut()
            {
                last.extend(&pattern[at..at + 2]);
            }
            at += 2;
            continue;
        }
        match (c, depth) {
            ('{', 0) => {
                start = Some(at);
                depth = 1;
            }
            ('}', 1) => return Some((start?, at, choices)),
            (',', 1) => choices.push(Vec::new()),
            (_, 0) => {}
            (_, _) => {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if let Some(last) = choices.last_mut() {
                    last.push(c);
                }
            }
        }
        at += 1;
    }
    None
}

/// Which text positions can be reached after each part of the pattern.
fn walk(pattern: &[char], text: &[char], separators: &[char]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let (width, part) = part(&pattern[at..]);
        let mut next = vec![false; text.len() + 1];
        match part {
            Part::Any { crosses } => {
                let mut open = false;
                for position in 0..=text.len() {
                    let blocked =
                        position > 0 && !crosses && separators.contains(&text[position - 1]);
                    open = reached[position] || (open && !blocked);
                    next[position] = open;
                }
            }
            Part::One(accepts) => {
                for position in 0..text.len() {
                    if reached[position] && accepts.takes(text[position], separators) {
                        next[position + 1] = true;
                    }
                }
            }
        }
        reached = next;
        at += width;
    }
    reached[text.len()]
}

enum Part<'p> {
    Any { crosses: bool },
    One(Accepts<'p>),
}

enum Accepts<'p> {
    Char(char),
    AnyChar,
    Class { members: &'p [char], negated: bool },
}

impl Accepts<'_> {
    fn takes(&self, c: char, separators: &[char]) -> bool {
        match self {
            Accepts::Char(wanted) => *wanted == c,
            Accepts::AnyChar => !separators.contains(&c),
            Accepts::Class { members, negated } => {
                let mut found = false;
                let mut at = 0;
                while at < members.len() {
                    if at + 2 < members.len() && members[at + 1] == '-' {
                        found |= (members[at]..=members[at + 2]).contains(&c);
                        at += 3;
                    } else {
                        found |= members[at] == c;
                        at += 1;
                    }
                }
                found != *negated
            }
        }
    }
}

fn part(rest: &[char]) -> (usize, Part<'_>) {
    match rest {
        ['*', '*', ..] => (2, Part::Any { crosses: true }),
        ['*', ..] => (1, Part::Any { crosses: false }),
        ['?', ..] => (1, Part::One(Accepts::AnyChar)),
        ['\\', c, ..] => (2, Part::One(Accepts::Char(*c))),
        ['[', class @ ..] => match class.iter().position(|c| *c == ']') {
            Some(end) if end > 0 => {
                let negated = matches!(class[0], '!' | '^');
                let members = &class[usize::from(negated)..end];
                (end + 2, Part::One(Accepts::Class { members, negated }))
            }
            Some(_) | None => (1, Part::One(Accepts::Char('['))),
        },
        [c, ..] => (1, Part::One(Accepts::Char(*c))),
        [] => (1, Part::Any { crosses: true }),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_written() {
        for (pattern, text, separators, expected) in [
            ("*", "", &[][..], true),
            ("*", "a/b", &[], true),
            ("*", "a/b", &['/'], false),
            ("**", "a/b", &['/'], true),
            ("a/*/c", "a/b/c", &['/'], true),
            ("a/*/c", "a/b/b/c", &['/'], false),
            ("team-?", "team-x", &[], true),
            ("team-?", "team-", &[], false),
            ("team-[a-c]", "team-b", &[], true),
            ("team-[!a-c]", "team-b", &[], false),
            ("{prod,stage}-*", "stage-1", &[], true),
            ("{prod,stage}-*", "dev-1", &[], false),
            ("a{b,c{d,e}}", "ace", &[], true),
            (r"\*", "*", &[], true),
            (r"\*", "x", &[], false),
            ("[", "[", &[], true),
            ("{a", "{a", &[], true),
            ("", "", &[], true),
            ("", "x", &[], false),
        ] {
            assert_eq!(
                matches(pattern, text, separators),
                expected,
                "{pattern} on {text}"
            );
        }
    }

    #[test]
    fn hostile_patterns_end() {
        let text = "a".repeat(500);
        assert!(!matches(&format!("{}c", "a*".repeat(500)), &text, &[]));
        assert!(!matches(&"{a,b}".repeat(100), &text, &[]));
    }
}

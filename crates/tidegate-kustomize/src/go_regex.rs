//! Regular expressions as Go's `regexp` reads them, on the `regex` crate: both are linear, the few
//! differences of syntax are rewritten. Knows no resources.

use regex::Regex;

/// Compiles a Go pattern.
///
/// # Errors
/// Why it is none, beginning as Go's message does.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    if let Some(operator) = nested_repetition(pattern) {
        return Err(format!(
            "error parsing regexp: invalid nested repetition operator: `{operator}`"
        ));
    }
    Regex::new(&translate(pattern)).map_err(|error| {
        let reason = match error {
            regex::Error::CompiledTooBig(_) => "expression too large".to_owned(),
            other => other
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned(),
        };
        format!("error parsing regexp: {reason}: `{pattern}`")
    })
}

/// A repetition of a repetition, which Go refuses; `?` behind one makes it lazy.
fn nested_repetition(pattern: &str) -> Option<&str> {
    let (mut in_class, mut escaped, mut after) = (false, false, None);
    for (at, c) in pattern.char_indices() {
        let repeats = !in_class && !escaped && matches!(c, '*' | '+' | '?');
        match after {
            Some((start, false)) if repeats && c == '?' => after = Some((start, true)),
            Some((start, _)) if repeats => return pattern.get(start..=at),
            _ => after = repeats.then_some((at, false)),
        }
        match c {
            '[' if !escaped => in_class = true,
            ']' if !escaped => in_class = false,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// A pattern that must match the whole text. Most are words, which need no expression.
#[derive(Debug)]
pub(crate) enum Anchored {
    /// `.*`.
    Line,
    /// A word in which points stand for any character.
    Word(String),
    Regex(Regex),
}

impl Anchored {
    /// # Errors
    /// As [`compile`].
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        if pattern == ".*" {
            return Ok(Anchored::Line);
        }
        if is_word(pattern) {
            return Ok(Anchored::Word(pattern.to_owned()));
        }
        compile(&format!("^(?:{pattern})$")).map(Anchored::Regex)
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        match self {
            Anchored::Line => !text.contains('\n'),
            Anchored::Word(word) => after_word(word, text).is_some_and(str::is_empty),
            Anchored::Regex(regex) => regex.is_match(text),
        }
    }
}

/// A pattern that must match somewhere in a text.
#[derive(Debug)]
pub(crate) enum Anywhere {
    Word(String),
    Regex(Regex),
}

impl Anywhere {
    /// # Errors
    /// As [`compile`].
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        if is_word(pattern) && !pattern.contains('.') {
            return Ok(Anywhere::Word(pattern.to_owned()));
        }
        compile(pattern).map(Anywhere::Regex)
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        match self {
            Anywhere::Word(word) => text.contains(word.as_str()),
            Anywhere::Regex(regex) => regex.is_match(text),
        }
    }
}

/// Whether a pattern has only characters that stand for themselves, and points.
pub(crate) fn is_word(pattern: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b':' | b'.');
    !pattern.is_empty() && pattern.bytes().all(plain)
}

/// What stands after a word in which points stand for any character.
pub(crate) fn after_word<'t>(word: &str, text: &'t str) -> Option<&'t str> {
    let mut rest = text.chars();
    for wanted in word.chars() {
        let found = rest.next()?;
        if found != wanted && (wanted != '.' || found == '\n') {
            return None;
        }
    }
    Some(rest.as_str())
}

/// Go's classes are ASCII, a brace that opens no repetition is a character, `\Q…\E` is literal.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let taken = match c {
            '\\' => escape(&mut out, after, in_class),
            '[' if in_class && !after.starts_with(':') => {
                out.push_str("\\[");
                0
            }
            '[' if in_class => class_name(&mut out, after),
            '[' => {
                in_class = true;
                out.push('[');
                class_start(&mut out, after)
            }
            ']' => {
                in_class = false;
                out.push(']');
                0
            }
            '{' if !in_class && !is_repetition(after) => {
                out.push_str("\\{");
                0
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
                0
            }
            other => {
                out.push(other);
                0
            }
        };
        rest = after.get(taken..).unwrap_or_default();
    }
    out
}

/// `[:alpha:]` as it stands; an unclosed one is a bracket.
fn class_name(out: &mut String, after: &str) -> usize {
    match after.find(":]") {
        Some(end) => {
            out.push('[');
            out.push_str(&after[..end + 2]);
            end + 2
        }
        None => {
            out.push_str("\\[");
            0
        }
    }
}

/// A bracket right after the start of a class is one of its characters.
fn class_start(out: &mut String, after: &str) -> usize {
    let negated = after.strip_prefix('^');
    if negated.is_some() {
        out.push('^');
    }
    let taken = usize::from(negated.is_some());
    if negated.unwrap_or(after).starts_with(']') {
        out.push_str("\\]");
        return taken + 1;
    }
    taken
}

/// Writes what stands behind a backslash; how many bytes of it were taken.
fn escape(out: &mut String, after: &str, in_class: bool) -> usize {
    let Some(c) = after.chars().next() else {
        out.push('\\');
        return 0;
    };
    let ascii = match c {
        'd' => Some("0-9"),
        'w' => Some("0-9A-Za-z_"),
        's' => Some("\\t\\n\\x0C\\r "),
        _ => None,
    };
    match (c, ascii) {
        (_, Some(class)) if in_class => out.push_str(class),
        (_, Some(class)) => {
            out.push('[');
            out.push_str(class);
            out.push(']');
        }
        ('D', _) => out.push_str("[^0-9]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('S', _) => out.push_str("[^\\t\\n\\x0C\\r ]"),
        ('b' | 'B', _) if !in_class => {
            out.push_str("(?-u:\\");
            out.push(c);
            out.push(')');
        }
        ('Q', _) => {
            let text = &after[1..];
            let end = text.find("\\E").unwrap_or(text.len());
            out.push_str(&regex::escape(&text[..end]));
            return 1 + (end + 2).min(text.len());
        }
        _ => {
            out.push('\\');
            out.push(c);
        }
    }
    c.len_utf8()
}

/// Whether `2}`, `2,}` or `2,3}` follows.
fn is_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else {
        return false;
    };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(
            compile(pattern).unwrap().is_match(text),
            expected,
            "{pattern} on {text}"
        );
    }

    #[test]
    fn reads_as_go_does() {
        check("a.c", "xabcx", true);
        check("^\\d+$", "12", true);
        check("^\\d+$", "\u{661}", false);
        check("^[\\d-]+$", "1-2", true);
        check("^\\W$", "\u{e9}", true);
        check("${x}", "a", false);
        check("^a{2}$", "aa", true);
        check("^{a}$", "{a}", true);
        check("^\\Qa.b\\Ec$", "a.bc", true);
        check("^\\Qa.b\\Ec$", "axbc", false);
        check("^[]a]+$", "]a", true);
        check("^[^]a]+$", "xyz", true);
        check("^[[:alpha:]]+$", "ab", true);
        check("^[a[]+$", "a[", true);
        check("^[a&&b]+$", "&", true);
        check("\\bweb\\b", "a web b", true);
    }

    #[test]
    fn anchors_whole_texts() {
        assert!(Anchored::new("web|svc").unwrap().is_match("svc"));
        assert!(!Anchored::new("web|svc").unwrap().is_match("svc1"));
        for (pattern, text, expected) in [
            (".*", "a b", true),
            (".*", "a\nb", false),
            ("a.c", "abc", true),
            ("a.c", "abcd", false),
            ("web", "web", true),
            ("w.*", "web", true),
        ] {
            assert_eq!(
                Anchored::new(pattern).unwrap().is_match(text),
                expected,
                "{pattern} {text:?}"
            );
        }
    }

    #[test]
    fn bad_patterns_are_said() {
        for pattern in ["[", "(", "a**", "\\", "(?z)", "x{2000000}{2000000}"] {
            let error = compile(pattern).map(drop).unwrap_err();
            assert!(error.starts_with("error parsing regexp: "), "{error}");
        }
    }
}

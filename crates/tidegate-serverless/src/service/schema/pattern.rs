//! Patterns of the schema, as JavaScript reads them.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::Regex;

type Compiled = Option<(Option<Regex>, Regex)>;

static COMPILED: LazyLock<Mutex<HashMap<String, Compiled>>> = LazyLock::new(Mutex::default);

/// Whether a text matches a pattern; one that cannot be read matches all.
pub(super) fn is_match(pattern: &str, text: &str) -> bool {
    let mut all = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = match all.get(pattern) {
        Some(compiled) => compiled,
        None => all
            .entry(pattern.to_owned())
            .or_insert_with(|| compile(pattern)),
    };
    compiled.as_ref().is_none_or(|(never, always)| {
        always.is_match(text) && never.as_ref().is_none_or(|never| !never.is_match(text))
    })
}

/// `/…/i` is a pattern with flags; a look ahead at the beginning becomes a pattern of its own.
fn compile(pattern: &str) -> Compiled {
    let (pattern, flags) = match pattern
        .strip_prefix('/')
        .and_then(|rest| rest.rsplit_once('/'))
    {
        Some((body, flags)) if flags.bytes().all(|flag| flag == b'i') => (body, flags),
        _ => (pattern, ""),
    };
    let ahead = pattern.find("(?!").filter(|at| *at <= 1);
    let (never, always) = match ahead.and_then(|at| Some((at, close(pattern, at)?))) {
        Some((at, end)) => {
            let never = format!("^{}", pattern[at + 3..end].trim_start_matches('^'));
            (
                Some(never),
                format!("{}{}", &pattern[..at], &pattern[end + 1..]),
            )
        }
        None => (None, pattern.to_owned()),
    };
    let build = |pattern: &str| {
        let mut built = regex::RegexBuilder::new(&escape(pattern));
        built.case_insensitive(flags == "i").build().ok()
    };
    let never = match never {
        Some(never) => Some(build(&never)?),
        None => None,
    };
    Some((never, build(&always)?))
}

/// The parenthesis that closes the one at `start`.
fn close(pattern: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut is_escaped = false;
    for (at, byte) in pattern.bytes().enumerate().skip(start) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Escapes and hyphens in classes that only JavaScript takes.
fn escape(pattern: &str) -> String {
    pattern
        .replace("\\/", "/")
        .replace("9-_", "9\\-_")
        .replace("9-/", "9\\-/")
        .replace("\\w-", "\\w\\-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_in_javascript() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert!(compile(pattern).is_some(), "{pattern}");
            assert_eq!(is_match(pattern, text), expected, "{pattern} {text}");
        };
        check("^[a-zA-Z0-9-_]+$", "a-b_c", true);
        check("^[a-zA-Z0-9-_]+$", "a.b", false);
        check("^(?!aws:)[\\w./=+:\\-_\\x20]{1,128}$", "team", true);
        check("^(?!aws:)[\\w./=+:\\-_\\x20]{1,128}$", "aws:x", false);
        check("/^REGIONAL$/i", "regional", true);
        check(
            "(?!^(\\d{1,3}\\.){3}\\d{1,3}$)(^([a-z0-9-]+)$)",
            "own-bucket",
            true,
        );
    }
}

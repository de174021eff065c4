//! Filter patterns of log events: text patterns, that is terms that are all there, any of them, or none.
//!
//! Must not know: groups and streams. Patterns over JSON and over columns are refused.

use tidegate_sandbox_aws::service::Refusal;

use super::invalid;

/// A text pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

/// Characters of a pattern.
const LONGEST: usize = 1_024;

impl Pattern {
    /// Reads a pattern; an empty one matches everything.
    ///
    /// # Errors
    /// `InvalidParameterException`.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        if text.chars().count() > LONGEST {
            return Err(invalid(format!(
                "1 validation error detected: Value at 'filterPattern' failed to satisfy constraint: Member must have length less than or equal to {LONGEST}"
            )));
        }
        if text.starts_with(['{', '[', '%']) {
            return Err(invalid(format!(
                "Invalid filter pattern: the sandbox reads terms of text, not {text}"
            )));
        }
        let mut pattern = Self::default();
        let mut characters = text.chars().peekable();
        loop {
            while characters.next_if(|one| one.is_whitespace()).is_some() {}
            let Some(first) = characters.peek().copied() else {
                return Ok(pattern);
            };
            let kind = match first {
                '-' | '?' => characters.next(),
                _ => None,
            };
            let mut term = String::new();
            if characters.next_if_eq(&'"').is_some() {
                let mut closed = false;
                while let Some(one) = characters.next() {
                    match one {
                        '"' => {
                            closed = true;
                            break;
                        }
                        '\\' => term.extend(characters.next()),
                        one => term.push(one),
                    }
                }
                if !closed {
                    return Err(invalid(
                        "Invalid character(s) in term: a quote is not closed",
                    ));
                }
            } else {
                while let Some(one) = characters.next_if(|one| !one.is_whitespace()) {
                    term.push(one);
                }
                let plain = |one: char| one.is_alphanumeric() || one == '_';
                if let Some(odd) = term.chars().find(|one| !plain(*one)) {
                    return Err(invalid(format!(
                        "Invalid character(s) in term '{term}': {odd}"
                    )));
                }
            }
            match kind {
                _ if term.is_empty() => {}
                Some('-') => pattern.none.push(term),
                Some(_) => pattern.any.push(term),
                None => pattern.all.push(term),
            }
        }
    }

    /// Does a message match?
    pub(super) fn matches(&self, message: &str) -> bool {
        let has = |term: &String| message.contains(term.as_str());
        // Beside terms that must be there, optional ones say nothing.
        let any = self.any.is_empty() || !self.all.is_empty() || self.any.iter().any(has);
        self.all.iter().all(has) && any && !self.none.iter().any(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, message: &str, expected: bool) {
        let read = Pattern::parse(pattern).map(|pattern| pattern.matches(message));
        assert_eq!(read, Ok(expected), "{pattern}");
    }

    #[test]
    fn terms() {
        check("", "anything", true);
        check("ERROR", "[ERROR] x", true);
        check("ERROR", "error", false);
        check("ERROR timeout", "ERROR: timeout", true);
        check("ERROR timeout", "ERROR", false);
        check("\"task timed\" -ok", "a task timed out", true);
        check("\"task timed\" -ok", "task timed ok", false);
        check("?ERROR ?WARN", "WARN", true);
        check("?ERROR ?WARN", "INFO", false);
        for pattern in ["{ $.a = 1 }", "[a, b]", "%x%", "\"open", "a-b"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}

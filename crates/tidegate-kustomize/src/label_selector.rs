//! Kubernetes' label selector syntax (`a=b,c in (x,y),!d`), with its own words for mistakes. Knows
//! no resources.

use std::collections::BTreeSet;

/// Characters of a label's name and of its value.
const MAX_NAME: usize = 63;
/// Characters of the DNS prefix of a label's key.
const MAX_PREFIX: usize = 253;

/// A parsed selector: all requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl LabelSelector {
    /// Reads a selector; the empty text selects everything.
    ///
    /// # Errors
    /// What is wrong, as Kubernetes says it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Parser {
            tokens: scan(text),
            at: 0,
        }
        .parse()
    }

    /// Whether a set of labels fits; `get` looks a label up.
    pub(crate) fn matches<'v>(&self, get: impl Fn(&str) -> Option<&'v str>) -> bool {
        self.requirements.iter().all(|r| r.matches(get(&r.key)))
    }
}

impl Requirement {
    fn new(key: String, operator: Operator, values: BTreeSet<String>) -> Result<Self, String> {
        validate_key(&key)?;
        if matches!(operator, Operator::GreaterThan | Operator::LessThan)
            && values.iter().any(|value| go_integer(value).is_none())
        {
            return Err("for 'Gt', 'Lt' operators, the value must be an integer".into());
        }
        for value in &values {
            validate_value(&key, value)?;
        }
        Ok(Self {
            key,
            operator,
            values,
        })
    }

    fn matches(&self, value: Option<&str>) -> bool {
        match (self.operator, value) {
            (Operator::Exists, value) => value.is_some(),
            (Operator::DoesNotExist, value) => value.is_none(),
            (Operator::In, Some(value)) => self.values.contains(value),
            (Operator::NotIn, Some(value)) => !self.values.contains(value),
            (Operator::NotIn, None) => true,
            (Operator::In | Operator::GreaterThan | Operator::LessThan, None) => false,
            (Operator::GreaterThan, Some(value)) => self.compare(value, |a, b| a > b),
            (Operator::LessThan, Some(value)) => self.compare(value, |a, b| a < b),
        }
    }

    fn compare(&self, value: &str, holds: fn(i64, i64) -> bool) -> bool {
        let bound = self.values.first().and_then(|bound| go_integer(bound));
        go_integer(value)
            .zip(bound)
            .is_some_and(|(value, bound)| holds(value, bound))
    }
}

/// A decimal integer as Go's `ParseInt` reads it.
fn go_integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    End,
    Error,
    Close,
    Comma,
    Not,
    Equals,
    NotEquals,
    Greater,
    Less,
    Open,
    In,
    NotIn,
    Identifier,
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    text: String,
}

fn symbol(text: &str) -> Option<Kind> {
    Some(match text {
        ")" => Kind::Close,
        "," => Kind::Comma,
        "!" => Kind::Not,
        "==" | "=" => Kind::Equals,
        ">" => Kind::Greater,
        "<" => Kind::Less,
        "!=" => Kind::NotEquals,
        "(" => Kind::Open,
        _ => return None,
    })
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Splits the text; a NUL character ends it, as in the original.
fn scan(text: &str) -> Vec<Token> {
    let mut rest = text.split('\0').next().unwrap_or_default();
    let mut tokens = Vec::new();
    loop {
        rest = rest.trim_start_matches(is_blank);
        if rest.is_empty() {
            tokens.push(Token {
                kind: Kind::End,
                text: String::new(),
            });
            return tokens;
        }
        let (token, length) = if rest.starts_with(is_symbol) {
            scan_symbol(rest)
        } else {
            let end = rest
                .find(|c| is_symbol(c) || is_blank(c))
                .unwrap_or(rest.len());
            let word = &rest[..end];
            let kind = match word {
                "in" => Kind::In,
                "notin" => Kind::NotIn,
                _ => Kind::Identifier,
            };
            let text = word.to_owned();
            (Token { kind, text }, end)
        };
        tokens.push(token);
        rest = &rest[length..];
    }
}

/// The longest operator at the start; symbols are one byte each.
fn scan_symbol(rest: &str) -> (Token, usize) {
    let end = rest.find(|c| !is_symbol(c)).unwrap_or(rest.len());
    let mut found = None;
    for length in 1..=end {
        if let Some(kind) = symbol(&rest[..length]) {
            found = Some((kind, length));
        } else if found.is_some() {
            break;
        }
    }
    match found {
        Some((kind, length)) => {
            let text = rest[..length].to_owned();
            (Token { kind, text }, length)
        }
        None => {
            let text = format!("error expected: keyword found '{}'", &rest[..end]);
            let kind = Kind::Error;
            (Token { kind, text }, end)
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    /// The token in view; where values may stand, `in` and `notin` are words.
    fn peek(&self, operators: bool) -> (Kind, &str) {
        let token = self.tokens.get(self.at).or(self.tokens.last());
        token.map_or((Kind::End, ""), |token| {
            let kind = match token.kind {
                Kind::In | Kind::NotIn if !operators => Kind::Identifier,
                kind => kind,
            };
            (kind, token.text.as_str())
        })
    }

    fn take(&mut self, operators: bool) -> (Kind, String) {
        let (kind, text) = self.peek(operators);
        let taken = (kind, text.to_owned());
        self.at += 1;
        taken
    }

    fn parse(mut self) -> Result<LabelSelector, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek(false) {
                (Kind::Identifier | Kind::Not, _) => {
                    let requirement = self
                        .requirement()
                        .map_err(|error| format!("unable to parse requirement: {error}"))?;
                    requirements.push(requirement);
                    match self.take(false) {
                        (Kind::End, _) => return Ok(LabelSelector { requirements }),
                        (Kind::Comma, _) => match self.peek(false) {
                            (Kind::Identifier | Kind::Not, _) => {}
                            (_, text) => {
                                return Err(format!(
                                    "found '{text}', expected: identifier after ','"
                                ));
                            }
                        },
                        (_, text) => {
                            return Err(format!(
                                "found '{text}', expected: ',' or 'end of string'"
                            ));
                        }
                    }
                }
                (Kind::End, _) => return Ok(LabelSelector { requirements }),
                (_, text) => {
                    return Err(format!(
                        "found '{text}', expected: !, identifier, or 'end of string'"
                    ));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut kind, mut key) = self.take(false);
        let negated = kind == Kind::Not;
        if negated {
            (kind, key) = self.take(false);
        }
        if kind != Kind::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        validate_key(&key)?;
        if matches!(self.peek(false).0, Kind::End | Kind::Comma) {
            let operator = if negated {
                Operator::DoesNotExist
            } else {
                Operator::Exists
            };
            return Requirement::new(key, operator, BTreeSet::new());
        }
        if negated {
            // `!a=b` means that `a` is absent; what follows is refused by the caller.
            return Requirement::new(key, Operator::DoesNotExist, BTreeSet::new());
        }
        let (operator, set) = match self.take(true) {
            (Kind::In, _) => (Operator::In, true),
            (Kind::NotIn, _) => (Operator::NotIn, true),
            (Kind::Equals, _) => (Operator::In, false),
            (Kind::NotEquals, _) => (Operator::NotIn, false),
            (Kind::Greater, _) => (Operator::GreaterThan, false),
            (Kind::Less, _) => (Operator::LessThan, false),
            (_, text) => {
                return Err(format!(
                    "found '{text}', expected: '=', '!=', '==', 'in', notin'"
                ));
            }
        };
        let values = if set {
            self.set()?
        } else {
            BTreeSet::from([self.exact()?])
        };
        Requirement::new(key, operator, values)
    }

    fn exact(&mut self) -> Result<String, String> {
        if matches!(self.peek(false).0, Kind::End | Kind::Comma) {
            return Ok(String::new());
        }
        match self.take(false) {
            (Kind::Identifier, text) => Ok(text),
            (_, text) => Err(format!("found '{text}', expected: identifier")),
        }
    }

    fn set(&mut self) -> Result<BTreeSet<String>, String> {
        match self.take(false) {
            (Kind::Open, _) => {}
            (_, text) => return Err(format!("found '{text}' expected: '('")),
        }
        match self.peek(false) {
            (Kind::Identifier | Kind::Comma, first) => {
                let first = first.to_owned();
                let values = self.list()?;
                match self.take(false) {
                    (Kind::Close, _) => Ok(values),
                    _ => Err(format!("found '{first}', expected: ')'")),
                }
            }
            (Kind::Close, _) => {
                self.take(false);
                Ok(BTreeSet::from([String::new()]))
            }
            (_, text) => Err(format!("found '{text}', expected: ',', ')' or identifier")),
        }
    }

    fn list(&mut self) -> Result<BTreeSet<String>, String> {
        let mut values = BTreeSet::new();
        loop {
            match self.take(false) {
                (Kind::Identifier, text) => {
                    values.insert(text);
                    match self.peek(false) {
                        (Kind::Comma, _) => {}
                        (Kind::Close, _) => return Ok(values),
                        (_, text) => {
                            return Err(format!("found '{text}', expected: ',' or ')'"));
                        }
                    }
                }
                (Kind::Comma, _) => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek(false).0 {
                        Kind::Close => {
                            values.insert(String::new());
                            return Ok(values);
                        }
                        Kind::Comma => {
                            self.take(false);
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                (_, text) => {
                    return Err(format!("found '{text}', expected: ',', or identifier"));
                }
            }
        }
    }
}

const NAME_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const PREFIX_RULE: &str = "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn is_name(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(text.chars().next())
        && edge(text.chars().next_back())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_subdomain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.split('.').all(|label| {
        label.starts_with(plain)
            && label.ends_with(plain)
            && label.chars().all(|c| plain(c) || c == '-')
    })
}

fn validate_key(key: &str) -> Result<(), String> {
    let mut errors = Vec::new();
    let parts: Vec<&str> = key.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                if prefix.len() > MAX_PREFIX {
                    errors.push(format!(
                        "prefix part must be no more than {MAX_PREFIX} characters"
                    ));
                }
                if !is_subdomain(prefix) {
                    errors.push(PREFIX_RULE.to_owned());
                }
            }
            *name
        }
        _ => {
            let rule = NAME_RULE.trim_start_matches("name part must consist of");
            return Err(format!(
                "invalid label key {key:?}: a qualified name must consist of{rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX_NAME {
        errors.push(format!(
            "name part must be no more than {MAX_NAME} characters"
        ));
    }
    if !is_name(name) {
        errors.push(NAME_RULE.to_owned());
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(format!("invalid label key {key:?}: {}", errors.join("; ")))
    }
}

fn validate_value(key: &str, value: &str) -> Result<(), String> {
    let mut errors = Vec::new();
    if value.len() > MAX_NAME {
        errors.push(format!("must be no more than {MAX_NAME} characters"));
    }
    if !value.is_empty() && !is_name(value) {
        errors.push(VALUE_RULE.to_owned());
    }
    if errors.is_empty() {
        Ok(())
    } else {
        let errors = errors.join("; ");
        Err(format!(
            "invalid label value: {value:?}: at key: {key:?}: {errors}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let parsed = LabelSelector::parse(selector).unwrap();
        let get = |key: &str| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        assert_eq!(parsed.matches(get), expected, "{selector}");
    }

    #[test]
    fn selects_as_kubernetes_does() {
        let labels = [("app", "web"), ("tier", "2"), ("empty", "")];
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier=2", true),
            ("app = web , tier != 3", true),
            ("app!=web", false),
            ("missing!=web", true),
            ("app in (api, web)", true),
            ("app notin (api,web)", false),
            ("missing notin (a)", true),
            ("missing in (a)", false),
            ("app", true),
            ("missing", false),
            ("!missing", true),
            ("!app", false),
            ("tier>1", true),
            ("tier<2", false),
            ("app>1", false),
            ("empty=", true),
            ("empty in ()", true),
            ("app in (web,)", true),
            ("in=x", false),
        ] {
            check(selector, &labels, expected);
        }
    }

    #[test]
    fn refuses_in_its_words() {
        for (selector, expected) in [
            (
                "a b",
                "unable to parse requirement: found 'b', expected: '=', '!=', '==', 'in', notin'",
            ),
            ("a=b,", "found '', expected: identifier after ','"),
            (
                "=a",
                "found '=', expected: !, identifier, or 'end of string'",
            ),
            (
                "a in b",
                "unable to parse requirement: found 'b' expected: '('",
            ),
            (
                "a>x",
                "unable to parse requirement: for 'Gt', 'Lt' operators, the value must be an integer",
            ),
        ] {
            assert_eq!(LabelSelector::parse(selector).unwrap_err(), expected);
        }
        assert!(LabelSelector::parse("a=b c").is_err());
        assert!(LabelSelector::parse("-a=b").is_err());
        assert!(LabelSelector::parse("a/b/c=d").is_err());
    }
}

//! The JSONPath dialect of printer columns (client-go's): fields, indices, slices, wildcards, recursion, unions and
//! filters, with its quirks. Paths and results are bounded; nothing here panics on foreign text.

use serde_json::Value;

/// The longest path, in bytes.
const MAX_PATH: usize = 4_096;
/// How deep filters and unions may nest.
const MAX_DEPTH: usize = 16;
/// How many values a step may find.
const MAX_RESULTS: usize = 10_000;
/// How deep `..` descends.
const MAX_DESCENT: usize = 128;

/// Why a path cannot be read or followed; a cell without a value is all that comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unusable;

type Result<T> = std::result::Result<T, Unusable>;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Wildcard,
    Recursive,
    Slice(Slice),
    Union(Vec<Path>),
    Filter { left: Path, test: Test, right: Path },
    Literal(Value),
}

/// `[from:to:by]`; a single index is `[n:n+1]`, whose end may wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    by: Option<i64>,
    single: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Path {
    /// Reads a path such as `.status.conditions[?(@.type=="Ready")].status`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_PATH {
            return Err(Unusable);
        }
        parse(text, 0)
    }

    /// The first value that the path leads to.
    pub(super) fn first<'a>(&'a self, object: &'a Value) -> Option<&'a Value> {
        self.follow(vec![object]).ok()?.into_iter().next()
    }

    fn follow<'a>(&'a self, start: Vec<&'a Value>) -> Result<Vec<&'a Value>> {
        let mut found = start;
        for step in &self.0 {
            found = step.take(&found)?;
            if found.len() > MAX_RESULTS {
                return Err(Unusable);
            }
        }
        Ok(found)
    }
}

impl Step {
    fn take<'a>(&'a self, input: &[&'a Value]) -> Result<Vec<&'a Value>> {
        let mut found = Vec::new();
        match self {
            Self::Field(name) => found.extend(input.iter().filter_map(|value| value.get(name))),
            Self::Literal(value) => found.extend(input.iter().map(|_| value)),
            Self::Wildcard => input.iter().for_each(|value| found.extend(children(value))),
            Self::Recursive => {
                for value in input {
                    descend(value, 0, &mut found)?;
                }
            }
            Self::Slice(slice) => {
                for value in input.iter().filter(|value| !value.is_null()) {
                    slice.take(value.as_array().ok_or(Unusable)?, &mut found)?;
                }
            }
            Self::Union(paths) => {
                for path in paths {
                    found.extend(path.follow(input.to_vec())?);
                }
            }
            Self::Filter { left, test, right } => {
                for value in input {
                    for item in value.as_array().ok_or(Unusable)? {
                        if passes(item, left, *test, right)? {
                            found.push(item);
                        }
                    }
                }
            }
        }
        Ok(found)
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(map) => map.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    }
}

/// Every value below that has values of its own, itself included.
fn descend<'a>(value: &'a Value, depth: usize, found: &mut Vec<&'a Value>) -> Result<()> {
    if depth > MAX_DESCENT || found.len() > MAX_RESULTS {
        return Err(Unusable);
    }
    let below = children(value);
    if !below.is_empty() {
        found.push(value);
        for child in below {
            descend(child, depth + 1, found)?;
        }
    }
    Ok(())
}

impl Slice {
    fn take<'a>(&self, list: &'a [Value], found: &mut Vec<&'a Value>) -> Result<()> {
        let length = i64::try_from(list.len()).map_err(|_| Unusable)?;
        let mut from = self.from.unwrap_or(0);
        if from < 0 {
            from += length;
        }
        let mut to = self.to.unwrap_or(length);
        if to < 0 || (to == 0 && self.single) {
            to += length;
        }
        if from == to {
            return Ok(());
        }
        if from < 0 || from >= length || to < 0 || to > length || from > to {
            return Err(Unusable);
        }
        let by = self.by.unwrap_or(1);
        let by = usize::try_from(by)
            .ok()
            .filter(|by| *by > 0)
            .ok_or(Unusable)?;
        let range = usize::try_from(from).map_err(|_| Unusable)?
            ..usize::try_from(to).map_err(|_| Unusable)?;
        found.extend(list[range].iter().step_by(by));
        Ok(())
    }
}

fn passes(item: &Value, left: &Path, test: Test, right: &Path) -> Result<bool> {
    let lefts = left.follow(vec![item]);
    if test == Test::Exists {
        // What cannot be followed counts as found, as it does in the original.
        return Ok(lefts.map_or(true, |found| !found.is_empty()));
    }
    let one = |found: Vec<&Value>| match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).clone())),
        _ => Err(Unusable),
    };
    let Some(left) = one(lefts?)? else {
        return Ok(false);
    };
    let Some(right) = one(right.follow(vec![item])?)? else {
        return Ok(false);
    };
    compare(&left, test, &right)
}

/// Only values of one basic kind can be compared.
fn compare(left: &Value, test: Test, right: &Value) -> Result<bool> {
    use std::cmp::Ordering;
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => {
            return match test {
                Test::Equal => Ok(left == right),
                Test::NotEqual => Ok(left != right),
                _ => Err(Unusable),
            };
        }
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            (None, None) => {
                let pair = left.as_f64().zip(right.as_f64()).ok_or(Unusable)?;
                pair.0.partial_cmp(&pair.1).ok_or(Unusable)?
            }
            _ => return Err(Unusable),
        },
        _ => return Err(Unusable),
    };
    Ok(match test {
        Test::Exists => true,
        Test::Equal => order == Ordering::Equal,
        Test::NotEqual => order != Ordering::Equal,
        Test::Less => order == Ordering::Less,
        Test::LessEqual => order != Ordering::Greater,
        Test::Greater => order == Ordering::Greater,
        Test::GreaterEqual => order != Ordering::Less,
    })
}

fn parse(text: &str, depth: usize) -> Result<Path> {
    if depth > MAX_DEPTH {
        return Err(Unusable);
    }
    let mut reader = Reader {
        rest: text,
        depth,
        steps: Vec::new(),
    };
    while !reader.rest.is_empty() {
        reader.step()?;
    }
    Ok(Path(reader.steps))
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
    steps: Vec<Step>,
}

impl<'a> Reader<'a> {
    fn step(&mut self) -> Result<()> {
        if self.rest.starts_with("[?(") {
            return self.filter();
        }
        if let Some(rest) = self.rest.strip_prefix("..") {
            if self.steps.last() == Some(&Step::Recursive) {
                return Err(Unusable);
            }
            self.steps.push(Step::Recursive);
            self.rest = rest;
            if rest.starts_with(is_word) {
                self.field();
            }
            return Ok(());
        }
        let first = self.rest.chars().next().ok_or(Unusable)?;
        match first {
            ' ' | '@' | '$' => self.rest = &self.rest[1..],
            '[' => self.array()?,
            '"' | '\'' => self.quoted(first)?,
            '.' => {
                self.rest = &self.rest[1..];
                self.field();
            }
            '+' | '-' => self.number()?,
            _ if first.is_numeric() => self.number()?,
            _ if is_word(first) => {
                let word = self.take_while(|c| !ends_field(c));
                match word {
                    "true" | "false" => self.steps.push(Step::Literal(Value::Bool(word == "true"))),
                    _ => return Err(Unusable),
                }
            }
            _ => return Err(Unusable),
        }
        Ok(())
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// A field name; a backslash takes the next character as it is.
    fn field(&mut self) {
        let mut name = String::new();
        let mut chars = self.rest.char_indices();
        let mut end = self.rest.len();
        let mut raw = String::new();
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                raw.push(c);
                if let Some((_, next)) = chars.next() {
                    raw.push(next);
                    name.push(next);
                }
            } else if ends_field(c) {
                end = at;
                break;
            } else {
                raw.push(c);
                name.push(c);
            }
        }
        self.rest = &self.rest[end..];
        self.steps.push(if raw == "*" {
            Step::Wildcard
        } else {
            Step::Field(name)
        });
    }

    fn number(&mut self) -> Result<()> {
        let sign = self.rest.len() - self.rest.trim_start_matches(['+', '-']).len();
        if sign > 1 {
            return Err(Unusable);
        }
        let digits = self.rest[sign..].find(|c: char| c != '.' && !c.is_numeric());
        let end = digits.map_or(self.rest.len(), |digits| sign + digits);
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let text = text.strip_prefix('+').unwrap_or(text);
        let number = match text.parse::<i64>() {
            Ok(whole) => Value::from(whole),
            Err(_) => Value::from(text.parse::<f64>().map_err(|_| Unusable)?),
        };
        self.steps.push(Step::Literal(number));
        Ok(())
    }

    fn quoted(&mut self, mark: char) -> Result<()> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\n' => return Err(Unusable),
                '\\' => {
                    let (_, next) = chars.next().ok_or(Unusable)?;
                    text.push(match next {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        '\\' => '\\',
                        _ if next == mark => next,
                        _ => return Err(Unusable),
                    });
                }
                _ if c == mark => {
                    self.rest = &self.rest[at + 1..];
                    self.steps.push(Step::Literal(Value::String(text)));
                    return Ok(());
                }
                _ => text.push(c),
            }
        }
        Err(Unusable)
    }

    fn array(&mut self) -> Result<()> {
        let end = self.rest.find([']', '\n']).ok_or(Unusable)?;
        if self.rest[end..].starts_with('\n') {
            return Err(Unusable);
        }
        let inside = &self.rest[1..end];
        self.rest = &self.rest[end + 1..];
        let inside = if inside == "*" { ":" } else { inside };
        if inside.contains(',') {
            let parts = inside
                .split(',')
                .map(|part| parse(&format!("[{}]", part.trim_matches(' ')), self.depth + 1));
            self.steps.push(Step::Union(parts.collect::<Result<_>>()?));
            return Ok(());
        }
        let key = inside
            .strip_prefix('\'')
            .and_then(|rest| rest.strip_suffix('\''));
        if let Some(key) = key.filter(|key| !key.contains('\'')) {
            // The key is read as a field: its dots need a backslash too.
            self.steps
                .extend(parse(&format!(".{key}"), self.depth + 1)?.0);
            return Ok(());
        }
        self.steps.push(Step::Slice(slice(inside)?));
        Ok(())
    }

    fn filter(&mut self) -> Result<()> {
        let inner = &self.rest[3..];
        let mut quote: Option<char> = None;
        let mut before = '(';
        let mut end = None;
        let mut quoted_once = false;
        for (at, c) in inner.char_indices() {
            match c {
                '\n' => return Err(Unusable),
                '"' | '\'' if !quoted_once => {
                    quoted_once = true;
                    quote = Some(c);
                }
                '"' | '\'' if quote == Some(c) && before != '\\' => quote = None,
                ')' if quote.is_none() => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
            before = c;
        }
        let end = end.ok_or(Unusable)?;
        let rest = inner[end + 1..].strip_prefix(']').ok_or(Unusable)?;
        self.rest = rest;
        let step = self.test(&inner[..end])?;
        self.steps.push(step);
        Ok(())
    }

    fn test(&self, text: &str) -> Result<Step> {
        const MARKS: [char; 4] = ['!', '<', '>', '='];
        let parse = |text: &str| parse(text, self.depth + 1);
        if let Some(start) = text.find(MARKS).filter(|start| *start > 0) {
            let after = &text[start..];
            let length = after.find(|c| !MARKS.contains(&c)).unwrap_or(after.len());
            let test = match &after[..length] {
                "==" => Test::Equal,
                "!=" => Test::NotEqual,
                "<" => Test::Less,
                "<=" => Test::LessEqual,
                ">" => Test::Greater,
                ">=" => Test::GreaterEqual,
                _ => return Err(Unusable),
            };
            let (left, right) = (parse(&text[..start])?, parse(&after[length..])?);
            return Ok(Step::Filter { left, test, right });
        }
        Ok(Step::Filter {
            left: parse(text)?,
            test: Test::Exists,
            right: Path(Vec::new()),
        })
    }
}

fn slice(text: &str) -> Result<Slice> {
    let number = |text: &str| match text {
        "" => Ok(None),
        _ => text
            .parse::<i32>()
            .map(|number| Some(i64::from(number)))
            .map_err(|_| Unusable),
    };
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [index] => {
            let from = number(index)?.ok_or(Unusable)?;
            Ok(Slice {
                from: Some(from),
                to: Some(from + 1),
                by: None,
                single: true,
            })
        }
        [from, to] => Ok(Slice {
            from: number(from)?,
            to: number(to)?,
            ..Slice::default()
        }),
        [from, to, by] => Ok(Slice {
            from: number(from)?,
            to: number(to)?,
            by: number(by)?,
            single: false,
        }),
        _ => Err(Unusable),
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn ends_field(c: char) -> bool {
    [
        ' ', '\t', '\r', '\n', '.', ',', '[', ']', '$', '@', '{', '}',
    ]
    .contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object() -> Value {
        json!({
            "metadata": {"labels": {"app.io/name": "x"}, "name": "n"},
            "spec": {"list": [1, 2, 3, 4], "none": null, "size": 2.5, "on": true,
                "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2, "tls": {}}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Synced", "status": "False", "why": "it (waits)"}]},
        })
    }

    #[test]
    fn paths_lead_to_their_first_value() {
        let check = |path: &str, expected: Option<Value>| {
            let found = Path::parse(path)
                .ok()
                .and_then(|path| path.first(&object()).cloned());
            assert_eq!(found, expected, "{path}");
        };
        check(".metadata.name", Some(json!("n")));
        check("$.metadata.name", Some(json!("n")));
        check(".metadata.labels.app\\.io/name", Some(json!("x")));
        check(".metadata.labels['app\\.io/name']", Some(json!("x")));
        check(".metadata.labels['app.io/name']", None);
        check(
            ".status.conditions[?(@.type==\"Ready\")].status",
            Some(json!("True")),
        );
        check(
            ".status.conditions[?(@.type=='Synced')].status",
            Some(json!("False")),
        );
        check(
            ".status.conditions[?(@.why==\"it (waits)\")].type",
            Some(json!("Synced")),
        );
        check(
            ".status.conditions[?(@.type!=\"Ready\")].type",
            Some(json!("Synced")),
        );
        check(".status.conditions[?(@.type==\"Nope\")].status", None);
        check(".status.conditions[?(@.type==1)].status", None);
        check(".spec.ports[?(@.port>1)].name", Some(json!("b")));
        check(".spec.ports[?(@.port<=1)].name", Some(json!("a")));
        check(".spec.ports[?(@.tls)].name", Some(json!("b")));
        check(".spec.ports[*].name", Some(json!("a")));
        check(".spec.ports[-1].name", Some(json!("b")));
        check(".spec.ports[1:].name", Some(json!("b")));
        check(".spec.list[1:4:2]", Some(json!(2)));
        check(".spec.list[9]", None);
        check(".spec.list[3,0]", Some(json!(4)));
        check(".spec.list", Some(json!([1, 2, 3, 4])));
        check(".spec.none", Some(json!(null)));
        check(".spec.none.deeper", None);
        check(".spec.size", Some(json!(2.5)));
        check("..port", Some(json!(1)));
        check(".spec..name", Some(json!("a")));
        check(".spec.on.deeper", None);
        check(".spec[0]", None);
        check(".spec.list[", None);
        check(".spec.list[?(@.a==1)", None);
        check("....", None);
        check(".spec.list[:::1]", None);
        check(".spec range", None);
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let deep = format!(".a{}", "[?(@".repeat(MAX_DEPTH + 2));
        assert!(Path::parse(&deep).is_err());
        assert!(Path::parse(&format!(".{}", "a".repeat(MAX_PATH))).is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(path in "[\\PC.\\[\\]?@*:'\"\\\\(),0-9a-c-]{0,40}") {
            if let Ok(path) = Path::parse(&path) {
                path.first(&object());
            }
        }
    }
}

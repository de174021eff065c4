//! Single values against single conditions of a pattern: literals and operators.

use std::net::IpAddr;

use serde_json::Value;

/// A condition on a scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Matcher {
    Null,
    Bool(bool),
    Text(String),
    Number(f64),
    Prefix(String, Case),
    Suffix(String, Case),
    EqualsIgnoreCase(String),
    Wildcard(Vec<Glob>),
    Not(Vec<Matcher>),
    Numeric(Vec<(Comparison, f64)>),
    Cidr(IpAddr, u32),
    Exists(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Exact,
    Ignored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glob {
    Star,
    Char(char),
}

impl Matcher {
    /// Whether a scalar fulfils it. `Exists` is about fields and is not asked here.
    pub(super) fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::Bool(flag) => value.as_bool() == Some(*flag),
            Self::Number(number) => value.as_f64() == Some(*number),
            Self::Text(text) => value.as_str() == Some(text),
            Self::Prefix(prefix, case) => text(value, |text| starts(text, prefix, *case)),
            Self::Suffix(suffix, case) => text(value, |text| ends(text, suffix, *case)),
            Self::EqualsIgnoreCase(wanted) => {
                text(value, |text| text.to_lowercase() == wanted.to_lowercase())
            }
            Self::Wildcard(glob) => text(value, |text| fits(glob, text)),
            Self::Not(all) => !all.iter().any(|matcher| matcher.matches(value)),
            Self::Numeric(tests) => value
                .as_f64()
                .is_some_and(|number| tests.iter().all(|(test, with)| test.holds(number, *with))),
            Self::Cidr(network, bits) => text(value, |text| {
                text.parse()
                    .is_ok_and(|address| contains(*network, *bits, address))
            }),
            Self::Exists(wanted) => *wanted,
        }
    }
}

impl Comparison {
    fn holds(self, number: f64, with: f64) -> bool {
        match self {
            #[expect(clippy::float_cmp, reason = "the language compares doubles")]
            Self::Equal => number == with,
            Self::Less => number < with,
            Self::LessOrEqual => number <= with,
            Self::Greater => number > with,
            Self::GreaterOrEqual => number >= with,
        }
    }
}

fn text(value: &Value, test: impl FnOnce(&str) -> bool) -> bool {
    value.as_str().is_some_and(test)
}

fn starts(text: &str, prefix: &str, case: Case) -> bool {
    match case {
        Case::Exact => text.starts_with(prefix),
        Case::Ignored => text.to_lowercase().starts_with(&prefix.to_lowercase()),
    }
}

fn ends(text: &str, suffix: &str, case: Case) -> bool {
    match case {
        Case::Exact => text.ends_with(suffix),
        Case::Ignored => text.to_lowercase().ends_with(&suffix.to_lowercase()),
    }
}

/// Whether a glob fits all of a text; tries at most their lengths' product.
fn fits(glob: &[Glob], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut place) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while place < text.len() {
        match glob.get(at) {
            Some(Glob::Char(wanted)) if *wanted == text[place] => {
                at += 1;
                place += 1;
            }
            Some(Glob::Star) => {
                star = Some((at, place));
                at += 1;
            }
            _ => {
                let Some((star_at, begin)) = star else {
                    return false;
                };
                star = Some((star_at, begin + 1));
                at = star_at + 1;
                place = begin + 1;
            }
        }
    }
    glob[at..].iter().all(|part| *part == Glob::Star)
}

fn contains(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32_u32.saturating_sub(bits);
            let cut = |ip: std::net::Ipv4Addr| u32::from(ip).checked_shr(shift).unwrap_or(0);
            cut(network) == cut(address)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128_u32.saturating_sub(bits);
            let cut = |ip: std::net::Ipv6Addr| u128::from(ip).checked_shr(shift).unwrap_or(0);
            cut(network) == cut(address)
        }
        _ => false,
    }
}

/// Reads one entry of a pattern's list.
pub(super) fn read(value: &Value) -> Result<Matcher, String> {
    match value {
        Value::Null => Ok(Matcher::Null),
        Value::Bool(flag) => Ok(Matcher::Bool(*flag)),
        Value::String(text) => Ok(Matcher::Text(text.clone())),
        Value::Number(number) => number
            .as_f64()
            .map(Matcher::Number)
            .ok_or_else(|| format!("{number} is no number that can be compared")),
        Value::Array(_) => Err("a list within a list of a pattern".to_owned()),
        Value::Object(fields) => {
            let mut fields = fields.iter();
            let (Some((name, operand)), None) = (fields.next(), fields.next()) else {
                return Err("an operator is an object with one field".to_owned());
            };
            operator(name, operand)
        }
    }
}

/// Whether a field's name is that of an operator.
pub(super) fn is_operator(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "prefix",
        "suffix",
        "equals-ignore-case",
        "wildcard",
        "anything-but",
        "numeric",
        "exists",
        "cidr",
    ];
    NAMES.contains(&name)
}

fn operator(name: &str, operand: &Value) -> Result<Matcher, String> {
    match (name, operand) {
        ("prefix", operand) => cased(name, operand).map(|(text, case)| Matcher::Prefix(text, case)),
        ("suffix", operand) => cased(name, operand).map(|(text, case)| Matcher::Suffix(text, case)),
        ("equals-ignore-case", Value::String(text)) => Ok(Matcher::EqualsIgnoreCase(text.clone())),
        ("wildcard", Value::String(text)) => glob(text).map(Matcher::Wildcard),
        ("exists", Value::Bool(flag)) => Ok(Matcher::Exists(*flag)),
        ("cidr", Value::String(text)) => cidr(text),
        ("numeric", Value::Array(list)) => numeric(list),
        ("anything-but", operand) => anything_but(operand),
        (name, operand) if is_operator(name) => Err(format!("{name} does not take {operand}")),
        (name, _) => Err(format!("{name:?} is no operator")),
    }
}

fn cased(name: &str, operand: &Value) -> Result<(String, Case), String> {
    if let Value::String(text) = operand {
        return Ok((text.clone(), Case::Exact));
    }
    if let Value::Object(fields) = operand
        && let (1, Some(Value::String(text))) = (fields.len(), fields.get("equals-ignore-case"))
    {
        return Ok((text.clone(), Case::Ignored));
    }
    Err(format!(
        "{name} takes a text, or an object with equals-ignore-case"
    ))
}

fn glob(text: &str) -> Result<Vec<Glob>, String> {
    let mut parts = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let part = match char {
            '*' => Glob::Star,
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '\\')) => Glob::Char(escaped),
                _ => {
                    return Err(format!(
                        "in wildcard {text:?}, only \\* and \\\\ are escapes"
                    ));
                }
            },
            char => Glob::Char(char),
        };
        if part == Glob::Star && parts.last() == Some(&Glob::Star) {
            return Err(format!("wildcard {text:?} has two stars in a row"));
        }
        parts.push(part);
    }
    Ok(parts)
}

fn cidr(text: &str) -> Result<Matcher, String> {
    let wrong = || format!("{text:?} is no network like 10.0.0.0/24");
    let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits: u32 = bits.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    if bits > most {
        return Err(wrong());
    }
    Ok(Matcher::Cidr(address, bits))
}

fn numeric(list: &[Value]) -> Result<Matcher, String> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    let mut tests = Vec::new();
    for pair in list.chunks(2) {
        let [Value::String(sign), Value::Number(number)] = pair else {
            return Err("numeric takes pairs of a comparison and a number".to_owned());
        };
        let comparison = match sign.as_str() {
            "=" => Equal,
            "<" => Less,
            "<=" => LessOrEqual,
            ">" => Greater,
            ">=" => GreaterOrEqual,
            sign => return Err(format!("{sign:?} is no comparison: = < <= > >=")),
        };
        let number = number.as_f64().unwrap_or(f64::NAN);
        tests.push((comparison, number));
    }
    match tests.as_slice() {
        [_] => Ok(Matcher::Numeric(tests)),
        [(Greater | GreaterOrEqual, low), (Less | LessOrEqual, high)] if low < high => {
            Ok(Matcher::Numeric(tests))
        }
        _ => Err("numeric takes one comparison, or a lower and then an upper limit".to_owned()),
    }
}

fn anything_but(operand: &Value) -> Result<Matcher, String> {
    let list = match operand {
        Value::Array(list) => list.clone(),
        Value::Object(fields) => return nested_anything_but(fields),
        scalar => vec![scalar.clone()],
    };
    let all_text = list.iter().all(Value::is_string);
    let all_numbers = list.iter().all(Value::is_number);
    if list.is_empty() || !(all_text || all_numbers) {
        return Err("anything-but takes texts, or numbers".to_owned());
    }
    list.iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map(Matcher::Not)
}

fn nested_anything_but(fields: &serde_json::Map<String, Value>) -> Result<Matcher, String> {
    const NESTED: [&str; 4] = ["prefix", "suffix", "equals-ignore-case", "wildcard"];
    let mut fields = fields.iter();
    let (Some((name, operand)), None) = (fields.next(), fields.next()) else {
        return Err("anything-but takes an object with one operator".to_owned());
    };
    if !NESTED.contains(&name.as_str()) {
        return Err(format!("anything-but does not take {name}"));
    }
    let list = match operand {
        Value::Array(list) if !list.is_empty() => list.clone(),
        Value::Array(_) => return Err(format!("anything-but {name} with an empty list")),
        one => vec![one.clone()],
    };
    let all = list.iter().map(|operand| operator(name, operand));
    all.collect::<Result<_, _>>().map(Matcher::Not)
}

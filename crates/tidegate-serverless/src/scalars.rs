//! Words and numbers of templates as the SAM tools and the AWS command line read them: `y` is text,
//! `1e3` is text, `010` is eight, `12:30` counts in sixties, and keys are what is written.

use serde_json::Number;
use tidegate_yaml::{Node, Span, Value};

/// Reads every plain scalar again.
pub(crate) fn retype(node: &mut Node, bytes: &[u8]) {
    match &mut node.value {
        Value::Sequence(items) => items.iter_mut().for_each(|item| retype(item, bytes)),
        Value::Mapping(entries) => {
            for (key, value) in entries {
                if let Some(word) = word(bytes, key.span)
                    && matches!(&*key.text, "true" | "false")
                    && !word.eq_ignore_ascii_case(&key.text)
                {
                    key.text = word.into();
                }
                retype(value, bytes);
            }
        }
        Value::Bool(_) => {
            if let Some(word) = word(bytes, node.span)
                && matches!(word, "y" | "Y" | "n" | "N")
            {
                node.value = Value::String(word.into());
            }
        }
        Value::Number(_) => {
            if let Some(word) = word(bytes, node.span) {
                node.value = number(word).unwrap_or_else(|| Value::String(word.into()));
            }
        }
        Value::String(text) => {
            let is_number =
                text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
            if is_number
                && word(bytes, node.span) == Some(&**text)
                && let Some(found) = number(text)
            {
                node.value = found;
            }
        }
        Value::Null => {}
    }
}

/// Numbers of JSON: what is written with a point or an exponent stays so.
pub(crate) fn retype_json(node: &mut Node, bytes: &[u8]) {
    match &mut node.value {
        Value::Sequence(items) => items.iter_mut().for_each(|item| retype_json(item, bytes)),
        Value::Mapping(entries) => entries
            .iter_mut()
            .for_each(|(_, value)| retype_json(value, bytes)),
        Value::Number(_) | Value::String(_) => {
            let word = word(bytes, node.span).filter(|word| word.contains(['.', 'e', 'E']));
            let float = word.and_then(|word| word.parse().ok());
            if let Some(float) = float.and_then(Number::from_f64) {
                node.value = Value::Number(float);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// The plain word that is written at a place.
fn word(bytes: &[u8], span: Span) -> Option<&str> {
    let (start, end) = (span.start as usize, span.end as usize);
    let text = std::str::from_utf8(bytes.get(start..end)?).ok()?;
    let text = text.split([' ', '\n', '\r', '\t', ',', '}', ']']).next()?;
    let text = text.strip_suffix(':').unwrap_or(text);
    (!text.is_empty() && !text.starts_with(['"', '\'', '!', '&', '*', '|', '>'])).then_some(text)
}

/// A number by the rules of YAML 1.1.
fn number(word: &str) -> Option<Value> {
    let (sign, digits) = match word.as_bytes().first()? {
        b'-' => (-1, &word[1..]),
        b'+' => (1, &word[1..]),
        _ => (1, word),
    };
    let first = *digits.as_bytes().first()?;
    if let Some(found) = whole(digits) {
        let value = found.checked_mul(sign)?;
        let number = i64::try_from(value)
            .map(Number::from)
            .or_else(|_| u64::try_from(value).map(Number::from));
        // Beyond what a number holds, the nearest that one does.
        return match number {
            Ok(number) => Some(Value::Number(number)),
            Err(_) => float(digits, sign),
        };
    }
    let is_float = digits.contains('.') && (first.is_ascii_digit() || first == b'.');
    if !is_float {
        return None;
    }
    if let Some((sixties, fraction)) = digits.rsplit_once('.')
        && sixties.contains(':')
    {
        let whole = sexagesimal(sixties)?;
        let fraction: f64 = format!("0.{}", fraction.replace('_', "")).parse().ok()?;
        let value = (whole as f64 + fraction) * sign as f64;
        return Some(Value::Number(Number::from_f64(value)?));
    }
    let plain = digits.replace('_', "");
    let exponent = plain.find(['e', 'E']).map(|at| &plain[at + 1..]);
    // An exponent needs its sign.
    if exponent.is_some_and(|exponent| !exponent.starts_with(['+', '-'])) {
        return None;
    }
    let is_plain = plain
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    if !is_plain {
        return None;
    }
    float(&plain, sign)
}

fn float(digits: &str, sign: i128) -> Option<Value> {
    let value: f64 = digits.replace('_', "").parse().ok()?;
    Some(Value::Number(Number::from_f64(value * sign as f64)?))
}

/// A whole number without its sign.
fn whole(digits: &str) -> Option<i128> {
    let plain = digits.replace('_', "");
    let first = *digits.as_bytes().first()?;
    let radix = |rest: &str, radix: u32| {
        let is_empty = rest.is_empty() || rest.starts_with(['+', '-']);
        if is_empty {
            None
        } else {
            i128::from_str_radix(rest, radix).ok()
        }
    };
    if let Some(rest) = plain.strip_prefix("0b") {
        return radix(rest, 2);
    }
    if let Some(rest) = plain.strip_prefix("0x") {
        return radix(rest, 16);
    }
    if plain == "0" {
        return Some(0);
    }
    if first == b'0' {
        return radix(&plain[1..], 8);
    }
    if digits.contains(':') && (b'1'..=b'9').contains(&first) {
        return sexagesimal(digits);
    }
    if (b'1'..=b'9').contains(&first) {
        return radix(&plain, 10);
    }
    None
}

/// `12:30:45`: parts below sixty behind the first.
fn sexagesimal(digits: &str) -> Option<i128> {
    let mut parts = digits.split(':');
    let first = parts.next()?.replace('_', "");
    let mut value: i128 = first.parse().ok()?;
    for part in parts {
        let is_part = matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
        let part: i128 = part.parse().ok().filter(|part| is_part && *part < 60)?;
        value = value.checked_mul(60)?.checked_add(part)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_manifest::Origin;

    use crate::Template;

    #[test]
    fn scalars_are_those_of_the_tools() {
        let text = "a: y\nb: yes\nc: 1e3\nd: 010\ne: 08\nf: 12:30\ng: 2.0\nh: 0o17\ni: -1_000\nj: '5'\n\
            k: [n, 1.5, 0x1F, {l: N}]\nm: .5\nn: 1.5e+3\no: +7\np: 2010-09-09\nYes: no\nq: 0b11\nr: 1.2.3\ns: -0";
        let template = Template::parse(text.as_bytes(), &Origin::default()).unwrap();
        let expected = json!({"a": "y", "b": true, "c": "1e3", "d": 8, "e": "08", "f": 750, "g": 2.0,
            "h": "0o17", "i": -1000, "j": "5", "k": ["n", 1.5, 31, {"l": "N"}], "m": 0.5, "n": 1500.0,
            "o": 7, "p": "2010-09-09", "Yes": false, "q": 3, "r": "1.2.3", "s": 0});
        assert_eq!(template.body, expected);
    }
}

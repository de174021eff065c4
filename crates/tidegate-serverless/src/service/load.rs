//! The text of a service as a tree: YAML as JavaScript's reader takes it, or JSON.

use serde_json::Number;
use tidegate_manifest::{Diagnostic, Origin};
use tidegate_yaml::{DuplicateKeys, Node, ParseOptions, Value};

use super::variables::whole_number;

/// Reads the text of a service, or of a file that it names.
///
/// # Errors
/// What keeps it from being read, all at once.
pub(crate) fn parse(bytes: &[u8], origin: &Origin) -> Result<Node, Vec<Diagnostic>> {
    let options = ParseOptions {
        duplicate_keys: DuplicateKeys::Error,
        ..ParseOptions::cloudformation()
    };
    let name = origin.path.rsplit('/').next().unwrap_or_default();
    match tidegate_yaml::parse_one(bytes, &options) {
        Ok(mut root) => {
            if !is_json(name) {
                retype(&mut root, bytes);
            }
            Ok(root)
        }
        Err(errors) => Err(errors
            .0
            .into_iter()
            .map(|error| {
                let place = Origin {
                    line: error.span.line,
                    column: error.span.column,
                    ..origin.clone()
                };
                let message = format!("Cannot parse {name:?}: {}", error.message);
                Diagnostic::error("TG1502", message, place)
                    .help("mend the file: it is one document")
            })
            .collect()),
    }
}

fn is_json(name: &str) -> bool {
    name.ends_with(".json") || name.ends_with(".tfstate")
}

/// Words and numbers as YAML 1.2 takes them: `yes` is text, `0644` is decimal, `0o17` is octal.
fn retype(node: &mut Node, bytes: &[u8]) {
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
        Value::Bool(flag) => {
            if let Some(word) = word(bytes, node.span)
                && !word.eq_ignore_ascii_case(if *flag { "true" } else { "false" })
                && word.len() <= 3
            {
                node.value = Value::String(word.into());
            }
        }
        Value::Number(found) => {
            let whole = found.as_f64().filter(|_| found.is_f64());
            if let Some(whole) = whole.and_then(whole_number) {
                node.value = Value::Number(whole.into());
            } else if let Some(value) = word(bytes, node.span).and_then(number) {
                node.value = value;
            }
        }
        Value::String(text) => {
            let octal = text
                .strip_prefix("0o")
                .map(|rest| i64::from_str_radix(rest, 8));
            if let Some(Ok(octal)) = octal
                && word(bytes, node.span) == Some(&**text)
            {
                node.value = Value::Number(octal.into());
            }
        }
        Value::Null => {}
    }
}

/// The plain word that is written at a place.
fn word(bytes: &[u8], span: tidegate_yaml::Span) -> Option<&str> {
    let (start, end) = (span.start as usize, span.end as usize);
    let text = std::str::from_utf8(bytes.get(start..end)?).ok()?;
    let text = text.split([' ', '\n', '\t', '#', ',']).next()?;
    (!text.is_empty() && !text.starts_with(['"', '\'', '!', '&', '*'])).then_some(text)
}

/// A number that YAML 1.1 and 1.2 read in two ways; none where they agree.
fn number(word: &str) -> Option<Value> {
    if word.contains('_') || word.contains(':') {
        return Some(Value::String(word.into()));
    }
    let digits = word.trim_start_matches(['+', '-']);
    let is_octal = digits.len() > 1
        && digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_octal {
        return None;
    }
    let value: i64 = digits.parse().ok()?;
    let value = if word.starts_with('-') { -value } else { value };
    Some(Value::Number(Number::from(value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_those_of_yaml_1_2() {
        let text = "a: yes\nb: 0644\nc: 0o17\nd: 1_000\ne: True\non: 'no'\nf: 2012-10-17\ng: [no, 1.5, 012]\nh: 'yes'\ni: 12:30";
        let root = parse(text.as_bytes(), &Origin::default()).unwrap();
        let expected = json!({"a": "yes", "b": 644, "c": 15, "d": "1_000", "e": true, "on": "no",
            "f": "2012-10-17", "g": ["no", 1.5, 12], "h": "yes", "i": "12:30"});
        assert_eq!(root.to_json(), expected);
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error() {
        let found = parse(b"a: 1\na: 2", &Origin::default()).unwrap_err();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].code.as_str(), found[0].origin.line),
            ("TG1502", 2)
        );
    }
}

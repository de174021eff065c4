//! The query protocol: form parameters into JSON, answers and errors into XML.
//!
//! Must not know: services.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Parameters of one request.
const PARAMETERS: usize = 10_000;
/// Steps of one parameter's name.
const STEPS: usize = 12;

/// The parameters of a form, in order.
pub fn pairs(body: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    body.split('&')
        .filter(|part| !part.is_empty())
        .take(PARAMETERS)
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// The document that parameters such as `Tags.member.1.Key` describe: lists as arrays, `entry` maps as objects.
pub fn document(pairs: &[(String, String)]) -> Value {
    let mut root = Map::new();
    for (name, value) in pairs {
        let steps: Vec<&str> = name.split('.').collect();
        if steps.len() <= STEPS {
            insert(&mut root, &steps, value);
        }
    }
    Value::Object(
        root.into_iter()
            .map(|(name, value)| (name, tidy(value)))
            .collect(),
    )
}

fn insert(map: &mut Map<String, Value>, steps: &[&str], value: &str) {
    let Some((first, rest)) = steps.split_first() else {
        return;
    };
    if rest.is_empty() {
        map.insert((*first).to_owned(), Value::String(value.to_owned()));
        return;
    }
    let place = map
        .entry((*first).to_owned())
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = place {
        insert(inner, rest, value);
    }
}

fn tidy(value: Value) -> Value {
    let Value::Object(map) = value else {
        return value;
    };
    let map: Map<String, Value> = map
        .into_iter()
        .map(|(name, value)| (name, tidy(value)))
        .collect();
    if map.len() == 1 {
        if let Some(list @ Value::Array(_)) = map.get("member") {
            return list.clone();
        }
        if let Some(Value::Array(entries)) = map.get("entry") {
            return entries_map(entries);
        }
    }
    let mut numbered: Vec<(u64, Value)> = Vec::new();
    for (name, value) in &map {
        match name.parse() {
            Ok(number) => numbered.push((number, value.clone())),
            Err(_) => return Value::Object(map),
        }
    }
    if numbered.is_empty() {
        return Value::Object(map);
    }
    numbered.sort_by_key(|(number, _)| *number);
    Value::Array(numbered.into_iter().map(|(_, value)| value).collect())
}

/// `[{key, value}]` or `[{Name, Value}]` as a map.
pub(crate) fn entries_map(entries: &[Value]) -> Value {
    let map = entries.iter().filter_map(|entry| {
        let name = ["key", "Name", "Key"]
            .iter()
            .find_map(|field| entry[*field].as_str())?;
        let value = ["value", "Value"]
            .iter()
            .find_map(|field| entry.get(*field))?;
        Some((name.to_owned(), value.clone()))
    });
    Value::Object(map.collect())
}

/// Text for XML.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\r' => escaped.push_str("&#13;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Which fields of an answer are maps: written as `entry` elements.
pub type Maps = &'static [&'static str];

/// An answer in XML, its lists as `member` elements.
pub fn answer(action: &str, namespace: &str, result: &Value, maps: Maps, request: &str) -> String {
    let mut inner = String::new();
    if let Value::Object(map) = result {
        for (name, value) in map {
            element(&mut inner, name, value, maps);
        }
    }
    let result = if result.is_null() {
        String::new()
    } else {
        format!("<{action}Result>{inner}</{action}Result>")
    };
    format!(
        "<{action}Response xmlns=\"{namespace}\">{result}<ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></{action}Response>"
    )
}

/// An error in XML.
pub fn error(namespace: &str, code: &str, message: &str, status: u16, request: &str) -> String {
    let kind = if status < 500 { "Sender" } else { "Receiver" };
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{kind}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{request}</RequestId></ErrorResponse>",
        escape(code),
        escape(message)
    )
}

fn element(out: &mut String, name: &str, value: &Value, maps: Maps) {
    // Writing to a String cannot fail.
    let _ = write!(out, "<{name}>");
    match value {
        Value::Object(map) if maps.contains(&name) => {
            for (key, value) in map {
                let _ = write!(out, "<entry><key>{}</key>", escape(key));
                element(out, "value", value, maps);
                out.push_str("</entry>");
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                element(out, name, value, maps);
            }
        }
        Value::Array(list) => {
            for value in list {
                element(out, "member", value, maps);
            }
        }
        Value::String(text) => out.push_str(&escape(text)),
        Value::Null => {}
        other => {
            let _ = write!(out, "{other}");
        }
    }
    let _ = write!(out, "</{name}>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "calls read better with values"
    )]
    fn check(body: &str, expected: Value) {
        assert_eq!(document(&pairs(body)), expected);
    }

    #[test]
    fn forms_become_documents() {
        check(
            "Action=X&Name=a+b%26",
            json!({"Action": "X", "Name": "a b&"}),
        );
        check(
            "Tags.member.2.Key=b&Tags.member.1.Key=a&Tags.member.1.Value=",
            json!({"Tags": [{"Key": "a", "Value": ""}, {"Key": "b"}]}),
        );
        check(
            "Attributes.entry.1.key=k&Attributes.entry.1.value=v",
            json!({"Attributes": {"k": "v"}}),
        );
        check(
            "Attribute.1.Name=k&Attribute.1.Value=v",
            json!({"Attribute": [{"Name": "k", "Value": "v"}]}),
        );
        check("a=1&a.b=2&%ff=%zz", json!({"a": "1", "\u{fffd}": "%zz"}));
    }

    #[test]
    fn answers_become_xml() {
        let xml = answer(
            "A",
            "n",
            &json!({"L": [{"x": 1}], "M": {"k": "<v>"}}),
            &["M"],
            "r",
        );
        assert_eq!(
            xml,
            "<AResponse xmlns=\"n\"><AResult><L><member><x>1</x></member></L><M><entry><key>k</key>\
             <value>&lt;v&gt;</value></entry></M></AResult><ResponseMetadata><RequestId>r</RequestId>\
             </ResponseMetadata></AResponse>"
        );
    }
}

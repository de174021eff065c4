//! JSON as Go's encoder writes it: sorted keys, `<`, `>` and `&` escaped.

use serde_json::Value;

/// Writes a value, compact or indented by two spaces.
pub(crate) fn to_string(value: &Value, indented: bool) -> String {
    let mut out = String::new();
    write(&mut out, value, indented.then_some(0));
    out
}

fn line(out: &mut String, indent: Option<usize>) {
    if let Some(level) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", level));
    }
}

fn write(out: &mut String, value: &Value, indent: Option<usize>) {
    let deeper = indent.map(|level| level + 1);
    match value {
        Value::String(text) => string(out, text),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(out, deeper);
                write(out, item, deeper);
            }
            line(out, indent);
            out.push(']');
        }
        Value::Object(map) if !map.is_empty() => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(out, deeper);
                string(out, key);
                out.push_str(if indent.is_some() { ": " } else { ":" });
                write(out, &map[key], deeper);
            }
            line(out, indent);
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// Integers exactly, floats in the shortest form, with an exponent below 1e-6 and from 1e21 on.
fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            let size = float.abs();
            if size != 0.0 && !(1e-6..1e21).contains(&size) {
                let text = format!("{float:e}");
                match text.split_once('e') {
                    Some((digits, exponent)) if !exponent.starts_with('-') => {
                        format!("{digits}e+{exponent}")
                    }
                    _ => text,
                }
            } else {
                format!("{float}")
            }
        }
        _ => number.to_string(),
    }
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' | '\u{7f}'
                if c != '\u{7f}' =>
            {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn writes_as_go_does() {
        let value = json!({"b": [1, 2.5, 1e30, 1e-9], "a": "<x&\u{1}\u{2028}>", "c": {}, "d": []});
        assert_eq!(
            to_string(&value, false),
            "{\"a\":\"\\u003cx\\u0026\\u0001\\u2028\\u003e\",\"b\":[1,2.5,1e+30,1e-9],\"c\":{},\"d\":[]}"
        );
        assert_eq!(
            to_string(&json!({"a": [1]}), true),
            "{\n  \"a\": [\n    1\n  ]\n}"
        );
    }
}

//! JSON Patch, RFC 6902.
//!
//! Must not know: types, resources.

use serde_json::Value;

/// Bytes that one patch may copy: copies of copies double.
const COPIED_BYTES: usize = 1 << 20;
/// Changes of one patch.
const CHANGES: usize = 10_000;

/// Applies a patch to a document.
///
/// # Errors
/// What is wrong with the patch, with the number of the change.
pub(super) fn apply(document: &Value, patch: &Value) -> Result<Value, String> {
    let changes = patch
        .as_array()
        .ok_or("PatchDocument must be a JSON array.")?;
    if changes.len() > CHANGES {
        return Err(format!("PatchDocument has more than {CHANGES} changes."));
    }
    let mut next = document.clone();
    let mut budget = COPIED_BYTES;
    for (index, change) in changes.iter().enumerate() {
        step(&mut next, change, &mut budget)
            .map_err(|words| format!("Invalid patch update: change {index}: {words}"))?;
    }
    Ok(next)
}

fn step(document: &mut Value, change: &Value, budget: &mut usize) -> Result<(), String> {
    let path = change["path"].as_str().ok_or("path is missing")?;
    let value = || {
        change
            .get("value")
            .cloned()
            .ok_or_else(|| "value is missing".to_owned())
    };
    let from = || {
        change["from"]
            .as_str()
            .ok_or_else(|| "from is missing".to_owned())
    };
    let absent = |path: &str| format!("there is nothing at {path}");
    match change["op"].as_str() {
        Some("add") => add(document, path, value()?),
        Some("remove") => remove(document, path).map(drop),
        Some("replace") => {
            let place = document.pointer_mut(path).ok_or_else(|| absent(path))?;
            *place = value()?;
            Ok(())
        }
        Some("move") => {
            let from = from()?;
            if path.starts_with(&format!("{from}/")) {
                return Err(format!("{from} cannot be moved into itself"));
            }
            let moved = remove(document, from)?;
            add(document, path, moved)
        }
        Some("copy") => {
            let from = from()?;
            let copied = document.pointer(from).ok_or_else(|| absent(from))?;
            *budget = budget
                .checked_sub(copied.to_string().len())
                .ok_or_else(|| format!("the patch copies more than {COPIED_BYTES} bytes"))?;
            let copied = copied.clone();
            add(document, path, copied)
        }
        Some("test") => {
            let found = document.pointer(path).ok_or_else(|| absent(path))?;
            if *found == value()? {
                Ok(())
            } else {
                Err(format!("the value at {path} is another one"))
            }
        }
        _ => Err("op must be add, remove, replace, move, copy or test".into()),
    }
}

/// The parent of a place and the last step to it.
fn parent<'a>(document: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), String> {
    let (above, last) = path
        .rsplit_once('/')
        .ok_or_else(|| format!("{path} is no path below the document"))?;
    let place = document
        .pointer_mut(above)
        .ok_or_else(|| format!("there is nothing at {above}"))?;
    Ok((place, last.replace("~1", "/").replace("~0", "~")))
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    let (place, last) = parent(document, path)?;
    match place {
        Value::Object(map) => {
            map.insert(last, value);
            Ok(())
        }
        Value::Array(list) if last == "-" => {
            list.push(value);
            Ok(())
        }
        Value::Array(list) => match last.parse::<usize>() {
            Ok(index) if index <= list.len() => {
                list.insert(index, value);
                Ok(())
            }
            _ => Err(format!("{last} is no position of the list")),
        },
        _ => Err(format!("nothing can be added at {path}")),
    }
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let (place, last) = parent(document, path)?;
    let absent = || format!("there is nothing at {path}");
    match place {
        Value::Object(map) => map.remove(&last).ok_or_else(absent),
        Value::Array(list) => match last.parse::<usize>() {
            Ok(index) if index < list.len() => Ok(list.remove(index)),
            _ => Err(absent()),
        },
        _ => Err(absent()),
    }
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
    fn check(patch: Value, expected: Option<Value>) {
        let document = json!({"a": 1, "l": [1, 2], "m": {"x/y": 2}});
        assert_eq!(apply(&document, &patch).ok(), expected);
    }

    #[test]
    fn changes_of_every_kind() {
        check(
            json!([{"op": "add", "path": "/b", "value": 2}]),
            Some(json!({"a": 1, "b": 2, "l": [1, 2], "m": {"x/y": 2}})),
        );
        check(
            json!([{"op": "add", "path": "/l/-", "value": 3}, {"op": "add", "path": "/l/0", "value": 0}]),
            Some(json!({"a": 1, "l": [0, 1, 2, 3], "m": {"x/y": 2}})),
        );
        check(
            json!([{"op": "remove", "path": "/m/x~1y"}]),
            Some(json!({"a": 1, "l": [1, 2], "m": {}})),
        );
        check(
            json!([{"op": "move", "from": "/a", "path": "/l/1"}]),
            Some(json!({"l": [1, 1, 2], "m": {"x/y": 2}})),
        );
        check(
            json!([{"op": "copy", "from": "/a", "path": "/c"}, {"op": "test", "path": "/c", "value": 1}]),
            Some(json!({"a": 1, "c": 1, "l": [1, 2], "m": {"x/y": 2}})),
        );
        let doubling: Vec<Value> = (0..40)
            .map(|n| json!({"op": "copy", "from": "", "path": format!("/n{n}")}))
            .collect();
        for bad in [
            json!(doubling),
            json!({}),
            json!([{"op": "test", "path": "/a", "value": 2}]),
            json!([{"op": "remove", "path": "/none"}]),
            json!([{"op": "replace", "path": "/none", "value": 1}]),
            json!([{"op": "add", "path": "/l/9", "value": 1}]),
            json!([{"op": "move", "from": "/m", "path": "/m/x"}]),
            json!([{"op": "nothing", "path": "/a"}]),
            json!([{"op": "remove", "path": ""}]),
        ] {
            check(bad, None);
        }
    }
}

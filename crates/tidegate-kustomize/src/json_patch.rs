//! JSON patches (RFC 6902) as evanphx/json-patch v4 applies them, its looser rules and its words
//! included: negative indexes count from the end, `replace` of a missing key of a mapping adds it.

use crate::node::{MAX_DEPTH, MAX_PATH};
use serde_json::{Map, Value};

/// What `copy` operations of one patch may add to an object, in bytes of JSON.
const MAX_COPIED: usize = 16 << 20;

/// A decoded patch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPatch {
    operations: Vec<Map<String, Value>>,
}

const MISSING: &str = "missing value";

impl JsonPatch {
    /// Reads the JSON form of a patch: a list of mappings, or nothing at all.
    ///
    /// # Errors
    /// Why it is no patch, in the words of Go's JSON decoder.
    pub(crate) fn decode(value: &Value) -> Result<Self, String> {
        let operations = match value {
            Value::Null => Vec::new(),
            Value::Array(items) => items
                .iter()
                .map(|item| match item {
                    Value::Object(operation) => Ok(operation.clone()),
                    Value::Null => Ok(Map::new()),
                    other => Err(format!(
                        "json: cannot unmarshal {} into Go value of type jsonpatch.Operation",
                        go_kind(other)
                    )),
                })
                .collect::<Result<_, _>>()?,
            other => {
                return Err(format!(
                    "json: cannot unmarshal {} into Go value of type jsonpatch.Patch",
                    go_kind(other)
                ));
            }
        };
        Ok(Self { operations })
    }

    /// How many operations there are.
    pub(crate) fn len(&self) -> usize {
        self.operations.len()
    }

    /// Applies all operations to a document in order.
    ///
    /// # Errors
    /// The first operation that does not apply; the document is then half changed.
    pub(crate) fn apply(&self, document: &mut Value) -> Result<(), String> {
        let mut copied = 0;
        self.operations.iter().try_for_each(|operation| {
            let operation = Operation(operation);
            match operation.kind() {
                "add" => operation.add(document),
                "remove" => operation.remove(document),
                "replace" => operation.replace(document),
                "move" => operation.relocate(document),
                "test" => operation.test(document),
                "copy" => operation.copy(document, &mut copied),
                kind => Err(format!("Unexpected kind: {kind}")),
            }
        })
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

struct Operation<'p>(&'p Map<String, Value>);

impl Operation<'_> {
    fn kind(&self) -> &str {
        self.0
            .get("op")
            .and_then(Value::as_str)
            .unwrap_or("unknown")
    }

    /// A text member; `absent` is what its lack is called.
    fn text(&self, key: &str, absent: &str) -> Result<&str, String> {
        match self.0.get(key) {
            Some(Value::String(text)) => Ok(text),
            Some(Value::Null) | None => Err(absent.to_owned()),
            Some(other) => Err(format!(
                "json: cannot unmarshal {} into Go value of type string",
                go_kind(other)
            )),
        }
    }

    fn path(&self) -> Result<&str, String> {
        self.text("path", &format!("operation missing path field: {MISSING}"))
    }

    fn from(&self) -> Result<&str, String> {
        let absent = format!("operation, missing from field: {MISSING}");
        self.text("from", &absent)
    }

    fn value(&self) -> Value {
        self.0.get("value").cloned().unwrap_or_default()
    }

    fn add(&self, document: &mut Value) -> Result<(), String> {
        let path = self
            .path()
            .map_err(|_| format!("add operation failed to decode path: {MISSING}"))?;
        let (parent, key) = find(document, path).ok_or_else(|| {
            format!("add operation does not apply: doc is missing path: \"{path}\": {MISSING}")
        })?;
        add(parent, &key, self.value()).map_err(|e| format!("error in add for path: '{path}': {e}"))
    }

    fn remove(&self, document: &mut Value) -> Result<(), String> {
        let path = self
            .path()
            .map_err(|_| format!("remove operation failed to decode path: {MISSING}"))?;
        let (parent, key) = find(document, path).ok_or_else(|| {
            format!("remove operation does not apply: doc is missing path: \"{path}\": {MISSING}")
        })?;
        remove(parent, &key)
            .map(drop)
            .map_err(|e| format!("error in remove for path: '{path}': {e}"))
    }

    fn replace(&self, document: &mut Value) -> Result<(), String> {
        let path = self
            .path()
            .map_err(|e| format!("replace operation failed to decode path: {e}"))?;
        if path.is_empty() {
            let value = self.value();
            if !value.is_object() && !value.is_array() {
                return Err("replace operation value must be object or array: %!w(<nil>)".into());
            }
            *document = value;
            return Ok(());
        }
        let (parent, key) = find(document, path).ok_or_else(|| {
            format!("replace operation does not apply: doc is missing path: {path}: {MISSING}")
        })?;
        match parent {
            Value::Object(map) => {
                map.insert(key, self.value());
            }
            Value::Array(items) => {
                let index = existing(&key, items.len()).map_err(|_| {
                    format!(
                        "replace operation does not apply: doc is missing key: {path}: {MISSING}"
                    )
                })?;
                if let Some(slot) = items.get_mut(index) {
                    *slot = self.value();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn relocate(&self, document: &mut Value) -> Result<(), String> {
        let from = self
            .from()
            .map_err(|e| format!("move operation failed to decode from: {e}"))?;
        let (parent, key) = find(document, from).ok_or_else(|| {
            format!("move operation does not apply: doc is missing from path: {from}: {MISSING}")
        })?;
        let value =
            remove(parent, &key).map_err(|e| format!("error in move for path: '{key}': {e}"))?;
        let path = self
            .path()
            .map_err(|e| format!("move operation failed to decode path: {e}"))?;
        let (parent, key) = find(document, path).ok_or_else(|| {
            format!(
                "move operation does not apply: doc is missing destination path: {path}: {MISSING}"
            )
        })?;
        add(parent, &key, value).map_err(|e| format!("error in move for path: '{path}': {e}"))
    }

    fn test(&self, document: &mut Value) -> Result<(), String> {
        let path = self
            .path()
            .map_err(|e| format!("test operation failed to decode path: {e}"))?;
        let failed = || format!("testing value {path} failed: test failed");
        let wanted = self.value();
        if path.is_empty() {
            return if *document == wanted {
                Ok(())
            } else {
                Err(failed())
            };
        }
        let (parent, key) = find(document, path).ok_or_else(|| {
            format!("test operation does not apply: is missing path: {path}: {MISSING}")
        })?;
        let found =
            get(parent, &key).map_err(|e| format!("error in test for path: '{path}': {e}"))?;
        if found.unwrap_or(&Value::Null) == &wanted {
            Ok(())
        } else {
            Err(failed())
        }
    }

    fn copy(&self, document: &mut Value, copied: &mut usize) -> Result<(), String> {
        let from = self
            .from()
            .map_err(|e| format!("copy operation failed to decode from: {e}"))?;
        let (parent, key) = find(document, from).ok_or_else(|| {
            format!("copy operation does not apply: doc is missing from path: {from}: {MISSING}")
        })?;
        let value = get(parent, &key)
            .map_err(|e| format!("error in copy for from: '{from}': {e}"))?
            .cloned()
            .unwrap_or_default();
        if is_deeper(&value, MAX_DEPTH) {
            return Err(format!("a copy is deeper than {MAX_DEPTH}"));
        }
        *copied += value.to_string().len();
        if *copied > MAX_COPIED {
            return Err(format!("copies of more than {MAX_COPIED} bytes"));
        }
        let path = self
            .path()
            .map_err(|_| format!("copy operation failed to decode path: {MISSING}"))?;
        let (parent, key) = find(document, path).ok_or_else(|| {
            format!(
                "copy operation does not apply: doc is missing destination path: {path}: {MISSING}"
            )
        })?;
        add(parent, &key, value).map_err(|e| format!("error while adding value during copy: {e}"))
    }
}

/// Whether a value is deeper than a limit. Does not recurse.
fn is_deeper(value: &Value, limit: usize) -> bool {
    let mut pending = vec![(value, 1)];
    while let Some((value, depth)) = pending.pop() {
        if depth > limit {
            return true;
        }
        match value {
            Value::Array(items) => pending.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(map) => pending.extend(map.values().map(|item| (item, depth + 1))),
            _ => {}
        }
    }
    false
}

/// The container that a path's last part stands in, and that part. What stands before the first
/// slash is ignored.
fn find<'d>(document: &'d mut Value, path: &str) -> Option<(&'d mut Value, String)> {
    let mut parts: Vec<&str> = path.split('/').skip(1).collect();
    // No document that is read is so deep.
    if parts.len() > MAX_PATH {
        return None;
    }
    let key = unescape(parts.pop()?);
    let mut at = document;
    for part in parts {
        let part = unescape(part);
        at = match at {
            Value::Object(map) => map.get_mut(&part)?,
            Value::Array(items) => {
                let index = existing(&part, items.len()).ok()?;
                items.get_mut(index)?
            }
            _ => return None,
        };
    }
    (at.is_object() || at.is_array()).then_some((at, key))
}

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// An index as Go's `Atoi` reads it, with its words.
fn number(key: &str) -> Result<i64, String> {
    let digits = key.strip_prefix(['+', '-']).unwrap_or(key);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("strconv.Atoi: parsing {key:?}: invalid syntax"));
    }
    key.parse()
        .map_err(|_| format!("strconv.Atoi: parsing {key:?}: value out of range"))
}

/// The place an index names in a list of `length` elements; negative ones count from the end.
fn place(index: i64, length: usize) -> Option<usize> {
    if index < 0 {
        let back = usize::try_from(index.unsigned_abs()).ok()?;
        length.checked_sub(back)
    } else {
        usize::try_from(index).ok()
    }
}

fn invalid(index: i64) -> String {
    format!("Unable to access invalid index: {index}: invalid index referenced")
}

fn existing(key: &str, length: usize) -> Result<usize, String> {
    let index = number(key)?;
    place(index, length)
        .filter(|at| *at < length)
        .ok_or_else(|| invalid(index))
}

fn get<'d>(parent: &'d Value, key: &str) -> Result<Option<&'d Value>, String> {
    match parent {
        Value::Array(items) => existing(key, items.len()).map(|index| items.get(index)),
        other => Ok(other.get(key)),
    }
}

fn add(parent: &mut Value, key: &str, value: Value) -> Result<(), String> {
    match parent {
        Value::Object(map) => {
            map.insert(key.to_owned(), value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let index = number(key)
                .map_err(|e| format!("value was not a proper array index: '{key}': {e}"))?;
            let at = place(index, items.len() + 1)
                .filter(|at| *at <= items.len())
                .ok_or_else(|| invalid(index))?;
            items.insert(at, value);
        }
        _ => {}
    }
    Ok(())
}

fn remove(parent: &mut Value, key: &str) -> Result<Value, String> {
    match parent {
        Value::Array(items) => {
            let index = existing(key, items.len())?;
            Ok(items.remove(index))
        }
        Value::Object(map) => map
            .remove(key)
            .ok_or_else(|| format!("Unable to remove nonexistent key: {key}: {MISSING}")),
        _ => Ok(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "tables read better")]
    fn check(patch: Value, expected: Result<Value, &str>) {
        let mut document = json!({"a": {"b": [1, 2]}, "s": "x", "n": null, "x/y": {"~": 1}});
        let applied = JsonPatch::decode(&patch)
            .unwrap()
            .apply(&mut document)
            .map(|()| document);
        assert_eq!(applied, expected.map_err(str::to_owned), "{patch}");
    }

    fn changed(key: &str, value: Value) -> Result<Value, &'static str> {
        let mut document = json!({"a": {"b": [1, 2]}, "s": "x", "n": null, "x/y": {"~": 1}});
        document[key] = value;
        Ok(document)
    }

    #[test]
    fn operations_apply() {
        check(
            json!([{"op": "add", "path": "/a/c", "value": 3}]),
            changed("a", json!({"b": [1, 2], "c": 3})),
        );
        check(
            json!([{"op": "add", "path": "/a/b/-", "value": 3}]),
            changed("a", json!({"b": [1, 2, 3]})),
        );
        check(
            json!([{"op": "add", "path": "/a/b/0", "value": 3}]),
            changed("a", json!({"b": [3, 1, 2]})),
        );
        check(
            json!([{"op": "add", "path": "/a/b/-1", "value": 3}]),
            changed("a", json!({"b": [1, 2, 3]})),
        );
        check(
            json!([{"op": "remove", "path": "/a/b/-1"}]),
            changed("a", json!({"b": [1]})),
        );
        check(
            json!([{"op": "replace", "path": "/new", "value": 1}]),
            changed("new", json!(1)),
        );
        check(
            json!([{"op": "replace", "path": "/x~1y/~0", "value": 2}]),
            changed("x/y", json!({"~": 2})),
        );
        check(
            json!([{"op": "copy", "from": "/a/b", "path": "/s"}]),
            changed("s", json!([1, 2])),
        );
        check(
            json!([{"op": "test", "path": "/s", "value": "x"}, {"op": "test", "path": "/n"}]),
            changed("s", json!("x")),
        );
        check(
            json!([{"op": "move", "from": "/a/b/0", "path": "/a/b/1"}]),
            changed("a", json!({"b": [2, 1]})),
        );
        check(
            json!([{"op": "replace", "path": "", "value": {}}]),
            Ok(json!({})),
        );
    }

    #[test]
    fn what_does_not_apply_is_said() {
        check(
            json!([{"op": "add", "path": "/q/c", "value": 3}]),
            Err("add operation does not apply: doc is missing path: \"/q/c\": missing value"),
        );
        check(
            json!([{"op": "remove", "path": "/q"}]),
            Err(
                "error in remove for path: '/q': Unable to remove nonexistent key: q: missing value",
            ),
        );
        check(
            json!([{"op": "replace", "path": "/a/b/7", "value": 1}]),
            Err("replace operation does not apply: doc is missing key: /a/b/7: missing value"),
        );
        check(
            json!([{"op": "test", "path": "/s", "value": "y"}]),
            Err("testing value /s failed: test failed"),
        );
        check(
            json!([{"op": "add", "path": "/a/b/9", "value": 1}]),
            Err(
                "error in add for path: '/a/b/9': Unable to access invalid index: 9: invalid index referenced",
            ),
        );
        check(json!([{"op": "frob"}]), Err("Unexpected kind: frob"));
        check(
            json!([{"op": "add", "path": "", "value": 1}]),
            Err("add operation does not apply: doc is missing path: \"\": missing value"),
        );
        assert!(JsonPatch::decode(&json!({"a": 1})).is_err());
    }

    #[test]
    fn copies_are_bounded() {
        let mut document = json!({"a": "x".repeat(1 << 20)});
        let operation = json!({"op": "copy", "from": "/a", "path": "/b"});
        let patch = JsonPatch::decode(&Value::Array(vec![operation; 20])).unwrap();
        assert!(patch.apply(&mut document).unwrap_err().contains("copies"));
    }
}

//! A version 2 document in the protobuf form of the gnostic project, which old clients ask for. Written by hand for the
//! part of the format that our own documents use: the field numbers are those of gnostic's `OpenAPIv2.proto`.

use serde_json::{Map, Value};

/// Encodes a whole document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, document.get("swagger"));
    if let Some(info) = document.get("info") {
        let mut message = Message::default();
        message.text(1, info.get("title"));
        message.text(2, info.get("version"));
        out.message(2, &message);
    }
    let mut paths = Message::default();
    for (path, item) in members(document.get("paths")) {
        paths.named(2, path, &path_item(item));
    }
    out.message(8, &paths);
    let mut definitions = Message::default();
    for (name, definition) in members(document.get("definitions")) {
        definitions.named(1, name, &schema(definition));
    }
    out.message(9, &definitions);
    out.0
}

fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// A protobuf message under construction.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u32, message: &Message) {
        self.bytes(field, &message.0);
    }

    /// A string, when there is one.
    fn text(&mut self, field: u32, value: Option<&Value>) {
        if let Some(text) = value
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
        {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u32, value: Option<&Value>) {
        items(value)
            .filter_map(Value::as_str)
            .for_each(|text| self.bytes(field, text.as_bytes()));
    }

    /// A boolean; false is the same as nothing.
    fn flag(&mut self, field: u32, value: Option<&Value>) {
        if value == Some(&Value::Bool(true)) {
            self.varint(u64::from(field) << 3);
            self.varint(1);
        }
    }

    /// `{name = 1, value = 2}`, as all of gnostic's maps are written.
    fn named(&mut self, field: u32, name: &str, value: &Message) {
        let mut pair = Message::default();
        pair.bytes(1, name.as_bytes());
        pair.message(2, value);
        self.message(field, &pair);
    }

    /// A message inside a union with one branch that we use.
    fn wrapped(&mut self, field: u32, branch: u32, message: &Message) {
        let mut union = Message::default();
        union.message(branch, message);
        self.message(field, &union);
    }

    fn extensions(&mut self, field: u32, value: &Value) {
        for (name, value) in members(Some(value)).filter(|(name, _)| name.starts_with("x-")) {
            self.named(field, name, &any(value));
        }
    }
}

/// Any value as YAML, for which JSON does.
fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.bytes(2, format!("{value}\n").as_bytes());
    message
}

fn path_item(item: &Value) -> Message {
    let mut out = Message::default();
    for (method, field) in [
        ("get", 2),
        ("put", 3),
        ("post", 4),
        ("delete", 5),
        ("patch", 8),
    ] {
        if let Some(found) = item.get(method) {
            out.message(field, &operation(found));
        }
    }
    for found in items(item.get("parameters")) {
        out.message(9, &parameter(found));
    }
    out.extensions(10, item);
    out
}

fn operation(operation: &Value) -> Message {
    let mut out = Message::default();
    out.text(3, operation.get("description"));
    out.text(5, operation.get("operationId"));
    out.texts(6, operation.get("produces"));
    out.texts(7, operation.get("consumes"));
    for found in items(operation.get("parameters")) {
        out.message(8, &parameter(found));
    }
    let mut responses = Message::default();
    for (code, found) in members(operation.get("responses")) {
        let mut response = Message::default();
        response.text(1, found.get("description"));
        if let Some(found) = found.get("schema") {
            response.wrapped(2, 1, &schema(found));
        }
        let mut union = Message::default();
        union.message(1, &response);
        responses.named(1, code, &union);
    }
    out.message(9, &responses);
    out.extensions(13, operation);
    out
}

/// A `ParametersItem`: a parameter is of the body, or of the query or path.
fn parameter(parameter: &Value) -> Message {
    let place = parameter.get("in").and_then(Value::as_str).unwrap_or("");
    let mut inner = Message::default();
    let mut either = Message::default();
    if place == "body" {
        inner.text(2, parameter.get("name"));
        inner.text(3, parameter.get("in"));
        inner.flag(4, parameter.get("required"));
        if let Some(found) = parameter.get("schema") {
            inner.message(5, &schema(found));
        }
        either.message(1, &inner);
    } else {
        // The two kinds number their fields differently.
        let query = place == "query";
        let (branch, kind, unique) = if query { (3, 6, 20) } else { (4, 5, 19) };
        inner.flag(1, parameter.get("required"));
        inner.text(2, parameter.get("in"));
        inner.text(4, parameter.get("name"));
        inner.text(kind, parameter.get("type"));
        inner.flag(unique, parameter.get("uniqueItems"));
        either.wrapped(2, branch, &inner);
    }
    let mut out = Message::default();
    out.message(1, &either);
    out
}

fn schema(schema_value: &Value) -> Message {
    let mut out = Message::default();
    out.text(1, schema_value.get("$ref"));
    out.text(2, schema_value.get("format"));
    out.text(3, schema_value.get("title"));
    out.text(4, schema_value.get("description"));
    if let Some(default) = schema_value.get("default") {
        out.message(5, &any(default));
    }
    out.texts(19, schema_value.get("required"));
    if let Some(more) = schema_value
        .get("additionalProperties")
        .filter(|more| more.is_object())
    {
        out.wrapped(21, 1, &schema(more));
    }
    if let Some(kind) = schema_value.get("type").and_then(Value::as_str) {
        let mut kinds = Message::default();
        kinds.bytes(1, kind.as_bytes());
        out.message(22, &kinds);
    }
    if let Some(found) = schema_value.get("items") {
        out.wrapped(23, 1, &schema(found));
    }
    if let Some(properties) = schema_value.get("properties") {
        let mut message = Message::default();
        for (name, property) in members(Some(properties)) {
            message.named(1, name, &schema(property));
        }
        out.message(25, &message);
    }
    out.extensions(31, schema_value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn messages_are_written_byte_by_byte() {
        let check = |message: Message, expected: &[u8]| assert_eq!(message.0, expected);
        check(
            schema(&json!({"type": "string"})),
            b"\xb2\x01\x08\x0a\x06string",
        );
        check(
            schema(&json!({"$ref": "#/definitions/A"})),
            b"\x0a\x0f#/definitions/A",
        );
        check(
            schema(&json!({"x-a": [1]})),
            b"\xfa\x01\x0d\x0a\x03x-a\x12\x06\x12\x04[1]\n",
        );
        // An object without fields still says that it has none.
        check(schema(&json!({"properties": {}})), b"\xca\x01\x00");
        let path = json!({"name": "n", "in": "path", "required": true, "type": "string"});
        check(
            parameter(&path),
            b"\x0a\x17\x12\x15\x22\x13\x08\x01\x12\x04path\x22\x01n\x2a\x06string",
        );
        let mut long = Message::default();
        long.bytes(1, &[0; 300]);
        assert_eq!(long.0[..3], [0x0a, 0xac, 0x02]);
    }
}

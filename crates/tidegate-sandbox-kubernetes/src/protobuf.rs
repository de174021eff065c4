//! Request bodies in Kubernetes' protobuf form (spec kubernetes.md B3): the envelope. The messages inside are decoded by
//! the table of Go types in `protobuf/message.rs`, the wire format is in `protobuf/wire.rs`.

mod message;
mod wire;

use serde_json::{Value, json};

use crate::gotypes::Table;
use crate::status::Status;
use wire::{Reader, Wrong};

pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body starts with.
const MAGIC: &[u8] = b"k8s\0";

/// Decodes a body into the JSON that it stands for.
pub(crate) fn decode(body: &[u8]) -> Result<Value, Status> {
    let Some(rest) = body.strip_prefix(MAGIC) else {
        let shown: Vec<String> = MAGIC.iter().map(|byte| format!("{byte:x}")).collect();
        return Err(Status::bad_request(format!(
            "provided data does not appear to be a protobuf message, expected prefix [{}]",
            shown.join(" ")
        )));
    };
    let envelope = envelope(rest).map_err(|why| Status::bad_request(why.to_string()))?;
    if !envelope.encoding.is_empty() {
        let why = format!(
            "unsupported content encoding {:?} in a protobuf body",
            envelope.encoding
        );
        return Err(Status::bad_request(why));
    }
    match envelope.content_type {
        "" | MEDIA_TYPE => {}
        "application/json" => {
            return serde_json::from_slice(envelope.raw)
                .map_err(|why| Status::bad_request(why.to_string()));
        }
        other => {
            return Err(Status::bad_request(format!(
                "unsupported content type {other:?} in a protobuf body"
            )));
        }
    }
    let (group, version) = match envelope.api_version.split_once('/') {
        Some((group, version)) => (group, version),
        None => ("", envelope.api_version),
    };
    let table = Table::get();
    // Deletions state their options in the group of what they delete.
    let id = match envelope.kind {
        "DeleteOptions" => table.kind("", "v1", "DeleteOptions"),
        kind => table.kind(group, version, kind),
    };
    let Some(id) = id else {
        return Err(Status::bad_request(format!(
            "no kind {:?} is registered for version {:?} in scheme \"pkg/runtime/scheme.go:111\"",
            envelope.kind, envelope.api_version
        )));
    };
    let mut map = message::decode(table, id, envelope.raw)
        .map_err(|why| Status::bad_request(why.to_string()))?;
    map.insert("kind".to_owned(), json!(envelope.kind));
    map.insert("apiVersion".to_owned(), json!(envelope.api_version));
    Ok(Value::Object(map))
}

/// `runtime.Unknown`: which message it is, and its bytes.
#[derive(Debug, Default)]
struct Envelope<'a> {
    api_version: &'a str,
    kind: &'a str,
    raw: &'a [u8],
    encoding: &'a str,
    content_type: &'a str,
}

fn envelope(bytes: &[u8]) -> Result<Envelope<'_>, Wrong> {
    let mut out = Envelope::default();
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => {
                let mut inner = Reader::new(value.bytes()?);
                while let Some((number, value)) = inner.next()? {
                    match number {
                        1 => out.api_version = value.text()?,
                        2 => out.kind = value.text()?,
                        _ => {}
                    }
                }
            }
            2 => out.raw = value.bytes()?,
            3 => out.encoding = value.text()?,
            4 => out.content_type = value.text()?,
            _ => {}
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;

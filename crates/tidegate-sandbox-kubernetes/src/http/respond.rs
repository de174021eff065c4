//! Replies: status lines, media types, tags, and the forms in which an object may be asked for (spec kubernetes.md B2).

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Call;
use crate::convert;
use crate::discovery::Aggregated;
use crate::resource::Resource;
use crate::status::Status;
use crate::table;

pub(crate) type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

const JSON: &str = "application/json";

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

pub(crate) fn reply(code: StatusCode, media: &str, bytes: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    if let Ok(media) = HeaderValue::from_str(media) {
        headers.insert(header::CONTENT_TYPE, media);
    }
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    response
}

pub(crate) fn json_reply(code: StatusCode, value: &Value) -> Response<Body> {
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    reply(code, JSON, bytes)
}

pub(crate) fn text(code: StatusCode, text: &'static str) -> Response<Body> {
    reply(code, "text/plain; charset=utf-8", text)
}

/// The answer to a path that no handler knows: not a Status.
pub(crate) fn page_not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// A refusal as its Status object, with `Retry-After` when it has one.
pub(crate) fn refuse(status: &Status) -> Response<Body> {
    refuse_with(status, &status.to_value())
}

pub(crate) fn refuse_with(status: &Status, body: &Value) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_reply(code, body);
    let retry = status
        .details
        .as_ref()
        .and_then(|details| details.retry_after_seconds);
    if let Some(seconds) = retry {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A document with a tag; 304 when the client has it already.
pub(crate) fn with_etag(document: &Value, media: &str, headers: &HeaderMap) -> Response<Body> {
    let bytes = serde_json::to_vec(document).unwrap_or_default();
    tagged(bytes, media, headers)
}

/// The strong tag of a document.
pub(crate) fn tag(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut out, byte| {
            let _ = write!(out, "{byte:02X}");
            out
        })
}

/// Whether the client says that it has the document with that tag.
pub(crate) fn has_tag(headers: &HeaderMap, etag: &str) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH);
    given
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim() == etag || one.trim() == "*")
}

pub(crate) fn tagged(bytes: Vec<u8>, media: &str, headers: &HeaderMap) -> Response<Body> {
    let etag = format!("\"{}\"", tag(&bytes));
    let mut response = if has_tag(headers, &etag) {
        reply(StatusCode::NOT_MODIFIED, media, Bytes::new())
    } else {
        reply(StatusCode::OK, media, bytes)
    };
    let headers = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

/// One element of an `Accept` header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Media<'a> {
    pub(crate) kind: &'a str,
    pub(crate) form: &'a str,
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
}

/// The acceptable media types in the client's order; `*/*` when it names none.
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<Media<'_>> {
    let mut list = Vec::new();
    for value in headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
    {
        for element in value.split(',') {
            let mut parts = element.split(';').map(str::trim);
            let mut media = Media {
                kind: parts.next().unwrap_or(""),
                ..Media::default()
            };
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name {
                    "as" => media.form = value,
                    "g" => media.group = value,
                    "v" => media.version = value,
                    _ => {}
                }
            }
            if !media.kind.is_empty() {
                list.push(media);
            }
        }
    }
    if list.is_empty() {
        list.push(Media {
            kind: "*/*",
            ..Media::default()
        });
    }
    list
}

fn is_json(kind: &str) -> bool {
    ["*/*", "application/*", JSON].contains(&kind)
}

/// The form of discovery that is asked for; `None` is the old one.
pub(crate) fn discovery_form(headers: &HeaderMap) -> Result<Option<Aggregated>, Status> {
    for media in accepted(headers).iter().filter(|media| is_json(media.kind)) {
        match (media.form, media.group, media.version) {
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => {
                return Ok(Some(Aggregated::V2));
            }
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1") => {
                return Ok(Some(Aggregated::V2Beta1));
            }
            ("", ..) => return Ok(None),
            _ => {}
        }
    }
    Err(not_acceptable())
}

/// What the real server offers; the sandbox itself answers JSON only.
const MEDIA_TYPES: [&str; 3] = [
    JSON,
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

fn not_acceptable() -> Status {
    Status::not_acceptable(&MEDIA_TYPES)
}

/// How an object or a list shall look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Plain,
    /// `as=Table`, `v1` or `v1beta1`.
    Table(&'static str),
    /// `as=PartialObjectMetadata(List)`.
    Partial(&'static str),
}

/// The first acceptable form that this server has.
pub(crate) fn view(call: &Call<'_>) -> Result<View, Status> {
    for media in accepted(call.headers)
        .iter()
        .filter(|media| is_json(media.kind))
    {
        let version = match media.version {
            "v1" => "v1",
            "v1beta1" => "v1beta1",
            _ => "",
        };
        match media.form {
            "" => return Ok(View::Plain),
            "Table" if media.group == "meta.k8s.io" && !version.is_empty() => {
                let include = call.query.get("includeObject");
                if !table::INCLUDES.contains(&include) {
                    return Err(Status::bad_request(format!(
                        "unrecognized includeObject value: {include:?}"
                    )));
                }
                return Ok(View::Table(version));
            }
            "PartialObjectMetadata" | "PartialObjectMetadataList"
                if media.group == "meta.k8s.io" && !version.is_empty() =>
            {
                return Ok(View::Partial(version));
            }
            _ => {}
        }
    }
    if call.resource.is_custom() {
        return Err(not_acceptable());
    }
    // Built-in kinds are refused by the router, which has other words.
    let known = MEDIA_TYPES.join(", ");
    let message = format!("406: Not Acceptable\n\nAvailable representations: {known}");
    let mut status = Status::new(406, "NotAcceptable", message);
    status.details = Some(Box::default());
    Err(status)
}

/// An object at the version of the URL.
pub(crate) fn served<'a>(
    resource: &Resource,
    version: &str,
    object: &'a Arc<Value>,
) -> Cow<'a, Value> {
    convert::served(resource, version, object)
}

/// The metadata of an object alone.
pub(crate) fn partial(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

/// An item of a list: built-in kinds do not repeat their type there.
pub(crate) struct Item<'a> {
    pub(crate) object: &'a Value,
    pub(crate) typed: bool,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(map) = self.object.as_object().filter(|_| !self.typed) else {
            return self.object.serialize(serializer);
        };
        let mut out = serializer.serialize_map(None)?;
        for (key, value) in map
            .iter()
            .filter(|(key, _)| *key != "kind" && *key != "apiVersion")
        {
            out.serialize_entry(key, value)?;
        }
        out.end()
    }
}

/// Adds one `Warning` header per message.
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let clean: String = warning.chars().filter(|c| !c.is_control()).collect();
        let quoted = clean.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

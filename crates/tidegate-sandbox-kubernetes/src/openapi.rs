//! OpenAPI documents, generated from what is served (spec kubernetes.md B4): one per group version in version 3, one of
//! everything in version 2, which old clients read as protobuf. Here they are cached and served; what stands in them is
//! made in `openapi/`. Fields have no descriptions.

mod components;
mod documents;
mod gnostic;
mod paths;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::http::respond::{self, Body, page_not_found, refuse, tag};
use crate::http::route::Query;
use crate::registry::Registry;
use crate::resource::Resource;
use crate::status::Status;

const JSON: &str = "application/json";
const PROTOBUF_V2: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The same form under the name that clients ask for, although it is no proper media type.
const PROTOBUF_V2_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// How long a document that is named by its hash may be kept.
const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);

/// A document as it goes over the wire.
#[derive(Clone, Debug)]
struct Document {
    bytes: Bytes,
    tag: String,
}

impl Document {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            tag: tag(&bytes),
            bytes: bytes.into(),
        }
    }

    fn of(value: &Value) -> Self {
        let mut bytes = serde_json::to_vec(value).unwrap_or_default();
        bytes.push(b'\n');
        Self::new(bytes)
    }
}

/// The documents of one registry, each made when it is first asked for: a new registry starts with none.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    v3: OnceLock<BTreeMap<String, Document>>,
    v2: OnceLock<Document>,
    v2_protobuf: OnceLock<Document>,
}

/// The documents of groups that have built-in kinds only: the same for every registry.
fn builtin() -> &'static BTreeMap<String, Document> {
    static BUILTIN: OnceLock<BTreeMap<String, Document>> = OnceLock::new();
    BUILTIN.get_or_init(|| v3_documents(&Registry::new(Vec::new()), |_| true))
}

fn v3_documents(registry: &Registry, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, Document> {
    let mut all = BTreeMap::new();
    for group in registry.groups().iter().filter(|group| wanted(&group.name)) {
        for version in &group.versions {
            let document = documents::v3(registry, &group.name, version);
            all.insert(document_path(&group.name, version), Document::of(&document));
        }
    }
    all
}

impl Documents {
    fn v3(&self, registry: &Registry) -> &BTreeMap<String, Document> {
        self.v3.get_or_init(|| {
            let custom = |group: &str| {
                let of_group = |resource: &&Arc<Resource>| resource.name.group() == group;
                registry
                    .all()
                    .filter(of_group)
                    .any(|resource| resource.is_custom())
            };
            let mut all = builtin().clone();
            all.extend(v3_documents(registry, custom));
            all
        })
    }

    fn v2(&self, registry: &Registry) -> &Document {
        self.v2
            .get_or_init(|| Document::of(&documents::v2(registry)))
    }

    fn v2_protobuf(&self, registry: &Registry) -> &Document {
        self.v2_protobuf
            .get_or_init(|| Document::new(gnostic::encode(&documents::v2(registry))))
    }
}

fn document_path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

fn location(path: &str, document: &Document) -> String {
    format!("/openapi/v3/{path}?hash={}", document.tag)
}

/// `/openapi/v3`: the list of documents, each under a URL that changes with it.
pub(crate) fn v3_index(registry: &Registry, headers: &HeaderMap) -> Response<Body> {
    let paths: Map<String, Value> = registry
        .documents
        .v3(registry)
        .iter()
        .map(|(path, document)| {
            (
                path.clone(),
                json!({"serverRelativeURL": location(path, document)}),
            )
        })
        .collect();
    serve(&Document::of(&json!({"paths": paths})), JSON, headers)
}

/// `/openapi/v3/PATH`: the document of one group version. With its hash it may be kept; with another hash the client is
/// sent to the present one.
pub(crate) fn v3(
    registry: &Registry,
    path: &str,
    query: &Query,
    headers: &HeaderMap,
    now: Timestamp,
) -> Response<Body> {
    let Some(document) = registry.documents.v3(registry).get(path) else {
        return page_not_found();
    };
    if !accepts(headers, &[JSON]) {
        return not_acceptable(&[JSON]);
    }
    let hash = query.get("hash");
    if hash.is_empty() {
        return serve(document, JSON, headers);
    }
    if hash != document.tag {
        let mut response = respond::reply(StatusCode::MOVED_PERMANENTLY, JSON, Bytes::new());
        if let Ok(location) = HeaderValue::from_str(&location(path, document)) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        return response;
    }
    let mut response = serve(document, JSON, headers);
    let kept = response.headers_mut();
    kept.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, immutable"),
    );
    let expires = now.saturating_add(YEAR).unwrap_or(Timestamp::MAX);
    let expires = expires.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(expires) = HeaderValue::from_str(&expires) {
        kept.insert(header::EXPIRES, expires);
    }
    response
}

/// `/openapi/v2`: one document for everything, as JSON or in the protobuf form of old clients.
pub(crate) fn v2(registry: &Registry, headers: &HeaderMap) -> Response<Body> {
    let known = [JSON, PROTOBUF_V2_ASKED, PROTOBUF_V2];
    for media in respond::accepted(headers) {
        match media.kind {
            "*/*" | "application/*" | JSON => {
                return serve(registry.documents.v2(registry), JSON, headers);
            }
            PROTOBUF_V2 | PROTOBUF_V2_ASKED => {
                return serve(
                    registry.documents.v2_protobuf(registry),
                    PROTOBUF_V2,
                    headers,
                );
            }
            _ => {}
        }
    }
    not_acceptable(&known)
}

fn accepts(headers: &HeaderMap, known: &[&str]) -> bool {
    let any = |kind: &str| ["*/*", "application/*"].contains(&kind) || known.contains(&kind);
    respond::accepted(headers)
        .iter()
        .any(|media| any(media.kind))
}

fn not_acceptable(known: &[&str]) -> Response<Body> {
    refuse(&Status::not_acceptable(known))
}

/// A document with its tag; 304 when the client has it already.
fn serve(document: &Document, media: &str, headers: &HeaderMap) -> Response<Body> {
    let etag = format!("\"{}\"", document.tag);
    let mut response = if respond::has_tag(headers, &etag) {
        respond::reply(StatusCode::NOT_MODIFIED, media, Bytes::new())
    } else {
        respond::reply(StatusCode::OK, media, document.bytes.clone())
    };
    let out = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        out.insert(header::ETAG, etag);
    }
    out.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

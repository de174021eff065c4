//! `GET` of one object and of lists: selectors, pages, past revisions, tables (spec kubernetes.md B5).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::Call;
use super::respond::{self, Body, Item, View, json_reply, refuse_with};
use crate::resource::Version;
use crate::selector::{Fields, Labels};
use crate::status::{Cause, Status};
use crate::store::{self, Stored, Table};
use crate::table;

/// Which objects a list, a watch or a collection deletion concerns.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) namespace: String,
    pub(crate) labels: Labels,
    pub(crate) fields: Fields,
}

impl Selection {
    pub(crate) fn of(call: &Call<'_>) -> Result<Self, Status> {
        let fields = Fields::parse(
            call.query.get("fieldSelector"),
            &call.resource,
            version(call),
        )?;
        Ok(Self {
            namespace: call.path.namespace.clone().unwrap_or_default(),
            labels: Labels::parse(call.query.get("labelSelector"))?,
            fields,
        })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        (self.namespace.is_empty() || crate::object::namespace(object) == self.namespace)
            && self.labels.matches(object)
            && self.fields.matches(object)
    }

    fn is_open(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// The version of the URL; the route was checked against it.
pub(crate) fn version<'a>(call: &'a Call<'_>) -> &'a Version {
    call.resource
        .version(&call.path.version)
        .unwrap_or_else(|| call.resource.storage())
}

/// One object, in the form that is asked for.
pub(crate) fn object_reply(
    call: &Call<'_>,
    code: StatusCode,
    object: &Arc<Value>,
) -> Result<Response<Body>, Status> {
    let view = respond::view(call)?;
    let object = respond::served(&call.resource, &call.path.version, object);
    Ok(match view {
        View::Plain => json_reply(code, &object),
        View::Partial(version) => json_reply(code, &respond::partial(&object, version)),
        View::Table(form) => {
            let rows = [object.as_ref()];
            let request = table_request(call, form);
            json_reply(code, &table::of_object(&request, &rows))
        }
    })
}

/// A Scale, in the form that is asked for.
pub(crate) fn scale_reply(call: &Call<'_>, scale: &Value) -> Result<Response<Body>, Status> {
    let shown = match respond::view(call)? {
        View::Plain => return Ok(json_reply(StatusCode::OK, scale)),
        View::Partial(version) => respond::partial(scale, version),
        View::Table(form) => table::of_scale(&table_request(call, form), scale),
    };
    Ok(json_reply(StatusCode::OK, &shown))
}

pub(crate) fn table_request<'a>(call: &'a Call<'_>, form: &'static str) -> table::Request<'a> {
    table::Request {
        resource: &call.resource,
        version: version(call),
        form,
        include: call.query.get("includeObject"),
        now: call.api.core.now(),
    }
}

/// Where a page goes on.
#[derive(Debug)]
struct Page {
    table: Table,
    /// What the list's resourceVersion shall be.
    revision: u64,
    /// The first key of the page, relative to the namespace.
    start: Option<String>,
}

pub(crate) fn list(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let view = respond::view(call)?;
    let selection = Selection::of(call)?;
    check_list_options(call)?;
    let limit = number(call, "limit")?.map_or(0, |limit| u64::try_from(limit).unwrap_or(0));
    let page = match page(call, limit)? {
        Ok(page) => page,
        Err(response) => return Ok(response),
    };
    let prefix = match selection.namespace.as_str() {
        "" => 0,
        namespace => namespace.len() + 1,
    };
    let mut objects = Vec::new();
    let mut last = None;
    let mut rest = 0_u64;
    for (key, stored) in entries(&page, &selection) {
        if !selection.matches(&stored.object) {
            continue;
        }
        if limit > 0 && objects.len() as u64 >= limit {
            rest += 1;
            continue;
        }
        last = Some(key.get(prefix..).unwrap_or("").to_owned());
        objects.push(respond::served(
            &call.resource,
            &call.path.version,
            &stored.object,
        ));
    }
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if call.resource.is_custom() {
        metadata["continue"] = json!("");
    }
    if rest > 0 {
        let start = format!("{}\0", last.unwrap_or_default());
        metadata["continue"] = json!(token(page.revision, &start));
        if selection.is_open() {
            metadata["remainingItemCount"] = json!(rest);
        }
    }
    Ok(match view {
        View::Plain => plain_list(
            call,
            &metadata,
            &objects.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        ),
        View::Partial(version) => {
            let items: Vec<Value> = objects
                .iter()
                .map(|object| respond::partial(object, version))
                .collect();
            let list = json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": metadata,
                "items": items,
            });
            json_reply(StatusCode::OK, &list)
        }
        View::Table(form) => {
            let rows: Vec<&Value> = objects.iter().map(AsRef::as_ref).collect();
            let request = table_request(call, form);
            json_reply(StatusCode::OK, &table::of_list(&request, metadata, &rows))
        }
    })
}

/// A list as built-in and custom kinds write it.
pub(crate) fn plain_list(call: &Call<'_>, metadata: &Value, objects: &[&Value]) -> Response<Body> {
    let typed = call.resource.is_custom();
    let api_version = call.resource.api_version(&call.path.version);
    let head = json!([call.resource.list_kind, api_version, metadata]);
    let items: Vec<Item<'_>> = objects
        .iter()
        .map(|object| Item { object, typed })
        .collect();
    let items = serde_json::to_string(&items).unwrap_or_else(|_| "[]".to_owned());
    let text = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":{items}}}\n",
        head[0], head[1], head[2]
    );
    respond::reply(StatusCode::OK, "application/json", text)
}

fn entries<'a>(
    page: &'a Page,
    selection: &Selection,
) -> Box<dyn Iterator<Item = (&'a Arc<str>, &'a Stored)> + 'a> {
    let Some(start) = &page.start else {
        // One named object needs no walk.
        if let Some(name) = selection.fields.single_name()
            && !selection.namespace.is_empty()
        {
            let key = store::key(&selection.namespace, name);
            return Box::new(page.table.get_key_value(&key).into_iter());
        }
        return store::range(&page.table, &selection.namespace);
    };
    let (from, to) = match selection.namespace.as_str() {
        "" => (start.clone(), None),
        namespace => (
            format!("{namespace}/{start}"),
            Some(format!("{namespace}0")),
        ),
    };
    let from: Arc<str> = Arc::from(from);
    let rest = page.table.range(from..);
    Box::new(rest.take_while(move |(key, _)| to.as_deref().is_none_or(|to| ***key < *to)))
}

/// The snapshot to list: the present, a past revision, or where a token says.
fn page(call: &Call<'_>, limit: u64) -> Result<Result<Page, Response<Body>>, Status> {
    let store = &call.api.core.store;
    let name = &call.resource.table;
    let token = call.query.get("continue");
    if !token.is_empty() {
        return resume(call, token);
    }
    let wanted = revision(call)
        .map_err(|why| Status::bad_request(format!("invalid resource version: {why}")))?;
    let (revision, table) = store.table(name);
    let Some(wanted) = wanted.filter(|wanted| *wanted > 0) else {
        return Ok(Ok(Page {
            table,
            revision,
            start: None,
        }));
    };
    if wanted > revision {
        return Err(from_the_future(wanted, revision));
    }
    let exact = match call.query.get("resourceVersionMatch") {
        "Exact" => true,
        "" => limit > 0,
        _ => false,
    };
    if !exact || wanted == revision {
        return Ok(Ok(Page {
            table,
            revision,
            start: None,
        }));
    }
    match store.table_at(name, wanted) {
        Some(table) => Ok(Ok(Page {
            table,
            revision: wanted,
            start: None,
        })),
        None => {
            let oldest = store.compacted();
            Err(Status::expired(format!(
                "The resourceVersion for the provided list is too old: {wanted} ({oldest})"
            )))
        }
    }
}

fn resume(call: &Call<'_>, text: &str) -> Result<Result<Page, Response<Body>>, Status> {
    let invalid = |why: &str| {
        Status::bad_request(format!(
            "invalid continue token: continue key is not valid: {why}"
        ))
    };
    let bytes = URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|error| invalid(&error.to_string()))?;
    let parsed: Value =
        serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))?;
    if parsed.get("v").and_then(Value::as_str) != Some("meta.k8s.io/v1") {
        return Err(invalid("server does not recognize this encoded version"));
    }
    let start = parsed
        .get("start")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    let revision = parsed.get("rv").and_then(Value::as_i64).unwrap_or(0);
    if start.is_empty() || revision == 0 {
        return Err(invalid("incorrect encoded start resourceVersion"));
    }
    let store = &call.api.core.store;
    let Ok(revision) = u64::try_from(revision) else {
        let (revision, table) = store.table(&call.resource.table);
        return Ok(Ok(Page {
            table,
            revision,
            start: Some(start),
        }));
    };
    if revision > store.revision() {
        return Err(invalid("the revision is from the future"));
    }
    match store.table_at(&call.resource.table, revision) {
        Some(table) => Ok(Ok(Page {
            table,
            revision,
            start: Some(start),
        })),
        None => Ok(Err(expired_page(&start))),
    }
}

/// 410 with a token that goes on without consistency.
fn expired_page(start: &str) -> Response<Body> {
    let status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    let mut body = status.to_value();
    body["metadata"] =
        json!({"continue": encoded(&json!({"v": "meta.k8s.io/v1", "rv": -1, "start": start}))});
    refuse_with(&status, &body)
}

fn token(revision: u64, start: &str) -> String {
    encoded(&json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}))
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// The `resourceVersion` parameter.
pub(crate) fn revision(call: &Call<'_>) -> Result<Option<u64>, String> {
    let text = call.query.get("resourceVersion");
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        format!("resourceVersion: Invalid value: {text:?}: {why}")
    })
}

pub(crate) fn from_the_future(wanted: u64, current: u64) -> Status {
    let message = format!("Too large resource version: {wanted}, current: {current}");
    let cause = Cause::new("ResourceVersionTooLarge", "", "Too large resource version");
    Status::new(504, "Timeout", format!("Timeout: {message}"))
        .with_causes(vec![cause])
        .with_retry_after(1)
}

/// A whole-number parameter.
pub(crate) fn number(call: &Call<'_>, name: &str) -> Result<Option<i64>, Status> {
    let text = call.query.get(name);
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Status::bad_request(format!(
            "strconv.ParseInt: parsing {text:?}: invalid syntax"
        ))
    })
}

fn check_list_options(call: &Call<'_>) -> Result<(), Status> {
    let query = call.query;
    let forbidden = |why: &str| Cause::forbidden("resourceVersionMatch", why);
    let mut causes = Vec::new();
    let matching = query.get("resourceVersionMatch");
    if query.has("sendInitialEvents") {
        let why = "sendInitialEvents is forbidden for list";
        causes.push(Cause::forbidden("sendInitialEvents", why));
    }
    if !matching.is_empty() {
        if query.get("resourceVersion").is_empty() {
            causes.push(forbidden(
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !query.get("continue").is_empty() {
            causes.push(forbidden(
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        if !["Exact", "NotOlderThan"].contains(&matching) {
            let known = ["Exact", "NotOlderThan", ""];
            causes.push(Cause::not_supported(
                "resourceVersionMatch",
                &json!(matching),
                &known,
            ));
        }
        if matching == "Exact" && query.get("resourceVersion") == "0" {
            causes.push(forbidden(
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("meta.k8s.io", "ListOptions", "", causes))
}

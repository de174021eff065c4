//! Subresources that are no part of an object: logs, evictions, bindings, tokens. And `GET` of an object or its parts.

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::respond::{self, Body, json_reply};
use super::{Call, mutate, options, read};
use crate::delete;
use crate::object;
use crate::resource::ResourceName;
use crate::scale;
use crate::selector::Labels;
use crate::status::{Cause, Status};
use crate::store;
use crate::write::{self, Part, PatchKind, Target, WriteOptions};

const PODS: ResourceName = ResourceName::new("", "pods");
const BUDGETS: ResourceName = ResourceName::new("policy", "poddisruptionbudgets");

/// `GET` of an object, of a part of it, or of a pod's log.
pub(crate) fn get(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let name = call.path.name.as_deref().unwrap_or("");
    let namespace = call.path.namespace.as_deref().unwrap_or("");
    let is_log = call.path.subresource == "log" && call.resource.is("", "pods");
    let target = mutate::target(call);
    let key = store::key(namespace, name);
    let Some(stored) = call.api.core.store.get(&call.resource.table, &key) else {
        return Err(match target {
            Err(status) if status.code == 404 => status,
            _ => Status::not_found(&call.resource.name, name),
        });
    };
    let target = if is_log { None } else { Some(target?) };
    match target {
        None => Ok(log(call, &stored.object)),
        Some(target) if target.part == Part::Scale => {
            let served = respond::served(&call.resource, &call.path.version, &stored.object);
            read::scale_reply(call, &scale::of(&target, &served)?)
        }
        Some(_) => read::object_reply(call, StatusCode::OK, &stored.object),
    }
}

/// Simulated containers run no program; the log says so.
fn log(call: &Call<'_>, pod: &Value) -> Response<Body> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let first = containers
        .and_then(|list| list.first())
        .map_or("", |container| object::text(container, &["name"]));
    let asked = call.query.get("container");
    let container = if asked.is_empty() { first } else { asked };
    let line = format!(
        "the sandbox simulates container {container} of pod {}: no program runs\n",
        object::name(pod)
    );
    respond::reply(StatusCode::OK, "text/plain", line)
}

/// `POST` on a subresource.
pub(crate) fn create(call: &Call<'_>, body: &Bytes) -> Result<Response<Body>, Status> {
    let (value, _) = options::decode(call, body)?;
    let options = options::write_options(call, "CreateOptions")?;
    let pods = call.resource.is("", "pods");
    match call.path.subresource.as_str() {
        "eviction" if pods => evict(call, &value, &options),
        "binding" if pods => bind(call, &value, &options),
        "token" if call.resource.is("", "serviceaccounts") => token(call, value),
        _ => Err(mutate::target(call)
            .err()
            .unwrap_or_else(Status::method_not_allowed)),
    }
}

fn main_target(call: &Call<'_>) -> Target {
    Target {
        resource: call.resource.clone(),
        version: call.path.version.clone(),
        namespace: call.path.namespace.clone().unwrap_or_default(),
        name: call.path.name.clone().unwrap_or_default(),
        part: Part::Main,
    }
}

fn success() -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    json_reply(StatusCode::CREATED, &status)
}

fn evict(
    call: &Call<'_>,
    eviction: &Value,
    options: &WriteOptions,
) -> Result<Response<Body>, Status> {
    let target = main_target(call);
    let core = &call.api.core;
    let Some(pod) = core.store.get(&target.resource.table, &target.key()) else {
        return Err(Status::not_found(&target.resource.name, &target.name));
    };
    let (_, budgets) = core.store.table(&BUDGETS);
    for (_, stored) in store::range(&budgets, &target.namespace) {
        check_budget(&stored.object, &pod.object)?;
    }
    let grace = eviction
        .pointer("/deleteOptions/gracePeriodSeconds")
        .and_then(Value::as_i64);
    let how = crate::objects::DeleteOptions {
        grace_period_seconds: grace,
        dry_run: options.dry_run,
        ..Default::default()
    };
    delete::delete(core, &target, &how)?;
    Ok(success())
}

fn check_budget(budget: &Value, pod: &Value) -> Result<(), Status> {
    let labels = budget
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object);
    let terms: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    if terms.is_empty() || !Labels::parse(&terms.join(","))?.matches(pod) {
        return Ok(());
    }
    let number = |path: &str| budget.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    if number("/status/disruptionsAllowed") > 0 {
        return Ok(());
    }
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let cause = Cause::new(
        "DisruptionBudget",
        "",
        format!(
            "The disruption budget {} needs {} healthy pods and has {} currently",
            object::name(budget),
            number("/status/desiredHealthy"),
            number("/status/currentHealthy")
        ),
    );
    let status = Status::new(429, "TooManyRequests", message);
    Err(status.with_causes(vec![cause]))
}

/// `POST` of a Binding: a pod gets its node.
pub(crate) fn bind(
    call: &Call<'_>,
    binding: &Value,
    options: &WriteOptions,
) -> Result<Response<Body>, Status> {
    let node = object::text(binding, &["target", "name"]);
    if node.is_empty() {
        let cause = Cause::required("target.name", "");
        let name = object::name(binding);
        return Err(Status::invalid("", "Binding", name, vec![cause]));
    }
    let patch = PatchKind::Merge(json!({"spec": {"nodeName": node}}));
    let core = &call.api.core;
    let namespace = call.path.namespace.as_deref().unwrap_or("");
    let name = call
        .path
        .name
        .as_deref()
        .unwrap_or_else(|| object::name(binding));
    let target = core
        .target(&PODS, namespace, name)
        .ok_or_else(Status::unknown_resource)?;
    write::patch(core, &target, &patch, options)?;
    Ok(success())
}

fn token(call: &Call<'_>, mut request: Value) -> Result<Response<Body>, Status> {
    let target = main_target(call);
    let core = &call.api.core;
    if core
        .store
        .get(&target.resource.table, &target.key())
        .is_none()
    {
        return Err(Status::not_found(&target.resource.name, &target.name));
    }
    let asked = request
        .pointer("/spec/expirationSeconds")
        .and_then(Value::as_i64);
    let seconds = asked.unwrap_or(3_600).clamp(600, 1 << 32);
    let end = core
        .now()
        .saturating_add(SignedDuration::from_secs(seconds));
    let end = object::stamp(end.unwrap_or(jiff::Timestamp::MAX));
    let map = object::ensure(&mut request);
    map.insert("kind".to_owned(), json!("TokenRequest"));
    map.insert("apiVersion".to_owned(), json!("authentication.k8s.io/v1"));
    object::child(map, "spec").insert("expirationSeconds".to_owned(), json!(seconds));
    let token = format!("sandbox-{}", uuid::Uuid::new_v4());
    map.insert(
        "status".to_owned(),
        json!({"token": token, "expirationTimestamp": end}),
    );
    Ok(json_reply(StatusCode::CREATED, &request))
}

//! Knative Serving: Services, Configurations, Revisions and Routes (`serving.knative.dev`, Knative 1.x).
//! Where only the Service kind is served, the Service stands for its children.

use crate::conditions::{Condition, condition, condition_status, conditions, is_true};
use crate::context::Context;
use crate::resources::{KNATIVE_CONFIGURATIONS, KNATIVE_REVISIONS, KNATIVE_ROUTES};
use crate::value::{
    at, controller_ref, deleting, flag, generation, items, name, namespace, observed, text,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const REVISE: u64 = 900;
const ROUTE: u64 = 400;
const WHOLE: u64 = REVISE + ROUTE;

fn domain(object: &Value) -> String {
    format!("{}.{}.example.com", name(object), namespace(object))
}

fn revision_name(object: &Value, number: i64) -> String {
    let wanted = text(object, "spec.template.metadata.name");
    if wanted.is_empty() {
        format!("{}-{number:05}", name(object))
    } else {
        wanted.to_owned()
    }
}

/// A Service: its Configuration and its Route, and what both say.
pub(crate) fn react_service(cx: &mut Context<'_>) {
    let service = cx.object;
    if deleting(service) || !cx.noticed() {
        return;
    }
    if cx.serves(&KNATIVE_CONFIGURATIONS) && cx.serves(&KNATIVE_ROUTES) {
        return by_children(cx);
    }
    let generation = cx.generation();
    let template = at(service, "spec.template").to_string();
    let count = cx
        .fact("revisions")
        .as_i64()
        .or_else(|| shown_revision(service))
        .unwrap_or(0);
    let fresh = cx.fact("template").as_str() != Some(&template);
    let decided = matches!(
        condition_status(service, "ConfigurationsReady"),
        "True" | "False"
    );
    let shown = decided && observed(service) == generation;
    let settled = is_true(service, "Ready") && observed(service) == generation;
    let count = if fresh && !(shown && cx.fact("template").is_null()) {
        count + 1
    } else {
        count.max(1)
    };
    cx.remember("template", json!(template));
    cx.remember("revisions", json!(count));
    let created = revision_name(service, count);
    if settled && cx.faults.fail.is_none() {
        return;
    }
    let revised = shown || cx.passed(&format!("revise-{count}"), REVISE, WHOLE);
    let failure = cx.faults.failure(0).map(str::to_owned);
    let configuration = match (&failure, revised) {
        (Some(message), true) => {
            let message = format!("Revision \"{created}\" failed with message: {message}.");
            Condition::new("ConfigurationsReady", "False").because("RevisionFailed", message)
        }
        (None, true) => Condition::new("ConfigurationsReady", "True"),
        (_, false) => Condition::new("ConfigurationsReady", "Unknown"),
    };
    let routed =
        failure.is_none() && revised && cx.passed(&format!("route-{}", cx.epoch()), ROUTE, WHOLE);
    let route = match (&failure, routed) {
        (Some(message), _) if revised => {
            let message = format!(
                "Configuration \"{}\" does not have any ready Revision: {message}",
                cx.name()
            );
            Condition::new("RoutesReady", "False").because("RevisionMissing", message)
        }
        (_, true) => Condition::new("RoutesReady", "True"),
        _ => {
            let message = format!(
                "Configuration \"{}\" is waiting for a Revision to become ready.",
                cx.name()
            );
            Condition::new("RoutesReady", "Unknown").because("RevisionMissing", message)
        }
    };
    let ready = summary(&configuration, &route);
    let list = conditions(service, &[configuration, ready, route], cx.now);
    let mut fields = json!({
        "conditions": list, "observedGeneration": generation, "latestCreatedRevisionName": created,
    });
    if revised && failure.is_none() {
        fields["latestReadyRevisionName"] = json!(created);
    }
    if routed {
        add_route(service, &mut fields, &created);
    }
    cx.merge_status(fields);
}

fn shown_revision(service: &Value) -> Option<i64> {
    let shown = text(service, "status.latestCreatedRevisionName");
    shown
        .rsplit_once('-')
        .and_then(|(_, number)| number.parse().ok())
}

/// `Ready` follows the worse of the two.
fn summary(configuration: &Condition, route: &Condition) -> Condition {
    let value = |condition: &Condition| condition.value(None, jiff::Timestamp::UNIX_EPOCH);
    let parts = [value(configuration), value(route)];
    for status in ["False", "Unknown"] {
        if let Some(part) = parts.iter().find(|part| text(part, "status") == status) {
            let status = if status == "False" {
                "False"
            } else {
                "Unknown"
            };
            return Condition::new("Ready", status)
                .because(text(part, "reason"), text(part, "message"));
        }
    }
    Condition::new("Ready", "True")
}

/// The address and the shares of traffic, with the latest revision filled in.
fn add_route(object: &Value, fields: &mut Value, latest: &str) {
    let (host, space) = (name(object), namespace(object));
    fields["address"] = json!({"url": format!("http://{host}.{space}.svc.cluster.local")});
    fields["url"] = json!(format!("http://{}", domain(object)));
    let wanted = items(object, "spec.traffic");
    let everything = [json!({"latestRevision": true, "percent": 100})];
    let wanted = if wanted.is_empty() {
        &everything[..]
    } else {
        wanted
    };
    let traffic: Vec<Value> = wanted
        .iter()
        .map(|share| {
            let mut shown =
                json!({"percent": share.get("percent").cloned().unwrap_or(Value::Null)});
            let named = text(share, "revisionName");
            let follows = flag(share, "latestRevision") || named.is_empty();
            shown["latestRevision"] = json!(follows);
            shown["revisionName"] = json!(if follows { latest } else { named });
            let tag = text(share, "tag");
            if !tag.is_empty() {
                shown["tag"] = json!(tag);
                shown["url"] = json!(format!("http://{tag}-{}", domain(object)));
            }
            let fields: Map<String, Value> = shown
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            Value::Object(fields)
        })
        .collect();
    fields["traffic"] = json!(traffic);
}

fn by_children(cx: &mut Context<'_>) {
    let service = cx.object;
    let (configuration, route) = (child(cx, "Configuration"), child(cx, "Route"));
    let said = |object: &Option<Arc<Value>>, kind: &str| {
        let current = object
            .as_ref()
            .filter(|object| observed(object) >= generation(object));
        let ready = current.and_then(|object| condition(object, "Ready"));
        match ready.map(|ready| {
            (
                text(ready, "status"),
                text(ready, "reason"),
                text(ready, "message"),
            )
        }) {
            Some(("True", ..)) => Condition::new(kind, "True"),
            Some(("False", reason, message)) => {
                Condition::new(kind, "False").because(reason, message)
            }
            Some((_, reason, message)) => Condition::new(kind, "Unknown").because(reason, message),
            None => Condition::new(kind, "Unknown"),
        }
    };
    let configured = said(&configuration, "ConfigurationsReady");
    let routed = said(&route, "RoutesReady");
    let ready = summary(&configured, &routed);
    let list = conditions(service, &[configured, ready, routed], cx.now);
    let mut fields = json!({"conditions": list, "observedGeneration": cx.generation()});
    let copied = [
        (
            &configuration,
            &["latestCreatedRevisionName", "latestReadyRevisionName"][..],
        ),
        (&route, &["address", "url", "traffic"][..]),
    ];
    for (object, names) in copied {
        for field in names {
            let value = object
                .as_ref()
                .and_then(|object| at(object, "status").get(*field));
            if let Some(value) = value {
                fields[*field] = value.clone();
            }
        }
    }
    cx.merge_status(fields);
}

/// The child of a Service, created or brought up to date.
fn child(cx: &mut Context<'_>, kind: &str) -> Option<Arc<Value>> {
    let service = cx.object;
    let resource = if kind == "Route" {
        KNATIVE_ROUTES
    } else {
        KNATIVE_CONFIGURATIONS
    };
    let mut spec = json!({"template": at(service, "spec.template")});
    if kind == "Route" {
        let wanted = items(service, "spec.traffic");
        let traffic: Vec<Value> = if wanted.is_empty() {
            vec![json!({"configurationName": cx.name(), "latestRevision": true, "percent": 100})]
        } else {
            let named = |share: &Value| {
                let mut share = share.clone();
                if text(&share, "revisionName").is_empty() {
                    share["configurationName"] = json!(cx.name());
                    share["latestRevision"] = json!(true);
                }
                share
            };
            wanted.iter().map(named).collect()
        };
        spec = json!({"traffic": traffic});
    }
    match cx.get(&resource, cx.namespace(), cx.name()) {
        None => {
            let mut metadata = json!({
                "name": cx.name(), "namespace": cx.namespace(),
                "labels": {"serving.knative.dev/service": cx.name()},
                "ownerReferences": [controller_ref("serving.knative.dev/v1", "Service", service)],
            });
            let faults = crate::fault::inherited(service);
            if !faults.is_empty() {
                metadata["annotations"] = Value::Object(faults);
            }
            let object = json!({
                "apiVersion": "serving.knative.dev/v1", "kind": kind, "metadata": metadata, "spec": spec,
            });
            cx.create(&resource, object);
            None
        }
        // What the child says is about its old spec.
        Some(old) if *at(&old, "spec") != spec => {
            cx.patch(&resource, &old, json!({"spec": spec}));
            None
        }
        Some(old) => Some(old),
    }
}

/// A Configuration: one Revision for each template.
pub(crate) fn react_configuration(cx: &mut Context<'_>) {
    let configuration = cx.object;
    if deleting(configuration) || !cx.noticed() {
        return;
    }
    let number = cx.generation();
    let created = revision_name(configuration, number);
    let mut fields = json!({"observedGeneration": number, "latestCreatedRevisionName": created});
    let ready = match revision(cx, &created, number) {
        None => Condition::new("Ready", "Unknown"),
        Some(revision) => {
            let shown = condition(&revision, "Ready");
            match shown.map(|shown| (text(shown, "status"), text(shown, "message"))) {
                Some(("True", _)) => {
                    fields["latestReadyRevisionName"] = json!(created);
                    Condition::new("Ready", "True")
                }
                Some(("False", message)) => {
                    let message = format!("Revision \"{created}\" failed with message: {message}.");
                    Condition::new("Ready", "False").because("RevisionFailed", message)
                }
                _ => Condition::new("Ready", "Unknown"),
            }
        }
    };
    fields["conditions"] = conditions(configuration, &[ready], cx.now);
    cx.merge_status(fields);
}

fn revision(cx: &mut Context<'_>, wanted: &str, number: i64) -> Option<Arc<Value>> {
    let configuration = cx.object;
    if !cx.serves(&KNATIVE_REVISIONS) {
        // Without the kind, the time that a revision takes passes all the same.
        let shown = text(configuration, "status.latestReadyRevisionName") == wanted;
        let ready = shown || cx.passed(&format!("revise-{number}"), REVISE, WHOLE);
        let status = match cx.faults.failure(0) {
            Some(message) if ready => {
                json!([{"type": "Ready", "status": "False", "message": message}])
            }
            _ if ready => json!([{"type": "Ready", "status": "True"}]),
            _ => json!([]),
        };
        return Some(Arc::new(json!({"status": {"conditions": status}})));
    }
    let known = cx.get(&KNATIVE_REVISIONS, cx.namespace(), wanted);
    if known.is_none() {
        let template = at(configuration, "spec.template");
        let mut labels = at(template, "metadata.labels")
            .as_object()
            .cloned()
            .unwrap_or_default();
        labels.insert("serving.knative.dev/configuration".into(), json!(cx.name()));
        labels.insert(
            "serving.knative.dev/configurationGeneration".into(),
            json!(number.to_string()),
        );
        let mut annotations = at(template, "metadata.annotations")
            .as_object()
            .cloned()
            .unwrap_or_default();
        annotations.extend(crate::fault::inherited(configuration));
        cx.create(
            &KNATIVE_REVISIONS,
            json!({
                "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
                "metadata": {
                    "name": wanted, "namespace": cx.namespace(), "labels": labels, "annotations": annotations,
                    "ownerReferences": [controller_ref("serving.knative.dev/v1", "Configuration", configuration)],
                },
                "spec": at(template, "spec"),
            }),
        );
    }
    known
}

/// A Revision: its containers come up.
pub(crate) fn react_revision(cx: &mut Context<'_>) {
    let revision = cx.object;
    let decided = matches!(condition_status(revision, "Ready"), "True" | "False");
    if deleting(revision) || (decided && observed(revision) == cx.generation()) {
        return;
    }
    let up = cx.passed("revise", REVISE, WHOLE);
    let new = match cx.faults.failure(0) {
        Some(message) if up => vec![
            Condition::new("Active", "Unknown"),
            Condition::new("ContainerHealthy", "False").because("ExitCode1", message),
            Condition::new("Ready", "False").because("ExitCode1", message),
            Condition::new("ResourcesAvailable", "False").because("ExitCode1", message),
        ],
        _ if up => vec![
            Condition::new("Active", "True").severity("Info"),
            Condition::new("ContainerHealthy", "True"),
            Condition::new("Ready", "True"),
            Condition::new("ResourcesAvailable", "True"),
        ],
        _ => vec![
            Condition::new("ContainerHealthy", "Unknown").because("Deploying", ""),
            Condition::new("Ready", "Unknown").because("Deploying", ""),
            Condition::new("ResourcesAvailable", "Unknown").because("Deploying", ""),
        ],
    };
    let list = conditions(revision, &new, cx.now);
    let generation = cx.generation();
    let replicas = i64::from(up);
    cx.merge_status(json!({
        "conditions": list, "observedGeneration": generation, "actualReplicas": replicas,
        "desiredReplicas": 1,
    }));
}

/// A Route: traffic to revisions that are ready.
pub(crate) fn react_route(cx: &mut Context<'_>) {
    let route = cx.object;
    if deleting(route) || !cx.noticed() {
        return;
    }
    let configuration = items(route, "spec.traffic")
        .iter()
        .map(|share| text(share, "configurationName"))
        .find(|wanted| !wanted.is_empty())
        .unwrap_or(cx.name());
    let found = cx.get(&KNATIVE_CONFIGURATIONS, cx.namespace(), configuration);
    let latest = found
        .as_ref()
        .map_or("", |found| text(found, "status.latestReadyRevisionName"))
        .to_owned();
    let follows = items(route, "spec.traffic")
        .iter()
        .any(|share| text(share, "revisionName").is_empty());
    let generation = cx.generation();
    let assigned = match &found {
        None if follows => {
            let message =
                format!("Configuration \"{configuration}\" referenced in traffic not found.");
            Condition::new("AllTrafficAssigned", "False").because("ConfigurationMissing", message)
        }
        Some(found) if follows && latest.is_empty() => {
            let failed = condition_status(found, "Ready") == "False";
            let message = if failed {
                format!("Configuration \"{configuration}\" does not have any ready Revision.")
            } else {
                format!(
                    "Configuration \"{configuration}\" is waiting for a Revision to become ready."
                )
            };
            let status = if failed { "False" } else { "Unknown" };
            Condition::new("AllTrafficAssigned", status).because("RevisionMissing", message)
        }
        _ => Condition::new("AllTrafficAssigned", "True"),
    };
    let step = format!("route-{}-{latest}", cx.epoch());
    let ok = assigned == Condition::new("AllTrafficAssigned", "True");
    // A route that is ready for this revision stays so, whatever this memory knows.
    let shown = is_true(route, "Ready")
        && observed(route) == generation
        && items(route, "status.traffic")
            .iter()
            .any(|share| text(share, "revisionName") == latest);
    let routed = ok && (shown || cx.passed(&step, ROUTE, WHOLE));
    let ingress = if routed {
        Condition::new("IngressReady", "True")
    } else {
        Condition::new("IngressReady", "Unknown").because(
            "IngressNotConfigured",
            "Ingress has not yet been reconciled.",
        )
    };
    let ready = summary(&assigned, &ingress);
    let list = conditions(route, &[assigned, ingress, ready], cx.now);
    let mut fields = json!({"conditions": list, "observedGeneration": generation});
    if routed {
        add_route(route, &mut fields, &latest);
    }
    cx.merge_status(fields);
}

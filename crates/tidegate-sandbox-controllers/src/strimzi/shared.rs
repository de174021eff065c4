//! One broker stands for every Kafka cluster of the sandbox: what a cluster holds there, another one may not touch.
//! First come, first served; of two that hold the same, the older.

use super::{CLUSTER, runs};
use crate::context::Context;
use crate::resources::KAFKAS;
use crate::value::{at, label, name, namespace, text, time, uid};
use serde_json::Value;
use std::sync::Arc;
use tidegate_sandbox_kubernetes::ResourceName;

/// The object of another cluster that holds the same thing on the broker, with its cluster.
/// `operator` is the entity operator of the kind; `holds` says whether an object holds the thing.
pub(crate) fn rival(
    cx: &mut Context<'_>,
    resource: &ResourceName,
    operator: &str,
    own: &Value,
    holds: impl Fn(&Value) -> bool,
) -> Option<(Arc<Value>, Arc<Value>)> {
    cx.broker()?;
    let object = cx.object;
    let held = holds(object);
    let clusters = cx.list(&KAFKAS, "");
    for cluster in clusters {
        let entity = at(&cluster, "spec.entityOperator").get(operator);
        let Some(entity) = entity.filter(|entity| entity.is_object()) else {
            continue;
        };
        if uid(&cluster) == uid(own) || !runs(&cluster) {
            continue;
        }
        let space = match text(entity, "watchedNamespace") {
            "" => namespace(&cluster),
            watched => watched,
        };
        let others = cx.labelled(resource, space, CLUSTER, name(&cluster));
        let found = others.into_iter().find(|other| {
            uid(other) != uid(object) && holds(other) && (!held || older(other, object))
        });
        if let Some(found) = found {
            return Some((found, cluster));
        }
    }
    None
}

/// What to say to the one that came second.
pub(crate) fn conflict(what: &str, rival: &(Arc<Value>, Arc<Value>)) -> String {
    let (object, cluster) = rival;
    format!(
        "{what} is managed by {}/{} of the Kafka cluster {}/{}: all clusters of the sandbox share one broker",
        namespace(object),
        name(object),
        namespace(cluster),
        label(object, CLUSTER).unwrap_or_default(),
    )
}

fn older(one: &Value, other: &Value) -> bool {
    let rank = |object: &Value| {
        let made = time(at(object, "metadata.creationTimestamp"));
        (made, namespace(object).to_owned(), name(object).to_owned())
    };
    rank(one) < rank(other)
}

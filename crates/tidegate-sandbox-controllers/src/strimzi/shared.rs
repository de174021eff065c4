//! Which Kafka cluster of the sandbox is the broker: the first by creation, and of one second the first by namespace
//! and name. Any other cluster is words only, as every cluster is without a broker.

use crate::broker::Broker;
use crate::context::Context;
use crate::resources::KAFKAS;
use crate::value::{at, deleting, name, namespace, time, uid};
use serde_json::Value;

/// The broker of a cluster, when the cluster has it.
pub(super) fn broker_of<'a>(cx: &mut Context<'a>, kafka: &Value) -> Option<&'a dyn Broker> {
    let broker = cx.broker()?;
    let clusters = cx.list(&KAFKAS, "");
    let first = clusters
        .iter()
        .filter(|cluster| !deleting(cluster))
        .min_by_key(|cluster| {
            let made = time(at(cluster, "metadata.creationTimestamp"));
            let names = (namespace(cluster).to_owned(), name(cluster).to_owned());
            (made, names)
        })?;
    (uid(first) == uid(kafka)).then_some(broker)
}

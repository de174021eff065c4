//! What goes on after a write: namespaces that end, dependents of deleted owners, definitions that go away.
//! One task, owned by the server, driven by the store's events (spec kubernetes.md B8).

mod collector;
mod graph;
mod namespace;

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch::Receiver;

use crate::core::Core;
use crate::http::serve::closed;
use crate::managed::Writer;
use crate::object;
use crate::resource::ResourceName;
use crate::status::Status;
use crate::write::{self, Part, Tracking, WriteOptions};

pub(crate) use collector::Collector;

/// The writer of the garbage collector and the namespace controller.
const MANAGER: &str = "kube-controller-manager";
/// After so many pieces of work others get a turn.
const SLICE: usize = 64;

/// Follows the store until the server ends.
pub(crate) async fn run(core: Arc<Core>, mut closing: Receiver<bool>) {
    let mut revisions = core.store.subscribe();
    let mut collector = Collector::default();
    loop {
        revisions.borrow_and_update();
        while collector.step(&core, SLICE) {
            if *closing.borrow() {
                return;
            }
            tokio::task::yield_now().await;
        }
        tokio::select! {
            changed = revisions.changed() => if changed.is_err() { return },
            () = closed(&mut closing) => return,
        }
    }
}

/// Edits the metadata of an object, if it is still the same one.
fn edit(
    core: &Core,
    resource: &ResourceName,
    (namespace, name, uid): (&str, &str, &str),
    part: Part,
    change: &dyn Fn(&mut Value),
) -> Result<(), Status> {
    let Some(mut target) = core.target(resource, namespace, name) else {
        return Ok(());
    };
    target.part = part;
    let options = WriteOptions::of(MANAGER);
    let writer = Writer::new(&target, &options, core.now());
    let done = write::modify(core, &target, &options, &mut |live| {
        if object::uid(live) != uid {
            return Err(Status::not_found(resource, name));
        }
        let mut next = live.clone();
        change(&mut next);
        Ok((next, Tracking::Update(writer.clone())))
    });
    match done {
        Err(status) if status.code != 404 => Err(status),
        _ => Ok(()),
    }
}

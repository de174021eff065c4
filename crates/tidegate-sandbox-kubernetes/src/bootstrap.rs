//! What a fresh cluster contains before anybody writes to it (spec kubernetes.md B8).

use std::sync::Arc;

use serde_json::json;

use crate::core::{Core, NAMESPACES, typed};
use crate::resource::ResourceName;
use crate::write::{self, Part, Target, WriteOptions};

/// The standard namespaces; they cannot be deleted (except `kube-node-lease`).
const STANDARD: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

const ACCOUNTS: ResourceName = ResourceName::new("", "serviceaccounts");

pub(crate) fn populate(core: &Arc<Core>) {
    for name in STANDARD {
        let body = typed("v1", "Namespace", &json!({"name": name}));
        make(core, &NAMESPACES, "", body);
        furnish(core, name);
    }
}

/// Gives a namespace its `default` service account.
pub(crate) fn furnish(core: &Core, namespace: &str) {
    let account = typed(
        "v1",
        "ServiceAccount",
        &json!({"name": "default", "namespace": namespace}),
    );
    make(core, &ACCOUNTS, namespace, account);
}

fn make(core: &Core, name: &ResourceName, namespace: &str, body: serde_json::Value) {
    let Some(resource) = core.registry().get(name) else {
        return;
    };
    let version = resource.storage().name.clone();
    let target = Target {
        resource,
        version,
        namespace: namespace.to_owned(),
        name: String::new(),
        part: Part::Main,
    };
    if let Err(status) = write::create(core, &target, body, &WriteOptions::of("sandbox")) {
        tracing::debug!(%status, "a standard object was not made");
    }
}

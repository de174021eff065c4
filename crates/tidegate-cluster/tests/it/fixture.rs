//! ConfigMaps for the conformance kit, and a connection that can be disturbed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use kube::client::Body;
use serde_json::json;
use tidegate_applier::OwnerRef;
use tidegate_applier::async_trait;
use tidegate_applier::conformance::{Fault, FaultInjector, Fixture, Sample};
use tidegate_applier::manifest::{GroupVersionKind, ResourceKey, Target};
use tower::BoxError;

use crate::target::marked;

/// ConfigMaps in one namespace.
pub(crate) struct ConfigMaps {
    pub(crate) namespace: String,
    pub(crate) faults: Faults,
}

#[async_trait]
impl Fixture for ConfigMaps {
    fn sample(&self, n: usize, owner: Option<&OwnerRef>) -> Sample {
        let name = format!("sample-{n}");
        let mut body = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self.namespace}, "data": {"n": n.to_string()}});
        if let Some(owner) = owner {
            body = marked(body, owner);
        }
        Sample {
            key: ResourceKey {
                target: Target::kubernetes("test"),
                group: String::new(),
                kind: "ConfigMap".into(),
                namespace: self.namespace.clone(),
                name,
            },
            gvk: GroupVersionKind::new("v1", "ConfigMap"),
            body,
        }
    }

    fn changed(&self, sample: &Sample) -> Sample {
        let mut changed = sample.clone();
        changed.body["data"]["n"] = json!("changed");
        changed
    }

    fn invalid(&self) -> Sample {
        let mut invalid = self.sample(900, None);
        invalid.key.name = "Not_A_Name".into();
        invalid.body["metadata"]["name"] = json!("Not_A_Name");
        invalid
    }

    fn unknown(&self) -> Option<Sample> {
        let mut unknown = self.sample(901, None);
        unknown.key.group = "nowhere.example.com".into();
        unknown.key.kind = "Unheard".into();
        unknown.gvk = GroupVersionKind::new("nowhere.example.com/v1", "Unheard");
        Some(unknown)
    }

    fn owners(&self) -> (OwnerRef, OwnerRef) {
        let owner = |name: &str| OwnerRef {
            application: format!("{name}-{}", self.namespace),
            destination_namespace: self.namespace.clone(),
        };
        (owner("shop"), owner("bank"))
    }

    fn faults(&self) -> Option<&dyn FaultInjector> {
        Some(&self.faults)
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// Disturbs the connection to whatever server.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Option<(Fault, u32)>>>);

#[async_trait]
impl FaultInjector for Faults {
    async fn inject(&self, fault: Fault, times: u32) {
        *self.0.lock().expect("not poisoned") = Some((fault, times));
    }

    async fn clear(&self) {
        *self.0.lock().expect("not poisoned") = None;
    }
}

impl Faults {
    fn next(&self, method: &http::Method) -> Option<Fault> {
        let mut fault = self.0.lock().expect("not poisoned");
        let (fault, times) = fault.as_mut()?;
        if *fault == Fault::Silence {
            return Some(Fault::Silence);
        }
        if method == http::Method::GET || *times == 0 {
            return None;
        }
        *times -= 1;
        Some(*fault)
    }
}

/// A client whose requests pass through the disturbance.
pub(crate) fn disturbed(client: kube::Client, faults: Faults) -> kube::Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let fault = faults.next(request.method());
        let client = client.clone();
        async move {
            let status = |code: u16, reason: &str| {
                let body = json!({"kind": "Status", "code": code, "reason": reason, "message": "disturbed"});
                let body = Body::from(body.to_string().into_bytes());
                Response::builder()
                    .status(code)
                    .body(body)
                    .map_err(BoxError::from)
            };
            match fault {
                Some(Fault::Throttled) => return status(429, "TooManyRequests"),
                Some(Fault::Unavailable) => return status(503, "ServiceUnavailable"),
                Some(Fault::Silence) => std::future::pending::<()>().await,
                Some(Fault::LostReply) | None => {}
            }
            let answer = client.send(request).await.map_err(BoxError::from)?;
            if fault == Some(Fault::LostReply) {
                return Err(BoxError::from("connection reset by peer"));
            }
            Ok(answer)
        }
    });
    kube::Client::new(service, "default")
}

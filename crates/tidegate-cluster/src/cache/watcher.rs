//! One kind: lists it, then watches it, and lists it again when the watch cannot go on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::lines::{Lines, Next};
use super::store::Seen;
use super::{First, Watched, fingerprint, full};
use crate::cluster::Shared;
use crate::decode::{Head, Line};
use crate::discovery::Endpoint;
use crate::failure::{Failure, Refusal};
use crate::inventory::{FULL_LIST, METADATA_LIST, pages};
use crate::retry::{backoff, chance};
use crate::transport::Call;

/// A watch ends itself after at most this time: some balancers drop silent streams after 240 s.
const WATCH_TIMEOUT: Duration = Duration::from_secs(230);
/// What a watch may be silent beyond its end.
const MARGIN: Duration = Duration::from_secs(15);
/// How long a watch may take to begin.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Pauses after failures double from here …
const PAUSE: Duration = Duration::from_millis(800);
/// … to here.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// After this many failures in a row what was seen before is no longer relied on.
const TRUSTED_FAILURES: u32 = 5;
/// A watch that lived this long was a good one.
const GOOD: Duration = Duration::from_secs(120);
/// A kind that is forbidden is tried again this often.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);

const METADATA_WATCH: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Kinds without status, whose bodies nothing here needs; of secrets nothing should be seen at all.
const METADATA_ONLY: [(&str, &str); 8] = [
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("", "Endpoints"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
];

struct Watcher {
    shared: Arc<Shared>,
    watched: Arc<Watched>,
    endpoint: Endpoint,
    metadata_only: bool,
    defines_kinds: bool,
    first: First,
}

/// Why a watch ended.
enum End {
    /// Go on from the last version seen.
    Resume,
    /// The version is too old: list.
    Relist,
    /// The kind is no longer served.
    Gone,
    Failed(Failure),
}

/// Keeps one kind until it is no longer served.
pub(super) async fn run(
    shared: Arc<Shared>,
    watched: Arc<Watched>,
    endpoint: Endpoint,
    first: First,
) {
    let group = endpoint.kind.group.as_str();
    let kind = endpoint.kind.kind.as_str();
    let metadata_only = METADATA_ONLY.contains(&(group, kind));
    let defines_kinds = (group, kind) == ("apiextensions.k8s.io", "CustomResourceDefinition")
        || (group, kind) == ("apiregistration.k8s.io", "APIService");
    let watcher = Watcher {
        shared,
        watched,
        endpoint,
        metadata_only,
        defines_kinds,
        first,
    };
    watcher.run().await;
}

impl Watcher {
    async fn run(&self) {
        let mut failures = 0;
        let mut version: Option<String> = None;
        loop {
            let began = Instant::now();
            let end = match version.take() {
                None => match self.list().await {
                    Ok(listed) => {
                        version = Some(listed);
                        continue;
                    }
                    Err(failure) => judge(failure),
                },
                Some(mut at) => {
                    let end = self.watch(&mut at).await;
                    version = Some(at);
                    end
                }
            };
            if began.elapsed() > GOOD {
                failures = 0;
            }
            match end {
                End::Resume => {
                    // A server that ends each watch at once must not be spun on.
                    if began.elapsed() < PAUSE {
                        sleep(PAUSE).await;
                    }
                }
                End::Relist => {
                    version = None;
                    if began.elapsed() < PAUSE {
                        failures += 1;
                        sleep(backoff(failures, PAUSE, MAX_PAUSE, chance())).await;
                    }
                }
                End::Gone => {
                    // Discovery may lag behind; it is asked again when this task has ended.
                    sleep(PAUSE).await;
                    return;
                }
                End::Failed(failure) => {
                    failures += 1;
                    let forbidden = matches!(code(&failure), 401 | 403);
                    if forbidden || failures >= TRUSTED_FAILURES {
                        // Nothing can be said of the kind any more, until a list says it all.
                        version = None;
                    }
                    self.note(&failure, version.is_none());
                    let pause = if forbidden {
                        FORBIDDEN_PAUSE
                    } else {
                        backoff(failures, PAUSE, MAX_PAUSE, chance())
                    };
                    sleep(pause).await;
                }
            }
        }
    }

    fn note(&self, failure: &Failure, lost: bool) {
        let kind = &self.endpoint.kind;
        tracing::debug!("watch of {kind}: {}", failure.words());
        if lost {
            self.watched.store().set_incomplete(kind, failure.words());
            self.watched.synced.notify_waiters();
        }
    }

    async fn list(&self) -> Result<String, Failure> {
        let kind = &self.endpoint.kind;
        let unsynced = self.watched.store().state(kind) != Some(&super::TableState::Synced);
        let quiet = unsynced && self.first == First::Quiet;
        self.watched.store().begin_round(kind);
        let accept = if self.metadata_only {
            METADATA_LIST
        } else {
            FULL_LIST
        };
        let version = pages(&self.shared, &self.endpoint, accept, |page| {
            for item in page.items.iter().flatten() {
                let event = {
                    let seen = self.decode(item.get())?;
                    self.watched.store().upsert(kind, seen)
                };
                if !quiet {
                    self.watched.tell(event);
                }
            }
            Ok(())
        })
        .await?;
        let events = self.watched.store().end_round(kind);
        self.watched.tell(events);
        self.watched.synced.notify_waiters();
        Ok(version)
    }

    async fn watch(&self, version: &mut String) -> End {
        let seconds = WATCH_TIMEOUT.mul_f64(0.8 + 0.2 * chance()).as_secs();
        let at = percent_encoding::utf8_percent_encode(version, percent_encoding::NON_ALPHANUMERIC);
        let path = format!(
            "{}?watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={at}",
            self.endpoint.collection()
        );
        let accept = if self.metadata_only {
            METADATA_WATCH
        } else {
            FULL_LIST
        };
        let call = Call::get(path).accept(accept);
        let start = Instant::now() + START_TIMEOUT;
        let body = match self.shared.transport.stream(&call, start).await {
            Ok(body) => body,
            Err(failure) => return judge(failure),
        };
        let deadline = Instant::now() + Duration::from_secs(seconds) + MARGIN;
        let mut lines = Lines::new(body);
        loop {
            match lines.next(deadline).await {
                Next::End => return End::Resume,
                Next::Broken(message) => {
                    return End::Failed(Failure::Network {
                        message,
                        permanent: false,
                    });
                }
                Next::Line(line) => {
                    if let Some(end) = self.take(&line, version) {
                        return end;
                    }
                }
            }
        }
    }

    /// Takes in one event; Some: the watch is over.
    fn take(&self, line: &[u8], version: &mut String) -> Option<End> {
        let Ok(event) = serde_json::from_slice::<Line<'_>>(line) else {
            return Some(End::Relist);
        };
        let text = event.object.get();
        if event.sort == "ERROR" {
            let code = serde_json::from_str::<Value>(text)
                .ok()
                .and_then(|status| status["code"].as_u64())
                .and_then(|code| u16::try_from(code).ok())
                .unwrap_or(500);
            let refusal = Refusal::parse(code, None, text.as_bytes());
            return Some(judge(Failure::Refused(Box::new(refusal))));
        }
        let Ok(head) = serde_json::from_str::<Head<'_>>(text) else {
            return Some(End::Relist);
        };
        if !head.metadata.resource_version.is_empty() {
            head.metadata.resource_version.as_ref().clone_into(version);
        }
        let kind = &self.endpoint.kind;
        match &*event.sort {
            "ADDED" | "MODIFIED" => {
                let Ok(seen) = self.decode(text) else {
                    return Some(End::Relist);
                };
                let event = self.watched.store().upsert(kind, seen);
                self.watched.tell(event);
            }
            "DELETED" => {
                let metadata = &head.metadata;
                let event = self.watched.store().remove(
                    kind,
                    &metadata.namespace,
                    &metadata.name,
                    Some(&metadata.resource_version),
                );
                self.watched.tell(event);
            }
            _ => return None,
        }
        if self.defines_kinds {
            self.watched.kinds_changed.notify_one();
        }
        None
    }

    /// Reads an object; only one that bears a mark is looked at as a whole.
    fn decode(&self, text: &str) -> Result<Seen, serde_json::Error> {
        let head: Head<'_> = serde_json::from_str(text)?;
        let metadata = head.metadata;
        let is_root = metadata.is_root();
        if metadata.mark().is_some() {
            let version = metadata.resource_version.clone().into_owned();
            let mut body: Value = serde_json::from_str(text)?;
            // Items of a list, and objects cut to their metadata, do not say what they are.
            body["apiVersion"] = self.endpoint.api_version().into();
            body["kind"] = self.endpoint.kind.kind.as_str().into();
            let mut seen = full(&self.shared, &body, metadata.annotations, is_root);
            if self.metadata_only {
                // Without its content every new version may be another.
                seen.digest = fingerprint::of_version(&version);
            }
            return Ok(seen);
        }
        Ok(Seen {
            namespace: metadata.namespace.clone().into_owned(),
            name: metadata.name.clone().into_owned(),
            uid: metadata.uid.clone().into_owned(),
            version: metadata.resource_version.clone().into_owned(),
            is_root,
            is_deleting: metadata.deletion_timestamp.is_some(),
            mark: None,
            digest: 0,
            health: None,
            annotations: metadata.annotations,
        })
    }
}

fn code(failure: &Failure) -> u16 {
    failure.refusal().map_or(0, |refusal| refusal.code)
}

fn judge(failure: Failure) -> End {
    match failure.refusal() {
        Some(refusal) if refusal.code == 410 => End::Relist,
        // "Too large resource version" after the server lost its newest state.
        Some(refusal) if refusal.message.contains("Too large resource version") => End::Relist,
        Some(refusal) if refusal.is_kind_missing() => End::Gone,
        _ => End::Failed(failure),
    }
}

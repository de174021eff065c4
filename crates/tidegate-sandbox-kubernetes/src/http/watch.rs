//! Watches: a cursor over the store's events, filtered by selectors, as a stream of lines (spec kubernetes.md B5).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use super::Call;
use super::read::{self, Selection};
use super::respond::{self, Body, View};
use super::serve::closed;
use crate::core::Core;
use crate::faults::Fault;
use crate::object;
use crate::resource::Resource;
use crate::status::{Cause, Status};
use crate::store::{Change, ChangeKind, Events};
use crate::table;

/// A watch without `timeoutSeconds` ends after this long at the earliest, and after twice that at the latest.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1_800);
/// The longest watch.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3_600);
/// How often a bookmark is sent.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// A last bookmark comes so long before the end.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

struct Watcher {
    core: Arc<Core>,
    resource: Arc<Resource>,
    version: String,
    selection: Selection,
    view: View,
    include: String,
    /// Everything up to here was sent or queued.
    cursor: u64,
    queue: VecDeque<Bytes>,
    revisions: Receiver<u64>,
    closing: Receiver<bool>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    /// Events left before a fault strikes.
    faults: Vec<(u32, Fault)>,
    /// A table's columns were sent.
    headed: bool,
    done: bool,
}

pub(crate) fn start(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let view = respond::view(call)?;
    let selection = Selection::of(call)?;
    let initial = check_watch_options(call)?;
    let core = &call.api.core;
    let revisions = core.store.subscribe();
    let after = read::revision(call)
        .map_err(|why| Status::new(500, "", why))?
        .filter(|revision| *revision > 0);
    let current = core.store.revision();
    if let Some(after) = after
        && after > current
    {
        return Err(read::from_the_future(after, current));
    }
    let timeout = timeout(call)?;
    let now = Instant::now();
    let mut watcher = Watcher {
        core: core.clone(),
        resource: call.resource.clone(),
        version: call.path.version.clone(),
        selection,
        view,
        include: call.query.get("includeObject").to_owned(),
        cursor: 0,
        queue: VecDeque::new(),
        revisions,
        closing: call.api.closing.clone(),
        bookmarks: call.query.flag("allowWatchBookmarks"),
        next_bookmark: now + BOOKMARK_EVERY.min(timeout.saturating_sub(BOOKMARK_BEFORE_END)),
        end: now + timeout,
        faults: faults(call),
        headed: false,
        done: false,
    };
    match (initial, after) {
        (Some(true), _) => watcher.send_present(true),
        (None, None) => watcher.send_present(false),
        (Some(false), None) => watcher.cursor = current,
        (_, Some(after)) if after < core.store.compacted() => {
            watcher.expire(after, core.store.compacted());
        }
        (_, Some(after)) => watcher.cursor = after,
    }
    let body = StreamBody::new(stream::unfold(watcher, |mut watcher| async move {
        let line = watcher.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(line)), watcher))
    }));
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    Ok(response)
}

fn timeout(call: &Call<'_>) -> Result<Duration, Status> {
    if let Some(seconds) = read::number(call, "timeoutSeconds")?.filter(|seconds| *seconds > 0) {
        let seconds = Duration::from_secs(seconds.unsigned_abs());
        return Ok(seconds.min(MAX_TIMEOUT));
    }
    let jitter = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
    Ok(DEFAULT_TIMEOUT + DEFAULT_TIMEOUT.mul_f64(jitter as f64 / 256.0))
}

fn faults(call: &Call<'_>) -> Vec<(u32, Fault)> {
    call.faults
        .iter()
        .filter_map(|fault| match fault {
            Fault::DropWatch { after_events } | Fault::ExpireWatch { after_events } => {
                Some((*after_events, fault.clone()))
            }
            _ => None,
        })
        .collect()
}

/// `sendInitialEvents`, when it is given and may be.
fn check_watch_options(call: &Call<'_>) -> Result<Option<bool>, Status> {
    let query = call.query;
    let matching = query.get("resourceVersionMatch");
    let initial = query
        .has("sendInitialEvents")
        .then(|| query.flag("sendInitialEvents"));
    let mut causes = Vec::new();
    match initial {
        None if !matching.is_empty() => causes.push(Cause::forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )),
        Some(_) if matching != "NotOlderThan" => causes.push(Cause::forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )),
        _ => {}
    }
    if !query.get("continue").is_empty() {
        causes.push(Cause::forbidden(
            "continue",
            "continue is forbidden for watch",
        ));
    }
    if causes.is_empty() {
        return Ok(initial);
    }
    Err(Status::invalid("meta.k8s.io", "ListOptions", "", causes))
}

enum Woken {
    News,
    Closing,
    Timer,
}

impl Watcher {
    /// The next lines, or the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.queue.pop_front() {
                return Some(line);
            }
            if self.done {
                return None;
            }
            self.collect();
            if !self.queue.is_empty() || self.done {
                continue;
            }
            let until = if self.bookmarks {
                self.next_bookmark.min(self.end)
            } else {
                self.end
            };
            let woken = tokio::select! {
                changed = self.revisions.changed() => match changed {
                    Ok(()) => Woken::News,
                    Err(_) => Woken::Closing,
                },
                () = closed(&mut self.closing) => Woken::Closing,
                () = sleep_until(until) => Woken::Timer,
            };
            match woken {
                Woken::News => {}
                Woken::Closing => self.done = true,
                Woken::Timer => self.tick(),
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if now >= self.end {
            self.done = true;
        } else if self.bookmarks {
            self.collect();
            self.bookmark(false);
            let last = self.end - BOOKMARK_BEFORE_END;
            self.next_bookmark = now + BOOKMARK_EVERY;
            if now < last {
                self.next_bookmark = self.next_bookmark.min(last);
            }
        }
    }

    /// Queues what happened since the cursor.
    fn collect(&mut self) {
        self.revisions.borrow_and_update();
        match self.core.store.events(&self.resource.table, self.cursor) {
            Events::Expired { oldest } => self.expire(self.cursor, oldest),
            Events::Known { upto, events } => {
                self.cursor = upto;
                for change in &events {
                    self.change(change);
                    if self.done {
                        return;
                    }
                }
            }
        }
        if self.faults.iter().any(|(left, _)| *left == 0) {
            self.strike();
        }
    }

    /// An object that leaves the selection is DELETED, one that enters it is ADDED.
    fn change(&mut self, change: &Change) {
        let now = change.kind != ChangeKind::Deleted && self.selection.matches(&change.object);
        let before = change
            .previous
            .as_ref()
            .is_some_and(|object| self.selection.matches(object));
        let (kind, object) = match (before, now) {
            (false, false) => return,
            (false, true) => ("ADDED", change.object.clone()),
            (true, true) => ("MODIFIED", change.object.clone()),
            (true, false) if change.kind == ChangeKind::Deleted => {
                ("DELETED", change.object.clone())
            }
            (true, false) => {
                // Its last state inside the selection, at the revision of leaving it.
                let mut last = change.previous.as_deref().cloned().unwrap_or(Value::Null);
                let revision = json!(change.revision.to_string());
                object::metadata_mut(&mut last).insert("resourceVersion".to_owned(), revision);
                ("DELETED", Arc::new(last))
            }
        };
        self.event(kind, &object);
    }

    fn event(&mut self, kind: &str, object: &Arc<Value>) {
        if self.faults.iter().any(|(left, _)| *left == 0) {
            self.strike();
            return;
        }
        let shown = self.shown(object);
        self.line(kind, &shown);
        for (left, _) in &mut self.faults {
            *left = left.saturating_sub(1);
        }
    }

    fn strike(&mut self) {
        let expires = self
            .faults
            .iter()
            .any(|(left, fault)| *left == 0 && matches!(fault, Fault::ExpireWatch { .. }));
        if expires {
            self.expire(self.cursor, self.cursor + 1);
        }
        self.done = true;
    }

    fn shown(&mut self, object: &Arc<Value>) -> Value {
        let served = respond::served(&self.resource, &self.version, object);
        match self.view {
            View::Plain => served.into_owned(),
            View::Partial(version) => respond::partial(&served, version),
            View::Table(form) => {
                let Some(version) = self.resource.version(&self.version) else {
                    return served.into_owned();
                };
                let request = table::Request {
                    resource: &self.resource,
                    version,
                    form,
                    include: &self.include,
                    now: self.core.now(),
                };
                let mut table = table::of_object(&request, &[served.as_ref()]);
                if self.headed {
                    table["columnDefinitions"] = Value::Null;
                }
                self.headed = true;
                table
            }
        }
    }

    fn line(&mut self, kind: &str, object: &Value) {
        let mut line = format!("{{\"type\":\"{kind}\",\"object\":{object}}}").into_bytes();
        line.push(b'\n');
        self.queue.push_back(Bytes::from(line));
    }

    /// Every selected object as ADDED; then the bookmark that says so.
    fn send_present(&mut self, marked: bool) {
        let (revision, table) = self.core.store.table(&self.resource.table);
        for (_, stored) in crate::store::range(&table, &self.selection.namespace.clone()) {
            if self.selection.matches(&stored.object) {
                let object = stored.object.clone();
                self.event("ADDED", &object);
            }
        }
        self.cursor = revision;
        if marked && self.bookmarks {
            self.bookmark(true);
        }
    }

    fn bookmark(&mut self, initial: bool) {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string()});
        if initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version(&self.version),
            "metadata": metadata,
        });
        let shown = match self.view {
            View::Plain => object,
            View::Partial(version) => respond::partial(&object, version),
            View::Table(_) => self.shown(&Arc::new(object)),
        };
        self.line("BOOKMARK", &shown);
    }

    /// The error event that ends a watch whose past is forgotten.
    fn expire(&mut self, after: u64, oldest: u64) {
        let status = Status::expired(format!("too old resource version: {after} ({oldest})"));
        self.line("ERROR", &status.to_value());
        self.done = true;
    }
}

//! Random writes by several managers against a real API server: its objects and managed fields must equal ours.
//! Runs only when `TIDEGATE_TEST_KUBECONFIG` names a server and kubectl is installed; says so when it does not.

mod samples;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tidegate_diff::managed::{self, ApplyError, KindVersions, OnConflict, Request};
use tidegate_diff::own::{Owner, Verdict, verdict};
use tidegate_diff::schema::Schema;
use tidegate_diff::strategic::{
    create_three_way_merge_patch, create_two_way_merge_patch, strategic_merge_patch,
};
use tidegate_diff::typed::compare;

use self::samples::{SET_LATE, samples};
use crate::generate::{Dice, config_map, deployment, service, widget, widget_crd};

const MANAGERS: [&str; 4] = ["alpha", "beta", "gamma", "kubectl"];
const NAMESPACE: &str = "tidegate-diff";
const STEPS: usize = 60;

/// `kubectl proxy`, ended when dropped.
struct Server {
    proxy: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

impl Server {
    fn start() -> Option<Self> {
        let Ok(config) = std::env::var("TIDEGATE_TEST_KUBECONFIG") else {
            eprintln!("skipped: TIDEGATE_TEST_KUBECONFIG is not set");
            return None;
        };
        let mut proxy = Command::new("kubectl")
            .args([
                "--kubeconfig",
                &config,
                "proxy",
                "--port=0",
                "--reject-paths=^$",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        Some(Self { proxy, port })
    }

    fn call(&self, method: &str, path: &str, content: &str, body: &Value) -> (u16, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: {content}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, text) = reply.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(text).unwrap_or(Value::Null))
    }
}

struct Kind {
    api_version: &'static str,
    kind: &'static str,
    collection: String,
    versions: KindVersions,
    typed: bool,
    make: fn(&mut Dice) -> Value,
}

fn kinds() -> Vec<Kind> {
    let builtin = |group: &str, version: &'static str, kind: &'static str, plural: &str, make| {
        let api_version: &'static str = if group.is_empty() { version } else { "apps/v1" };
        let root = if group.is_empty() {
            "/api/v1".to_owned()
        } else {
            format!("/apis/{api_version}")
        };
        let mut versions =
            KindVersions::one(api_version, Schema::builtin(group, version, kind).unwrap());
        if let Some(filter) = managed::reset_fields(group, kind, "", false) {
            versions = versions.with_filter(api_version, filter);
        }
        let collection = format!("{root}/namespaces/{NAMESPACE}/{plural}");
        Kind {
            api_version,
            kind,
            collection,
            versions,
            typed: true,
            make,
        }
    };
    let custom = KindVersions::one(
        "diff.tidegate.dev/v1",
        Schema::from_crd(&widget_crd(), "v1").unwrap(),
    )
    .with_filter(
        "diff.tidegate.dev/v1",
        managed::reset_fields("diff.tidegate.dev", "Widget", "", true).unwrap(),
    );
    vec![
        builtin(
            "",
            "v1",
            "ConfigMap",
            "configmaps",
            config_map as fn(&mut Dice) -> Value,
        ),
        builtin("", "v1", "Service", "services", service),
        builtin("apps", "v1", "Deployment", "deployments", deployment),
        Kind {
            api_version: "diff.tidegate.dev/v1",
            kind: "Widget",
            collection: format!("/apis/diff.tidegate.dev/v1/namespaces/{NAMESPACE}/widgets"),
            versions: custom,
            typed: false,
            make: widget,
        },
    ]
}

/// Without what only a server knows.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(meta) = object["metadata"].as_object_mut() {
        for key in [
            "managedFields",
            "resourceVersion",
            "generation",
            "uid",
            "creationTimestamp",
        ] {
            meta.remove(key);
        }
    }
    if let Some(annotations) = object
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove("deployment.kubernetes.io/revision");
        if annotations.is_empty() {
            object["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("annotations");
        }
    }
    object.as_object_mut().unwrap().remove("status");
    object
}

/// What a typed server drops: empty lists and maps of optional fields, and nulls.
fn without_empties(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(without_empties);
            map.retain(|key, v| {
                key == "emptyDir" || !(v.is_null() || *v == json!([]) || *v == json!({}))
            });
        }
        Value::Array(items) => items.iter_mut().for_each(without_empties),
        _ => {}
    }
}

/// The names of list items in their order, wherever there are any.
fn orders(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(k, _)| k.as_str());
            keys.into_iter().flat_map(|(_, v)| orders(v)).collect()
        }
        Value::Array(items) => {
            let mut out: Vec<String> = items
                .iter()
                .filter(|i| i.get("name").or(i.get("containerPort")).is_some())
                .map(|i| format!("{}{}", i["name"], i["containerPort"]))
                .collect();
            out.extend(items.iter().flat_map(orders));
            out
        }
        _ => Vec::new(),
    }
}

/// Entries without times, but with whether there is one.
fn owners(object: &Value) -> Value {
    let mut entries = object["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    // Controllers write in between.
    entries.retain(|entry| entry["manager"] != "kube-controller-manager");
    for entry in &mut entries {
        let timed = entry.get("time").is_some();
        entry["time"] = json!(timed);
    }
    entries.sort_by_key(Value::to_string);
    Value::Array(entries)
}

fn describe(what: &str, live: &Value, sent: &Value, ours: &Value, theirs: &Value) -> ! {
    panic!("{what}\nlive   {live}\nsent   {sent}\nours   {ours}\ntheirs {theirs}")
}

struct Run<'a> {
    server: &'a Server,
    kind: &'a Kind,
    name: String,
    dice: Dice,
    live: Option<Value>,
    conflicts: usize,
    /// What each manager applied last.
    applied: BTreeMap<&'static str, Value>,
    /// How often drift was ruled out, found, left open.
    verdicts: [usize; 3],
}

impl Run<'_> {
    fn path(&self) -> String {
        format!("{}/{}", self.kind.collection, self.name)
    }

    fn request<'r>(&'r self, manager: &'r str) -> Request<'r> {
        Request {
            versions: &self.kind.versions,
            api_version: self.kind.api_version,
            kind: self.kind.kind,
            subresource: "",
            manager,
            now: "2026-01-02T03:04:05Z",
        }
    }

    fn object(&mut self) -> Value {
        let mut object = (self.kind.make)(&mut self.dice);
        object["apiVersion"] = json!(self.kind.api_version);
        object["kind"] = json!(self.kind.kind);
        object["metadata"]["name"] = json!(self.name);
        object["metadata"]["namespace"] = json!(NAMESPACE);
        object
    }

    fn step(&mut self) {
        let manager = MANAGERS[usize::try_from(self.dice.roll(4)).unwrap()];
        match self.dice.roll(10) {
            0..=6 => self.apply(manager),
            7 if self.live.is_some() => self.merge(manager),
            8 if self.live.is_some() && self.kind.typed => self.strategic(manager),
            9 if self.live.is_none() => self.create(manager),
            9 if !self.kind.typed => self.status(manager),
            _ => self.apply(manager),
        }
    }

    fn apply(&mut self, manager: &'static str) {
        let config = self.object();
        let force = self.dice.roll(2) == 0;
        let on_conflict = if force {
            OnConflict::Force
        } else {
            OnConflict::Fail
        };
        let path = format!("{}?fieldManager={manager}&force={force}", self.path());
        let (status, theirs) =
            self.server
                .call("PATCH", &path, "application/apply-patch+yaml", &config);
        let ours = managed::apply(
            &self.request(manager),
            self.live.as_ref(),
            &config,
            on_conflict,
        );
        let live = self.live.clone().unwrap_or(Value::Null);
        match ours {
            Err(ApplyError::Conflicts(conflicts)) => {
                self.conflicts += 1;
                let mut mine: Vec<String> = conflicts
                    .iter()
                    .map(|c| format!("{} {}", c.cause(), c.path))
                    .collect();
                let mut other: Vec<String> = theirs["details"]["causes"]
                    .as_array()
                    .map(|causes| {
                        let text =
                            |c: &Value, key: &str| c[key].as_str().unwrap_or_default().to_owned();
                        causes
                            .iter()
                            .map(|c| format!("{} {}", text(c, "message"), text(c, "field")))
                            .collect()
                    })
                    .unwrap_or_default();
                mine.sort();
                other.sort();
                if status != 409 || mine != other || theirs["message"] != conflicts.to_string() {
                    describe(
                        "conflicts",
                        &live,
                        &config,
                        &json!(conflicts.to_string()),
                        &theirs,
                    );
                }
            }
            Err(error) => {
                if status < 400 || theirs["message"] != error.to_string() {
                    describe("errors", &live, &config, &json!(error.to_string()), &theirs);
                }
            }
            // The merged object need not be valid: two managers' parts may not fit together.
            Ok(_) if status == 422 => {}
            Ok(merged) => {
                if status >= 300 {
                    describe(
                        &format!("status {status} where we succeed"),
                        &live,
                        &config,
                        &merged.object,
                        &theirs,
                    );
                }
                self.check_object(&live, &config, &merged.object, &theirs);
                self.check_owners(&live, &config, &merged.object, &theirs);
                self.live = Some(theirs);
                self.applied.insert(manager, config);
            }
        }
    }

    /// The offline verdict must agree with a dry run: in sync means that it changes nothing, drifted that it does.
    fn drift(&mut self) {
        let managers: Vec<&str> = self.applied.keys().copied().collect();
        let (Some(live), false) = (self.live.clone(), managers.is_empty()) else {
            return;
        };
        let manager = self.dice.pick(&managers);
        let desired = self.applied[manager].clone();
        let ty = managed::Versions::type_at(&self.kind.versions, self.kind.api_version).unwrap();
        let filter = managed::Versions::filter_at(&self.kind.versions, self.kind.api_version);
        let verdict = verdict(&ty, &live, &desired, Owner { manager, filter });
        let path = format!(
            "{}?fieldManager={manager}&force=true&dryRun=All",
            self.path()
        );
        let (status, theirs) =
            self.server
                .call("PATCH", &path, "application/apply-patch+yaml", &desired);
        if status >= 300 {
            return;
        }
        let changed = bare(&live) != bare(&theirs);
        let at = match verdict {
            Verdict::InSync => 0,
            Verdict::Drifted(_) => 1,
            Verdict::Unsure(_) => 2,
        };
        self.verdicts[at] += 1;
        if (at == 0 && changed) || (at == 1 && !changed) {
            describe(
                &format!("{verdict:?}"),
                &live,
                &desired,
                &bare(&live),
                &bare(&theirs),
            );
        }
    }

    /// A custom resource must be equal; a built-in one may have gained defaults.
    fn check_object(&self, live: &Value, sent: &Value, ours: &Value, theirs: &Value) {
        let ty = managed::Versions::type_at(&self.kind.versions, self.kind.api_version).unwrap();
        let (mut ours, mut theirs) = (bare(ours), bare(theirs));
        // Metadata is typed for custom resources too, in embedded objects as well.
        without_empties(&mut ours["metadata"]);
        for side in [&mut ours, &mut theirs] {
            if let Some(embedded) = side.pointer_mut("/spec/pod/metadata") {
                without_empties(embedded);
            }
        }
        if self.kind.typed {
            without_empties(&mut ours);
            without_empties(&mut theirs);
        }
        let (ours, theirs) = (&ours, &theirs);
        let change = compare(&ty, ours, theirs).unwrap();
        let ok = if self.kind.typed {
            let allowed = |path: &str| {
                path.contains("limits.cpu") || path.contains(".env") || path.contains("tolerations")
            };
            change
                .removed
                .paths()
                .iter()
                .all(|p| p.to_string().starts_with(".spec.sessionAffinityConfig"))
                && change
                    .modified
                    .paths()
                    .iter()
                    .all(|p| allowed(&p.to_string()) || p.to_string().contains("volumes"))
                && orders(ours) == orders(theirs)
        } else {
            // The server fills the default of a key.
            change.modified.is_empty()
                && change.removed.is_empty()
                && change
                    .added
                    .paths()
                    .iter()
                    .all(|p| p.to_string().ends_with(".port"))
        };
        if !ok {
            describe(
                &format!("objects differ: {change:?}"),
                live,
                sent,
                ours,
                theirs,
            );
        }
    }

    fn check_owners(&self, live: &Value, sent: &Value, ours: &Value, theirs: &Value) {
        if owners(ours) != owners(theirs) {
            describe("owners differ", live, sent, &owners(ours), &owners(theirs));
        }
        let order = |object: &Value| -> Vec<String> {
            let entries = object["metadata"]["managedFields"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let ours = entries
                .iter()
                .filter(|e| e["manager"] != "kube-controller-manager");
            ours.map(|e| e["operation"].to_string()).collect()
        };
        assert_eq!(order(ours), order(theirs));
    }

    fn merge(&mut self, manager: &str) {
        let mut patch = self.object();
        if self.dice.often() {
            patch["metadata"]["labels"] = json!({"a": null, "l": "merged"});
        }
        let path = format!("{}?fieldManager={manager}", self.path());
        let (status, theirs) =
            self.server
                .call("PATCH", &path, "application/merge-patch+json", &patch);
        self.check_update(manager, status, theirs, &patch);
    }

    /// A strategic merge patch, as it is or from one random object to another, must give what the server makes of it.
    fn strategic(&mut self, manager: &str) {
        let Some(live) = self.live.clone() else {
            return;
        };
        let ty = managed::Versions::type_at(&self.kind.versions, self.kind.api_version).unwrap();
        let (mut old, new) = (self.object(), self.object());
        if self.dice.often() {
            old = live.clone();
        }
        let patch = match self.dice.roll(3) {
            0 => new,
            1 => create_two_way_merge_patch(&ty, &old, &new).unwrap_or_else(|_| json!({})),
            _ => create_three_way_merge_patch(&ty, &old, &new, &live).unwrap_or_else(|_| json!({})),
        };
        let mut patch = patch;
        if let Some(map) = patch.as_object_mut() {
            for key in ["status", "apiVersion", "kind"] {
                map.remove(key);
            }
            if let Some(meta) = map.get_mut("metadata").and_then(Value::as_object_mut) {
                meta.retain(|key, _| {
                    key == "labels" || key.ends_with("finalizers") || key == "annotations"
                });
            }
        }
        let path = format!("{}?fieldManager={manager}", self.path());
        let (status, theirs) = self.server.call(
            "PATCH",
            &path,
            "application/strategic-merge-patch+json",
            &patch,
        );
        if status < 300 {
            let ours = strategic_merge_patch(&ty, &live, &patch).unwrap_or_else(|e| {
                describe(
                    "patch refused by us",
                    &live,
                    &patch,
                    &json!(e.to_string()),
                    &theirs,
                )
            });
            self.check_object(&live, &patch, &ours, &theirs);
        }
        self.check_update(manager, status, theirs, &patch);
    }

    /// Writes to the status endpoint own status only.
    fn status(&mut self, manager: &str) {
        let Some(live) = self.live.clone() else {
            return;
        };
        let version = self.kind.api_version;
        let ty = managed::Versions::type_at(&self.kind.versions, version).unwrap();
        let filter = managed::reset_fields("diff.tidegate.dev", "Widget", "status", true).unwrap();
        let versions = KindVersions::one(version, ty).with_filter(version, filter);
        let mut patch = self.object();
        patch["status"] = json!({"phase": self.dice.pick(&["up", "down"])});
        let by_apply = self.dice.often();
        let request = Request {
            versions: &versions,
            subresource: "status",
            ..self.request(manager)
        };
        if by_apply {
            let path = format!("{}/status?fieldManager={manager}&force=true", self.path());
            let (status, theirs) =
                self.server
                    .call("PATCH", &path, "application/apply-patch+yaml", &patch);
            if status >= 300 {
                describe("status", &live, &patch, &Value::Null, &theirs);
            }
            let ours = managed::apply(&request, Some(&live), &patch, OnConflict::Force).unwrap();
            self.check_owners(&live, &patch, &ours.object, &theirs);
        } else {
            let path = format!("{}/status?fieldManager={manager}", self.path());
            let body = json!({"status": patch["status"]});
            let (status, theirs) =
                self.server
                    .call("PATCH", &path, "application/merge-patch+json", &body);
            if status >= 300 {
                describe("status", &live, &body, &Value::Null, &theirs);
            }
            let mut new = theirs.clone();
            new["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("managedFields");
            let ours = managed::update(&request, Some(&live), &new);
            self.check_owners(&live, &body, &ours, &theirs);
        }
    }

    fn create(&mut self, manager: &str) {
        let object = self.object();
        let path = format!("{}?fieldManager={manager}", self.kind.collection);
        let (status, theirs) = self.server.call("POST", &path, "application/json", &object);
        self.check_update(manager, status, theirs, &object);
    }

    fn check_update(&mut self, manager: &str, status: u16, theirs: Value, sent: &Value) {
        if status >= 400 {
            return;
        }
        let mut new = theirs.clone();
        new["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("managedFields");
        // A controller may have written its annotation between our read and this write.
        let revision = "/metadata/annotations/deployment.kubernetes.io~1revision";
        let before = self
            .live
            .as_ref()
            .and_then(|l| l.pointer(revision))
            .cloned();
        match (new.pointer_mut(revision), before) {
            (Some(now), Some(before)) => *now = before,
            (Some(_), None) => return self.live = Some(theirs),
            _ => {}
        }
        let ours = managed::update(&self.request(manager), self.live.as_ref(), &new);
        let live = self.live.clone().unwrap_or(Value::Null);
        self.check_owners(&live, sent, &ours, &theirs);
        self.live = Some(theirs);
    }
}

#[test]
fn many_kinds_are_owned_as_a_real_server_says() {
    let Some(server) = Server::start() else {
        return;
    };
    let json_type = "application/json";
    server.call(
        "POST",
        "/api/v1/namespaces",
        json_type,
        &json!({"metadata": {"name": NAMESPACE}}),
    );
    for (collection, group, version, mut object) in samples() {
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        let kind = object["kind"].as_str().unwrap().to_owned();
        object["apiVersion"] = json!(api_version);
        object["metadata"] =
            json!({"name": format!("k{}", std::process::id()), "labels": {"l": "1"}});
        let mut versions = KindVersions::one(
            &api_version,
            Schema::builtin(group, version, &kind).unwrap(),
        );
        if let Some(filter) = managed::reset_fields(group, &kind, "", false) {
            versions = versions.with_filter(&api_version, filter);
        }
        let request = Request {
            versions: &versions,
            api_version: &api_version,
            kind: &kind,
            subresource: "",
            manager: "maker",
            now: "2026-01-02T03:04:05Z",
        };
        let (status, theirs) = server.call(
            "POST",
            &format!("{collection}?fieldManager=maker"),
            json_type,
            &object,
        );
        if status >= 300 {
            describe(
                &format!("{kind}: {status}"),
                &Value::Null,
                &object,
                &Value::Null,
                &theirs,
            );
        }
        let mut new = theirs.clone();
        new["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("managedFields");
        for (_, late) in SET_LATE.iter().filter(|(of, _)| *of == kind) {
            if let Some((parent, last)) = late.rsplit_once('/') {
                let parent = new.pointer_mut(parent).and_then(Value::as_object_mut);
                let _ = parent.map(|map| map.remove(&last.replace("~1", "/")));
            }
        }
        let ours = managed::update(&request, None, &new);
        if owners(&ours) != owners(&theirs) {
            describe(
                &format!("owners of a new {kind}"),
                &Value::Null,
                &object,
                &owners(&ours),
                &owners(&theirs),
            );
        }
        // The same by apply, with its verdict.
        let mut applied = object.clone();
        applied["metadata"]["name"] = json!(format!("a{}", std::process::id()));
        let path = format!(
            "{collection}/{}?fieldManager=applier",
            applied["metadata"]["name"].as_str().unwrap()
        );
        let (status, theirs) =
            server.call("PATCH", &path, "application/apply-patch+yaml", &applied);
        if status >= 300 {
            describe(
                &format!("{kind}: {status}"),
                &Value::Null,
                &applied,
                &Value::Null,
                &theirs,
            );
        }
        let request = Request {
            manager: "applier",
            ..request
        };
        let mut namespaced = applied.clone();
        if let Some(namespace) = theirs["metadata"].get("namespace") {
            namespaced["metadata"]["namespace"] = namespace.clone();
        }
        let ours = managed::apply(&request, None, &namespaced, OnConflict::Fail)
            .unwrap()
            .object;
        if owners(&ours) != owners(&theirs) {
            describe(
                &format!("owners of an applied {kind}"),
                &Value::Null,
                &applied,
                &owners(&ours),
                &owners(&theirs),
            );
        }
        let filter = managed::Versions::filter_at(&versions, &api_version);
        let ty = managed::Versions::type_at(&versions, &api_version).unwrap();
        let verdict = verdict(
            &ty,
            &theirs,
            &applied,
            Owner {
                manager: "applier",
                filter,
            },
        );
        if verdict != Verdict::InSync {
            describe(
                &format!("{kind}: {verdict:?}"),
                &Value::Null,
                &applied,
                &Value::Null,
                &theirs,
            );
        }
        for made in [&object, &applied] {
            let name = made["metadata"]["name"].as_str().unwrap();
            server.call(
                "DELETE",
                &format!("{collection}/{name}"),
                json_type,
                &Value::Null,
            );
        }
    }
}

#[test]
fn same_as_a_real_server() {
    let Some(server) = Server::start() else {
        return;
    };
    let json_type = "application/json";
    server.call(
        "POST",
        "/api/v1/namespaces",
        json_type,
        &json!({"metadata": {"name": NAMESPACE}}),
    );
    let (status, _) = server.call(
        "POST",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        json_type,
        &widget_crd(),
    );
    assert!(status == 201 || status == 409, "CRD: {status}");
    let kinds = kinds();
    while server
        .call("GET", &kinds[3].collection, json_type, &Value::Null)
        .0
        != 200
    {}
    let rounds: u64 = std::env::var("TIDEGATE_TEST_ROUNDS")
        .ok()
        .and_then(|r| r.parse().ok())
        .unwrap_or(3);
    let mut conflicts = 0;
    let mut verdicts = [0; 3];
    for kind in &kinds {
        for seed in 0..rounds {
            let name = format!("t{seed}-{}", std::process::id());
            let mut run = Run {
                server: &server,
                kind,
                name,
                dice: Dice(seed),
                live: None,
                conflicts: 0,
                applied: BTreeMap::new(),
                verdicts: [0; 3],
            };
            for _ in 0..STEPS {
                run.step();
                // Controllers may have written meanwhile.
                let (status, live) = server.call("GET", &run.path(), json_type, &Value::Null);
                run.live = (status == 200).then_some(live);
                run.drift();
            }
            conflicts += run.conflicts;
            for (sum, count) in verdicts.iter_mut().zip(run.verdicts) {
                *sum += count;
            }
            server.call("DELETE", &run.path(), json_type, &Value::Null);
        }
    }
    let [in_sync, drifted, unsure] = verdicts;
    eprintln!(
        "{conflicts} conflicts agreed; {in_sync} in sync, {drifted} drifted, {unsure} unsure"
    );
    assert!(conflicts > 0, "the sequences never met a conflict");
}

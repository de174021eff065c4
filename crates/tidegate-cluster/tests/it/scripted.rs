//! Repeats, races and refusals, told by how often what was sent.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_applier::manifest::{GroupVersionKind, ResourceKey, Target};
use tidegate_applier::{
    Applier, ApplierError, ApplyRequest, ApplyResult, ChangeOutcome, ErrorKind, OwnerRef,
    ReadOptions,
};
use tidegate_cluster::{Cluster, ClusterConfig, Server};

use crate::scripts::{Answer, Script, config_map, core, not_found, status};

const OBJECT: &str = "/api/v1/namespaces/ns/configmaps/a";
const GET: &str = "GET /api/v1/namespaces/ns/configmaps/a";
const PATCH: &str = "PATCH /api/v1/namespaces/ns/configmaps/a";

fn request() -> ApplyRequest {
    let key = ResourceKey {
        target: Target::kubernetes("test"),
        group: String::new(),
        kind: "ConfigMap".into(),
        namespace: "ns".into(),
        name: "a".into(),
    };
    let owner = OwnerRef {
        application: "shop".into(),
        destination_namespace: "ns".into(),
    };
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns"}, "data": {"k": "v"}});
    ApplyRequest::new(key, GroupVersionKind::new("v1", "ConfigMap"), body, owner)
}

async fn apply(cluster: &Cluster, request: ApplyRequest) -> Result<ApplyResult, ApplierError> {
    cluster.apply(vec![request]).await.remove(0)
}

fn created() -> Answer {
    Answer::Json(201, config_map("a", "5", "shop"))
}

/// The answers to the PATCH, how often it was sent, and how it ended.
async fn check(patches: &[Answer], sent: usize, expected: Result<ChangeOutcome, ErrorKind>) {
    let script = core().on(GET, &[not_found()]).on(PATCH, patches);
    let answer = apply(&script.cluster(), request()).await;
    let ended = answer
        .map(|result| result.outcome)
        .map_err(|error| error.kind);
    assert_eq!(ended, expected, "{:?}", script.asked());
    assert_eq!(script.count(PATCH), sent, "{:?}", script.asked());
}

#[tokio::test]
async fn the_table_of_repeats() {
    let created_at_last = Ok(ChangeOutcome::Created);
    let busy = Answer::With(
        429,
        "retry-after",
        "0",
        json!({"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "busy"}),
    );
    check(&[busy.clone(), busy, created()], 3, created_at_last).await;
    check(
        &[
            status(503, "ServiceUnavailable", "x"),
            Answer::Text(502, "bad gateway"),
            status(504, "Timeout", "x"),
            created(),
        ],
        4,
        created_at_last,
    )
    .await;
    check(&[Answer::Break, created()], 2, created_at_last).await;
    check(
        &[status(500, "InternalError", "failed calling webhook \"w\"")],
        4,
        Err(ErrorKind::Internal),
    )
    .await;
    let typed = status(
        500,
        "",
        "failed to create typed patch object (ns/a; /v1, Kind=ConfigMap): .zz: field not declared in schema",
    );
    check(&[typed], 1, Err(ErrorKind::Invalid)).await;
    check(
        &[status(400, "BadRequest", "x")],
        1,
        Err(ErrorKind::Invalid),
    )
    .await;
    check(
        &[status(401, "Unauthorized", "x")],
        1,
        Err(ErrorKind::Forbidden),
    )
    .await;
    check(
        &[status(403, "Forbidden", "x")],
        1,
        Err(ErrorKind::Forbidden),
    )
    .await;
    check(
        &[status(405, "MethodNotAllowed", "x")],
        1,
        Err(ErrorKind::Invalid),
    )
    .await;
    check(
        &[status(413, "RequestEntityTooLarge", "x")],
        1,
        Err(ErrorKind::Invalid),
    )
    .await;
    check(
        &[status(415, "UnsupportedMediaType", "x")],
        1,
        Err(ErrorKind::Internal),
    )
    .await;
    check(&[status(422, "Invalid", "x")], 1, Err(ErrorKind::Invalid)).await;
    check(
        &[status(409, "AlreadyExists", "x"), created()],
        2,
        created_at_last,
    )
    .await;
    check(
        &[status(409, "Conflict", "the object has been modified")],
        6,
        Err(ErrorKind::Conflict),
    )
    .await;
    let fields = Answer::Json(
        409,
        json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "Apply failed with 1 conflict",
        "details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"x\"", "field": ".data.k"}]}}),
    );
    check(&[fields], 1, Err(ErrorKind::Conflict)).await;
}

#[tokio::test]
async fn a_namespace_that_is_going_is_waited_for() {
    let going = Answer::Json(
        403,
        json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "unable to create new content",
        "details": {"causes": [{"reason": "NamespaceTerminating", "message": "going"}]}}),
    );
    check(&[going.clone(), created()], 2, Ok(ChangeOutcome::Created)).await;
    let script = core().on(GET, &[not_found()]).on(PATCH, &[going]);
    let error = apply(&script.cluster(), request())
        .await
        .expect_err("still going");
    assert_eq!((error.kind, error.retryable), (ErrorKind::Forbidden, true));
    assert!(error.help.unwrap_or_default().contains("being deleted"));
}

#[tokio::test]
async fn a_plan_that_no_longer_holds_is_not_repeated() {
    let script = core()
        .on(GET, &[Answer::Json(200, config_map("a", "5", "shop"))])
        .on(
            PATCH,
            &[status(409, "Conflict", "the object has been modified")],
        );
    let mut planned = request();
    planned.precondition.version = Some("5".to_owned());
    let error = apply(&script.cluster(), planned)
        .await
        .expect_err("it changed");
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert_eq!(script.count(PATCH), 1);
    assert_eq!(script.bodies(PATCH)[0]["metadata"]["resourceVersion"], "5");
}

#[tokio::test]
async fn no_op_bumps_of_old_servers_are_no_change() {
    let script = core()
        .on(GET, &[Answer::Json(200, config_map("a", "5", "shop"))])
        .on(PATCH, &[Answer::Json(200, config_map("a", "6", "shop"))]);
    let result = apply(&script.cluster(), request()).await.expect("applied");
    assert_eq!(result.outcome, ChangeOutcome::Unchanged);
}

#[tokio::test]
async fn what_is_sent_names_owner_force_and_validation() {
    let script = core().on(GET, &[not_found()]).on(
        PATCH,
        &[Answer::With(
            201,
            "warning",
            "299 - \"v1 is old\"",
            config_map("a", "5", "shop"),
        )],
    );
    let cluster = script.cluster();
    let mut loose = request();
    loose.validate = false;
    loose.force_conflicts = false;
    loose.dry_run = true;
    let result = apply(&cluster, request()).await.expect("applied");
    assert_eq!(result.warnings, ["v1 is old"]);
    apply(&cluster, loose).await.expect("applied");
    let sent: Vec<String> = script
        .asked()
        .into_iter()
        .filter(|line| line.starts_with("PATCH"))
        .collect();
    assert_eq!(
        sent,
        [
            format!("PATCH {OBJECT}?fieldManager=tidegate&fieldValidation=Strict&force=true"),
            format!(
                "PATCH {OBJECT}?fieldManager=tidegate&fieldValidation=Ignore&dryRun=All&force=false"
            ),
        ]
    );
}

#[tokio::test]
async fn a_second_preview_of_the_same_asks_nothing_new() {
    let live = Answer::Json(200, config_map("a", "5", "shop"));
    let script = core()
        .on(GET, std::slice::from_ref(&live))
        .on(PATCH, &[live]);
    let cluster = script.cluster();
    for _ in 0..3 {
        let preview = cluster
            .plan_change(vec![request()])
            .await
            .remove(0)
            .expect("foretold");
        assert_eq!(preview.outcome, ChangeOutcome::Unchanged);
    }
    assert_eq!(script.count(PATCH), 1);
    let mut other = request();
    other.body["data"]["k"] = json!("w");
    cluster
        .plan_change(vec![other])
        .await
        .remove(0)
        .expect("foretold");
    assert_eq!(
        script.count(PATCH),
        2,
        "another desired state is another question"
    );
}

#[tokio::test]
async fn an_immutable_field_recreates_when_it_may() {
    let delete = "DELETE /api/v1/namespaces/ns/configmaps/a";
    let immutable = status(
        422,
        "Invalid",
        "ConfigMap \"a\" is invalid: data: Forbidden: field is immutable when `immutable` is set",
    );
    let new = |uid: &str| {
        let mut body = config_map("a", "9", "shop");
        body["metadata"]["uid"] = uid.into();
        Answer::Json(201, body)
    };
    let script = core()
        .on(
            GET,
            &[
                Answer::Json(200, config_map("a", "5", "shop")),
                Answer::Json(200, config_map("a", "6", "shop")),
                not_found(),
            ],
        )
        .on(PATCH, &[immutable, new("uid-new")])
        .on("POST /api/v1/namespaces/ns/configmaps", &[new("uid-dry")])
        .on(
            delete,
            &[Answer::Json(
                200,
                json!({"kind": "Status", "status": "Success"}),
            )],
        );
    let mut forced = request();
    forced.force_recreate = true;
    let result = apply(&script.cluster(), forced).await.expect("recreated");
    assert_eq!(
        (result.outcome, result.live.uid.as_str()),
        (ChangeOutcome::Replaced, "uid-new")
    );
    let body = &script.bodies(delete)[0];
    assert_eq!(body["preconditions"]["uid"], "uid-a");
    let order: Vec<String> = script
        .asked()
        .iter()
        .filter_map(|l| l.split(' ').next().map(str::to_owned))
        .collect();
    assert_eq!(
        order[2..],
        ["GET", "PATCH", "POST", "DELETE", "GET", "GET", "PATCH"]
    );
}

#[tokio::test]
async fn a_namespace_is_never_recreated() {
    let path = "/api/v1/namespaces/shop";
    let live = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "uid": "u", "resourceVersion": "1"}});
    let script = core()
        .on(&format!("GET {path}"), &[Answer::Json(200, live)])
        .on(
            &format!("PATCH {path}"),
            &[status(422, "Invalid", "field is immutable")],
        );
    let mut forced = request();
    forced.key.kind = "Namespace".into();
    forced.key.namespace = String::new();
    forced.key.name = "shop".into();
    forced.gvk.kind = "Namespace".into();
    forced.body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    forced.force_recreate = true;
    let error = apply(&script.cluster(), forced).await.expect_err("refused");
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert_eq!(script.count("DELETE"), 0);
}

#[tokio::test]
async fn a_silent_cluster_is_not_hammered() {
    let script = Script::default()
        .on("GET /api", &[Answer::Break])
        .on("GET /apis", &[Answer::Break])
        .on("GET /readyz", &[Answer::Break]);
    let config =
        ClusterConfig::token("http://127.0.0.1:1", "t").deadline(Duration::from_millis(200));
    let cluster = script.cluster_with(config);
    let keys: Vec<ResourceKey> = (0..50).map(|_| request().key).collect();
    let answers = cluster.read(keys, ReadOptions::default()).await;
    for answer in answers {
        let error = answer.expect_err("silent");
        assert!(
            matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Timeout) && error.retryable,
            "{error:?}"
        );
        assert!(
            error.message.contains("connection reset by peer"),
            "{error}"
        );
    }
    assert!(
        script.count("GET /api") < 50,
        "{} requests",
        script.count("GET /api")
    );
}

#[tokio::test]
async fn lists_go_page_by_page_and_begin_anew_when_they_expire() {
    let list = "GET /api/v1/configmaps";
    let page = |next: &str, names: &[&str]| {
        let items: Vec<Value> = names
            .iter()
            .map(|name| config_map(name, "5", "shop"))
            .collect();
        Answer::Json(
            200,
            json!({"kind": "PartialObjectMetadataList", "metadata": {"resourceVersion": "9", "continue": next}, "items": items}),
        )
    };
    let script = core()
        .on(
            list,
            &[
                page("to ken", &["a"]),
                status(410, "Expired", "too old"),
                page("t2", &["a"]),
                page("", &["b"]),
            ],
        )
        .on(
            "GET /api/v1/namespaces",
            &[status(
                403,
                "Forbidden",
                "namespaces is forbidden: User \"joe\" cannot list",
            )],
        );
    let owned = script
        .cluster()
        .list_owned(request().owner)
        .await
        .expect("listed");
    let names: Vec<&str> = owned
        .items
        .iter()
        .map(|owned| owned.key.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(owned.incomplete.len(), 1);
    assert!(
        owned.incomplete[0].starts_with("Namespace: namespaces is forbidden"),
        "{:?}",
        owned.incomplete
    );
    assert!(
        script
            .asked()
            .iter()
            .any(|line| line.ends_with("?limit=500&continue=to%20ken"))
    );
}

#[tokio::test]
async fn a_closed_port_and_a_wrong_token_are_told_apart() {
    let connect = |config: ClusterConfig| Cluster::connect(config, Target::kubernetes("test"));
    let closed =
        ClusterConfig::token("https://127.0.0.1:1", "t").deadline(Duration::from_millis(300));
    let error = connect(closed)
        .await
        .expect("settings are sound")
        .describe()
        .await
        .expect_err("nobody is there");
    assert_eq!(
        (error.kind, error.retryable),
        (ErrorKind::Unavailable, true),
        "{error}"
    );
    assert!(error.help.unwrap_or_default().contains("kubeconfig"));
    let test = crate::target::cluster().await;
    let description = test.cluster.describe().await.expect("described");
    let url = description
        .target_label
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    assert!(
        description.target_label.contains("Kubernetes v1."),
        "{}",
        description.target_label
    );
    let server = Server {
        url,
        token: Some("wrong".to_owned()),
        insecure: true,
        ..Server::default()
    };
    let stranger = connect(ClusterConfig::server(server))
        .await
        .expect("settings are sound");
    let error = stranger
        .read(vec![request().key], ReadOptions::default())
        .await
        .remove(0)
        .expect_err("a stranger");
    assert_eq!(
        (error.kind, error.retryable),
        (ErrorKind::Forbidden, false),
        "{error}"
    );
    assert!(error.help.unwrap_or_default().contains("credentials"));
}

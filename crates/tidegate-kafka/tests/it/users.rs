//! The life of users: passwords, rules, quotas, drift, revocation.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_applier::{ChangeOutcome, DeleteOutcome, ErrorKind};
use tidegate_kafka::{Client, Security};

use crate::stage::{self, Stage};

fn scram() -> Value {
    json!({"type": "scram-sha-512", "password": {"valueFrom": {"secretKeyRef": {"name": "passwords", "key": "one"}}}})
}

fn rules(acls: &Value) -> Value {
    json!({"type": "simple", "acls": acls})
}

/// Whether the sandbox lets a user in; None where it is not the sandbox.
async fn logs_in(stage: &Stage, user: &str, password: &str) -> Option<bool> {
    let bootstrap = stage.sandbox.as_ref()?.sasl_bootstrap()?;
    let settings = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", user),
        ("sasl.password", password),
    ];
    let settings: BTreeMap<String, String> = settings
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let client = Client::new(&bootstrap, Security::from_settings(&settings).unwrap()).unwrap();
    let asked = client.set_topic_config("no-such-topic", "retention.ms", Some("1"));
    let error = asked.await.unwrap_err().to_string();
    Some(!error.contains("SaslAuthenticate") && !error.contains("refuses the user"))
}

#[tokio::test]
async fn a_user_has_what_the_document_says() {
    for stage in stage::all().await {
        stage.secret.set(Some("first"));
        let spec = json!({
            "authentication": scram(),
            "authorization": rules(&json!([
                {"resource": {"type": "topic", "name": "orders", "patternType": "prefix"}, "operations": ["Read", "Describe"]},
                {"resource": {"type": "group", "name": "*"}, "operations": ["Read"], "host": "10.0.0.1", "type": "deny"},
                {"resource": {"type": "cluster"}, "operations": ["IdempotentWrite"]},
                {"resource": {"type": "transactionalId", "name": "t"}, "operations": ["All"]},
            ])),
            "quotas": {"producerByteRate": 1024, "consumerByteRate": 2048, "requestPercentage": 55, "controllerMutationRate": 0.5},
        });
        let document = stage.user("alice", &spec);
        let result = stage.apply(&document).await.unwrap();
        assert_eq!(result.outcome, ChangeOutcome::Created);
        assert_eq!(result.live.body["spec"], spec);
        assert_eq!(
            stage.apply(&document).await.unwrap().outcome,
            ChangeOutcome::Unchanged
        );
        let name = &document.0.name;
        assert_ne!(logs_in(&stage, name, "first").await, Some(false));
        assert_ne!(logs_in(&stage, name, "wrong").await, Some(true));
        // Another password in the Secret is drift, and never shown.
        stage.secret.set(Some("second"));
        let plan = stage.plan(&document).await.unwrap();
        assert_eq!(plan.outcome, ChangeOutcome::Updated);
        assert!(!format!("{plan:?}").contains("second"), "{plan:?}");
        stage.apply(&document).await.unwrap();
        assert_ne!(logs_in(&stage, name, "second").await, Some(false));
        assert_ne!(logs_in(&stage, name, "first").await, Some(true));
        assert_eq!(
            stage.plan(&document).await.unwrap().outcome,
            ChangeOutcome::Unchanged
        );
        // What leaves Git is revoked.
        assert_eq!(stage.delete(&document.0).await, Ok(DeleteOutcome::Deleted));
        assert_eq!(stage.read(&document.0).await, None);
        assert_ne!(logs_in(&stage, name, "second").await, Some(true));
    }
}

#[tokio::test]
async fn rules_and_quotas_change_one_by_one() {
    for stage in stage::all().await {
        let both = stage.user("bob", &json!({
            "authorization": rules(&json!([{"resource": {"type": "topic", "name": "a"}, "operations": ["Read", "Write"]}])),
            "quotas": {"producerByteRate": 1000, "consumerByteRate": 500},
        }));
        stage.apply(&both).await.unwrap();
        let less = stage.user("bob", &json!({
            "authorization": rules(&json!([{"resource": {"type": "topic", "name": "a"}, "operations": ["Read", "Describe"]}])),
            "quotas": {"producerByteRate": 2000},
        }));
        let plan = stage.plan(&less).await.unwrap();
        let told: Vec<(&str, bool, bool)> = plan
            .changes
            .iter()
            .map(|c| (c.path.as_str(), c.before.is_some(), c.after.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    ".spec.authorization.acls[allow Describe on topic a]",
                    false,
                    true
                ),
                (
                    ".spec.authorization.acls[allow Write on topic a]",
                    true,
                    false
                ),
                (".spec.quotas.consumerByteRate", true, false),
                (".spec.quotas.producerByteRate", true, true),
            ]
        );
        assert!(
            plan.warnings
                .iter()
                .any(|w| w.contains("rules are taken away: allow Write on topic a")),
            "{:?}",
            plan.warnings
        );
        stage.apply(&less).await.unwrap();
        assert_eq!(
            stage.plan(&less).await.unwrap().outcome,
            ChangeOutcome::Unchanged
        );
        // A section that is gone is taken away, and nothing else.
        let none = stage.user("bob", &json!({"quotas": {"producerByteRate": 2000}}));
        let result = stage.apply(&none).await.unwrap();
        assert_eq!(result.outcome, ChangeOutcome::Updated);
        assert_eq!(
            result.live.body["spec"],
            json!({"quotas": {"producerByteRate": 2000}})
        );
        stage.delete(&none.0).await.unwrap();
    }
}

#[tokio::test]
async fn a_rule_that_somebody_adds_is_drift() {
    let stage = stage::sandbox().await;
    let document = stage.user("carol", &json!({
        "authorization": rules(&json!([{"resource": {"type": "topic", "name": "a"}, "operations": ["Read"]}])),
    }));
    stage.apply(&document).await.unwrap();
    let users = stage.sandbox.as_ref().unwrap().users();
    let mut there = users.acls("User:carol");
    let mut more = there[0].clone();
    more.operation = 4;
    there.push(more);
    users.set_acls("User:carol", &there).unwrap();
    let plan = stage.plan(&document).await.unwrap();
    assert_eq!(plan.changes.len(), 1, "{:?}", plan.changes);
    assert_eq!(
        plan.changes[0].before,
        Some(json!("allow Write on topic a"))
    );
    stage.apply(&document).await.unwrap();
    assert_eq!(users.acls("User:carol").len(), 1);
}

#[tokio::test]
async fn tls_users_are_names() {
    for stage in stage::all().await {
        let external = stage.user(
            "dave",
            &json!({
                "authentication": {"type": "tls-external"},
                "quotas": {"producerByteRate": 10},
            }),
        );
        let result = stage.apply(&external).await.unwrap();
        assert_eq!(
            result.live.body["status"]["username"],
            json!(format!("CN={}", external.0.name))
        );
        assert_eq!(
            stage.apply(&external).await.unwrap().outcome,
            ChangeOutcome::Unchanged
        );
        stage.delete(&external.0).await.unwrap();
        let own = stage.user("erin", &json!({"authentication": {"type": "tls"}}));
        let error = stage.plan(&own).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.help.unwrap().contains("tls-external"));
    }
}

#[tokio::test]
async fn a_password_that_is_missing_is_told_and_never_made_up() {
    for stage in stage::all().await {
        stage.secret.set(None);
        let document = stage.user("frank", &json!({"authentication": scram()}));
        let plan = stage.plan(&document).await.unwrap();
        assert!(
            plan.warnings[0].contains("Secret passwords is not there yet"),
            "{:?}",
            plan.warnings
        );
        let error = stage.apply(&document).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(error.message.contains("Secret shop/passwords"), "{error}");
        let bare = stage.user(
            "frank",
            &json!({"authentication": {"type": "scram-sha-512"}}),
        );
        assert!(
            stage
                .plan(&bare)
                .await
                .unwrap_err()
                .message
                .contains("make a password up")
        );
    }
}

#[tokio::test]
async fn paused_users_are_left_alone() {
    for stage in stage::all().await {
        let spec = json!({"quotas": {"producerByteRate": 10}});
        stage.apply(&stage.user("gina", &spec)).await.unwrap();
        let more = json!({"quotas": {"producerByteRate": 20}});
        let marks = [("strimzi.io/pause-reconciliation", "true")];
        let paused = stage.document("KafkaUser", "gina", "shop", &marks, &more);
        stage.apply(&paused).await.unwrap();
        let again = stage.user("gina", &more);
        let plan = stage.plan(&again).await.unwrap();
        let quota = plan
            .changes
            .iter()
            .find(|c| c.path == ".spec.quotas.producerByteRate");
        assert_eq!(quota.unwrap().before, Some(json!(10)));
        stage.apply(&again).await.unwrap();
        stage.delete(&again.0).await.unwrap();
    }
}

//! The life of topics: created, grown, configured, drifted, handed over, let go of.

use serde_json::json;
use tidegate_applier::{ChangeOutcome, DeleteOutcome, ErrorKind};

use crate::stage;

#[tokio::test]
async fn a_document_becomes_a_topic() {
    for stage in stage::all().await {
        let spec = json!({"partitions": 3, "replicas": 1, "config": {"retention.ms": 7_200_000, "cleanup.policy": ["compact", "delete"]}});
        let document = stage.topic("orders", &spec);
        let plan = stage.plan(&document).await.unwrap();
        assert_eq!(plan.outcome, ChangeOutcome::Created);
        let result = stage.apply(&document).await.unwrap();
        assert_eq!(result.outcome, ChangeOutcome::Created);
        assert_eq!(result.live.body["spec"], spec);
        assert_eq!(result.live.body["status"]["partitions"], json!(3));
        let again = stage.apply(&document).await.unwrap();
        assert_eq!(again.outcome, ChangeOutcome::Unchanged);
        assert_eq!(again.live, result.live);
    }
}

#[tokio::test]
async fn partitions_only_go_up() {
    for stage in stage::all().await {
        stage
            .apply(&stage.topic("up", &json!({"partitions": 2})))
            .await
            .unwrap();
        let more = stage.topic("up", &json!({"partitions": 4}));
        let plan = stage.plan(&more).await.unwrap();
        assert_eq!(plan.changes.len(), 1, "{:?}", plan.changes);
        assert_eq!(plan.changes[0].path, ".spec.partitions");
        assert!(
            plan.warnings[0].contains("grows from 2 to 4"),
            "{:?}",
            plan.warnings
        );
        let result = stage.apply(&more).await.unwrap();
        assert_eq!(result.outcome, ChangeOutcome::Updated);
        let error = stage
            .plan(&stage.topic("up", &json!({"partitions": 3})))
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.contains(".spec.partitions is 3"), "{error}");
        assert!(error.help.unwrap().contains("write partitions: 4"));
    }
}

#[tokio::test]
async fn replicas_stay() {
    for stage in stage::all().await {
        stage
            .apply(&stage.topic("copies", &json!({"partitions": 1, "replicas": 1})))
            .await
            .unwrap();
        let more = stage.topic("copies", &json!({"partitions": 1, "replicas": 3}));
        let error = stage.plan(&more).await.unwrap_err();
        assert!(error.message.contains("moving partitions"), "{error}");
        assert_eq!(
            stage.apply(&more).await.unwrap_err().kind,
            ErrorKind::Invalid
        );
    }
}

#[tokio::test]
async fn only_keys_that_we_set_are_taken_away() {
    for stage in stage::all().await {
        let two = stage.topic(
            "keys",
            &json!({"config": {"retention.ms": 1000, "segment.ms": 2000}}),
        );
        stage.apply(&two).await.unwrap();
        let name = stage.key("KafkaTopic", "keys").name;
        stage
            .by_hand(&name, "max.message.bytes", Some("5000"))
            .await;
        let one = stage.topic("keys", &json!({"config": {"retention.ms": 1000}}));
        let plan = stage.plan(&one).await.unwrap();
        let paths: Vec<&str> = plan.changes.iter().map(|c| c.path.as_str()).collect();
        assert_eq!(paths.len(), 1, "{paths:?}");
        assert!(paths[0].contains("segment.ms"), "{paths:?}");
        stage.apply(&one).await.unwrap();
        let own = stage.own_configs(&name).await;
        assert_eq!(
            own.get("max.message.bytes").map(String::as_str),
            Some("5000")
        );
        assert!(!own.contains_key("segment.ms"), "{own:?}");
        assert_eq!(
            stage.plan(&one).await.unwrap().outcome,
            ChangeOutcome::Unchanged
        );
    }
}

#[tokio::test]
async fn drift_is_seen_and_heals() {
    for stage in stage::all().await {
        let document = stage.topic(
            "drift",
            &json!({"config": {"retention.ms": 1000, "compression.type": "producer"}}),
        );
        stage.apply(&document).await.unwrap();
        let name = stage.key("KafkaTopic", "drift").name;
        stage.by_hand(&name, "retention.ms", Some("5")).await;
        let plan = stage.plan(&document).await.unwrap();
        assert_eq!(plan.outcome, ChangeOutcome::Updated);
        assert_eq!(plan.changes.len(), 1, "{:?}", plan.changes);
        assert_eq!(plan.changes[0].before, Some(json!("5")));
        assert_eq!(plan.changes[0].after, Some(json!(1000)));
        stage.apply(&document).await.unwrap();
        assert_eq!(stage.own_configs(&name).await["retention.ms"], "1000");
        // Values that the broker writes otherwise are the same values.
        let same = stage.topic(
            "drift",
            &json!({"config": {"retention.ms": " 01000 ", "compression.type": "producer"}}),
        );
        let plan = stage.plan(&same).await.unwrap();
        assert_eq!(plan.outcome, ChangeOutcome::Updated, "the document changed");
        stage.apply(&same).await.unwrap();
        assert_eq!(
            stage.plan(&same).await.unwrap().outcome,
            ChangeOutcome::Unchanged
        );
    }
}

#[tokio::test]
async fn deletion_keeps_data_unless_the_document_says_so() {
    for stage in stage::all().await {
        let kept = stage.topic("kept", &json!({"partitions": 1}));
        stage.apply(&kept).await.unwrap();
        assert_eq!(stage.delete(&kept.0).await, Ok(DeleteOutcome::Deleted));
        assert!(stage.is_there("kept").await);
        assert_eq!(stage.read(&kept.0).await, None);
        let marks = [(tidegate_kafka::DELETE_DATA, "true")];
        let gone = stage.document(
            "KafkaTopic",
            "gone",
            "shop",
            &marks,
            &json!({"partitions": 1}),
        );
        stage.apply(&gone).await.unwrap();
        assert_eq!(stage.delete(&gone.0).await, Ok(DeleteOutcome::Deleted));
        assert!(!stage.is_there("gone").await);
    }
}

#[tokio::test]
async fn what_somebody_else_deleted_or_made_anew_is_let_go_of() {
    use tidegate_applier::Applier as _;
    let stage = stage::sandbox().await;
    let topics = stage.sandbox.as_ref().unwrap().topics();
    let marks = [(tidegate_kafka::DELETE_DATA, "true")];
    for (name, is_made_anew) in [("lost", false), ("anew", true)] {
        let document = stage.document("KafkaTopic", name, "shop", &marks, &json!({}));
        stage.apply(&document).await.unwrap();
        let owned = stage
            .applier
            .list_owned(stage::owner("shop"))
            .await
            .unwrap();
        assert_eq!(owned.items.len(), 1);
        topics.delete(name).unwrap();
        if is_made_anew {
            topics
                .create(name, 1, 1, &std::collections::BTreeMap::new())
                .unwrap();
        }
        // As a prune asks: by the identity that was listed.
        let uid = Some(owned.items[0].uid.clone());
        let deleted = stage.delete_very(&document.0, uid).await;
        let expected = if is_made_anew {
            DeleteOutcome::Deleted
        } else {
            DeleteOutcome::Absent
        };
        assert_eq!(deleted, Ok(expected));
        assert_eq!(topics.get(name).is_some(), is_made_anew);
        let left = stage
            .applier
            .list_owned(stage::owner("shop"))
            .await
            .unwrap();
        assert!(left.items.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn unmanaged_and_paused_topics_are_left_alone() {
    for stage in stage::all().await {
        let document = stage.topic("free", &json!({"config": {"retention.ms": 1000}}));
        stage.apply(&document).await.unwrap();
        let name = stage.key("KafkaTopic", "free").name;
        stage.by_hand(&name, "retention.ms", Some("7")).await;
        for (mark, value, words) in [
            ("strimzi.io/pause-reconciliation", "true", "paused"),
            ("strimzi.io/managed", "false", "unmanaged"),
        ] {
            let spec = json!({"config": {"retention.ms": 1000}});
            let left = stage.document(
                "KafkaTopic",
                "free",
                "shop",
                &[(mark, value), (tidegate_kafka::DELETE_DATA, "true")],
                &spec,
            );
            let result = stage.apply(&left).await.unwrap();
            assert!(result.live.health.unwrap().message.contains(words));
            assert_eq!(stage.own_configs(&name).await["retention.ms"], "7");
            assert_eq!(
                stage.apply(&left).await.unwrap().outcome,
                ChangeOutcome::Unchanged
            );
        }
        // The hand-over: the document goes, the topic stays, whatever else it says.
        assert_eq!(stage.delete(&document.0).await, Ok(DeleteOutcome::Deleted));
        assert!(stage.is_there("free").await);
    }
}

#[tokio::test]
async fn two_documents_for_one_topic_are_refused() {
    for stage in stage::all().await {
        let first = stage.topic("one", &json!({"partitions": 1}));
        stage.apply(&first).await.unwrap();
        let name = first.0.name.clone();
        let second = stage.topic("two", &json!({"topicName": name, "partitions": 1}));
        let error = stage.apply(&second).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(error.message.contains(&first.0.name), "{error}");
        assert!(error.message.contains(&second.0.name), "{error}");
        let renamed = stage.topic("one", &json!({"topicName": format!("{name}-other")}));
        let error = stage.apply(&renamed).await.unwrap_err();
        assert!(error.message.contains("cannot be renamed"), "{error}");
    }
}

#[tokio::test]
async fn refusals_have_kafkas_words_and_the_topic() {
    for stage in stage::all().await {
        let bad = stage.topic("bad", &json!({"config": {"retention.ms": "banana"}}));
        let error = stage.plan(&bad).await.unwrap_err();
        assert!(
            error.message.contains("banana") && error.message.contains(&bad.0.name),
            "{error}"
        );
        assert!(error.message.contains("INVALID_CONFIG"), "{error}");
        for (spec, part) in [
            (json!({"partition": 3}), "unknown field .spec.partition"),
            (json!({"partitions": 0}), ".spec.partitions is 0"),
            (
                json!({"partitions": "three"}),
                ".spec.partitions is \"three\"",
            ),
            (json!({"config": {"retention.ms": null}}), "has no value"),
            (json!({"topicName": "a b"}), "is no name of a topic"),
            (json!({"replicas": 30}), "INVALID_REPLICATION_FACTOR"),
        ] {
            let error = stage.plan(&stage.topic("bad", &spec)).await.unwrap_err();
            assert!(error.message.contains(part), "{error}");
            assert!(error.help.is_some(), "{error}");
        }
        assert!(!stage.is_there("bad").await);
    }
}

/// What kcat shows of the cluster; None where it is not installed.
fn kcat(bootstrap: &str) -> Option<String> {
    let shown = std::process::Command::new("kcat")
        .args(["-L", "-b", bootstrap])
        .output();
    Some(String::from_utf8_lossy(&shown.ok()?.stdout).into_owned())
}

#[tokio::test]
async fn kcat_sees_what_git_says() {
    for stage in stage::all().await {
        let document = stage.topic("seen", &json!({"partitions": 5}));
        stage.apply(&document).await.unwrap();
        let bootstrap = stage.applier.client().label();
        let shown = tokio::task::spawn_blocking(move || kcat(&bootstrap))
            .await
            .unwrap();
        let Some(shown) = shown else {
            stage::say("SKIPPED: kcat is not installed");
            continue;
        };
        let line = format!("topic \"{}\" with 5 partitions", document.0.name);
        assert!(shown.contains(&line), "{shown}");
    }
}

#[tokio::test]
async fn two_wanted_documents_for_one_topic_are_refused_before_either_is_there() {
    use tidegate_applier::Applier as _;
    let stage = stage::sandbox().await;
    let first = stage.topic("first", &json!({"topicName": "same"}));
    let second = stage.topic("second", &json!({"topicName": "same"}));
    let both = [&first, &second].map(|(key, body)| (key, body));
    stage
        .applier
        .announce(&stage::owner("shop"), &mut both.into_iter());
    for (document, other) in [(&first, &second), (&second, &first)] {
        let error = stage.plan(document).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(error.message.contains(&other.0.short()), "{error}");
        assert!(error.message.contains(&document.0.short()), "{error}");
    }
}

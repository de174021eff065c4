//! Documents checked before anything is asked of a broker: mistakes with their file and line. Pure.
//!
//! Must not know: brokers, whose documents are.

use std::collections::BTreeMap;

use tidegate_applier::ApplierError;
use tidegate_manifest::{Diagnostic, Object, ResourceKey, Target, TargetKind};

use crate::applier::Kind;
use crate::document::{self, Care};
use crate::subject::SubjectSpec;
use crate::topic::TopicSpec;
use crate::user::UserSpec;

/// A document cannot be applied as it stands.
const UNREADABLE: &str = "TG1101";
/// Two documents stand for one topic, user or subject.
const TWICE: &str = "TG1102";
/// A version that Strimzi does not serve any more.
const OLD_VERSION: &str = "TG1103";

/// Checks the documents among these objects that go straight to Kafka; all mistakes at once.
pub fn check(objects: &[Object]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut first: BTreeMap<(String, String), &Object> = BTreeMap::new();
    for object in objects {
        let Some(kind) = Kind::of(&object.group_kind()) else {
            continue;
        };
        let tell = |code: &str, message: String, is_error: bool| {
            let place = (*object.origin).clone();
            let told = if is_error {
                Diagnostic::error(code, message, place)
            } else {
                Diagnostic::warning(code, message, place)
            };
            told.object(object.short())
        };
        let subject = match subject(kind, object) {
            Ok(subject) => subject,
            Err(error) => {
                let told = tell(UNREADABLE, error.message, true);
                found.push(match error.help {
                    Some(help) => told.help(help),
                    None => told,
                });
                continue;
            }
        };
        if kind != Kind::Subject && object.gvk.version != document::VERSIONS[0] {
            let message = format!(
                "apiVersion {} is not served by Strimzi since 1.0",
                object.gvk.api_version()
            );
            let told = tell(OLD_VERSION, message, false);
            found.push(told.help(format!(
                "write {}/{}",
                object.gvk.group,
                document::VERSIONS[0]
            )));
        }
        if document::care(&object.body, &object.gvk.kind) == Care::Unmanaged {
            continue;
        }
        let entry = (object.gvk.kind.clone(), subject.clone());
        if let Some(other) = first.get(&entry) {
            let message = format!(
                "{subject:?} is the {} of {} too ({})",
                noun(kind),
                other.short(),
                other.origin.place()
            );
            let help = "keep one document; annotate the other with strimzi.io/managed: \"false\", sync, and remove it";
            found.push(tell(TWICE, message, true).help(help));
        } else {
            first.insert(entry, object);
        }
    }
    found
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Topic => "topic",
        Kind::User => "user",
        Kind::Subject => "subject",
    }
}

/// What a document stands for in Kafka.
fn subject(kind: Kind, object: &Object) -> Result<String, ApplierError> {
    let key = ResourceKey {
        target: Target::new(TargetKind::Kafka, ""),
        group: object.gvk.group.clone(),
        kind: object.gvk.kind.clone(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
    };
    match kind {
        Kind::Topic => TopicSpec::read(&object.body, &key).map(|spec| spec.name),
        Kind::User => UserSpec::read(&object.body, &key).map(|spec| spec.name),
        Kind::Subject => SubjectSpec::read(&object.body, &key).map(|spec| spec.subject),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use tidegate_manifest::Origin;

    use super::*;

    fn object(line: u32, kind: &str, name: &str, more: &Value) -> Object {
        let mut body = json!({
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": "shop"},
        });
        for (field, value) in more.as_object().unwrap() {
            body[field] = value.clone();
        }
        let origin = Origin {
            path: "topics.yaml".to_owned(),
            line,
            column: 1,
            ..Origin::default()
        };
        Object::from_body(body, Arc::new(origin)).unwrap()
    }

    fn told(objects: &[Object]) -> Vec<String> {
        let found = check(objects);
        let short = |d: &Diagnostic| {
            format!(
                "{} {}:{} {}",
                d.code, d.origin.path, d.origin.line, d.message
            )
        };
        found.iter().map(short).collect()
    }

    #[test]
    fn two_documents_for_one_topic_are_both_named() {
        let unmanaged = json!({"metadata": {"name": "old", "namespace": "shop", "annotations": {"strimzi.io/managed": "false"}}, "spec": {"topicName": "orders"}});
        let objects = [
            object(1, "KafkaTopic", "orders", &json!({})),
            object(
                9,
                "KafkaTopic",
                "copy",
                &json!({"spec": {"topicName": "orders"}}),
            ),
            object(20, "KafkaTopic", "old", &unmanaged),
            object(30, "KafkaUser", "orders", &json!({"spec": {}})),
        ];
        assert_eq!(
            told(&objects),
            [
                "TG1102 topics.yaml:9 \"orders\" is the topic of KafkaTopic shop/orders too (topics.yaml:1)"
            ]
        );
    }

    #[test]
    fn mistakes_have_their_line_and_old_versions_are_told() {
        let old = json!({"apiVersion": "kafka.strimzi.io/v1beta2"});
        let objects = [
            object(3, "KafkaTopic", "a", &json!({"spec": {"partitions": -1}})),
            object(
                5,
                "KafkaUser",
                "b",
                &json!({"spec": {"authentication": {"type": "tls"}}}),
            ),
            object(7, "KafkaTopic", "c", &old),
            object(9, "ConfigMap", "d", &json!({"apiVersion": "v1"})),
        ];
        let told = told(&objects);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(
            told[0].starts_with("TG1101 topics.yaml:3 .spec.partitions is -1"),
            "{told:?}"
        );
        assert!(
            told[1].starts_with("TG1101 topics.yaml:5 .spec.authentication.type is \"tls\""),
            "{told:?}"
        );
        assert!(told[2].starts_with("TG1103 topics.yaml:7"), "{told:?}");
    }
}

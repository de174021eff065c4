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

/// What one Application's sources rendered to, and where its documents of Kafka go.
#[derive(Clone, Copy, Debug)]
pub struct Rendered<'o> {
    /// The Application, as messages name it.
    pub application: &'o str,
    /// The Kafka that its documents go straight to: topics of two clusters never meet.
    pub target: &'o Target,
    /// All its objects, of whatever kinds, each with its file and line.
    pub objects: &'o [Object],
}

/// Checks the documents among one Application's objects that go straight to Kafka; all mistakes at once.
///
/// Objects of other kinds are passed over. A destination with a Strimzi is not to be checked: its operators decide.
pub fn check(objects: &[Object]) -> Vec<Diagnostic> {
    let rendered = Rendered {
        application: "",
        target: &Target::new(TargetKind::Kafka, ""),
        objects,
    };
    let found = check_all([rendered]).into_iter();
    found.map(|(_, diagnostic)| diagnostic).collect()
}

/// Checks the documents of several Applications together: two that stand for one topic are found wherever
/// they are. Each finding comes with the Application whose object it is about.
///
/// ```
/// use tidegate_kafka::{Rendered, check_all};
/// use tidegate_manifest::{Target, TargetKind};
///
/// let target = Target::new(TargetKind::Kafka, "main");
/// let rendered = Rendered { application: "shop", target: &target, objects: &[] };
/// assert!(check_all([rendered]).is_empty());
/// ```
pub fn check_all<'o>(
    rendered: impl IntoIterator<Item = Rendered<'o>>,
) -> Vec<(&'o str, Diagnostic)> {
    let mut seen = Seen::default();
    let mut found = Vec::new();
    for one in rendered {
        for object in one.objects {
            let told = check_one(&mut seen, &one, object).into_iter();
            found.extend(told.map(|told| (one.application, told.object(object.short()))));
        }
    }
    found
}

/// What stands for what: by target, kind and name in Kafka, the object and its Application.
#[derive(Debug, Default)]
struct Seen<'o>(BTreeMap<(Target, Noun, String), (&'o str, &'o Object)>);

/// A kind's word.
type Noun = &'static str;

fn check_one<'o>(
    seen: &mut Seen<'o>,
    rendered: &Rendered<'o>,
    object: &'o Object,
) -> Vec<Diagnostic> {
    let Some(kind) = Kind::of(&object.group_kind()) else {
        return Vec::new();
    };
    let place = || (*object.origin).clone();
    let mut found: Vec<Diagnostic> = check_version(kind, object).into_iter().collect();
    let name = match name_in_kafka(kind, object) {
        Ok(name) => name,
        Err(error) => {
            let told = Diagnostic::error(UNREADABLE, error.message, place());
            found.push(match error.help {
                Some(help) => told.help(help),
                None => told,
            });
            return found;
        }
    };
    if document::care(&object.body, &object.gvk.kind) == Care::Unmanaged {
        return found;
    }
    let entry = (rendered.target.clone(), noun(kind), name);
    match seen.0.get(&entry) {
        None => {
            seen.0.insert(entry, (rendered.application, object));
        }
        // One object that stands twice is told of where objects are put together.
        Some((application, other))
            if *application == rendered.application && is_same(object, other) => {}
        Some((application, other)) => {
            let mut there = other.origin.place();
            if *application != rendered.application {
                let of = format!("application {application}");
                there = if there.is_empty() {
                    of
                } else {
                    format!("{there} of {of}")
                };
            }
            let beside = if there.is_empty() {
                String::new()
            } else {
                format!(" ({there})")
            };
            let message = format!(
                "{:?} is the {} of {} too{beside}",
                entry.2,
                entry.1,
                other.short()
            );
            let help = match kind {
                Kind::Topic => {
                    "keep one document; annotate the other with strimzi.io/managed: \"false\", sync, and remove it"
                }
                Kind::User | Kind::Subject => "keep one document",
            };
            found.push(Diagnostic::error(TWICE, message, place()).help(help));
        }
    }
    found
}

fn is_same(one: &Object, other: &Object) -> bool {
    one.group_kind() == other.group_kind()
        && one.namespace == other.namespace
        && one.name == other.name
}

/// A version that Strimzi dropped is told of; one that nobody ever had is a mistake.
fn check_version(kind: Kind, object: &Object) -> Option<Diagnostic> {
    let versions = kind.versions();
    let given = object.gvk.version.as_str();
    if versions.first() == Some(&given) {
        return None;
    }
    let (version, place) = (object.gvk.api_version(), (*object.origin).clone());
    let told = if versions.contains(&given) {
        let message = format!("apiVersion {version} is not served by Strimzi since 1.0");
        Diagnostic::warning(OLD_VERSION, message, place)
    } else {
        let message = format!("{} has no apiVersion {version}", object.gvk.kind);
        Diagnostic::error(UNREADABLE, message, place)
    };
    let right = versions.first().copied().unwrap_or_default();
    Some(told.help(format!("write {}/{right}", object.gvk.group)))
}

fn noun(kind: Kind) -> Noun {
    match kind {
        Kind::Topic => "topic",
        Kind::User => "user",
        Kind::Subject => "subject",
    }
}

/// What a document stands for in Kafka.
fn name_in_kafka(kind: Kind, object: &Object) -> Result<String, ApplierError> {
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
    #[test]
    fn documents_of_several_applications_meet_in_one_cluster_only() {
        let main = Target::new(TargetKind::Kafka, "main");
        let other = Target::new(TargetKind::Kafka, "other");
        let topic = |line| [object(line, "KafkaTopic", "orders", &json!({}))];
        let (shop, billing, far) = (topic(1), topic(4), topic(8));
        let twice = [topic(1), topic(6)].concat();
        let of = |application, target, objects| Rendered {
            application,
            target,
            objects,
        };
        let rendered = [
            of("shop", &main, &shop[..]),
            of("billing", &main, &billing),
            of("far", &other, &far),
        ];
        let found = check_all(rendered);
        let [(application, told)] = &found[..] else {
            unreachable!("{found:?}");
        };
        assert_eq!(*application, "billing");
        assert_eq!(told.origin.line, 4);
        assert_eq!(told.object.as_deref(), Some("KafkaTopic shop/orders"));
        assert_eq!(
            told.message,
            "\"orders\" is the topic of KafkaTopic shop/orders too (topics.yaml:1 of application shop)"
        );
        // One object twice in one application is found where it is put together.
        assert_eq!(check_all([of("shop", &main, &twice)]), []);
    }

    #[test]
    fn versions_that_nobody_has_are_mistakes() {
        let of = |version: &str, kind: &str, name: &str| {
            object(2, kind, name, &json!({"apiVersion": version}))
        };
        let objects = [
            of("kafka.strimzi.io/v9", "KafkaTopic", "a"),
            of("kafka.strimzi.io/v1beta2", "KafkaTopic", "b"),
            of("tidegate.dev/v1", "SchemaSubject", "c"),
        ];
        let told = told(&objects);
        assert_eq!(
            told[..2],
            [
                "TG1101 topics.yaml:2 KafkaTopic has no apiVersion kafka.strimzi.io/v9",
                "TG1103 topics.yaml:2 apiVersion kafka.strimzi.io/v1beta2 is not served by Strimzi since 1.0",
            ]
        );
        assert!(
            told[2].starts_with("TG1101 topics.yaml:2 SchemaSubject has no apiVersion"),
            "{told:?}"
        );
    }

    /// Values that no field of these documents is meant to have, and some that one has.
    fn odd() -> Vec<Value> {
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        vec![
            Value::Null,
            json!(true),
            json!(-1),
            json!(0.5),
            json!(1e300),
            json!(u64::MAX),
            json!(""),
            json!("x"),
            json!("ö\u{0}"),
            json!("x".repeat(100_000)),
            json!([]),
            json!([null]),
            json!([{}]),
            json!({}),
            json!({"": null}),
            json!({"x".repeat(100_000): 1}),
            json!({"type": "scram-sha-512"}),
            json!({"type": "simple", "acls": [{"resource": {"type": "topic"}}]}),
            deep,
        ]
    }

    #[test]
    fn odd_documents_are_told_and_never_stop_the_check() {
        let fields = [
            "topicName",
            "partitions",
            "replicas",
            "config",
            "authentication",
            "authorization",
            "quotas",
            "subject",
            "schemaType",
            "compatibility",
            "schema",
            "references",
            "nonsense",
        ];
        let mut objects = Vec::new();
        for kind in ["KafkaTopic", "KafkaUser", "SchemaSubject"] {
            let group = if kind == "SchemaSubject" {
                "tidegate.dev/v1alpha1"
            } else {
                "kafka.strimzi.io/v1"
            };
            let mut push = |mut more: Value| {
                more["apiVersion"] = json!(group);
                objects.push(object(1, kind, "one", &more));
            };
            push(json!({}));
            for value in odd() {
                push(json!({"spec": value, "status": value}));
                push(json!({"spec": {"config": {"retention.ms": value}}}));
                push(json!({"spec": {"authorization": {"type": "simple", "acls": [value]}}}));
                for field in fields {
                    push(json!({"spec": {field: value}}));
                }
            }
        }
        // Objects whose parts do not fit their body, as no renderer makes them.
        let mut bare = objects[0].clone();
        bare.body = Value::Null;
        bare.name = String::new();
        objects.push(bare);
        let found = check(&objects);
        assert!(
            found
                .iter()
                .all(|told| told.origin.line == 1 && told.object.is_some())
        );
        assert!(found.iter().any(|told| told.code == UNREADABLE));
        let long = found.iter().find(|told| told.message.len() > 1_000);
        assert_eq!(long, None);
    }
}

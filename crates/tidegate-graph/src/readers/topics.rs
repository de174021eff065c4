//! Names of topics and addresses of Kafka clusters in values: environment, arguments, settings, ConfigMaps.
//! A value names a topic when it is exactly the name of one that the graph knows.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::path::Path;
use crate::reader::{Identity, Need, Place, ReferenceReader, References, View};
use crate::{Relation, Strength};

/// Longest name of a topic that Kafka takes.
const MAX_TOPIC: usize = 249;
/// Longest value that is taken apart at commas.
const MAX_VALUE: usize = 4_096;
/// Longest file inside a ConfigMap whose lines are looked at.
const MAX_FILE: usize = 65_536;

/// Reads values.
#[derive(Debug)]
pub(crate) struct Topics;

impl ReferenceReader for Topics {
    fn read<'a>(&self, view: &View<'a>, found: &mut References<'a>) {
        if view.is("", "ConfigMap") {
            return config_map(view, found);
        }
        if matches!(
            view.key.group.as_str(),
            "apiextensions.k8s.io" | "rbac.authorization.k8s.io"
        ) || view.is("", "Secret")
            || view.is("kafka.strimzi.io", "KafkaTopic")
        {
            return;
        }
        let Some(body) = view.body.as_object() else {
            return;
        };
        let mut walk = Walk { view, found };
        let is_strimzi = view.key.group == "kafka.strimzi.io";
        for (key, value) in body {
            if !matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status") {
                // Everything under the spec of a source, sink or connector is about topics.
                let free = is_strimzi && view.key.kind != "Kafka";
                walk.value(key, value, &Path::ROOT.key(key), free);
            }
        }
    }
}

struct Walk<'w, 'a> {
    view: &'w View<'a>,
    found: &'w mut References<'a>,
}

/// Keys whose values, however deep, are settings of a program.
fn holds_settings(key: &str) -> bool {
    matches!(
        key,
        "args"
            | "command"
            | "arguments"
            | "flinkConfiguration"
            | "sparkConf"
            | "hadoopConf"
            | "envVars"
            | "environment"
            | "Variables"
    )
}

fn is_about_topics(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("topic") || key.contains("bootstrap")
}

impl<'a> Walk<'_, 'a> {
    fn value(&mut self, key: &str, value: &'a Value, path: &Path<'_>, is_settings: bool) {
        if path.is_too_deep() {
            return;
        }
        match value {
            Value::String(text) => {
                if is_settings || is_about_topics(key) {
                    self.text(text, path);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let here = path.item(index);
                    match item {
                        Value::Object(map) if key == "env" => self.variable(map, &here),
                        _ => self.value(key, item, &here, is_settings || holds_settings(key)),
                    }
                }
            }
            Value::Object(map) => {
                for (name, item) in map {
                    self.value(
                        name,
                        item,
                        &path.key(name),
                        is_settings || holds_settings(key),
                    );
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn variable(&mut self, map: &'a Map<String, Value>, path: &Path<'_>) {
        if let Some(Value::String(text)) = map.get("value") {
            self.text(text, &path.key("value"));
        }
    }

    fn text(&mut self, text: &'a str, path: &Path<'_>) {
        if text.len() > MAX_VALUE {
            return;
        }
        for name in names(text) {
            if let Some(need) = need(self.view, name, || path.to_string()) {
                self.found.need(need);
            }
        }
    }
}

/// The names in a value: `--topic=a,b` holds `a` and `b`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let value = match text.split_once('=') {
        Some((option, value)) if option.starts_with('-') || is_about_topics(option) => value,
        _ => text,
    };
    value
        .split([',', '|', ';', ' '])
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

fn is_topic_name(name: &str) -> bool {
    name.len() <= MAX_TOPIC
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn need<'a>(view: &View<'a>, name: &'a str, field: impl Fn() -> String) -> Option<Need<'a>> {
    if let Some((cluster, namespace)) = bootstrap(name) {
        let place = match namespace {
            Some(namespace) => Place::Namespace(Cow::Borrowed(namespace)),
            None => Place::Namespace(Cow::Borrowed(view.key.namespace.as_str())),
        };
        return Some(Need {
            identity: Identity::new("kafka.strimzi.io", "Kafka", place, cluster),
            relation: Relation::Bootstrap,
            field: field(),
            strength: Strength::Firm,
        });
    }
    is_topic_name(name).then(|| Need {
        identity: Identity::topic(name, view.key.namespace.as_str()),
        relation: Relation::Topic,
        field: field(),
        strength: Strength::Soft,
    })
}

/// The cluster and namespace in a bootstrap address that Strimzi makes: `events-kafka-bootstrap.kafka.svc:9092`.
fn bootstrap(address: &str) -> Option<(&str, Option<&str>)> {
    let address = address.rsplit_once("://").map_or(address, |(_, rest)| rest);
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let mut labels = host.split('.');
    let service = labels.next()?;
    let cluster = service
        .strip_suffix("-kafka-bootstrap")
        .or_else(|| service.strip_suffix("-kafka-brokers"))
        .filter(|cluster| !cluster.is_empty())?;
    Some((
        cluster,
        labels.next().filter(|namespace| !namespace.is_empty()),
    ))
}

/// Topics that a ConfigMap names are needed by whoever reads it, so they are mentions, not needs.
fn config_map<'a>(view: &View<'a>, found: &mut References<'a>) {
    let Some(data) = view.body.get("data").and_then(Value::as_object) else {
        return;
    };
    for (key, value) in data {
        let Some(text) = value.as_str().filter(|text| text.len() <= MAX_FILE) else {
            continue;
        };
        let field = || format!("{} .data[{key:?}]", view.short());
        if !text.contains('\n') {
            let named = names(text).filter_map(|name| need(view, name, field));
            named.for_each(|need| found.mention(need));
            continue;
        }
        for (setting, value) in text.lines().filter_map(setting) {
            if is_about_topics(setting) {
                let named = names(value).filter_map(|name| need(view, name, field));
                named.for_each(|need| found.mention(need));
            }
        }
    }
}

/// `key = value`, `key: value`, `"key": "value",` of a line in a settings file.
fn setting(line: &str) -> Option<(&str, &str)> {
    let trim = |text: &'_ str| -> (usize, usize) {
        let start = text.len()
            - text
                .trim_start_matches([' ', '\t', '"', '\'', '-', '['])
                .len();
        let end = text
            .trim_end_matches([' ', '\t', '"', '\'', ',', ']', '\r'])
            .len();
        (start, end.max(start))
    };
    let (key, value) = line.split_once(['=', ':'])?;
    let ((a, b), (c, d)) = (trim(key), trim(value));
    let (key, value) = (&key[a..b], &value[c..d]);
    (!key.is_empty() && !key.starts_with('#') && !value.is_empty()).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_addresses_are_read() {
        let check = |address, expected| assert_eq!(bootstrap(address), expected, "{address}");
        check("events-kafka-bootstrap:9092", Some(("events", None)));
        check(
            "events-kafka-bootstrap.kafka.svc.cluster.local:9093",
            Some(("events", Some("kafka"))),
        );
        check(
            "SASL_SSL://a-b-kafka-bootstrap.x:9094",
            Some(("a-b", Some("x"))),
        );
        check("-kafka-bootstrap:9092", None);
        check("broker:9092", None);
        check("", None);
    }

    #[test]
    fn names_are_taken_apart() {
        let check = |text, expected: &[&str]| {
            assert_eq!(names(text).collect::<Vec<_>>(), expected, "{text}");
        };
        check("orders", &["orders"]);
        check("--topic=orders,payments", &["orders", "payments"]);
        check("input.topic=orders", &["orders"]);
        check("a=b", &["a=b"]);
        check("", &[]);
    }

    #[test]
    fn settings_are_read_in_the_usual_notations() {
        for line in [
            "in.topic=orders",
            "in.topic: orders",
            "  \"in.topic\": \"orders\",",
            "in.topic = 'orders'\r",
        ] {
            assert_eq!(setting(line), Some(("in.topic", "orders")), "{line:?}");
        }
        assert_eq!(setting("# topic: x"), None);
        assert_eq!(setting("topic:"), None);
    }
}

//! Questions about configuration of topics and of the broker.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::*;

use super::Script;
use crate::client::text;

pub(super) async fn of_topics(script: &mut Script) {
    let (t, n) = (script.name("t"), script.name("n"));
    let change = |name: &str, changes: &[Change<'_>]| change(2, name, changes);
    for case in [
        change(&t, &[("segment.ms", 0, Some("5000"))]),
        change(&t, &[("cleanup.policy", 2, Some("compact"))]),
        change(&t, &[("cleanup.policy", 3, Some("delete"))]),
        change(&t, &[("cleanup.policy", 0, Some("banana"))]),
        change(&t, &[("retention.ms", 0, Some("banana"))]),
        change(&t, &[("retention.ms", 0, None)]),
        change(&t, &[("retention.ms", 2, Some("5"))]),
        change(&t, &[("retention.ms", 9, Some("5"))]),
        change(&t, &[("no.such.key", 0, Some("5"))]),
        change(&t, &[("no.such.key", 1, None)]),
        change(
            &t,
            &[
                ("retention.ms", 0, Some("5")),
                ("retention.ms", 0, Some("6")),
            ],
        ),
        change(&n, &[("retention.ms", 0, Some("5"))]),
        change(
            &t,
            &[
                ("retention.ms", 1, None),
                ("max.message.bytes", 0, Some("2000")),
            ],
        ),
        change("", &[("retention.ms", 0, Some("5"))]),
        change("b d", &[("retention.ms", 0, Some("5"))]),
        change(&t, &[]),
        change(&t, &[("", 0, Some("5"))]),
        change(&t, &[("retention.ms", 3, Some("5"))]),
        change(&t, &[("cleanup.policy", 2, None)]),
        change(&t, &[("cleanup.policy", 2, Some("banana"))]),
        change(&t, &[("no.such.key", 2, Some("5"))]),
        change(&t, &[("cleanup.policy", 3, Some("delete"))]),
        change(&t, &[("compression.gzip.level", 0, Some("0"))]),
        change(
            &t,
            &[
                ("min.compaction.lag.ms", 0, Some("10")),
                ("max.compaction.lag.ms", 0, Some("5")),
            ],
        ),
        change(
            &t,
            &[
                ("retention.ms", 0, Some("5")),
                ("segment.bytes", 0, Some("1")),
            ],
        ),
    ] {
        script
            .ask(
                1,
                &IncrementalAlterConfigsRequest::default().with_resources(vec![case]),
            )
            .await;
    }
    let good = |name: &str| change(name, &[("retention.ms", 0, Some("9"))]);
    for (version, cases) in [
        (1, vec![good(&t), good(&n), good("")]),
        (1, vec![good(&t), good(&t)]),
        (0, vec![good(&t)]),
        (1, Vec::new()),
    ] {
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(cases)
            .with_validate_only(true);
        script.ask_but(version, &request, in_order).await;
    }
    replacing(script, &t, &n).await;
    learnt(script, &t).await;
    for name in [t.as_str(), n.as_str(), "b d", ""] {
        for version in [1, 4] {
            let resource = DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text(name))
                .with_configuration_keys(None);
            let request = DescribeConfigsRequest::default()
                .with_resources(vec![resource])
                .with_include_synonyms(true);
            script.ask_but(version, &request, sorted).await;
        }
    }
    for keys in [&["retention.ms", "no.such.key"][..], &[]] {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(&t))
            .with_configuration_keys(Some(keys.iter().map(|key| text(key)).collect()));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        script.ask_but(4, &request, sorted).await;
    }
}

/// A key, an operation (set, delete, append, subtract), a value.
type Change<'a> = (&'a str, i8, Option<&'a str>);

fn change(kind: i8, name: &str, changes: &[Change<'_>]) -> AlterConfigsResource {
    let changes = changes.iter().map(|(key, operation, value)| {
        AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(changes.collect())
}

/// AlterConfigs, which sets every key that it does not name back to its default.
async fn replacing(script: &mut Script, t: &str, n: &str) {
    let set = |kind: i8, name: &str, values: &[(&str, Option<&str>)]| {
        let values = values.iter().map(|(key, value)| {
            alter_configs_request::AlterableConfig::default()
                .with_name(text(key))
                .with_value(value.map(text))
        });
        alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configs(values.collect())
    };
    let good = [
        ("max.message.bytes", Some("2000")),
        ("segment.ms", Some("5000")),
    ];
    for (version, resource) in [
        (2, set(2, n, &good)),
        (2, set(2, "", &good)),
        (2, set(2, t, &[("no.such.key", Some("5"))])),
        (2, set(2, t, &[("retention.ms", None)])),
        (2, set(2, t, &[("retention.ms", Some("banana"))])),
        (2, set(77, t, &good)),
        (1, set(2, t, &good)),
        (2, set(2, t, &good)),
    ] {
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        script.ask(version, &request).await;
    }
    for (key, value) in [("cleanup.policy", "compact")] {
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![change(
            2,
            t,
            &[(key, 0, Some(value))],
        )]);
        script.ask(1, &request).await;
    }
}

/// Waits until the broker knows the bound on messages that was set last.
async fn learnt(script: &mut Script, t: &str) {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(t))
        .with_configuration_keys(Some(vec![
            text("cleanup.policy"),
            text("max.message.bytes"),
        ]));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let shows = |answer: &DescribeConfigsResponse| {
        let has = |value: &str| {
            let configs = &answer.results[0].configs;
            configs
                .iter()
                .any(|one| one.value.as_deref() == Some(value))
        };
        has("2000") && has("compact")
    };
    script.learnt(4, &request, shows).await;
}

/// Keys of brokers, and kinds of resources that few ask for.
pub(super) async fn of_brokers(script: &mut Script) {
    for case in [
        change(4, "1", &[("no.such.key", 1, None)]),
        change(4, "1", &[("num.io.threads", 0, Some("banana"))]),
        change(4, "1", &[("num.io.threads", 0, Some("0"))]),
        change(4, "1", &[("num.io.threads", 0, None)]),
        change(4, "1", &[("no.such.key", 0, Some("5"))]),
        change(4, "1", &[("no.such.key", 2, Some("5"))]),
        change(4, "1", &[("num.io.threads", 3, Some("4"))]),
        change(4, "1", &[("num.io.threads", 1, None)]),
        change(4, "1", &[("num.io.threads", 9, Some("4"))]),
        change(4, "1", &[("log.retention.ms", 0, Some("-9"))]),
        change(4, "1", &[("log.segment.bytes", 0, Some("5"))]),
        change(4, "", &[("log.segment.bytes", 0, Some("5"))]),
        change(4, "1", &[("log.cleanup.policy", 2, Some("compact"))]),
        change(4, "1", &[("log.cleanup.policy", 0, Some("banana"))]),
        change(4, "1", &[("compression.type", 0, Some("banana"))]),
        change(
            4,
            "1",
            &[("unclean.leader.election.enable", 0, Some("maybe"))],
        ),
        change(
            4,
            "1",
            &[
                ("num.io.threads", 0, Some("5")),
                ("num.io.threads", 0, Some("6")),
            ],
        ),
        change(4, "1", &[("broker.id", 0, Some("5"))]),
        change(4, "1", &[("retention.ms", 0, Some("5"))]),
        change(4, "1", &[("num.io.threads", 2, Some("4"))]),
        change(4, "1", &[("auto.create.topics.enable", 0, Some("false"))]),
        change(4, "", &[("auto.create.topics.enable", 0, Some("false"))]),
        change(4, "9", &[("num.io.threads", 0, Some("9"))]),
        change(4, "x", &[("num.io.threads", 0, Some("9"))]),
        change(4, "", &[("log.retention.ms", 0, Some("-9"))]),
        change(4, "1", &[("log.retention.ms", 0, Some("777"))]),
        change(4, "", &[("log.retention.ms", 0, Some("777"))]),
        change(77, "x", &[("log.retention.ms", 0, Some("9"))]),
        change(0, "x", &[("log.retention.ms", 0, Some("9"))]),
    ] {
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(vec![case])
            .with_validate_only(true);
        script.ask(1, &request).await;
    }
    for (kind, name, keys) in [
        (
            4,
            "1",
            &[
                "log.retention.ms",
                "num.network.threads",
                "log.segment.bytes",
                "no.such.key",
            ][..],
        ),
        (4, "", &["min.insync.replicas", "log.segment.bytes"]),
        (4, "9", &["log.retention.ms"]),
        (4, "x", &["log.retention.ms"]),
        (77, "x", &["log.retention.ms"]),
        (0, "x", &["log.retention.ms"]),
    ] {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(Some(keys.iter().map(|key| text(key)).collect()));
        let request = DescribeConfigsRequest::default()
            .with_resources(vec![resource])
            .with_include_synonyms(true);
        script.ask_but(4, &request, sorted).await;
    }
}

/// Kafka keeps keys in hash maps: their order says nothing.
fn sorted(answer: &mut DescribeConfigsResponse) {
    for result in &mut answer.results {
        result
            .configs
            .sort_by(|one, other| one.name.cmp(&other.name));
    }
}

/// The same of resources in one answer.
fn in_order(answer: &mut IncrementalAlterConfigsResponse) {
    answer.responses.sort_by_key(|one| format!("{one:?}"));
}

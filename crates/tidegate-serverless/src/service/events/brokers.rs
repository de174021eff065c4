//! Brokers: Kafka that one runs oneself, MSK, ActiveMQ, RabbitMQ.
//!
//! Must not know: how mappings are applied.

use serde_json::{Value, json};
use tidegate_yaml::Node;

use super::common::{self, Properties, given, text, truthy};
use super::script;
use crate::service::context::{Composer, Context, Function, entries, items};
use crate::service::names;

/// Characters of a topic's name in the logical id of its mapping.
const TOPIC_CHARACTERS: usize = 158;
/// Characters of an MSK cluster's and a topic's name in the logical id of their mapping.
const CLUSTER_CHARACTERS: usize = 79;
/// Characters of a queue's name in the logical id of its mapping.
const QUEUE_CHARACTERS: usize = 150;

const SECRET_ACTIONS: &[&str] = &["secretsmanager:GetSecretValue"];

fn cut(name: &str, characters: usize) -> String {
    names::alphanumeric(name).chars().take(characters).collect()
}

/// The settings that all brokers share.
fn shared(event: &Node, properties: &mut Properties) {
    properties.positive("BatchSize", event, "batchSize");
    properties.positive(
        "MaximumBatchingWindowInSeconds",
        event,
        "maximumBatchingWindow",
    );
    properties.scalar("Enabled", event, "enabled");
    properties.filters(event);
}

/// Where a Kafka mapping begins; false when that is refused.
fn position(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    properties: &mut Properties,
    template: &mut Composer,
) -> bool {
    properties.set("StartingPosition", "TRIM_HORIZON");
    properties.copy("StartingPosition", event, "startingPosition");
    properties.scalar(
        "StartingPositionTimestamp",
        event,
        "startingPositionTimestamp",
    );
    let is_lost = text(event, "startingPosition") == Some("AT_TIMESTAMP")
        && given(event, "startingPositionTimestamp").is_none();
    if is_lost {
        let key = &function.key;
        common::refuse(
            context,
            template,
            event,
            format!(
                "You must specify startingPositionTimestamp for function: {key} when startingPosition is AT_TIMESTAMP."
            ),
            "add `startingPositionTimestamp`, in seconds since 1970",
        );
    }
    !is_lost
}

fn pollers(event: &Node, properties: &mut Properties) {
    if let Some(config) = truthy(event, "provisionedPollerConfig") {
        let mut pollers = Properties::default();
        pollers.scalar("MinimumPollers", config, "minimumPollers");
        pollers.scalar("MaximumPollers", config, "maximumPollers");
        properties.set("ProvisionedPollerConfig", pollers.0);
    }
}

/// Adds the mappings of `kafka` events.
pub(crate) fn kafka(context: &Context<'_>, template: &mut Composer) {
    for function in &context.functions {
        let mut rights = KafkaRights::default();
        for event in common::events(function, "kafka") {
            kafka_event(context, function, event, &mut rights, template);
        }
        common::allow_some(template, SECRET_ACTIONS, rights.secrets);
        if rights.has_network {
            template.statement(common::allow(common::NETWORK_ACTIONS, "*"));
        }
    }
}

#[derive(Default)]
struct KafkaRights {
    secrets: Vec<Value>,
    has_network: bool,
}

fn kafka_event(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    rights: &mut KafkaRights,
    template: &mut Composer,
) {
    let Some(access) = given(event, "accessConfigurations") else {
        return common::missing(context, template, event, "`accessConfigurations`");
    };
    let Some(topic) = text(event, "topic") else {
        return common::missing(context, template, event, "`topic`");
    };
    let Some(servers) = given(event, "bootstrapServers") else {
        return common::missing(context, template, event, "`bootstrapServers`");
    };
    let groups = truthy(access, "vpcSecurityGroup").is_some();
    if groups != truthy(access, "vpcSubnet").is_some() {
        let missing = if groups {
            "vpcSubnet"
        } else {
            "vpcSecurityGroup"
        };
        let key = &function.key;
        return common::refuse(
            context,
            template,
            access,
            format!(
                "You must specify at least one \"{missing}\" accessConfiguration for function: {key}"
            ),
            "a private network needs both a subnet and a security group",
        );
    }
    let mut properties = Properties::default();
    if !position(context, function, event, &mut properties, template) {
        return;
    }
    let servers = list(servers);
    properties.set(
        "SelfManagedEventSource",
        json!({"Endpoints": {"KafkaBootstrapServers": servers}}),
    );
    properties.set("Topics", json!([topic]));
    properties.set("SourceAccessConfigurations", accesses(access, rights));
    shared(event, &mut properties);
    if let Some(group) = truthy(event, "consumerGroupId") {
        let config = json!({"ConsumerGroupId": group.to_json()});
        properties.set("SelfManagedKafkaEventSourceConfig", config);
    }
    if let Some(destination) = truthy(event, "onFailureDestination") {
        let config = json!({"OnFailure": {"Destination": destination.to_json()}});
        properties.set("DestinationConfig", config);
    }
    pollers(event, &mut properties);
    let id = format!(
        "{}EventSourceMappingKafka{}",
        names::normalize(&function.key),
        cut(topic, TOPIC_CHARACTERS)
    );
    let resource = common::mapping(context, function, properties, &[]);
    template.resource(id, resource, event.span);
}

/// A list, or the one item that stands for a list of it.
fn list(node: &Node) -> Value {
    match &node.value {
        tidegate_yaml::Value::Sequence(_) => node.to_json(),
        _ => json!([node.to_json()]),
    }
}

/// How Kafka is reached: networks and secrets, in document order.
fn accesses(access: &Node, rights: &mut KafkaRights) -> Value {
    const KINDS: &[(&str, &str, &str)] = &[
        ("vpcSubnet", "VPC_SUBNET", "subnet:"),
        ("vpcSecurityGroup", "VPC_SECURITY_GROUP", "security_group:"),
        ("saslPlainAuth", "BASIC_AUTH", ""),
        ("saslScram256Auth", "SASL_SCRAM_256_AUTH", ""),
        ("saslScram512Auth", "SASL_SCRAM_512_AUTH", ""),
        (
            "clientCertificateTlsAuth",
            "CLIENT_CERTIFICATE_TLS_AUTH",
            "",
        ),
        ("serverRootCaCertificate", "SERVER_ROOT_CA_CERTIFICATE", ""),
    ];
    let mut list = Vec::new();
    for (key, values) in script::in_order(entries(Some(access))) {
        let known = KINDS.iter().find(|(name, _, _)| **name == *key.text);
        let (kind, prefix) = known.map_or((&*key.text, ""), |(_, kind, prefix)| (kind, prefix));
        rights.has_network |= !prefix.is_empty();
        let single = std::slice::from_ref(values);
        let values = match &values.value {
            tidegate_yaml::Value::Sequence(_) => items(Some(values)),
            _ => single,
        };
        for value in values {
            if known.is_some() && prefix.is_empty() {
                rights.secrets.push(value.to_json());
            }
            let uri = format!("{prefix}{}", script::text(value));
            list.push(json!({"Type": kind, "URI": uri}));
        }
    }
    Value::Array(list)
}

/// Adds the mappings of `msk` events.
pub(crate) fn msk(context: &Context<'_>, template: &mut Composer) {
    for function in &context.functions {
        let mut clusters = Vec::new();
        for event in common::events(function, "msk") {
            msk_event(context, function, event, &mut clusters, template);
        }
        if !clusters.is_empty() {
            let actions = ["kafka:DescribeCluster", "kafka:GetBootstrapBrokers"];
            template.statement(common::allow(&actions, clusters));
            template.statement(common::allow(common::NETWORK_ACTIONS, "*"));
        }
    }
}

fn msk_event(
    context: &Context<'_>,
    function: &Function,
    event: &Node,
    clusters: &mut Vec<Value>,
    template: &mut Composer,
) {
    let Some(arn) = given(event, "arn") else {
        return common::nameless(context, template, "msk", event);
    };
    let Some(topic) = text(event, "topic") else {
        return common::missing(context, template, event, "`topic`");
    };
    let mut properties = Properties::default();
    if !position(context, function, event, &mut properties, template) {
        return;
    }
    let is_named = ["Fn::GetAtt", "Fn::Join"]
        .iter()
        .all(|name| arn.get(name).is_none());
    let Some(cluster) = common::source_name(arn, '/').filter(|_| is_named) else {
        return common::nameless(context, template, "msk", arn);
    };
    properties.set("EventSourceArn", arn.to_json());
    properties.set("Topics", json!([topic]));
    shared(event, &mut properties);
    if let Some(group) = truthy(event, "consumerGroupId") {
        let config = json!({"ConsumerGroupId": group.to_json()});
        properties.set("AmazonManagedKafkaEventSourceConfig", config);
    }
    if let Some(secret) = given(event, "saslScram512") {
        let access = json!([{"Type": "SASL_SCRAM_512_AUTH", "URI": secret.to_json()}]);
        properties.set("SourceAccessConfigurations", access);
    }
    pollers(event, &mut properties);
    clusters.push(arn.to_json());
    let id = format!(
        "{}EventSourceMappingMSK{}{}",
        names::normalize(&function.key),
        cut(&cluster, CLUSTER_CHARACTERS),
        cut(topic, CLUSTER_CHARACTERS)
    );
    let resource = common::mapping(context, function, properties, &[]);
    template.resource(id, resource, event.span);
}

/// Adds the mappings of `activemq` events.
pub(crate) fn activemq(context: &Context<'_>, template: &mut Composer) {
    queue_brokers(context, "activemq", "ActiveMQ", template);
}

/// Adds the mappings of `rabbitmq` events.
pub(crate) fn rabbitmq(context: &Context<'_>, template: &mut Composer) {
    queue_brokers(context, "rabbitmq", "RabbitMQ", template);
}

fn queue_brokers(context: &Context<'_>, kind: &str, infix: &str, template: &mut Composer) {
    for function in &context.functions {
        let mut brokers = Vec::new();
        let mut secrets = Vec::new();
        for event in common::events(function, kind) {
            let settings = (
                given(event, "arn"),
                given(event, "basicAuthArn"),
                text(event, "queue"),
            );
            let (Some(arn), Some(secret), Some(queue)) = settings else {
                common::missing(
                    context,
                    template,
                    event,
                    "`arn`, `basicAuthArn` and `queue`",
                );
                continue;
            };
            let mut access = vec![json!({"Type": "BASIC_AUTH", "URI": secret.to_json()})];
            if let Some(host) = truthy(event, "virtualHost").filter(|_| kind == "rabbitmq") {
                access.push(json!({"Type": "VIRTUAL_HOST", "URI": host.to_json()}));
            }
            let mut properties = Properties::default();
            properties.set("EventSourceArn", arn.to_json());
            properties.set("Queues", json!([queue]));
            properties.set("SourceAccessConfigurations", access);
            shared(event, &mut properties);
            brokers.push(arn.to_json());
            secrets.push(secret.to_json());
            let id = format!(
                "{}EventSourceMapping{infix}{}",
                names::normalize(&function.key),
                cut(queue, QUEUE_CHARACTERS)
            );
            let resource = common::mapping(context, function, properties, &[]);
            template.resource(id, resource, event.span);
        }
        if !brokers.is_empty() {
            template.statement(common::allow(SECRET_ACTIONS, secrets));
            template.statement(common::allow(&["mq:DescribeBroker"], brokers));
            template.statement(common::allow(common::NETWORK_ACTIONS, "*"));
        }
    }
}

//! KafkaUsers: credentials in a Secret, once the User Operator runs; password, rules and quotas on the broker, when
//! there is one.

use super::{SMALL, attempt, not_ready, paused, ready, runs, shared, watched_by};
use crate::broker::{BrokerRule, BrokerUser};
use crate::context::Context;
use crate::resources::SECRETS;
use crate::value::{
    at, base64, controller_ref, deleting, from_base64, hex, items, label, name, text, uid,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The quotas of a KafkaUser and Kafka's own names of them.
const QUOTAS: &[(&str, &str)] = &[
    ("producerByteRate", "producer_byte_rate"),
    ("consumerByteRate", "consumer_byte_rate"),
    ("requestPercentage", "request_percentage"),
    ("controllerMutationRate", "controller_mutation_rate"),
];

/// The user's name on the broker, in the memory of a user that is there.
pub(crate) const ON_BROKER: &str = "on-broker";

/// A refused reconciliation: a Java exception's name and its message.
struct Refusal(String, String);

pub(crate) fn react(cx: &mut Context<'_>) {
    let user = cx.object;
    let operator = watched_by(cx, "userOperator").filter(|kafka| runs(kafka));
    let Some(kafka) = operator.filter(|_| !deleting(user)) else {
        return;
    };
    if paused(cx) {
        return;
    }
    match attempt(cx, SMALL) {
        None => {}
        Some(Err(message)) => not_ready(cx, "KafkaException", &message),
        Some(Ok(())) => {
            if let Err(Refusal(exception, message)) = reconcile(cx, &kafka) {
                not_ready(cx, &exception, &message);
            }
        }
    }
}

fn reconcile(cx: &mut Context<'_>, kafka: &Value) -> Result<(), Refusal> {
    let user = cx.object;
    let kind = text(user, "spec.authentication.type");
    let username = principal(user);
    let mut fields = json!({"username": username});
    let mut password = None;
    if matches!(kind, "tls" | "scram-sha-512") {
        let wanted = chosen(cx)?;
        let made = secret(cx, kind, wanted);
        password = made.filter(|_| kind == "scram-sha-512");
        fields["secret"] = json!(cx.name());
    }
    if let Some(broker) = shared::broker_of(cx, kafka) {
        let before = cx.fact(ON_BROKER).as_str();
        if let Some(before) = before.filter(|before| *before != username) {
            broker.delete_user(before);
        }
        cx.remember(ON_BROKER, json!(username));
        let wanted = BrokerUser {
            password,
            rules: rules(user),
            quotas: quotas(user),
        };
        let applied = broker.apply_user(&username, &wanted);
        applied.map_err(|refusal| Refusal(refusal.exception(), refusal.message))?;
    }
    ready(cx, &[], fields);
    Ok(())
}

/// The user's name on the broker.
fn principal(user: &Value) -> String {
    match text(user, "spec.authentication.type") {
        "tls" | "tls-external" => format!("CN={}", name(user)),
        _ => name(user).to_owned(),
    }
}

/// The password that the document takes from a Secret, when it does.
fn chosen(cx: &mut Context<'_>) -> Result<Option<String>, Refusal> {
    let from = at(
        cx.object,
        "spec.authentication.password.valueFrom.secretKeyRef",
    );
    if !from.is_object() {
        return Ok(None);
    }
    let (secret, key) = (text(from, "name"), text(from, "key"));
    let invalid = |message: String| Refusal("InvalidResourceException".to_owned(), message);
    let Some(held) = cx.get(&SECRETS, cx.namespace(), secret) else {
        let message = format!("Secret {secret} with requested user password does not exist.");
        return Err(invalid(message));
    };
    let Some(value) = at(&held, "data").get(key).and_then(Value::as_str) else {
        let message =
            format!("Secret {secret} does not contain the key {key} with requested user password.");
        return Err(invalid(message));
    };
    match from_base64(value).filter(|password| !password.is_empty()) {
        Some(password) => Ok(Some(password)),
        None => Err(invalid("The requested user password is empty.".to_owned())),
    }
}

fn rules(user: &Value) -> Vec<BrokerRule> {
    if text(user, "spec.authorization.type") != "simple" {
        return Vec::new();
    }
    let or = |value: &Value, path: &str, default: &str| match text(value, path) {
        "" => default.to_owned(),
        given => given.to_owned(),
    };
    let mut rules = Vec::new();
    for acl in items(user, "spec.authorization.acls") {
        let several = items(acl, "operations").iter().filter_map(Value::as_str);
        let one = Some(text(acl, "operation")).filter(|one| !one.is_empty());
        for operation in several.chain(one) {
            rules.push(BrokerRule {
                resource: text(acl, "resource.type").to_owned(),
                name: text(acl, "resource.name").to_owned(),
                pattern: or(acl, "resource.patternType", "literal"),
                host: or(acl, "host", "*"),
                operation: operation.to_owned(),
                kind: or(acl, "type", "allow"),
            });
        }
    }
    rules
}

fn quotas(user: &Value) -> BTreeMap<String, f64> {
    let given = at(user, "spec.quotas");
    let number = |key: &str| given.get(key).and_then(Value::as_f64);
    QUOTAS
        .iter()
        .filter_map(|(ours, theirs)| Some(((*theirs).to_owned(), number(ours)?)))
        .collect()
}

/// The user's Secret is there, with the chosen password or one of its own; answers the password.
fn secret(cx: &mut Context<'_>, kind: &str, chosen: Option<String>) -> Option<String> {
    let user = cx.object;
    let held = cx.get(&SECRETS, cx.namespace(), cx.name());
    if let Some(held) = held {
        let password = from_base64(text(&held, "data.password"));
        match chosen {
            Some(chosen) if password.as_ref() != Some(&chosen) => {
                let patch = json!({"data": scram(cx.name(), &chosen)});
                cx.patch(&SECRETS, &held, patch);
                return Some(chosen);
            }
            _ => return password,
        }
    }
    let password = chosen.unwrap_or_else(|| hex(&[uid(user), "password"], 16));
    let data = if kind == "tls" {
        let pem = |what: &str| base64(format!("simulated {what} of {}", cx.name()).as_bytes());
        json!({
            "ca.crt": pem("CA certificate"), "user.crt": pem("certificate"), "user.key": pem("key"),
            "user.p12": pem("key store"), "user.password": base64(password.as_bytes()),
        })
    } else {
        scram(cx.name(), &password)
    };
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": cx.name(), "namespace": cx.namespace(),
            "labels": {
                "app.kubernetes.io/managed-by": "strimzi-user-operator", "strimzi.io/kind": "KafkaUser",
                "strimzi.io/cluster": label(user, super::CLUSTER).unwrap_or(""),
            },
            "ownerReferences": [controller_ref(text(user, "apiVersion"), "KafkaUser", user)],
        },
        "data": data,
    });
    cx.create(&SECRETS, secret);
    Some(password)
}

/// The data of a Secret for SCRAM.
fn scram(user: &str, password: &str) -> Value {
    let jaas = format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{user}\" password=\"{password}\";"
    );
    json!({"password": base64(password.as_bytes()), "sasl.jaas.config": base64(jaas.as_bytes())})
}

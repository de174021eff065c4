//! KafkaUsers: credentials in a Secret, once the User Operator runs.

use super::{SMALL, attempt, not_ready, paused, ready, runs, watched_by};
use crate::context::Context;
use crate::resources::SECRETS;
use crate::value::{base64, controller_ref, deleting, hex, label, text, uid};
use serde_json::json;

pub(crate) fn react(cx: &mut Context<'_>) {
    let user = cx.object;
    let operator = watched_by(cx, "userOperator").filter(|kafka| runs(kafka));
    if operator.is_none() || deleting(user) || paused(cx) {
        return;
    }
    match attempt(cx, SMALL) {
        None => {}
        Some(Err(message)) => not_ready(cx, "KafkaException", &message),
        Some(Ok(())) => {
            let kind = text(user, "spec.authentication.type");
            let username = match kind {
                "tls" | "tls-external" => format!("CN={}", cx.name()),
                _ => cx.name().to_owned(),
            };
            let mut fields = json!({"username": username});
            if matches!(kind, "tls" | "scram-sha-512") {
                secret(cx, kind);
                fields["secret"] = json!(cx.name());
            }
            ready(cx, &[], fields);
        }
    }
}

fn secret(cx: &mut Context<'_>, kind: &str) {
    let user = cx.object;
    if cx.get(&SECRETS, cx.namespace(), cx.name()).is_some() {
        return;
    }
    let password = hex(&[uid(user), "password"], 16);
    let data = if kind == "tls" {
        let pem = |what: &str| base64(format!("simulated {what} of {}", cx.name()).as_bytes());
        json!({
            "ca.crt": pem("CA certificate"), "user.crt": pem("certificate"), "user.key": pem("key"),
            "user.p12": pem("key store"), "user.password": base64(password.as_bytes()),
        })
    } else {
        let jaas = format!(
            "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{}\" password=\"{password}\";",
            cx.name()
        );
        json!({"password": base64(password.as_bytes()), "sasl.jaas.config": base64(jaas.as_bytes())})
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
}

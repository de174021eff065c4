//! Operators that make Secrets: External Secrets, Sealed Secrets and cert-manager. All contents are made up.

use crate::conditions::{Condition, conditions, is_true};
use crate::context::Context;
use crate::resources::{CLUSTER_ISSUERS, CLUSTER_SECRET_STORES, ISSUERS, SECRET_STORES, SECRETS};
use crate::value::{
    at, base64, controller_ref, deleting, hex, int_or, items, later, observed, pairs, stamp, text,
    uid,
};
use serde_json::{Map, Value, json};
use std::time::Duration;

const VALIDATE: u64 = 300;
const SYNC: u64 = 400;
const ISSUE: u64 = 1_200;
const DAY_SECONDS: u64 = 24 * 3_600;

/// Whether the present generation is Ready and nothing is to be done.
fn settled(cx: &Context<'_>) -> bool {
    is_true(cx.object, "Ready")
        && cx.faults.fail.is_none()
        && cx.fact("generation").as_i64() == Some(cx.generation())
}

fn made_up(owner: &Value, key: &str) -> Value {
    let value = format!("simulated-{}", hex(&[uid(owner), key], 8));
    json!(base64(value.as_bytes()))
}

/// A store of secrets.
pub(crate) fn react_store(cx: &mut Context<'_>) {
    if deleting(cx.object) || !cx.passed(&format!("validate-{}", cx.epoch()), VALIDATE, VALIDATE) {
        return;
    }
    let condition = match cx.faults.failure(0) {
        Some(message) => Condition::new("Ready", "False").because("InvalidProviderConfig", message),
        None => Condition::new("Ready", "True").because("Valid", "store validated"),
    };
    let list = conditions(cx.object, &[condition], cx.now);
    cx.merge_status(json!({"capabilities": "ReadWrite", "conditions": list}));
}

/// An ExternalSecret: its Secret, once the store is valid.
pub(crate) fn react_external(cx: &mut Context<'_>) {
    let external = cx.object;
    if deleting(external) || !cx.noticed() {
        return;
    }
    let failed = |cx: &mut Context<'_>, message: String| {
        let condition = Condition::new("Ready", "False").because("SecretSyncedError", message);
        let list = conditions(cx.object, &[condition], cx.now);
        cx.merge_status(json!({"conditions": list}));
    };
    let wanted = text(external, "spec.secretStoreRef.name");
    let cluster_wide = text(external, "spec.secretStoreRef.kind") == "ClusterSecretStore";
    if !wanted.is_empty() {
        let (resource, space) = if cluster_wide {
            (CLUSTER_SECRET_STORES, "")
        } else {
            (SECRET_STORES, cx.namespace())
        };
        let Some(store) = cx.get(&resource, space, wanted) else {
            let kind = if cluster_wide {
                "ClusterSecretStore"
            } else {
                "SecretStore"
            };
            let message = format!(
                "could not get {kind} \"{wanted}\", {kind}.external-secrets.io \"{wanted}\" not found"
            );
            return failed(cx, message);
        };
        if !is_true(&store, "Ready") {
            let kind = if cluster_wide {
                "ClusterSecretStore"
            } else {
                "SecretStore"
            };
            return failed(cx, format!("{kind} \"{wanted}\" is not ready"));
        }
    }
    let target = match text(external, "spec.target.name") {
        "" => cx.name(),
        target => target,
    };
    if settled(cx) && cx.get(&SECRETS, cx.namespace(), target).is_some() {
        return;
    }
    if !cx.passed(&format!("sync-{}", cx.epoch()), SYNC, SYNC) {
        return;
    }
    if let Some(message) = cx.faults.failure(0).map(str::to_owned) {
        return failed(cx, format!("error processing spec.data[0], err: {message}"));
    }
    let policy = text(external, "spec.target.creationPolicy");
    let mut data: Map<String, Value> = items(external, "spec.data")
        .iter()
        .map(|entry| {
            (
                text(entry, "secretKey").to_owned(),
                made_up(external, text(entry, "secretKey")),
            )
        })
        .collect();
    for source in items(external, "spec.dataFrom") {
        let key = text(source, "extract.key")
            .rsplit('/')
            .next()
            .unwrap_or("")
            .to_owned();
        if !key.is_empty() {
            let value = made_up(external, &key);
            data.insert(key, value);
        }
    }
    for (key, _) in pairs(external, "spec.target.template.data") {
        data.insert(key.to_owned(), made_up(external, key));
    }
    let kind = text(external, "spec.target.template.type");
    let kind = if kind.is_empty() { "Opaque" } else { kind };
    let owner = (policy != "Orphan" && policy != "Merge").then_some("ExternalSecret");
    write_secret(cx, target, kind, &data, owner);
    let condition = Condition::new("Ready", "True").because("SecretSynced", "secret synced");
    let list = conditions(external, &[condition], cx.now);
    let generation = cx.generation();
    cx.remember("generation", json!(generation));
    let version = format!(
        "{generation}-{}",
        hex(&[&at(external, "spec").to_string()], 16)
    );
    cx.merge_status(json!({
        "binding": {"name": target}, "conditions": list, "refreshTime": stamp(cx.now),
        "syncedResourceVersion": version,
    }));
}

fn write_secret(
    cx: &mut Context<'_>,
    target: &str,
    kind: &str,
    data: &Map<String, Value>,
    owner: Option<&str>,
) {
    let object = cx.object;
    match cx.get(&SECRETS, cx.namespace(), target) {
        None => {
            let mut metadata = json!({"name": target, "namespace": cx.namespace()});
            if let Some(owner) = owner {
                metadata["ownerReferences"] =
                    json!([controller_ref(text(object, "apiVersion"), owner, object)]);
            }
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata, "data": data});
            cx.create(&SECRETS, secret);
        }
        Some(old) => {
            let mut missing = data.clone();
            missing.retain(|key, _| at(&old, "data").get(key).is_none());
            if !missing.is_empty() {
                cx.patch(&SECRETS, &old, json!({"data": missing}));
            }
        }
    }
}

/// A SealedSecret: opened at once.
pub(crate) fn react_sealed(cx: &mut Context<'_>) {
    let sealed = cx.object;
    let shown = is_true(sealed, "Synced") && observed(sealed) == cx.generation();
    if deleting(sealed) || (shown && cx.get(&SECRETS, cx.namespace(), cx.name()).is_some()) {
        return;
    }
    if !cx.passed(&format!("unseal-{}", cx.epoch()), SYNC, SYNC) {
        return;
    }
    let condition = match cx.faults.failure(0).map(str::to_owned) {
        Some(message) => Condition::new("Synced", "False").because("", message),
        None => {
            let data: Map<String, Value> = pairs(sealed, "spec.encryptedData")
                .map(|(key, _)| (key.to_owned(), made_up(sealed, key)))
                .collect();
            let kind = text(sealed, "spec.template.type");
            let kind = if kind.is_empty() { "Opaque" } else { kind };
            write_secret(cx, cx.name(), kind, &data, Some("SealedSecret"));
            Condition::new("Synced", "True")
        }
    };
    let mut list = conditions(sealed, &[condition], cx.now);
    if let Some(first) = list.get_mut(0) {
        first["lastUpdateTime"] = first["lastTransitionTime"].clone();
    }
    let generation = cx.generation();
    cx.merge_status(json!({"conditions": list, "observedGeneration": generation}));
}

/// An issuer of certificates.
pub(crate) fn react_issuer(cx: &mut Context<'_>) {
    let issuer = cx.object;
    if deleting(issuer) || !cx.passed(&format!("validate-{}", cx.epoch()), VALIDATE, VALIDATE) {
        return;
    }
    let spec = at(issuer, "spec");
    let (reason, message) = if spec.get("acme").is_some() {
        (
            "ACMEAccountRegistered",
            "The ACME account was registered with the ACME server",
        )
    } else if spec.get("ca").is_some() {
        ("KeyPairVerified", "Signing CA verified")
    } else if spec.get("vault").is_some() {
        ("VaultVerified", "Vault verified")
    } else {
        ("IsReady", "")
    };
    let condition = match cx.faults.failure(0) {
        Some(message) => Condition::new("Ready", "False").because("ErrInitIssuer", message),
        None => Condition::new("Ready", "True").because(reason, message),
    };
    let mut list = conditions(issuer, &[condition], cx.now);
    if let Some(first) = list.get_mut(0) {
        first["observedGeneration"] = json!(cx.generation());
    }
    cx.merge_status(json!({"conditions": list}));
}

/// A Certificate: its Secret, once the issuer is ready.
pub(crate) fn react_certificate(cx: &mut Context<'_>) {
    let certificate = cx.object;
    let target = text(certificate, "spec.secretName");
    if deleting(certificate) || !cx.noticed() {
        return;
    }
    let present = cx.get(&SECRETS, cx.namespace(), target).is_some();
    let shown = crate::conditions::condition(certificate, "Ready");
    let current =
        shown.is_some_and(|shown| int_or(shown, "observedGeneration", 0) == cx.generation());
    if present && current && is_true(certificate, "Ready") && cx.faults.fail.is_none() {
        return;
    }
    let wanted = text(certificate, "spec.issuerRef.name");
    let (resource, space) = match text(certificate, "spec.issuerRef.kind") {
        "ClusterIssuer" => (CLUSTER_ISSUERS, ""),
        _ => (ISSUERS, cx.namespace()),
    };
    let group = text(certificate, "spec.issuerRef.group");
    let ours = matches!(group, "" | "cert-manager.io");
    let ready = !ours
        || cx
            .get(&resource, space, wanted)
            .is_some_and(|issuer| is_true(&issuer, "Ready"));
    let step = format!("issue-{}", cx.epoch());
    let issued = ready && cx.passed(&step, ISSUE, ISSUE);
    let (why, what) = if present {
        (
            "SecretMismatch",
            "Issuing certificate as the existing Secret does not match the spec",
        )
    } else {
        (
            "DoesNotExist",
            "Issuing certificate as Secret does not exist",
        )
    };
    if !issued {
        let new = [
            Condition::new("Issuing", "True").because(why, what),
            Condition::new("Ready", "False").because(why, what),
        ];
        return write_certificate(cx, &new, json!({}));
    }
    if let Some(message) = cx.faults.failure(0).map(str::to_owned) {
        let text = format!(
            "The certificate request has failed to complete and will be retried: {message}"
        );
        let new = [
            Condition::new("Issuing", "False").because("Failed", text),
            Condition::new("Ready", "False").because(why, what),
        ];
        return write_certificate(
            cx,
            &new,
            json!({"failedIssuanceAttempts": 1, "lastFailureTime": stamp(cx.now)}),
        );
    }
    let mut data = Map::new();
    for key in ["ca.crt", "tls.crt", "tls.key"] {
        data.insert(key.into(), made_up(certificate, key));
    }
    write_secret(cx, target, "kubernetes.io/tls", &data, None);
    let after = |days: u64| stamp(later(cx.now, Duration::from_secs(days * DAY_SECONDS)));
    let revision = int_or(certificate, "status.revision", 0) + 1;
    let more = json!({
        "notBefore": stamp(cx.now), "notAfter": after(90), "renewalTime": after(60), "revision": revision,
    });
    let ready = Condition::new("Ready", "True")
        .because("Ready", "Certificate is up to date and has not expired");
    write_certificate(cx, &[ready], more);
}

fn write_certificate(cx: &mut Context<'_>, new: &[Condition], more: Value) {
    let mut list = conditions(cx.object, new, cx.now);
    for condition in list.as_array_mut().into_iter().flatten() {
        condition["observedGeneration"] = json!(cx.generation());
    }
    let mut fields = more;
    fields["conditions"] = list;
    cx.merge_status(fields);
}

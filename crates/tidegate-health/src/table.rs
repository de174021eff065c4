//! Kinds whose rule is a list of conditions: the table, and how it is read. Source: Argo CD's scripts of these kinds.

use tidegate_manifest::{Health, HealthStatus};

use crate::{
    Subject,
    verdict::progressing,
    view::{Condition, View},
};
use HealthStatus::{Degraded, Healthy, Progressing};

/// How the rules of an entry meet the conditions of an object.
#[derive(Clone, Copy)]
enum Order {
    /// The first condition, in the order of the object's list, that any rule fits.
    AsListed,
    /// The first rule, in the order of the table, that fits any condition.
    AsRuled,
    /// Only the last condition of the list.
    LastOnly,
}
use Order::{AsListed, AsRuled, LastOnly};

/// Which part of a condition becomes the message.
#[derive(Clone, Copy)]
enum Words {
    Message,
    MessageOrReason,
}

struct Entry {
    group: &'static str,
    kinds: &'static [&'static str],
    order: Order,
    rules: &'static [(&'static str, &'static str, HealthStatus)],
    words: Words,
    /// While no condition decides.
    waiting: &'static str,
}

const READY: &[(&str, &str, HealthStatus)] =
    &[("Ready", "False", Degraded), ("Ready", "True", Healthy)];

const fn entry(
    group: &'static str,
    kinds: &'static [&'static str],
    order: Order,
    rules: &'static [(&'static str, &'static str, HealthStatus)],
    waiting: &'static str,
) -> Entry {
    Entry {
        group,
        kinds,
        order,
        rules,
        words: Words::Message,
        waiting,
    }
}

const TABLE: &[Entry] = &[
    entry(
        "cert-manager.io",
        &["Certificate"],
        AsRuled,
        // A certificate that is being issued is not ready yet, which is no failure.
        &[
            ("Issuing", "True", Progressing),
            ("Ready", "False", Degraded),
            ("Ready", "True", Healthy),
        ],
        "Waiting for certificate",
    ),
    entry(
        "cert-manager.io",
        &["Issuer"],
        AsListed,
        READY,
        "Initializing Issuer",
    ),
    entry(
        "cert-manager.io",
        &["ClusterIssuer"],
        AsListed,
        READY,
        "Initializing ClusterIssuer",
    ),
    entry(
        "external-secrets.io",
        &["ExternalSecret"],
        AsListed,
        READY,
        "Waiting for ExternalSecret",
    ),
    entry(
        "external-secrets.io",
        &["SecretStore"],
        AsListed,
        READY,
        "Waiting for SecretStore",
    ),
    entry(
        "external-secrets.io",
        &["ClusterSecretStore"],
        AsListed,
        READY,
        "Waiting for ClusterSecretStore",
    ),
    entry(
        "external-secrets.io",
        &["PushSecret"],
        AsListed,
        READY,
        "Waiting for PushSecret",
    ),
    entry(
        "external-secrets.io",
        &["ClusterExternalSecret"],
        LastOnly,
        &[
            ("Ready", "True", Healthy),
            ("PartiallyReady", "True", Degraded),
            ("NotReady", "True", Degraded),
        ],
        "Waiting for ClusterExternalSecret",
    ),
    entry(
        "bitnami.com",
        &["SealedSecret"],
        AsListed,
        &[("Synced", "False", Degraded), ("Synced", "True", Healthy)],
        "Waiting for Sealed Secret to be decrypted",
    ),
    entry(
        "camel.apache.org",
        &["Integration"],
        AsListed,
        READY,
        "Waiting for integration",
    ),
    entry(
        "argoproj.io",
        &["ApplicationSet"],
        AsRuled,
        &[
            ("ErrorOccurred", "True", Degraded),
            ("ResourcesUpToDate", "False", Degraded),
            ("RolloutProgressing", "True", Progressing),
            ("ResourcesUpToDate", "True", Healthy),
        ],
        "Waiting for the status to be reported",
    ),
    Entry {
        group: "argoproj.io",
        kinds: &["EventBus"],
        order: AsListed,
        rules: &[
            ("Deployed", "False", Degraded),
            ("Deployed", "True", Healthy),
        ],
        words: Words::MessageOrReason,
        waiting: "Waiting for initialization",
    },
];

pub(crate) fn assess(subject: &Subject<'_>) -> Option<Health> {
    let entry = TABLE
        .iter()
        .find(|entry| entry.group == subject.group && entry.kinds.contains(&subject.kind))?;
    if let Some(waiting) = subject.unobserved() {
        return Some(waiting);
    }
    let conditions = subject.view.conditions();
    let (condition, status) = decide(entry, &conditions).unzip();
    let (Some(condition), Some(status)) = (condition, status) else {
        return Some(progressing(entry.waiting));
    };
    if let Some(waiting) = unobserved_condition(subject, condition) {
        return Some(waiting);
    }
    let message = match entry.words {
        Words::MessageOrReason if condition.message.is_empty() => condition.reason,
        Words::Message | Words::MessageOrReason => condition.message,
    };
    Some(Health::new(status, message))
}

fn decide<'c, 'a>(
    entry: &Entry,
    conditions: &'c [Condition<'a>],
) -> Option<(&'c Condition<'a>, HealthStatus)> {
    let verdict = |condition: &'c Condition<'a>| {
        let rule = entry
            .rules
            .iter()
            .find(|(kind, status, _)| condition.is(kind, status))?;
        Some((condition, rule.2))
    };
    match entry.order {
        AsListed => conditions.iter().find_map(verdict),
        LastOnly => conditions.last().and_then(verdict),
        AsRuled => entry.rules.iter().find_map(|(kind, status, verdict)| {
            conditions
                .iter()
                .find(|condition| condition.is(kind, status))
                .map(|condition| (condition, *verdict))
        }),
    }
}

/// Some controllers note the generation in each condition.
pub(crate) fn unobserved_condition(
    subject: &Subject<'_>,
    condition: &Condition<'_>,
) -> Option<Health> {
    let (observed, generation) = (condition.observed_generation?, subject.view.generation()?);
    let stale = subject.precise() && observed < generation;
    stale.then(|| {
        progressing(format!(
            "waiting for generation {generation} to be observed (condition {} is at {observed})",
            condition.kind
        ))
    })
}

/// The rule of most controllers: `kind` True is Healthy, False Degraded, anything else Progressing.
pub(crate) fn by_condition(subject: &Subject<'_>, kind: &str, waiting: &str) -> Health {
    let conditions: Vec<Condition<'_>> = View::conditions(subject.view);
    let Some(condition) = conditions.iter().find(|condition| condition.kind == kind) else {
        return progressing(waiting);
    };
    if let Some(waiting) = unobserved_condition(subject, condition) {
        return waiting;
    }
    match condition.status {
        "True" => crate::verdict::healthy(condition.message),
        "False" => crate::verdict::degraded(condition.words()),
        _ => progressing(if condition.words().is_empty() {
            waiting.to_owned()
        } else {
            condition.words()
        }),
    }
}

//! A KafkaUser document: what it asks for and how that differs from a user at the brokers. Pure.
//!
//! Must not know: requests, secrets.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use tidegate_applier::{ApplierError, FieldChange};
use tidegate_manifest::ResourceKey;

use crate::acl::{self, Acl};
use crate::document::{Fields, invalid, quoted};

/// Quotas by their names in documents and at the brokers.
const QUOTAS: [(&str, &str); 4] = [
    ("producerByteRate", "producer_byte_rate"),
    ("consumerByteRate", "consumer_byte_rate"),
    ("requestPercentage", "request_percentage"),
    ("controllerMutationRate", "controller_mutation_rate"),
];
/// Shown in place of a password that is not the one of the Secret.
const ANOTHER: &str = "(another password)";

/// How a user proves who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// Not said: the rules and quotas are of the name.
    #[default]
    None,
    /// By the password in a Secret: its name and key.
    Scram(String, String),
    /// By a certificate that somebody else makes.
    TlsExternal,
}

/// What a document asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UserSpec {
    /// What Kafka calls the user.
    pub(crate) name: String,
    pub(crate) authentication: Authentication,
    pub(crate) acls: Option<BTreeSet<Acl>>,
    /// By the brokers' names.
    pub(crate) quotas: Option<BTreeMap<String, f64>>,
}

impl UserSpec {
    /// Reads a document.
    ///
    /// # Errors
    /// Something in it is no user, or is nothing that can be done without Strimzi.
    pub(crate) fn read(body: &Value, key: &ResourceKey) -> Result<Self, ApplierError> {
        let spec = Fields::of(body.get("spec"), ".spec")?;
        spec.only(&["authentication", "authorization", "quotas", "template"])?;
        let authentication = authentication(&spec)?;
        let name = match authentication {
            Authentication::TlsExternal => format!("CN={}", key.name),
            Authentication::None | Authentication::Scram(..) => key.name.clone(),
        };
        let acls = spec.get("authorization").map(acl::read).transpose()?;
        let quotas = Fields::of(spec.get("quotas"), ".spec.quotas")?;
        quotas.only(&QUOTAS.map(|(written, _)| written))?;
        let mut rates = BTreeMap::new();
        for (written, wire) in QUOTAS {
            if let Some(rate) = quotas.number(written)? {
                rates.insert(wire.to_owned(), rate);
            }
        }
        Ok(Self {
            name,
            authentication,
            acls,
            quotas: (!quotas.is_absent()).then_some(rates),
        })
    }

    /// The same from a document that was applied; what cannot be read is left out.
    pub(crate) fn remembered(body: &Value, key: &ResourceKey) -> Self {
        Self::read(body, key).unwrap_or_default()
    }

    /// How rules name the user.
    pub(crate) fn principal(name: &str) -> String {
        format!("User:{name}")
    }

    fn is_scram(&self) -> bool {
        matches!(self.authentication, Authentication::Scram(..))
    }
}

fn authentication(spec: &Fields<'_>) -> Result<Authentication, ApplierError> {
    let fields = Fields::of(spec.get("authentication"), ".spec.authentication")?;
    if fields.is_absent() {
        return Ok(Authentication::None);
    }
    let at = fields.path("type");
    match fields.text("type")? {
        Some("scram-sha-512") => {}
        Some("tls-external") => return Ok(Authentication::TlsExternal),
        Some("tls") => {
            return Err(invalid(
                format!(
                    "{at} is \"tls\": Strimzi makes the certificate of such a user, and no Strimzi serves this destination"
                ),
                "write tls-external and make the certificate yourself (its subject is CN=<name>), use scram-sha-512, or give the destination a cluster with Strimzi",
            ));
        }
        other => {
            return Err(invalid(
                format!("{at} is {}", quoted(other.unwrap_or_default())),
                "write scram-sha-512 or tls-external",
            ));
        }
    }
    fields.only(&["type", "password"])?;
    let password = Fields::of(fields.get("password"), &fields.path("password"))?;
    password.only(&["valueFrom"])?;
    let from = Fields::of(password.get("valueFrom"), &password.path("valueFrom"))?;
    from.only(&["secretKeyRef"])?;
    let secret = Fields::of(from.get("secretKeyRef"), &from.path("secretKeyRef"))?;
    secret.only(&["name", "key", "optional"])?;
    match (secret.text("name")?, secret.text("key")?) {
        (Some(name), Some(key)) => Ok(Authentication::Scram(name.to_owned(), key.to_owned())),
        _ => Err(invalid(
            format!(
                "{} says no Secret and key: Strimzi would make a password up, Tidegate does not",
                fields.path("password")
            ),
            "write password.valueFrom.secretKeyRef with name and key",
        )),
    }
}

/// A user as the brokers show it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LiveUser {
    /// It has a SCRAM-SHA-512 password.
    pub(crate) has_password: bool,
    pub(crate) acls: BTreeSet<Acl>,
    /// By the brokers' names.
    pub(crate) quotas: BTreeMap<String, f64>,
}

impl LiveUser {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// What is there, for a version.
    pub(crate) fn facts(&self) -> Value {
        let acls: Vec<String> = self.acls.iter().map(|acl| format!("{acl:?}")).collect();
        json!([self.has_password, acls, self.quotas])
    }
}

/// What is known of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Password {
    /// It is the one that was set last.
    Same,
    /// It is another one, or was never set.
    Other,
    /// Its Secret cannot be looked at now.
    Unknown,
}

/// What must be done so that a user is what a document asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UserChanges {
    pub(crate) set_password: bool,
    pub(crate) drop_password: bool,
    pub(crate) add: BTreeSet<Acl>,
    pub(crate) remove: BTreeSet<Acl>,
    pub(crate) quotas: BTreeMap<String, Option<f64>>,
}

impl UserChanges {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a user differs from what is wanted. A section that a document has is its own entirely, as with
/// Strimzi; of a section that it lost, what it had set is taken away.
pub(crate) fn compare(
    wanted: &UserSpec,
    before: Option<&UserSpec>,
    live: &LiveUser,
    password: Password,
) -> UserChanges {
    let mut changes = UserChanges::default();
    if wanted.is_scram() {
        changes.set_password = !live.has_password || password == Password::Other;
    } else {
        changes.drop_password = live.has_password && before.is_some_and(UserSpec::is_scram);
    }
    match (&wanted.acls, before.and_then(|spec| spec.acls.as_ref())) {
        (Some(acls), _) => {
            changes.add = acls.difference(&live.acls).cloned().collect();
            changes.remove = live.acls.difference(acls).cloned().collect();
        }
        (None, Some(last)) => changes.remove = live.acls.intersection(last).cloned().collect(),
        (None, None) => {}
    }
    match (&wanted.quotas, before.and_then(|spec| spec.quotas.as_ref())) {
        (Some(quotas), _) => {
            for (_, name) in QUOTAS {
                let (want, has) = (quotas.get(name), live.quotas.get(name));
                if want != has {
                    changes.quotas.insert(name.to_owned(), want.copied());
                }
            }
        }
        (None, Some(last)) => {
            let set = last.keys().filter(|name| live.quotas.contains_key(*name));
            changes.quotas = set.map(|name| (name.clone(), None)).collect();
        }
        (None, None) => {}
    }
    changes
}

/// A user as a spec: of the sections that its document has or had, what is there.
pub(crate) fn shown(
    live: &LiveUser,
    wanted: &Value,
    recorded: Option<&Value>,
    password: Password,
) -> Value {
    let documents: Vec<&Value> = [wanted].into_iter().chain(recorded).collect();
    let section = |name: &str| {
        let mut found = documents
            .iter()
            .filter_map(|doc| doc.get("spec")?.get(name));
        found.next()
    };
    let mut spec = Map::new();
    if let Some(template) = section("template") {
        spec.insert("template".to_owned(), template.clone());
    }
    if let Some(authentication) = section("authentication") {
        let is_scram = authentication.get("type") == Some(&json!("scram-sha-512"));
        let mut shown = authentication.clone();
        if is_scram && password == Password::Other {
            shown["password"] = json!(ANOTHER);
        }
        if live.has_password == is_scram && (is_scram || recorded.is_some()) {
            spec.insert("authentication".to_owned(), shown);
        }
    }
    let same_rules = |doc: &&&Value| {
        let rules = doc.get("spec").and_then(|spec| spec.get("authorization"));
        rules.is_some_and(|rules| acl::read(rules).is_ok_and(|rules| rules == live.acls))
    };
    if section("authorization").is_some() {
        let written = documents.iter().find(same_rules);
        let rules = written.map_or_else(
            || acl::written(&live.acls),
            |doc| doc["spec"]["authorization"].clone(),
        );
        spec.insert("authorization".to_owned(), rules);
    }
    if section("quotas").is_some() {
        let mut shown = Map::new();
        for (written, wire) in QUOTAS {
            let Some(rate) = live.quotas.get(wire) else {
                continue;
            };
            let as_written = documents
                .iter()
                .filter_map(|doc| doc.get("spec")?.get("quotas")?.get(written))
                .find(|value| value.as_f64() == Some(*rate));
            let value = as_written.cloned().unwrap_or_else(|| number(*rate));
            shown.insert(written.to_owned(), value);
        }
        spec.insert("quotas".to_owned(), Value::Object(shown));
    }
    Value::Object(spec)
}

/// Whole numbers without a point.
fn number(rate: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole and within 2^53"
    )]
    if rate.fract() == 0.0 && rate.abs() < 9e15 {
        return json!(rate as i64);
    }
    json!(rate)
}

/// Rule by rule instead of one list in place of another.
pub(crate) fn rule_changes(mut found: Vec<FieldChange>, changes: &UserChanges) -> Vec<FieldChange> {
    if changes.add.is_empty() && changes.remove.is_empty() {
        return found;
    }
    found.retain(|change| !change.path.starts_with(".spec.authorization"));
    let path = |acl: &Acl| format!(".spec.authorization.acls[{acl}]");
    found.extend(changes.add.iter().map(|acl| FieldChange {
        path: path(acl),
        before: None,
        after: Some(json!(acl.to_string())),
    }));
    found.extend(changes.remove.iter().map(|acl| FieldChange {
        path: path(acl),
        before: Some(json!(acl.to_string())),
        after: None,
    }));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// What a change puts at risk, for people.
pub(crate) fn risks(changes: &UserChanges, is_adopted: bool) -> Vec<String> {
    let mut risks = Vec::new();
    if changes.set_password && is_adopted {
        risks.push(
            "the user's password is set: clients that use the one before are refused from now on"
                .to_owned(),
        );
    }
    if changes.drop_password {
        risks.push(
            "the user's password is taken away: its clients are refused from now on".to_owned(),
        );
    }
    if !changes.remove.is_empty() {
        let rules: Vec<String> = changes
            .remove
            .iter()
            .take(5)
            .map(ToString::to_string)
            .collect();
        let more = changes.remove.len().saturating_sub(rules.len());
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        risks.push(format!("rules are taken away: {}{more}", rules.join("; ")));
    }
    risks
}

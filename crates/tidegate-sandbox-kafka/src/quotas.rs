//! Client quotas: DescribeClientQuotas, AlterClientQuotas. They are kept and told, not enforced.
//!
//! Must not know: who sends how much.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use kafka_protocol::messages::alter_client_quotas_request::{EntryData as Alteration, OpData};
use kafka_protocol::messages::alter_client_quotas_response::{
    EntityData as AlteredEntity, EntryData as Altered,
};
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
};

use crate::broker::{Hub, Refusal, State};
use crate::wire::{Call, Code, text};

/// Entity types that stand together, and the one that stands alone.
const CLIENTS: &[&str] = &["user", "client-id"];
const IP: &str = "ip";
/// Keys of clients (the first two are whole numbers), and of addresses.
const CLIENT_KEYS: &[&str] = &[
    "producer_byte_rate",
    "consumer_byte_rate",
    "request_percentage",
    "controller_mutation_rate",
];
const WHOLE: &[&str] = &[
    "producer_byte_rate",
    "consumer_byte_rate",
    "connection_creation_rate",
];
/// How far from a whole number a whole number may be.
const NEARLY: f64 = 1e-6;
const IP_KEYS: &[&str] = &["connection_creation_rate"];
/// How a component matches.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

/// Entity types with their names; `None` is the type's default.
pub(crate) type Entity = BTreeMap<String, Option<String>>;
/// Quotas by entity.
pub(crate) type Quotas = BTreeMap<Entity, BTreeMap<String, f64>>;

fn invalid(message: String) -> Refusal {
    Refusal::new(Code::InvalidRequest, message)
}

pub(crate) fn alter(
    hub: &Arc<Hub>,
    call: &Call,
    request: &AlterClientQuotasRequest,
) -> AlterClientQuotasResponse {
    let mut state = hub.state.lock();
    let mut results: IndexMap<Entity, Result<(), Refusal>> = IndexMap::new();
    for asked in &request.entries {
        let entity = entity(asked);
        let mut keys: Vec<&str> = asked.ops.iter().map(|op| op.key.as_str()).collect();
        keys.sort_unstable();
        let twice = keys.windows(2).any(|pair| pair[0] == pair[1]);
        let done = match call.fault {
            Some(fault) => Err(Refusal::new(fault, fault.to_string())),
            None if twice || results.contains_key(&entity) => Err(invalid(format!(
                "Ignoring duplicate entity ClientQuotaEntity(entries={{{}}})",
                written(&entity)
            ))),
            None => alter_one(hub, &mut state, &entity, &asked.ops, request.validate_only),
        };
        results.insert(entity, done);
    }
    let entries = results.into_iter().map(|(entity, done)| {
        let entity = entity.into_iter().map(|(kind, name)| {
            AlteredEntity::default()
                .with_entity_type(text(kind))
                .with_entity_name(name.map(text))
        });
        let entry = Altered::default().with_entity(entity.collect());
        match done {
            Ok(()) => entry.with_error_message(None),
            Err(refusal) => entry
                .with_error_code(refusal.code.code())
                .with_error_message(Some(text(refusal.message))),
        }
    });
    AlterClientQuotasResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_entries(entries.collect())
}

/// The entity that an alteration names; of a type that stands twice the last holds.
fn entity(asked: &Alteration) -> Entity {
    let parts = asked.entity.iter().map(|one| {
        let name = one.entity_name.as_ref().map(ToString::to_string);
        (one.entity_type.to_string(), name)
    });
    parts.collect()
}

fn written(entity: &Entity) -> String {
    let parts: Vec<String> = entity
        .iter()
        .map(|(kind, name)| format!("{kind}={}", name.as_deref().unwrap_or("null")))
        .collect();
    parts.join(", ")
}

fn alter_one(
    hub: &Hub,
    state: &mut State,
    entity: &Entity,
    ops: &[OpData],
    validate_only: bool,
) -> Result<(), Refusal> {
    if let Some((kind, _)) = entity.iter().find(|(_, name)| name.as_deref() == Some("")) {
        return Err(invalid(format!("Empty {kind} not supported")));
    }
    let keys = keys_of(entity)?;
    let mut values = state.quotas.get(entity).cloned().unwrap_or_default();
    for op in ops {
        if op.remove {
            values.remove(op.key.as_str());
            continue;
        }
        check_value(keys, &op.key, op.value)?;
        values.insert(op.key.to_string(), op.value);
    }
    if validate_only {
        return Ok(());
    }
    if values.is_empty() {
        state.quotas.remove(entity);
    } else if state.quotas.len() < hub.options.limits.entries || state.quotas.contains_key(entity) {
        state.quotas.insert(entity.clone(), values);
    } else {
        return Err(Refusal::new(
            Code::PolicyViolation,
            "the sandbox holds no more quotas",
        ));
    }
    Ok(())
}

fn check_value(keys: &[&str], key: &str, value: f64) -> Result<(), Refusal> {
    if !keys.contains(&key) {
        return Err(invalid(format!("Invalid configuration key {key}")));
    }
    if value <= 0.0 {
        return Err(invalid(format!("Quota {key} must be greater than 0")));
    }
    if !WHOLE.contains(&key) {
        return Ok(());
    }
    if value > i64::MAX as f64 {
        return Err(invalid(format!(
            "Proposed value for {key} is too large for a LONG."
        )));
    }
    // What is not a number is not fractional either.
    if (value - value.round()).abs() > NEARLY {
        return Err(invalid(format!("{key} cannot be a fractional value.")));
    }
    Ok(())
}

/// Makes these the only quotas of a user.
///
/// # Errors
/// What AlterClientQuotas refuses.
pub(crate) fn set_user(
    hub: &Hub,
    state: &mut State,
    user: &str,
    quotas: &BTreeMap<String, f64>,
) -> Result<(), Refusal> {
    let entity: Entity = [("user".to_owned(), Some(user.to_owned()))].into();
    let before = state.quotas.get(&entity).cloned().unwrap_or_default();
    let gone = before
        .keys()
        .filter(|key| !quotas.contains_key(*key))
        .map(|key| {
            OpData::default()
                .with_key(text(key.as_str()))
                .with_remove(true)
        });
    let set = quotas.iter().map(|(key, value)| {
        OpData::default()
            .with_key(text(key.as_str()))
            .with_value(*value)
    });
    let ops: Vec<OpData> = gone.chain(set).collect();
    alter_one(hub, state, &entity, &ops, false)
}

fn keys_of(entity: &Entity) -> Result<&'static [&'static str], Refusal> {
    if entity.is_empty() {
        return Err(invalid("Invalid empty client quota entity".to_owned()));
    }
    if let Some(unknown) = entity
        .keys()
        .find(|kind| !CLIENTS.contains(&kind.as_str()) && *kind != IP)
    {
        return Err(invalid(format!(
            "Unhandled client quota entity type: {unknown}"
        )));
    }
    if !entity.contains_key(IP) {
        return Ok(CLIENT_KEYS);
    }
    if entity.len() > 1 {
        return Err(invalid("Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId".to_owned()));
    }
    if let Some(Some(address)) = entity.get(IP)
        && address.parse::<std::net::IpAddr>().is_err()
    {
        return Err(invalid(format!(
            "{address} is not a valid IP or resolvable host."
        )));
    }
    Ok(IP_KEYS)
}

pub(crate) fn describe(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let answer = DescribeClientQuotasResponse::default().with_throttle_time_ms(call.throttle);
    let checked = match call.fault {
        Some(fault) => Err(Refusal::new(fault, fault.to_string())),
        None => check(&request.components),
    };
    if let Err(refusal) = checked {
        return answer
            .with_error_code(refusal.code.code())
            .with_error_message(Some(text(refusal.message)))
            .with_entries(None);
    }
    let state = hub.state.lock();
    let found = state.quotas.iter().filter(|(entity, _)| {
        let all = request
            .components
            .iter()
            .all(|component| matches(component, entity));
        all && (!request.strict || entity.len() == request.components.len())
    });
    let entries = found.map(|(entity, values)| {
        let entity = entity.iter().map(|(kind, name)| {
            EntityData::default()
                .with_entity_type(text(kind.as_str()))
                .with_entity_name(name.clone().map(text))
        });
        let values = values.iter().map(|(key, value)| {
            ValueData::default()
                .with_key(text(key.as_str()))
                .with_value(*value)
        });
        EntryData::default()
            .with_entity(entity.collect())
            .with_values(values.collect())
    });
    answer.with_entries(Some(entries.collect()))
}

fn check(components: &[ComponentData]) -> Result<(), Refusal> {
    let mut seen: Vec<&str> = Vec::new();
    for component in components {
        let kind = component.entity_type.as_str();
        if kind.is_empty() {
            return Err(invalid("Invalid empty entity type.".to_owned()));
        }
        if seen.contains(&kind) {
            return Err(invalid(format!(
                "Entity type {kind} cannot appear more than once in the filter."
            )));
        }
        if !CLIENTS.contains(&kind) && kind != IP {
            return Err(Refusal::new(
                Code::UnsupportedVersion,
                format!("Unsupported entity type {kind}"),
            ));
        }
        let named = component._match.is_some();
        match component.match_type {
            EXACT if !named => {
                return Err(invalid(
                    "Request specified MATCH_TYPE_EXACT, but set match string to null.".to_owned(),
                ));
            }
            DEFAULT if named => {
                return Err(invalid(
                    "Request specified MATCH_TYPE_DEFAULT, but also specified a match string."
                        .to_owned(),
                ));
            }
            SPECIFIED if named => {
                return Err(invalid(
                    "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string."
                        .to_owned(),
                ));
            }
            EXACT | DEFAULT | SPECIFIED => seen.push(kind),
            other => return Err(invalid(format!("Unknown match type {other}"))),
        }
    }
    if seen.contains(&IP) && seen.len() > 1 {
        return Err(invalid("Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.".to_owned()));
    }
    Ok(())
}

fn matches(component: &ComponentData, entity: &Entity) -> bool {
    let Some(name) = entity.get(component.entity_type.as_str()) else {
        return false;
    };
    match component.match_type {
        EXACT => name.as_deref() == component._match.as_deref(),
        DEFAULT => name.is_none(),
        _ => true,
    }
}

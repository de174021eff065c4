//! Client quotas: DescribeClientQuotas, AlterClientQuotas. They are kept and told, not enforced.
//!
//! Must not know: who sends how much.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::messages::alter_client_quotas_request::{
    EntityData as AskedEntity, EntryData as Alteration, OpData,
};
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
    let entries = request.entries.iter().map(|asked| {
        let done = match call.fault {
            Some(fault) => Err(Refusal::new(fault, fault.to_string())),
            None => alter_one(hub, &mut state, asked, request.validate_only),
        };
        let entity = asked.entity.iter().map(|one| {
            AlteredEntity::default()
                .with_entity_type(one.entity_type.clone())
                .with_entity_name(one.entity_name.clone())
        });
        let entry = Altered::default().with_entity(entity.collect());
        match done {
            Ok(()) => entry,
            Err(refusal) => entry
                .with_error_code(refusal.code.code())
                .with_error_message(Some(text(refusal.message))),
        }
    });
    AlterClientQuotasResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_entries(entries.collect())
}

fn alter_one(
    hub: &Hub,
    state: &mut State,
    asked: &Alteration,
    validate_only: bool,
) -> Result<(), Refusal> {
    let mut entity = Entity::new();
    for one in &asked.entity {
        let name = one.entity_name.as_ref().map(ToString::to_string);
        if name.as_deref() == Some("") {
            return Err(invalid(format!(
                "Empty {} is not supported",
                one.entity_type.as_str()
            )));
        }
        if entity.insert(one.entity_type.to_string(), name).is_some() {
            return Err(invalid("Invalid client quota entity".to_owned()));
        }
    }
    let keys = keys_of(&entity)?;
    let mut values = state.quotas.get(&entity).cloned().unwrap_or_default();
    for op in &asked.ops {
        let key = op.key.as_str();
        if !keys.contains(&key) {
            return Err(invalid(format!("Invalid configuration key {key}")));
        }
        if op.remove {
            values.remove(key);
            continue;
        }
        if !op.value.is_finite() || op.value <= 0.0 {
            return Err(invalid(format!("Quota {key} must be greater than 0")));
        }
        if WHOLE.contains(&key) && op.value.fract().abs() > f64::EPSILON {
            return Err(invalid(format!(
                "{key} must be an integer, but got {}",
                op.value
            )));
        }
        values.insert(key.to_owned(), op.value);
    }
    if validate_only {
        return Ok(());
    }
    if values.is_empty() {
        state.quotas.remove(&entity);
    } else if state.quotas.len() < hub.options.limits.entries || state.quotas.contains_key(&entity)
    {
        state.quotas.insert(entity, values);
    } else {
        return Err(Refusal::new(
            Code::PolicyViolation,
            "the sandbox holds no more quotas",
        ));
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
    let asked = Alteration::default()
        .with_entity(vec![
            AskedEntity::default()
                .with_entity_type(text("user"))
                .with_entity_name(Some(text(user))),
        ])
        .with_ops(gone.chain(set).collect());
    alter_one(hub, state, &asked, false)
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
        return Err(invalid("Invalid quota entity combination, ip entity should not be combined with other entities".to_owned()));
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
        if !CLIENTS.contains(&kind) && kind != IP {
            return Err(Refusal::new(
                Code::UnsupportedVersion,
                format!("Custom entity type '{kind}' not supported"),
            ));
        }
        if seen.contains(&kind) {
            return Err(invalid(format!(
                "Duplicate filter component entity type: {kind}"
            )));
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
        return Err(invalid("Invalid entity filter component combination, IP filter component should not be used with user or clientId filter component.".to_owned()));
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

//! One item put, read, changed or deleted.
//!
//! Must not know: queries, batches.

use serde_json::{Map, Value, json};

use super::expression::condition::holds;
use super::expression::projection::project;
use super::expression::update::apply;
use super::expression::{Action, Condition, Kind, Path, Step, Substitutions};
use super::expression::{parse_condition, parse_projection, parse_update};
use super::table::{ItemKey, Keys, LARGEST_ITEM, Table};
use super::value::{Attribute, Item, item_json, item_size, read_item};
use super::{Call, invalid, legacy};
use crate::refusal::{Refusal, refuse};

/// Bytes of a partition key's value.
const HASH_BYTES: usize = 2_048;
/// Bytes of a sort key's value.
const RANGE_BYTES: usize = 1_024;

/// The expressions of a write: what must hold, what to change.
pub(super) struct Write {
    pub(super) condition: Option<Condition>,
    pub(super) actions: Vec<Action>,
}

/// Reads the expressions of a write and its substitutions.
///
/// # Errors
/// DynamoDB's own words.
pub(super) fn read_write(input: &Value) -> Result<Write, Refusal> {
    let condition = input.get("ConditionExpression").and_then(Value::as_str);
    let update = input.get("UpdateExpression").and_then(Value::as_str);
    if let Some(write) = legacy::write(input, condition.is_some() || update.is_some())? {
        return Ok(write);
    }
    let any = condition.is_some() || update.is_some();
    let with = Substitutions::read(input, any).map_err(invalid)?;
    let actions = match update {
        Some(text) => parse_update(text, &with).map_err(invalid)?,
        None => Vec::new(),
    };
    let condition = match condition {
        Some(text) => Some(parse_condition(Kind::Condition, text, &with).map_err(invalid)?),
        None => None,
    };
    with.all_used().map_err(invalid)?;
    Ok(Write { condition, actions })
}

/// Reads the projection of a read.
///
/// # Errors
/// DynamoDB's own words.
pub(super) fn read_projection(input: &Value) -> Result<Option<Vec<Path>>, Refusal> {
    if let Some(list) = input.get("AttributesToGet").and_then(Value::as_array) {
        let names = list.iter().filter_map(Value::as_str);
        return Ok(Some(
            names
                .map(|name| Path(vec![Step::Name(name.to_owned())]))
                .collect(),
        ));
    }
    let text = input.get("ProjectionExpression").and_then(Value::as_str);
    let with = Substitutions::read(input, text.is_some()).map_err(invalid)?;
    let paths = match text {
        Some(text) => Some(parse_projection(text, &with).map_err(invalid)?),
        None => None,
    };
    with.all_used().map_err(invalid)?;
    Ok(paths)
}

/// Reads the key of an item: exactly the table's key attributes, of their types.
///
/// # Errors
/// DynamoDB's own words.
pub(super) fn read_key(table: &Table, value: &Value) -> Result<(ItemKey, Item), Refusal> {
    let given = read_item(value).map_err(invalid)?;
    let wanted = table.keys.names().count();
    let fits = given.len() == wanted
        && table.keys.names().all(|name| {
            given.get(name).is_some_and(|value| {
                table
                    .attributes
                    .get(name)
                    .is_some_and(|kind| kind == value.kind())
            })
        });
    if !fits {
        return Err(invalid(
            "The provided key element does not match the schema",
        ));
    }
    check_empty(&table.keys, &given)?;
    check_length(&table.keys, &given)?;
    let key = table
        .keys
        .key(&given)
        .ok_or_else(|| invalid("The provided key element does not match the schema"))?;
    Ok((key, given))
}

fn check_empty(keys: &Keys, item: &Item) -> Result<(), Refusal> {
    for name in keys.names() {
        let kind = match item.get(name) {
            Some(Attribute::Text(text)) if text.is_empty() => "string",
            Some(Attribute::Binary(bytes)) if bytes.is_empty() => "binary",
            _ => continue,
        };
        return Err(invalid(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute \
             cannot contain an empty {kind} value. Key: {name}"
        )));
    }
    Ok(())
}

/// Refuses key values that are longer than DynamoDB takes.
fn check_length(keys: &Keys, item: &Item) -> Result<(), Refusal> {
    let longer =
        |name: &String, limit: usize| item.get(name).is_some_and(|value| value.size() > limit);
    if longer(&keys.hash, HASH_BYTES) {
        return Err(invalid(format!(
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of{HASH_BYTES} bytes"
        )));
    }
    if keys
        .range
        .as_ref()
        .is_some_and(|range| longer(range, RANGE_BYTES))
    {
        return Err(invalid(format!(
            "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of {RANGE_BYTES} bytes"
        )));
    }
    Ok(())
}

/// Checks that an item can be stored: keys present and of their types, index keys of theirs, size.
///
/// # Errors
/// DynamoDB's own words.
pub(super) fn check_item(table: &Table, item: &Item) -> Result<ItemKey, Refusal> {
    for name in table.keys.names() {
        let Some(value) = item.get(name) else {
            return Err(invalid(format!(
                "One or more parameter values were invalid: Missing the key {name} in the item"
            )));
        };
        let wanted = table.attributes.get(name).map_or("S", String::as_str);
        if value.kind() != wanted {
            return Err(invalid(format!(
                "One or more parameter values were invalid: Type mismatch for key {name} expected: {wanted} actual: {}",
                value.kind()
            )));
        }
    }
    check_empty(&table.keys, item)?;
    check_length(&table.keys, item)?;
    for index in &table.indexes {
        check_length(&index.keys, item)?;
        for name in index.keys.names() {
            let Some(value) = item.get(name) else {
                continue;
            };
            let wanted = table.attributes.get(name).map_or("S", String::as_str);
            if value.kind() != wanted {
                return Err(invalid(format!(
                    "One or more parameter values were invalid: Type mismatch for Index Key {name} \
                     Expected: {wanted} Actual: {} IndexName: {}",
                    value.kind(),
                    index.name
                )));
            }
        }
        check_empty(&index.keys, item).map_err(|_| {
            invalid(format!(
                "One or more parameter values are not valid. A value specified for a secondary index key is not supported. \
                 The AttributeValue for a key attribute cannot contain an empty string value. IndexName: {}",
                index.name
            ))
        })?;
    }
    if item_size(item) > LARGEST_ITEM {
        return Err(invalid("Item size has exceeded the maximum allowed size"));
    }
    table
        .keys
        .key(item)
        .ok_or_else(|| invalid("The provided key element does not match the schema"))
}

/// Refuses unless the condition holds for the present item.
///
/// # Errors
/// `ConditionalCheckFailedException`, with the item when the caller asked for it.
pub(super) fn check_condition(
    condition: Option<&Condition>,
    present: Option<&Item>,
    input: &Value,
) -> Result<(), Refusal> {
    let Some(condition) = condition else {
        return Ok(());
    };
    let nothing = Item::new();
    if holds(condition, present.unwrap_or(&nothing)) {
        return Ok(());
    }
    let refused = refuse(
        "ConditionalCheckFailedException",
        "The conditional request failed",
    );
    match (
        input["ReturnValuesOnConditionCheckFailure"].as_str(),
        present,
    ) {
        (Some("ALL_OLD"), Some(item)) => Err(refused.with("Item", item_json(item))),
        _ => Err(refused),
    }
}

/// Refuses actions that would change a key attribute.
///
/// # Errors
/// DynamoDB's own words.
pub(super) fn check_actions(table: &Table, actions: &[Action]) -> Result<(), Refusal> {
    for action in actions {
        if table.keys.names().any(|name| name == action.path().root()) {
            return Err(invalid(format!(
                "One or more parameter values were invalid: Cannot update attribute {}. This attribute is part of the key",
                action.path().root()
            )));
        }
    }
    Ok(())
}

/// The item after an update of `present` (or of a new item with the key).
///
/// # Errors
/// DynamoDB's own words.
pub(super) fn updated(
    table: &Table,
    key: &Item,
    present: Option<&Item>,
    actions: &[Action],
) -> Result<Item, Refusal> {
    check_actions(table, actions)?;
    let before = present.unwrap_or(key);
    let next = apply(actions, before).map_err(invalid)?;
    check_item(table, &next).map_err(|refusal| {
        if refusal.message.starts_with("Item size") {
            invalid("Item size to update has exceeded the maximum allowed size")
        } else {
            refusal
        }
    })?;
    Ok(next)
}

/// Capacity units, when asked for.
pub(super) fn consumed(input: &Value, table: &str, units: f64) -> Option<Value> {
    match input["ReturnConsumedCapacity"].as_str() {
        Some("TOTAL") => Some(json!({"TableName": table, "CapacityUnits": units})),
        Some("INDEXES") => Some(json!({
            "TableName": table,
            "CapacityUnits": units,
            "Table": {"CapacityUnits": units},
        })),
        _ => None,
    }
}

/// Units that a write of so many bytes costs.
pub(super) fn write_units(bytes: usize) -> f64 {
    bytes.div_ceil(1_024).max(1) as f64
}

/// Units that a read of so many bytes costs.
pub(super) fn read_units(bytes: usize, consistent: bool) -> f64 {
    let whole = bytes.div_ceil(4_096).max(1) as f64;
    if consistent { whole } else { whole / 2.0 }
}

fn check_return_values(input: &Value, allowed: &[&str]) -> Result<(), Refusal> {
    match input["ReturnValues"].as_str() {
        Some(value) if !allowed.contains(&value) => {
            Err(invalid("Return values set to invalid value"))
        }
        _ => Ok(()),
    }
}

impl Call<'_> {
    pub(super) fn put_item(&mut self) -> Result<Value, Refusal> {
        self.room()?;
        let input = self.input;
        let now = self.scope.now;
        check_return_values(input, &["NONE", "ALL_OLD"])?;
        let write = read_write(input)?;
        let item = read_item(&input["Item"]).map_err(invalid)?;
        let table = self.data_table()?;
        let key = check_item(table, &item)?;
        check_condition(write.condition.as_ref(), table.items.get(&key), input)?;
        let units = write_units(item_size(&item));
        let old = table.store(key, item, now);
        let mut answer = Map::new();
        if let (Some("ALL_OLD"), Some(old)) = (input["ReturnValues"].as_str(), &old) {
            answer.insert("Attributes".into(), item_json(old));
        }
        if let Some(consumed) = consumed(input, &table.name, units) {
            answer.insert("ConsumedCapacity".into(), consumed);
        }
        Ok(Value::Object(answer))
    }

    pub(super) fn get_item(&mut self) -> Result<Value, Refusal> {
        let input = self.input;
        let projection = read_projection(input)?;
        let table = self.data_table()?;
        let (key, _) = read_key(table, &input["Key"])?;
        let mut answer = Map::new();
        let mut bytes = 0;
        if let Some(item) = table.items.get(&key) {
            bytes = item_size(item);
            let shown = match &projection {
                Some(paths) => item_json(&project(paths, item)),
                None => item_json(item),
            };
            answer.insert("Item".into(), shown);
        }
        let units = read_units(bytes, input["ConsistentRead"].as_bool() == Some(true));
        if let Some(consumed) = consumed(input, &table.name, units) {
            answer.insert("ConsumedCapacity".into(), consumed);
        }
        Ok(Value::Object(answer))
    }

    pub(super) fn delete_item(&mut self) -> Result<Value, Refusal> {
        let input = self.input;
        let now = self.scope.now;
        check_return_values(input, &["NONE", "ALL_OLD"])?;
        let write = read_write(input)?;
        let table = self.data_table()?;
        let (key, _) = read_key(table, &input["Key"])?;
        check_condition(write.condition.as_ref(), table.items.get(&key), input)?;
        let old = table.remove(&key, now, false);
        let mut answer = Map::new();
        if let (Some("ALL_OLD"), Some(old)) = (input["ReturnValues"].as_str(), &old) {
            answer.insert("Attributes".into(), item_json(old));
        }
        let units = write_units(old.as_ref().map_or(0, item_size));
        if let Some(consumed) = consumed(input, &table.name, units) {
            answer.insert("ConsumedCapacity".into(), consumed);
        }
        Ok(Value::Object(answer))
    }

    pub(super) fn update_item(&mut self) -> Result<Value, Refusal> {
        self.room()?;
        let input = self.input;
        let now = self.scope.now;
        let write = read_write(input)?;
        let table = self.data_table()?;
        let (key, key_item) = read_key(table, &input["Key"])?;
        let present = table.items.get(&key).cloned();
        check_actions(table, &write.actions)?;
        check_condition(write.condition.as_ref(), present.as_ref(), input)?;
        let next = updated(table, &key_item, present.as_ref(), &write.actions)?;
        let units = write_units(item_size(&next));
        table.store(key, next.clone(), now);
        let mut answer = Map::new();
        let paths: Vec<Path> = write
            .actions
            .iter()
            .map(|action| action.path().clone())
            .collect();
        let shown = match input["ReturnValues"].as_str() {
            Some("ALL_OLD") => present,
            Some("ALL_NEW") => Some(next),
            Some("UPDATED_OLD") => present.map(|old| project(&paths, &old)),
            Some("UPDATED_NEW") => Some(project(&paths, &next)),
            _ => None,
        };
        if let Some(shown) = shown.filter(|shown| !shown.is_empty()) {
            answer.insert("Attributes".into(), item_json(&shown));
        }
        if let Some(consumed) = consumed(input, &table.name, units) {
            answer.insert("ConsumedCapacity".into(), consumed);
        }
        Ok(Value::Object(answer))
    }
}

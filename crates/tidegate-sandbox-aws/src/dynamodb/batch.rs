//! BatchWriteItem and BatchGetItem.
//!
//! Must not know: conditions, transactions.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::expression::projection::project;
use super::items::{check_item, consumed, read_key, read_projection, read_units, write_units};
use super::table::ItemKey;
use super::value::{Item, item_json, item_size, read_item};
use super::{Call, invalid};
use crate::refusal::Refusal;

/// Writes of one request.
const WRITES: usize = 25;
/// Keys of one request.
const READS: usize = 100;
/// Bytes of one answer.
const READ_BYTES: usize = 16 << 20;

enum Change {
    Put(Item),
    Delete,
}

impl Call<'_> {
    pub(super) fn batch_write(&mut self) -> Result<Value, Refusal> {
        self.room()?;
        let input = self.input;
        let now = self.scope.now;
        let requests = input["RequestItems"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let total: usize = requests
            .values()
            .map(|list| list.as_array().map_or(0, Vec::len))
            .sum();
        if total > WRITES {
            return Err(invalid(
                "Too many items requested for the BatchWriteItem call",
            ));
        }
        if total == 0 {
            return Err(invalid(
                "The batch write request list for a table cannot be null or empty",
            ));
        }
        let mut changes: Vec<(String, ItemKey, Change)> = Vec::new();
        for (name, list) in &requests {
            let table = self.tables.data_table(name)?;
            let mut seen = BTreeSet::new();
            for request in list.as_array().into_iter().flatten() {
                let (key, change) = match (request.get("PutRequest"), request.get("DeleteRequest"))
                {
                    (Some(put), None) => {
                        let item = read_item(&put["Item"]).map_err(invalid)?;
                        (check_item(table, &item)?, Change::Put(item))
                    }
                    (None, Some(delete)) => (read_key(table, &delete["Key"])?.0, Change::Delete),
                    _ => {
                        return Err(invalid(
                            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
                        ));
                    }
                };
                if !seen.insert(key.clone()) {
                    return Err(invalid("Provided list of item keys contains duplicates"));
                }
                changes.push((name.clone(), key, change));
            }
        }
        let mut units: Map<String, Value> = Map::new();
        for (name, key, change) in changes {
            let table = self.tables.data_table(&name)?;
            let cost = match change {
                Change::Put(item) => {
                    let cost = write_units(item_size(&item));
                    table.store(key, item, now);
                    cost
                }
                Change::Delete => {
                    write_units(table.remove(&key, now, false).as_ref().map_or(0, item_size))
                }
            };
            let before = units
                .get(&table.name)
                .and_then(Value::as_f64)
                .unwrap_or(0.0);
            units.insert(table.name.clone(), json!(before + cost));
        }
        let mut answer = json!({"UnprocessedItems": {}});
        add_consumed(&mut answer, input, &units);
        Ok(answer)
    }

    pub(super) fn batch_get(&mut self) -> Result<Value, Refusal> {
        let input = self.input;
        let requests = input["RequestItems"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let total: usize = requests
            .values()
            .map(|request| request["Keys"].as_array().map_or(0, Vec::len))
            .sum();
        if total > READS {
            return Err(invalid(
                "Too many items requested for the BatchGetItem call",
            ));
        }
        let mut responses = Map::new();
        let mut unprocessed = Map::new();
        let mut units = Map::new();
        let mut bytes = 0;
        for (name, request) in &requests {
            let projection = read_projection(request)?;
            let consistent = request["ConsistentRead"].as_bool() == Some(true);
            let table = self.tables.data_table(name)?;
            let mut seen = BTreeSet::new();
            let mut found = Vec::new();
            let mut left = Vec::new();
            let mut cost = 0.0;
            for key in request["Keys"].as_array().into_iter().flatten() {
                let (place, _) = read_key(table, key)?;
                if !seen.insert(place.clone()) {
                    return Err(invalid("Provided list of item keys contains duplicates"));
                }
                if bytes > READ_BYTES {
                    left.push(key.clone());
                    continue;
                }
                let Some(item) = table.items.get(&place) else {
                    cost += read_units(0, consistent);
                    continue;
                };
                bytes += item_size(item);
                cost += read_units(item_size(item), consistent);
                found.push(match &projection {
                    Some(paths) => item_json(&project(paths, item)),
                    None => item_json(item),
                });
            }
            units.insert(table.name.clone(), json!(cost));
            responses.insert(name.clone(), json!(found));
            if !left.is_empty() {
                let mut again = request.clone();
                again["Keys"] = json!(left);
                unprocessed.insert(name.clone(), again);
            }
        }
        let mut answer = json!({"Responses": responses, "UnprocessedKeys": unprocessed});
        add_consumed(&mut answer, input, &units);
        Ok(answer)
    }
}

/// Adds the capacity of every table, when asked for.
pub(super) fn add_consumed(answer: &mut Value, input: &Value, units: &Map<String, Value>) {
    let all: Vec<Value> = units
        .iter()
        .filter_map(|(name, units)| consumed(input, name, units.as_f64().unwrap_or(0.0)))
        .collect();
    if !all.is_empty() {
        answer["ConsumedCapacity"] = json!(all);
    }
}

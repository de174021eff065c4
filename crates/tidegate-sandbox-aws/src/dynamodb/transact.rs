//! TransactWriteItems and TransactGetItems: all or nothing, with the reason of each part.
//!
//! Must not know: batches, queries.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::expression::projection::project;
use super::items::{
    check_condition, check_item, read_key, read_projection, read_units, read_write, updated,
    write_units,
};
use super::table::ItemKey;
use super::value::{Item, item_json, item_size, read_item};
use super::{Call, TOKENS, invalid};
use crate::refusal::{Refusal, refuse};

/// Parts of one transaction.
const PARTS: usize = 100;
/// Minutes that a client token is remembered.
const TOKEN_MINUTES: i64 = 10;

/// What a part does once all conditions hold.
enum Effect {
    Store(Item),
    Remove,
    Nothing,
}

struct Part {
    table: String,
    key: ItemKey,
    effect: Effect,
}

impl Call<'_> {
    pub(super) fn transact_write(&mut self) -> Result<Value, Refusal> {
        self.room()?;
        let input = self.input;
        let now = self.scope.now;
        if self.repeated()? {
            return Ok(json!({}));
        }
        let parts = input["TransactItems"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        check_count(parts.len())?;
        let mut seen = BTreeSet::new();
        let mut planned = Vec::new();
        let mut reasons = Vec::new();
        let mut failed = false;
        for part in parts {
            let (kind, body) = single(part)?;
            let name = super::table_name(body["TableName"].as_str().unwrap_or("")).to_owned();
            let key = self.part_key(kind, body)?;
            if !seen.insert((name.clone(), key.clone())) {
                return Err(invalid(
                    "Transaction request cannot include multiple operations on one item",
                ));
            }
            match self.plan(kind, body, &name, &key) {
                Ok(effect) => {
                    reasons.push(json!({"Code": "None"}));
                    planned.push(Part {
                        table: name,
                        key,
                        effect,
                    });
                }
                Err(refusal) if refusal.code == "ConditionalCheckFailedException" => {
                    failed = true;
                    let mut reason = json!({
                        "Code": "ConditionalCheckFailed",
                        "Message": refusal.message,
                    });
                    if let Some(item) = refusal.extra.get("Item") {
                        reason["Item"] = item.clone();
                    }
                    reasons.push(reason);
                }
                Err(refusal) => return Err(refusal),
            }
        }
        if failed {
            return Err(cancelled(reasons));
        }
        let mut units = Map::new();
        for part in planned {
            let table = self.tables.data_table(&part.table)?;
            let cost = match part.effect {
                Effect::Store(item) => {
                    let cost = write_units(item_size(&item));
                    table.store(part.key, item, now);
                    cost
                }
                Effect::Remove => write_units(
                    table
                        .remove(&part.key, now, false)
                        .as_ref()
                        .map_or(0, item_size),
                ),
                Effect::Nothing => 1.0,
            };
            let before = units
                .get(&part.table)
                .and_then(Value::as_f64)
                .unwrap_or(0.0);
            units.insert(part.table, json!(before + 2.0 * cost));
        }
        self.remember();
        let mut answer = json!({});
        super::batch::add_consumed(&mut answer, input, &units);
        Ok(answer)
    }

    fn part_key(&mut self, kind: &str, body: &Value) -> Result<ItemKey, Refusal> {
        let name = body["TableName"].as_str().unwrap_or("").to_owned();
        let table = self.tables.data_table(&name)?;
        if kind == "Put" {
            let item = read_item(&body["Item"]).map_err(invalid)?;
            return check_item(table, &item);
        }
        Ok(read_key(table, &body["Key"])?.0)
    }

    fn plan(
        &mut self,
        kind: &str,
        body: &Value,
        name: &str,
        key: &ItemKey,
    ) -> Result<Effect, Refusal> {
        let write = read_write(body)?;
        let table = self.tables.data_table(name)?;
        let present = table.items.get(key);
        check_condition(write.condition.as_ref(), present, body)?;
        Ok(match kind {
            "Put" => Effect::Store(read_item(&body["Item"]).map_err(invalid)?),
            "Update" => {
                let (_, key_item) = read_key(table, &body["Key"])?;
                Effect::Store(updated(table, &key_item, present, &write.actions)?)
            }
            "Delete" => Effect::Remove,
            _ => Effect::Nothing,
        })
    }

    pub(super) fn transact_get(&mut self) -> Result<Value, Refusal> {
        let input = self.input;
        let parts = input["TransactItems"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        check_count(parts.len())?;
        let mut responses = Vec::new();
        let mut units = Map::new();
        for part in parts {
            let body = &part["Get"];
            let projection = read_projection(body)?;
            let name = body["TableName"].as_str().unwrap_or("").to_owned();
            let table = self.tables.data_table(&name)?;
            let (key, _) = read_key(table, &body["Key"])?;
            let item = table.items.get(&key);
            let cost = 2.0 * read_units(item.map_or(0, item_size), true);
            let before = units.get(&name).and_then(Value::as_f64).unwrap_or(0.0);
            responses.push(match (item, &projection) {
                (Some(item), Some(paths)) => json!({"Item": item_json(&project(paths, item))}),
                (Some(item), None) => json!({"Item": item_json(item)}),
                (None, _) => json!({}),
            });
            units.insert(name, json!(before + cost));
        }
        let mut answer = json!({"Responses": responses});
        super::batch::add_consumed(&mut answer, input, &units);
        Ok(answer)
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.input["TransactItems"].to_string().hash(&mut hasher);
        hasher.finish()
    }

    /// Was this transaction already done under the same client token?
    fn repeated(&mut self) -> Result<bool, Refusal> {
        let horizon = self
            .scope
            .now
            .checked_sub(SignedDuration::from_mins(TOKEN_MINUTES))
            .unwrap_or(self.scope.now);
        self.tables.tokens.retain(|(_, _, at)| *at > horizon);
        let Some(token) = self.text("ClientRequestToken") else {
            return Ok(false);
        };
        let digest = self.digest();
        match self
            .tables
            .tokens
            .iter()
            .find(|(known, _, _)| known == token)
        {
            Some((_, known, _)) if *known == digest => Ok(true),
            Some(_) => Err(refuse(
                "IdempotentParameterMismatchException",
                "The request uses the same client token as a previous, but non-identical request.",
            )),
            None => Ok(false),
        }
    }

    fn remember(&mut self) {
        let Some(token) = self.text("ClientRequestToken").map(str::to_owned) else {
            return;
        };
        let digest = self.digest();
        if self.tables.tokens.len() >= TOKENS {
            self.tables.tokens.pop_front();
        }
        self.tables
            .tokens
            .push_back((token, digest, self.scope.now));
    }
}

fn check_count(count: usize) -> Result<(), Refusal> {
    if (1..=PARTS).contains(&count) {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: \
         Member must have length less than or equal to {PARTS}"
    )))
}

fn single(part: &Value) -> Result<(&str, &Value), Refusal> {
    let mut kinds = part.as_object().into_iter().flatten();
    match (kinds.next(), kinds.next()) {
        (Some((kind, body)), None)
            if matches!(
                kind.as_str(),
                "Put" | "Update" | "Delete" | "ConditionCheck"
            ) =>
        {
            Ok((kind, body))
        }
        _ => Err(invalid(
            "TransactItems can only contain one of Check, Put, Update or Delete",
        )),
    }
}

fn cancelled(reasons: Vec<Value>) -> Refusal {
    let codes: Vec<&str> = reasons
        .iter()
        .filter_map(|reason| reason["Code"].as_str())
        .collect();
    refuse(
        "TransactionCanceledException",
        format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        ),
    )
    .with("CancellationReasons", Value::Array(reasons))
}

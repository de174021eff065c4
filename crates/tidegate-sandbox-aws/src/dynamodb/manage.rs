//! Tables made, described, changed and deleted.
//!
//! Must not know: items.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::stream::Log;
use super::table::{Index, IndexState, Keys, Status, Table};
use super::{Call, TABLES, invalid};
use crate::refusal::{Refusal, refuse};

/// Global secondary indexes of a table.
const GLOBAL: usize = 20;
/// Local secondary indexes of a table.
const LOCAL: usize = 5;

fn in_use(words: String) -> Refusal {
    refuse("ResourceInUseException", words)
}

fn bad_parameter(words: &str) -> Refusal {
    invalid(format!(
        "One or more parameter values were invalid: {words}"
    ))
}

/// Checks the form of a table's or an index's name.
fn check_name(name: &str) -> Result<(), Refusal> {
    let letters = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if (3..=255).contains(&name.len()) && letters {
        return Ok(());
    }
    Err(invalid(
        "Invalid table/index name.  Table/index names must be between 3 and 255 characters long, \
         and may contain only the characters a-z, A-Z, 0-9, '_', '-', and '.'",
    ))
}

fn read_keys(schema: &Value) -> Result<Keys, Refusal> {
    let elements = schema.as_array().map_or(&[][..], Vec::as_slice);
    let part = |index: usize, kind: &str, position: &str| -> Result<Option<String>, Refusal> {
        let Some(element) = elements.get(index) else {
            return Ok(None);
        };
        if element["KeyType"].as_str() != Some(kind) {
            return Err(invalid(format!(
                "Invalid KeySchema: The {position} KeySchemaElement is not a {kind} key type"
            )));
        }
        Ok(element["AttributeName"].as_str().map(str::to_owned))
    };
    let hash = part(0, "HASH", "first")?.ok_or_else(|| {
        invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    })?;
    let range = part(1, "RANGE", "second")?;
    if elements.len() > 2 {
        return Err(invalid(
            "Invalid KeySchema: a key schema has one or two elements",
        ));
    }
    if range.as_ref() == Some(&hash) {
        return Err(invalid(
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
        ));
    }
    Ok(Keys { hash, range })
}

fn read_throughput(value: &Value) -> Option<(i64, i64)> {
    Some((
        value["ReadCapacityUnits"].as_i64()?,
        value["WriteCapacityUnits"].as_i64()?,
    ))
}

fn read_index(value: &Value, global: bool, state: IndexState) -> Result<Index, Refusal> {
    let name = value["IndexName"].as_str().unwrap_or("").to_owned();
    check_name(&name)?;
    let projection = value["Projection"]["ProjectionType"].as_str().unwrap_or("");
    let include: Vec<String> = value["Projection"]["NonKeyAttributes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    match (projection, include.is_empty()) {
        ("", _) => return Err(bad_parameter("Unknown ProjectionType: null")),
        ("INCLUDE", true) => {
            return Err(bad_parameter(
                "ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
            ));
        }
        ("ALL" | "KEYS_ONLY", false) => {
            return Err(bad_parameter(&format!(
                "ProjectionType is {projection}, but NonKeyAttributes is specified"
            )));
        }
        _ => {}
    }
    Ok(Index {
        keys: read_keys(&value["KeySchema"])?,
        name,
        global,
        projection: projection.to_owned(),
        include,
        throughput: read_throughput(&value["ProvisionedThroughput"]),
        on_demand: value.get("OnDemandThroughput").cloned(),
        state,
    })
}

fn read_attributes(value: &Value) -> BTreeMap<String, String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|definition| {
            Some((
                definition["AttributeName"].as_str()?.to_owned(),
                definition["AttributeType"].as_str()?.to_owned(),
            ))
        })
        .collect()
}

/// The definitions must be those of the keys, no fewer and no more.
fn check_attributes(
    attributes: &BTreeMap<String, String>,
    keys: &Keys,
    indexes: &[Index],
) -> Result<(), Refusal> {
    let mut needed: BTreeSet<&String> = keys.names().collect();
    let shown = |names: Vec<&String>| {
        names
            .into_iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let defined = shown(attributes.keys().collect());
    if keys.names().any(|name| !attributes.contains_key(name)) {
        return Err(bad_parameter(&format!(
            "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], AttributeDefinitions: [{defined}]",
            shown(keys.names().collect())
        )));
    }
    for index in indexes {
        if index
            .keys
            .names()
            .any(|name| !attributes.contains_key(name))
        {
            return Err(bad_parameter(&format!(
                "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], AttributeDefinitions: [{defined}]",
                shown(index.keys.names().collect())
            )));
        }
        needed.extend(index.keys.names());
    }
    if needed.len() == attributes.len() {
        return Ok(());
    }
    if indexes.is_empty() {
        return Err(bad_parameter(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
        ));
    }
    Err(bad_parameter(&format!(
        "Some AttributeDefinitions are not used. AttributeDefinitions: [{defined}], keys used: [{}]",
        shown(needed.into_iter().collect())
    )))
}

fn check_indexes(indexes: &[Index], keys: &Keys) -> Result<(), Refusal> {
    let mut names = BTreeSet::new();
    for index in indexes {
        if !names.insert(&index.name) {
            return Err(bad_parameter(&format!(
                "Duplicate index name: {}",
                index.name
            )));
        }
        if index.global {
            continue;
        }
        if keys.range.is_none() {
            return Err(bad_parameter(
                "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
            ));
        }
        if index.keys.hash != keys.hash {
            return Err(bad_parameter(&format!(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: {}. \
                 index hash key: {}, table hash key: {}",
                index.name, index.keys.hash, keys.hash
            )));
        }
        if index.keys.range.is_none() {
            return Err(bad_parameter(&format!(
                "Index KeySchema does not have a range key for index: {}",
                index.name
            )));
        }
    }
    let global = indexes.iter().filter(|index| index.global).count();
    if global > GLOBAL {
        return Err(bad_parameter(
            "GlobalSecondaryIndex count exceeds the per-table limit of 20",
        ));
    }
    if indexes.len() - global > LOCAL {
        return Err(bad_parameter(
            "Number of LocalSecondaryIndexes exceeds per-table limit of 5",
        ));
    }
    Ok(())
}

impl Call<'_> {
    pub(super) fn create_table(&mut self) -> Result<Value, Refusal> {
        let input = self.input;
        let name = super::table_name(self.text("TableName").unwrap_or("")).to_owned();
        check_name(&name)?;
        let keys = read_keys(&input["KeySchema"])?;
        let attributes = read_attributes(&input["AttributeDefinitions"]);
        let mut indexes = Vec::new();
        for (field, global) in [
            ("GlobalSecondaryIndexes", true),
            ("LocalSecondaryIndexes", false),
        ] {
            let Some(list) = input.get(field).and_then(Value::as_array) else {
                continue;
            };
            if list.is_empty() {
                return Err(bad_parameter(&format!("List of {field} is empty")));
            }
            for index in list {
                indexes.push(read_index(index, global, IndexState::Active)?);
            }
        }
        check_indexes(&indexes, &keys)?;
        check_attributes(&attributes, &keys, &indexes)?;
        let on_demand = self.text("BillingMode") == Some("PAY_PER_REQUEST");
        let throughput = read_throughput(&input["ProvisionedThroughput"]);
        check_billing(on_demand, throughput.is_some())?;
        if !on_demand
            && let Some(index) = indexes
                .iter()
                .find(|index| index.global && index.throughput.is_none())
        {
            return Err(bad_parameter(&format!(
                "ProvisionedThroughput must be specified for index: {}",
                index.name
            )));
        }
        if self.tables.tables.contains_key(&name) {
            return Err(in_use(format!("Table already exists: {name}")));
        }
        if self.tables.tables.len() >= TABLES {
            return Err(refuse(
                "LimitExceededException",
                format!(
                    "Subscriber limit exceeded: the sandbox keeps at most {TABLES} tables in a region"
                ),
            ));
        }
        let arn = self.scope.arn("dynamodb", &format!("table/{name}"));
        let tags = super::settings::read_tags(&input["Tags"])?;
        let mut table = Table {
            id: self.scope.uuid(&arn),
            log: None,
            status: Status::Creating,
            due: Some(self.due()),
            created: self.scope.now,
            keys,
            attributes,
            indexes,
            on_demand,
            billed: on_demand,
            throughput: throughput.unwrap_or((0, 0)),
            on_demand_limits: input.get("OnDemandThroughput").cloned(),
            warm: input.get("WarmThroughput").cloned(),
            class: self.text("TableClass").map(str::to_owned),
            encryption: self.encryption(),
            protected: input["DeletionProtectionEnabled"].as_bool() == Some(true),
            time_to_live: None,
            recovery: None,
            tags,
            policy: self
                .text("ResourcePolicy")
                .map(|policy| (policy.to_owned(), self.scope.uuid(policy))),
            items: BTreeMap::new(),
            item_bytes: 0,
            weight: 0,
            swept: 0,
            arn,
            name: name.clone(),
        };
        self.apply_stream(&mut table)?;
        let described = table.describe();
        self.tables.tables.insert(name, table);
        Ok(json!({"TableDescription": described}))
    }

    fn encryption(&self) -> Option<Value> {
        let specification = self.input.get("SSESpecification")?;
        if specification["Enabled"].as_bool() != Some(true) {
            return None;
        }
        let key = match specification["KMSMasterKeyId"].as_str() {
            Some(key) if key.starts_with("arn:") => key.to_owned(),
            Some(key) => self.scope.arn("kms", &format!("key/{key}")),
            None => self
                .scope
                .arn("kms", &format!("key/{}", self.scope.uuid("aws/dynamodb"))),
        };
        Some(json!({"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key}))
    }

    /// Enables or disables the stream as the request says.
    fn apply_stream(&self, table: &mut Table) -> Result<(), Refusal> {
        let Some(specification) = self
            .input
            .get("StreamSpecification")
            .filter(|s| s.is_object())
        else {
            return Ok(());
        };
        let view = specification["StreamViewType"].as_str();
        let enabled = table.log.as_ref().is_some_and(|log| log.enabled);
        match (specification["StreamEnabled"].as_bool(), view) {
            (Some(true), None) => Err(bad_parameter(
                "Invalid value for StreamViewType: it is required when the stream is enabled",
            )),
            (Some(true), Some(_)) if enabled => Err(invalid(format!(
                "Table already has an enabled stream: TableName: {}",
                table.name
            ))),
            (Some(true), Some(view)) => {
                table.log = Some(Log::new(&table.arn, view, self.scope));
                Ok(())
            }
            (_, Some(_)) => Err(bad_parameter(
                "Table is being created or updated with StreamViewType but StreamEnabled is false",
            )),
            _ if table.status == Status::Creating => Ok(()),
            _ => match &mut table.log {
                Some(log) if log.enabled => {
                    log.enabled = false;
                    Ok(())
                }
                _ => Err(invalid(format!(
                    "Table has no stream to disable: TableName: {}",
                    table.name
                ))),
            },
        }
    }

    pub(super) fn delete_table(&mut self) -> Result<Value, Refusal> {
        let due = self.due();
        let table = self.table()?;
        let busy = match table.status {
            Status::Active => None,
            Status::Creating => Some("created"),
            Status::Updating => Some("updated"),
            Status::Deleting => Some("deleted"),
        };
        if let Some(doing) = busy {
            return Err(in_use(format!(
                "Attempt to change a resource which is still in use: Table is being {doing}: {}",
                table.name
            )));
        }
        if table.protected {
            return Err(invalid(format!(
                "1 validation error detected: Table '{}' can't be deleted while DeletionProtectionEnabled is set to True",
                table.name
            )));
        }
        table.status = Status::Deleting;
        table.due = Some(due);
        table.items.clear();
        table.item_bytes = 0;
        table.weight = 0;
        let mut described = table.describe();
        for field in ["KeySchema", "AttributeDefinitions", "CreationDateTime"] {
            if let Some(map) = described.as_object_mut() {
                map.remove(field);
            }
        }
        Ok(json!({"TableDescription": described}))
    }

    pub(super) fn describe_table(&mut self) -> Result<Value, Refusal> {
        Ok(json!({"Table": self.table()?.describe()}))
    }

    pub(super) fn list_tables(&mut self) -> Value {
        let limit = self.input["Limit"]
            .as_u64()
            .map_or(100, |limit| limit.clamp(1, 100));
        let limit = usize::try_from(limit).unwrap_or(100);
        let after = self.text("ExclusiveStartTableName");
        let mut names: Vec<&String> = self
            .tables
            .tables
            .keys()
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .collect();
        let more = names.len() > limit;
        names.truncate(limit);
        let mut answer = json!({"TableNames": names});
        if more && let Some(last) = names.last() {
            answer["LastEvaluatedTableName"] = json!(last);
        }
        answer
    }

    pub(super) fn update_table(&mut self) -> Result<Value, Refusal> {
        let due = self.due();
        let input = self.input;
        let encryption = self.encryption();
        let name = super::table_name(self.text("TableName").unwrap_or("")).to_owned();
        let mut table = self.table()?.clone();
        if table.status != Status::Active {
            let doing = if table.status == Status::Creating {
                "created"
            } else {
                "updated"
            };
            return Err(in_use(format!(
                "Attempt to change a resource which is still in use: Table is being {doing}: {name}"
            )));
        }
        let mut changed = false;
        if let Some(mode) = input["BillingMode"].as_str() {
            let on_demand = mode == "PAY_PER_REQUEST";
            check_billing(on_demand, input.get("ProvisionedThroughput").is_some())?;
            changed |= on_demand != table.on_demand;
            table.on_demand = on_demand;
            table.billed = true;
            if on_demand {
                table.throughput = (0, 0);
            }
        }
        if let Some(throughput) = read_throughput(&input["ProvisionedThroughput"]) {
            if table.on_demand {
                return Err(bad_parameter(
                    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
                ));
            }
            if throughput == table.throughput
                && input.get("BillingMode").is_none()
                && input.get("GlobalSecondaryIndexUpdates").is_none()
            {
                return Err(invalid(format!(
                    "The provisioned throughput for the table will not change. The requested value equals the current value. \
                     Current ReadCapacityUnits provisioned for the table: {}. Requested ReadCapacityUnits: {}. \
                     Current WriteCapacityUnits provisioned for the table: {}. Requested WriteCapacityUnits: {}. \
                     Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
                    table.throughput.0, throughput.0, table.throughput.1, throughput.1
                )));
            }
            table.throughput = throughput;
            changed = true;
        }
        for (name, kind) in read_attributes(&input["AttributeDefinitions"]) {
            table.attributes.insert(name, kind);
        }
        if let Some(updates) = input["GlobalSecondaryIndexUpdates"].as_array() {
            update_indexes(&mut table, updates, due)?;
            changed = true;
        }
        if input.get("StreamSpecification").is_some() {
            self.apply_stream(&mut table)?;
            changed = true;
        }
        if let Some(specification) = input.get("SSESpecification") {
            table.encryption = encryption;
            changed |= specification.is_object();
        }
        if let Some(class) = input["TableClass"].as_str() {
            changed |= table.class.as_deref().unwrap_or("STANDARD") != class;
            table.class = Some(class.to_owned());
        }
        if let Some(protected) = input["DeletionProtectionEnabled"].as_bool() {
            changed = true;
            table.protected = protected;
        }
        if let Some(limits) = input.get("OnDemandThroughput") {
            table.on_demand_limits = Some(limits.clone());
            changed = true;
        }
        if let Some(warm) = input.get("WarmThroughput") {
            table.warm = Some(warm.clone());
            changed = true;
        }
        if let Some(updates) = input["ReplicaUpdates"].as_array()
            && !updates.is_empty()
        {
            return Err(invalid(
                "the sandbox has no replicas of tables in other regions",
            ));
        }
        if changed {
            table.status = Status::Updating;
            table.due = Some(due);
        }
        let described = table.describe();
        self.tables.tables.insert(name, table);
        Ok(json!({"TableDescription": described}))
    }
}

fn check_billing(on_demand: bool, throughput: bool) -> Result<(), Refusal> {
    match (on_demand, throughput) {
        (true, true) => Err(bad_parameter(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
        (false, false) => Err(bad_parameter(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )),
        _ => Ok(()),
    }
}

fn update_indexes(table: &mut Table, updates: &[Value], due: Timestamp) -> Result<(), Refusal> {
    let online = updates
        .iter()
        .filter(|update| update.get("Create").is_some() || update.get("Delete").is_some())
        .count();
    let busy = table
        .indexes
        .iter()
        .any(|index| index.state != IndexState::Active);
    if online > 1 || (online == 1 && busy) {
        return Err(refuse(
            "LimitExceededException",
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
        ));
    }
    for update in updates {
        if let Some(create) = update.get("Create") {
            let index = read_index(create, true, IndexState::Creating(due))?;
            if table.index(&index.name).is_some() {
                return Err(invalid(format!(
                    "Attempting to create an index which already exists: {}",
                    index.name
                )));
            }
            if !table.on_demand && index.throughput.is_none() {
                return Err(bad_parameter(&format!(
                    "ProvisionedThroughput must be specified for index: {}",
                    index.name
                )));
            }
            for name in index.keys.names() {
                if !table.attributes.contains_key(name) {
                    return Err(bad_parameter(&format!(
                        "Some index key attributes are not defined in AttributeDefinitions. Keys: [{name}]"
                    )));
                }
            }
            table.indexes.push(index);
            check_indexes(&table.indexes, &table.keys)?;
        }
        if let Some(change) = update.get("Update").or(update.get("Delete")) {
            let name = change["IndexName"].as_str().unwrap_or("");
            let place = table
                .indexes
                .iter_mut()
                .find(|index| index.name == name && index.global)
                .ok_or_else(|| {
                    refuse(
                        "ResourceNotFoundException",
                        format!("Requested resource not found: Index: {name} not found"),
                    )
                })?;
            if update.get("Delete").is_some() {
                place.state = IndexState::Deleting(due);
            } else if let Some(throughput) = read_throughput(&change["ProvisionedThroughput"]) {
                place.throughput = Some(throughput);
            }
            if let Some(limits) = change.get("OnDemandThroughput") {
                place.on_demand = Some(limits.clone());
            }
        }
    }
    let used: BTreeSet<String> = table
        .indexes
        .iter()
        .flat_map(|index| index.keys.names())
        .chain(table.keys.names())
        .cloned()
        .collect();
    table.attributes.retain(|name, _| used.contains(name));
    Ok(())
}

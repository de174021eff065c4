//! DynamoDB: tables with their delays, items, indexes, expressions, transactions and streams.
//!
//! `value`, `number` and `expression` are pure; `table` holds a table, `manage` and `settings` change it, `items`, `read`,
//! `batch` and `transact` are the data operations, `stream` is the change log with its own API. Must not know: HTTP, Lambda.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

mod batch;
mod expression;
mod items;
mod legacy;
mod manage;
mod number;
mod read;
mod settings;
mod stream;
mod table;
mod transact;
mod value;

pub use stream::{LogBatch, LogOrigin};

use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::shape::{self, Model};
use table::{Status, Table};

/// Tables of one region.
const TABLES: usize = 500;
/// Bytes of items and stream records that one region keeps.
const ITEM_BYTES: usize = 256 << 20;
/// Tokens of transactions that are remembered.
const TOKENS: usize = 1_000;

/// The tables of one region.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    tables: BTreeMap<String, Table>,
    /// Client tokens of transactions with a digest of their request.
    tokens: VecDeque<(String, u64, Timestamp)>,
}

pub(super) fn model() -> &'static Model {
    shape::model!("dynamodb")
}

pub(super) fn streams_model() -> &'static Model {
    shape::model!("dynamodbstreams")
}

/// A `ValidationException`.
fn invalid(words: impl Into<String>) -> Refusal {
    refuse("ValidationException", words)
}

impl Tables {
    /// Answers one operation of the table API.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        delay: SignedDuration,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        self.settle(scope.now);
        let mut call = Call {
            tables: self,
            scope,
            delay,
            input,
        };
        match operation {
            "CreateTable" => call.create_table(),
            "DeleteTable" => call.delete_table(),
            "DescribeTable" => call.describe_table(),
            "ListTables" => Ok(call.list_tables()),
            "UpdateTable" => call.update_table(),
            "DescribeTimeToLive" => call.describe_time_to_live(),
            "UpdateTimeToLive" => call.update_time_to_live(),
            "DescribeContinuousBackups" => call.describe_backups(),
            "UpdateContinuousBackups" => call.update_backups(),
            "TagResource" => call.tag(),
            "UntagResource" => call.untag(),
            "ListTagsOfResource" => call.list_tags(),
            "PutResourcePolicy" => call.put_policy(),
            "GetResourcePolicy" => call.get_policy(),
            "DeleteResourcePolicy" => call.delete_policy(),
            "DescribeKinesisStreamingDestination" => {
                let name = call.table()?.name.clone();
                Ok(json!({"TableName": name, "KinesisDataStreamDestinations": []}))
            }
            "DescribeContributorInsights" => {
                let name = call.table()?.name.clone();
                Ok(json!({"TableName": name, "ContributorInsightsStatus": "DISABLED"}))
            }
            "DescribeEndpoints" => {
                let host = call.scope.endpoint.trim_start_matches("http://");
                Ok(json!({"Endpoints": [{"Address": host, "CachePeriodInMinutes": 1_440}]}))
            }
            "DescribeLimits" => Ok(json!({
                "AccountMaxReadCapacityUnits": 80_000,
                "AccountMaxWriteCapacityUnits": 80_000,
                "TableMaxReadCapacityUnits": 40_000,
                "TableMaxWriteCapacityUnits": 40_000,
            })),
            "PutItem" => call.put_item(),
            "GetItem" => call.get_item(),
            "DeleteItem" => call.delete_item(),
            "UpdateItem" => call.update_item(),
            "Query" => call.query(),
            "Scan" => call.scan(),
            "BatchWriteItem" => call.batch_write(),
            "BatchGetItem" => call.batch_get(),
            "TransactWriteItems" => call.transact_write(),
            "TransactGetItems" => call.transact_get(),
            other => Err(Refusal::unsupported("DynamoDB", other)),
        }
    }

    /// Brings every table to its state at `now`.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        self.tables.retain(|_, table| !table.settle(now));
    }

    /// Every table with its tags, for the tagging API.
    pub(crate) fn tagged(&self) -> Vec<(String, BTreeMap<String, String>)> {
        self.tables
            .values()
            .map(|table| (table.arn.clone(), table.tags.clone()))
            .collect()
    }
}

/// One request to the tables of a region.
struct Call<'a> {
    tables: &'a mut Tables,
    scope: &'a Scope,
    delay: SignedDuration,
    input: &'a Value,
}

/// The table's name in a name or an ARN.
fn table_name(given: &str) -> &str {
    match given.split_once(":table/") {
        Some((_, rest)) => rest.split('/').next().unwrap_or(rest),
        None => given,
    }
}

impl Call<'_> {
    fn due(&self) -> Timestamp {
        self.scope.after(self.delay)
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.input.get(field).and_then(Value::as_str)
    }

    /// The table that `TableName` names, whatever its state.
    fn table(&mut self) -> Result<&mut Table, Refusal> {
        let name = table_name(self.text("TableName").unwrap_or("")).to_owned();
        self.tables.tables.get_mut(&name).ok_or_else(|| {
            refuse(
                "ResourceNotFoundException",
                format!("Requested resource not found: Table: {name} not found"),
            )
        })
    }

    fn data_table(&mut self) -> Result<&mut Table, Refusal> {
        let name = table_name(self.text("TableName").unwrap_or("")).to_owned();
        self.tables.data_table(&name)
    }

    /// Refuses when the region is full.
    fn room(&self) -> Result<(), Refusal> {
        let held: usize = self.tables.tables.values().map(Table::bytes).sum();
        if held < ITEM_BYTES {
            return Ok(());
        }
        Err(refuse(
            "ProvisionedThroughputExceededException",
            format!(
                "The sandbox holds {} MiB of items, its limit for one region; delete items or tables.",
                ITEM_BYTES >> 20
            ),
        ))
    }
}

impl Tables {
    /// A table whose items can be used.
    fn data_table(&mut self, name: &str) -> Result<&mut Table, Refusal> {
        self.tables
            .get_mut(table_name(name))
            .filter(|table| matches!(table.status, Status::Active | Status::Updating))
            .ok_or_else(|| refuse("ResourceNotFoundException", "Requested resource not found"))
    }
}

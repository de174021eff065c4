//! Leases in a table of DynamoDB, with the attributes that readers of Kinesis use: any number of replicas share it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata as _, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType, TableStatus,
};
use tidegate_aws::Aws;

use super::{Beginning, Store, Write};
use crate::source::kinesis::lease::{Checkpoint, Lease, Leases};

const KEY: &str = "leaseKey";
/// The item that says where the binding began; no shard has such a name.
const BEGINNING: &str = "#beginning";
/// Looks at a table that is being made.
const LOOKS: u32 = 240;
const LOOK: Duration = Duration::from_millis(500);

type Item = HashMap<String, AttributeValue>;

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
}

fn text(value: &(impl ToString + ?Sized)) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

impl Table {
    /// The table of that name, which is made when there is none.
    ///
    /// # Errors
    /// It cannot be looked at or made.
    pub async fn open(aws: &Aws, name: &str) -> Result<Self, String> {
        let table = Self {
            client: Client::new(&aws.config),
            name: name.to_owned(),
        };
        for look in 0..LOOKS {
            let described = table.client.describe_table().table_name(name).send().await;
            match described {
                Ok(found) => {
                    let status = found
                        .table()
                        .and_then(|table| table.table_status())
                        .cloned();
                    if matches!(
                        status,
                        Some(TableStatus::Active | TableStatus::Updating) | None
                    ) {
                        return Ok(table);
                    }
                }
                Err(error) if error.code() == Some("ResourceNotFoundException") && look == 0 => {
                    table.make().await?;
                    continue;
                }
                // A table that was just made may not be seen yet.
                Err(error) if error.code() == Some("ResourceNotFoundException") => {}
                Err(error) => return Err(table.told(&error)),
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(format!("lease table {name}: it does not become active"))
    }

    async fn make(&self) -> Result<(), String> {
        let key = KeySchemaElement::builder()
            .attribute_name(KEY)
            .key_type(KeyType::Hash);
        let attribute = AttributeDefinition::builder()
            .attribute_name(KEY)
            .attribute_type(ScalarAttributeType::S);
        let made = self
            .client
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key.build().map_err(|error| error.to_string())?)
            .attribute_definitions(attribute.build().map_err(|error| error.to_string())?)
            .send()
            .await;
        match made {
            Ok(_) => Ok(()),
            // Another replica was faster.
            Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
            Err(error) => Err(self.told(&error)),
        }
    }

    fn told<E, R>(&self, error: &SdkError<E, R>) -> String
    where
        E: std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        format!("lease table {}: {}", self.name, DisplayErrorContext(error))
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, String> {
        let got = self
            .client
            .get_item()
            .table_name(&self.name)
            .key(KEY, text(key))
            .consistent_read(true)
            .send()
            .await;
        got.map(|got| got.item).map_err(|error| self.told(&error))
    }

    /// Adds an item unless there is one of its key; false: there is.
    async fn put_new(&self, item: Item) -> Result<bool, String> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(leaseKey)")
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(self.told(&error)),
        }
    }

    fn lease(&self, item: &Item) -> Result<Lease, String> {
        let broken = |what: &str| format!("lease table {}: an item has no {what}", self.name);
        let shard: Arc<str> = string(item, KEY).ok_or_else(|| broken(KEY))?.into();
        let counter = item.get("leaseCounter").and_then(|value| value.as_n().ok());
        let checkpoint = string(item, "checkpoint").and_then(Checkpoint::read);
        let parents = item
            .get("parentShardId")
            .and_then(|value| value.as_ss().ok());
        Ok(Lease {
            shard,
            owner: string(item, "leaseOwner").map(Into::into),
            counter: counter
                .and_then(|counter| counter.parse().ok())
                .ok_or_else(|| broken("leaseCounter"))?,
            checkpoint: checkpoint.ok_or_else(|| broken("checkpoint"))?,
            parents: parents
                .into_iter()
                .flatten()
                .map(|parent| parent.as_str().into())
                .collect(),
            wanted_by: string(item, "wantedBy").map(Into::into),
        })
    }

    /// Writes under the condition; false: it does not hold.
    async fn try_to_write(&self, known: &Lease, write: &Write) -> Result<bool, String> {
        let (condition, mut values) = unchanged(known);
        values.insert(":new".to_owned(), number(known.counter + 1));
        values.insert(":checkpoint".to_owned(), text(&write.checkpoint));
        let mut update = "SET leaseCounter = :new, checkpoint = :checkpoint".to_owned();
        let mut gone = Vec::new();
        match &write.owner {
            Some(owner) => {
                values.insert(":next".to_owned(), text(owner));
                update.push_str(", leaseOwner = :next");
            }
            None => gone.push("leaseOwner"),
        }
        if write.settles_wish {
            gone.push("wantedBy");
        }
        if !gone.is_empty() {
            update = format!("{update} REMOVE {}", gone.join(", "));
        }
        let updated = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(KEY, text(&known.shard))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .send()
            .await;
        match updated {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(self.told(&error)),
        }
    }
}

/// The condition that a lease is as it was known.
fn unchanged(known: &Lease) -> (String, Item) {
    let mut values = Item::from([(":known".to_owned(), number(known.counter))]);
    let owner = match &known.owner {
        Some(owner) => {
            values.insert(":owner".to_owned(), text(owner));
            "leaseOwner = :owner"
        }
        None => "attribute_not_exists(leaseOwner)",
    };
    (format!("leaseCounter = :known AND {owner}"), values)
}

#[async_trait]
impl Store for Table {
    async fn begin(&self, wanted: &Beginning) -> Result<Beginning, String> {
        let item = Item::from([
            (KEY.to_owned(), text(BEGINNING)),
            ("streamArn".to_owned(), text(&wanted.stream)),
            ("checkpoint".to_owned(), text(&wanted.checkpoint)),
        ]);
        if self.put_new(item).await? {
            return Ok(wanted.clone());
        }
        let item = self.get(BEGINNING).await?.unwrap_or_default();
        let stream = string(&item, "streamArn");
        let checkpoint = string(&item, "checkpoint").and_then(Checkpoint::read);
        stream
            .zip(checkpoint)
            .map(|(stream, checkpoint)| Beginning {
                stream: stream.into(),
                checkpoint,
            })
            .ok_or_else(|| format!("lease table {}: item {BEGINNING} is broken", self.name))
    }

    async fn leases(&self) -> Result<Leases, String> {
        let mut leases = Leases::new();
        let mut from = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.name)
                .consistent_read(true)
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| self.told(&error))?;
            for item in page.items() {
                if string(item, KEY) != Some(BEGINNING) {
                    let lease = self.lease(item)?;
                    leases.insert(Arc::clone(&lease.shard), lease);
                }
            }
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(leases);
            }
        }
    }

    async fn add(&self, lease: &Lease) -> Result<(), String> {
        let mut item = Item::from([
            (KEY.to_owned(), text(&lease.shard)),
            ("leaseCounter".to_owned(), number(lease.counter)),
            ("checkpoint".to_owned(), text(&lease.checkpoint)),
        ]);
        if !lease.parents.is_empty() {
            let parents = lease.parents.iter().map(ToString::to_string).collect();
            item.insert("parentShardId".to_owned(), AttributeValue::Ss(parents));
        }
        self.put_new(item).await.map(drop)
    }

    async fn write(&self, known: &Lease, write: &Write) -> Result<Option<u64>, String> {
        if self.try_to_write(known, write).await? {
            return Ok(Some(known.counter + 1));
        }
        let Some(item) = self.get(&known.shard).await? else {
            return Ok(None);
        };
        let found = self.lease(&item)?;
        if found.owner == write.owner && found.checkpoint == write.checkpoint {
            // It was done, and the answer was lost: nobody else writes this owner.
            return Ok(write.owner.as_ref().map(|_| found.counter));
        }
        if found.owner.is_none() || found.owner != known.owner || found.owner != write.owner {
            return Ok(None);
        }
        // An earlier write of ours was done whose answer was lost.
        let counter = found.counter;
        let is_done = self.try_to_write(&found, write).await?;
        Ok(is_done.then_some(counter + 1))
    }

    async fn ask(&self, known: &Lease, own: &str) -> Result<(), String> {
        let Some(owner) = &known.owner else {
            return Ok(());
        };
        let asked = self
            .client
            .update_item()
            .table_name(&self.name)
            .key(KEY, text(&known.shard))
            .update_expression("SET wantedBy = :own")
            .condition_expression("leaseOwner = :owner AND attribute_not_exists(wantedBy)")
            .expression_attribute_values(":own", text(own))
            .expression_attribute_values(":owner", text(owner))
            .send()
            .await;
        match asked {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(self.told(&error)),
        }
    }

    async fn remove(&self, shard: &str) -> Result<(), String> {
        let removed = self
            .client
            .delete_item()
            .table_name(&self.name)
            .key(KEY, text(shard))
            .condition_expression("attribute_not_exists(leaseKey) OR checkpoint = :ended")
            .expression_attribute_values(":ended", text(&Checkpoint::Ended))
            .send()
            .await;
        match removed {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(self.told(&error)),
        }
    }
}

//! What a table has beside its items: time to live, point-in-time recovery, tags, policy.
//!
//! Must not know: items, streams.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::table::{Table, TimeToLive};
use super::{Call, invalid, table_name};
use crate::refusal::{Refusal, refuse};

/// Tags of one table.
const TAGS: usize = 50;

/// Reads a list of `{Key, Value}`.
///
/// # Errors
/// When there are too many.
pub(super) fn read_tags(value: &Value) -> Result<BTreeMap<String, String>, Refusal> {
    let tags: BTreeMap<String, String> = value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tag| {
            Some((
                tag["Key"].as_str()?.to_owned(),
                tag["Value"].as_str()?.to_owned(),
            ))
        })
        .collect();
    if tags.len() > TAGS {
        return Err(invalid(format!("Too many tags: a table may have {TAGS}")));
    }
    Ok(tags)
}

impl Call<'_> {
    /// The table that `ResourceArn` names.
    fn tagged_table(&mut self) -> Result<&mut Table, Refusal> {
        let arn = self.text("ResourceArn").unwrap_or("").to_owned();
        self.tables
            .tables
            .get_mut(table_name(&arn))
            .filter(|table| table.arn == arn)
            .ok_or_else(|| {
                refuse(
                    "ResourceNotFoundException",
                    format!("Requested resource not found: ResourcArn: {arn} not found"),
                )
            })
    }

    pub(super) fn tag(&mut self) -> Result<Value, Refusal> {
        let tags = read_tags(&self.input["Tags"])?;
        let table = self.tagged_table()?;
        let mut all = table.tags.clone();
        all.extend(tags);
        if all.len() > TAGS {
            return Err(invalid(format!("Too many tags: a table may have {TAGS}")));
        }
        table.tags = all;
        Ok(Value::Null)
    }

    pub(super) fn untag(&mut self) -> Result<Value, Refusal> {
        let keys = self.input["TagKeys"].clone();
        let table = self.tagged_table()?;
        for key in keys
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            table.tags.remove(key);
        }
        Ok(Value::Null)
    }

    pub(super) fn list_tags(&mut self) -> Result<Value, Refusal> {
        let tags: Vec<Value> = self
            .tagged_table()?
            .tags
            .iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        Ok(json!({"Tags": tags}))
    }

    pub(super) fn describe_time_to_live(&mut self) -> Result<Value, Refusal> {
        let described = match &self.table()?.time_to_live {
            Some(ttl) if ttl.enabled => {
                json!({"TimeToLiveStatus": "ENABLED", "AttributeName": ttl.attribute})
            }
            _ => json!({"TimeToLiveStatus": "DISABLED"}),
        };
        Ok(json!({"TimeToLiveDescription": described}))
    }

    pub(super) fn update_time_to_live(&mut self) -> Result<Value, Refusal> {
        let specification = self.input["TimeToLiveSpecification"].clone();
        let attribute = specification["AttributeName"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        let enabled = specification["Enabled"].as_bool() == Some(true);
        let table = self.table()?;
        let current = table.time_to_live.as_ref().filter(|ttl| ttl.enabled);
        match (enabled, current) {
            (true, Some(_)) => return Err(invalid("TimeToLive is already enabled")),
            (false, None) => return Err(invalid("TimeToLive is already disabled")),
            (false, Some(current)) if current.attribute != attribute => {
                return Err(invalid(format!(
                    "TimeToLive is active on a different AttributeName: current AttributeName is {}",
                    current.attribute
                )));
            }
            _ => {}
        }
        table.time_to_live = Some(TimeToLive {
            attribute: attribute.clone(),
            enabled,
        });
        Ok(json!({"TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": attribute}}))
    }

    /// The table, whose absence the backup operations tell in their own way.
    fn backed_up(&mut self) -> Result<&mut Table, Refusal> {
        let name = table_name(self.text("TableName").unwrap_or("")).to_owned();
        self.table()
            .map_err(|_| refuse("TableNotFoundException", format!("Table not found: {name}")))
    }

    pub(super) fn describe_backups(&mut self) -> Result<Value, Refusal> {
        let now = self.scope.now;
        let table = self.backed_up()?;
        let recovery = match table.recovery {
            Some((days, since)) => json!({
                "PointInTimeRecoveryStatus": "ENABLED",
                "RecoveryPeriodInDays": days,
                "EarliestRestorableDateTime": since.as_second(),
                "LatestRestorableDateTime": now.as_second(),
            }),
            None => json!({"PointInTimeRecoveryStatus": "DISABLED"}),
        };
        Ok(json!({"ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": recovery,
        }}))
    }

    pub(super) fn update_backups(&mut self) -> Result<Value, Refusal> {
        let specification = self.input["PointInTimeRecoverySpecification"].clone();
        let days = specification["RecoveryPeriodInDays"].as_i64().unwrap_or(35);
        let enabled = specification["PointInTimeRecoveryEnabled"].as_bool() == Some(true);
        let now = self.scope.now;
        self.backed_up()?.recovery = enabled.then_some((days, now));
        self.describe_backups()
    }

    pub(super) fn put_policy(&mut self) -> Result<Value, Refusal> {
        let policy = self.text("Policy").unwrap_or("").to_owned();
        if serde_json::from_str::<Value>(&policy).is_err() {
            return Err(invalid("The policy is not valid JSON"));
        }
        let revision = self.scope.uuid(&policy);
        self.tagged_table()?.policy = Some((policy, revision.clone()));
        Ok(json!({"RevisionId": revision}))
    }

    pub(super) fn get_policy(&mut self) -> Result<Value, Refusal> {
        let table = self.tagged_table()?;
        match &table.policy {
            Some((policy, revision)) => Ok(json!({"Policy": policy, "RevisionId": revision})),
            None => Err(refuse(
                "PolicyNotFoundException",
                format!(
                    "Resource-based policy not found for the provided ResourceArn: {}",
                    table.arn
                ),
            )),
        }
    }

    pub(super) fn delete_policy(&mut self) -> Result<Value, Refusal> {
        self.tagged_table()?.policy = None;
        Ok(Value::Null)
    }
}

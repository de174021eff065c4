//! Resharding: split, merge, uniform scaling, and the listing of shards.
//!
//! Must not know: records.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::shard::{Shard, shard_id, shard_number};
use super::stream::{Change, Mode};
use super::{Call, SHARDS};
use crate::refusal::{Refusal, refuse};

/// Shard count updates of one stream in 24 hours.
const SCALINGS: usize = 10;

impl Call<'_> {
    pub(super) fn split_shard(&mut self) -> Result<Value, Refusal> {
        let id = self.text("ShardToSplit").unwrap_or("").to_owned();
        let at: u128 = self
            .text("NewStartingHashKey")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| {
                refuse(
                    "InvalidArgumentException",
                    "NewStartingHashKey is no hash key.",
                )
            })?;
        let due = self.due();
        let account = self.scope.account.clone();
        let open = self.open_shards();
        let stream = self.active_stream()?;
        if stream.mode == Mode::OnDemand {
            return Err(on_demand(&account, &stream.name));
        }
        let name = stream.name.clone();
        let shard = open_shard(stream.shards.get(&id), &id, &name, &account)?;
        if at <= shard.start || at > shard.end {
            return Err(refuse(
                "InvalidArgumentException",
                format!(
                    "NewStartingHashKey {at} used in SplitShard() on shard {id} in stream {name} under account {account} \
                     is not both greater than one plus the shard's StartingHashKey {} and less than the shard's EndingHashKey {}.",
                    shard.start,
                    shard.end.saturating_sub(1)
                ),
            ));
        }
        let number = shard.number;
        if open + 1 > SHARDS {
            return Err(refuse(
                "LimitExceededException",
                format!(
                    "This request would exceed the shard limit for the account {account}. Limit: {SHARDS}."
                ),
            ));
        }
        stream.update(Change::Split(number, at), due);
        Ok(Value::Null)
    }

    fn open_shards(&self) -> u64 {
        self.streams
            .streams
            .values()
            .map(|s| s.shards.open_count())
            .sum()
    }

    pub(super) fn merge_shards(&mut self) -> Result<Value, Refusal> {
        let first = self.text("ShardToMerge").unwrap_or("").to_owned();
        let second = self.text("AdjacentShardToMerge").unwrap_or("").to_owned();
        let due = self.due();
        let account = self.scope.account.clone();
        let stream = self.active_stream()?;
        if stream.mode == Mode::OnDemand {
            return Err(on_demand(&account, &stream.name));
        }
        let name = stream.name.clone();
        let a = open_shard(stream.shards.get(&first), &first, &name, &account)?;
        let b = open_shard(stream.shards.get(&second), &second, &name, &account)?;
        let adjacent =
            a.end.checked_add(1) == Some(b.start) || b.end.checked_add(1) == Some(a.start);
        if !adjacent {
            return Err(refuse(
                "InvalidArgumentException",
                format!(
                    "Shards {first} and {second} in stream {name} under account {account} are not an adjacent pair of shards eligible for merging"
                ),
            ));
        }
        let change = Change::Merge(a.number, b.number);
        stream.update(change, due);
        Ok(Value::Null)
    }

    pub(super) fn update_shard_count(&mut self) -> Result<Value, Refusal> {
        let target = u64::try_from(self.number("TargetShardCount").unwrap_or(0)).unwrap_or(0);
        let due = self.due();
        let now = self.scope.now;
        let account = self.scope.account.clone();
        let region_open = self.open_shards();
        let stream = self.active_stream()?;
        if stream.mode == Mode::OnDemand {
            return Err(on_demand(&account, &stream.name));
        }
        let open = stream.shards.open_count();
        let words = |limit: &str| {
            refuse(
                "LimitExceededException",
                format!(
                    "UpdateShardCount cannot scale {limit} your current open shard count. \
                     Current open shard count: {open} Target shard count: {target}"
                ),
            )
        };
        if target > open * 2 {
            return Err(words("up over double"));
        }
        if target < open.div_ceil(2) {
            return Err(words("down below half"));
        }
        if region_open - open + target > SHARDS {
            return Err(refuse(
                "LimitExceededException",
                format!(
                    "This request would exceed the shard limit for the account {account}. Limit: {SHARDS}."
                ),
            ));
        }
        let day = now
            .checked_sub(SignedDuration::from_hours(24))
            .unwrap_or(now);
        stream.scalings.retain(|at| *at > day);
        if stream.scalings.len() >= SCALINGS {
            return Err(refuse(
                "LimitExceededException",
                format!(
                    "Stream {} under account {account} has been scaled {SCALINGS} times in the last 24 hours.",
                    stream.name
                ),
            ));
        }
        stream.scalings.push(now);
        stream.update(Change::Scale(target), due);
        Ok(json!({
            "StreamName": stream.name,
            "StreamARN": stream.arn,
            "CurrentShardCount": open,
            "TargetShardCount": target,
        }))
    }

    pub(super) fn list_shards(&mut self) -> Result<Value, Refusal> {
        let limit = self
            .number("MaxResults")
            .map_or(1_000, |limit| limit.clamp(1, 10_000));
        let limit = usize::try_from(limit).unwrap_or(1_000);
        let token = self.text("NextToken").map(str::to_owned);
        let named = self.text("StreamName").is_some() || self.text("StreamARN").is_some();
        let (name, after) = match token {
            Some(_) if named || self.text("ExclusiveStartShardId").is_some() => {
                return Err(refuse(
                    "InvalidArgumentException",
                    "NextToken and StreamName cannot be provided together.",
                ));
            }
            Some(token) => {
                let read = URL_SAFE_NO_PAD
                    .decode(&token)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok());
                let parts = read.as_deref().and_then(|text| text.split_once('/'));
                let Some((name, after)) = parts else {
                    return Err(refuse("InvalidArgumentException", "NextToken is invalid."));
                };
                (name.to_owned(), Some(after.to_owned()))
            }
            None => (
                self.stream_name()?,
                self.text("ExclusiveStartShardId").map(str::to_owned),
            ),
        };
        let missing = self.missing(&name);
        let now = self.scope.now;
        let filter = self
            .input
            .get("ShardFilter")
            .cloned()
            .unwrap_or(Value::Null);
        let stream = self.streams.streams.get(&name).ok_or(missing)?;
        let horizon = now
            .checked_sub(SignedDuration::from_hours(stream.retention))
            .unwrap_or(Timestamp::MIN);
        let mut shards: Vec<&Shard> = stream
            .shards
            .all
            .iter()
            .filter(|shard| {
                after
                    .as_deref()
                    .is_none_or(|after| shard_id(shard.number).as_str() > after)
            })
            .filter(|shard| passes(shard, &filter, horizon))
            .collect();
        let more = shards.len() > limit;
        shards.truncate(limit);
        let mut answer =
            json!({"Shards": shards.iter().map(|shard| shard.describe()).collect::<Vec<_>>()});
        if more && let Some(last) = shards.last() {
            answer["NextToken"] =
                json!(URL_SAFE_NO_PAD.encode(format!("{name}/{}", shard_id(last.number))));
        }
        Ok(answer)
    }
}

fn passes(shard: &Shard, filter: &Value, horizon: Timestamp) -> bool {
    let at = filter["Timestamp"]
        .as_f64()
        .and_then(|seconds| Timestamp::from_millisecond((seconds * 1_000.0) as i64).ok())
        .unwrap_or(horizon);
    let open_at =
        |time: Timestamp| shard.opened <= time && shard.closed.is_none_or(|closed| closed > time);
    match filter["Type"].as_str() {
        Some("AT_LATEST") => shard.is_open(),
        Some("AFTER_SHARD_ID") => filter["ShardId"]
            .as_str()
            .and_then(shard_number)
            .is_none_or(|number| shard.number > number),
        Some("AT_TIMESTAMP") => open_at(at),
        Some("FROM_TIMESTAMP") => shard.closed.is_none_or(|closed| closed >= at),
        Some("AT_TRIM_HORIZON") => shard.parent.is_none() || open_at(horizon),
        _ => true,
    }
}

fn on_demand(account: &str, stream: &str) -> Refusal {
    refuse(
        "ValidationException",
        format!(
            "Request is invalid. Stream {stream} under account {account} is in On-Demand mode."
        ),
    )
}

fn open_shard<'a>(
    shard: Option<&'a Shard>,
    id: &str,
    stream: &str,
    account: &str,
) -> Result<&'a Shard, Refusal> {
    let shard = shard.ok_or_else(|| {
        refuse(
            "ResourceNotFoundException",
            format!("Could not find shard {id} in stream {stream} under account {account}."),
        )
    })?;
    if shard.is_open() {
        return Ok(shard);
    }
    Err(refuse(
        "InvalidArgumentException",
        format!(
            "Shard {id} in stream {stream} under account {account} has already been merged or split, and thus is not eligible for merging or splitting."
        ),
    ))
}

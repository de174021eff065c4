//! Schedules and groups made, changed, listed and deleted.
//!
//! Must not know: firing.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{Call, GROUPS, Group, SCHEDULES, Schedule, conflict, invalid, missing};
use crate::cron::Schedule as Expression;
use crate::refusal::{Refusal, refuse};

/// Bytes of one schedule's target.
const TARGET_BYTES: usize = 8_192;
/// Entries of one page.
const PAGE: usize = 100;

fn seconds(time: jiff::Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1_000.0
}

fn read_tags(value: &Value) -> BTreeMap<String, String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tag| {
            Some((
                tag["Key"].as_str()?.to_owned(),
                tag["Value"].as_str()?.to_owned(),
            ))
        })
        .collect()
}

impl Schedule {
    fn describe(&self) -> Value {
        let mut map: Map<String, Value> = self.body.as_object().cloned().unwrap_or_default();
        map.insert("Arn".into(), json!(self.arn));
        map.insert("Name".into(), json!(self.name));
        map.insert("GroupName".into(), json!(self.group));
        map.insert("CreationDate".into(), json!(seconds(self.created)));
        map.insert("LastModificationDate".into(), json!(seconds(self.modified)));
        for field in ["StartDate", "EndDate"] {
            if let Some(moment) = self.moment(field) {
                map.insert(field.into(), json!(seconds(moment)));
            }
        }
        Value::Object(map)
    }

    fn summary(&self) -> Value {
        json!({
            "Arn": self.arn,
            "Name": self.name,
            "GroupName": self.group,
            "State": self.body["State"],
            "CreationDate": seconds(self.created),
            "LastModificationDate": seconds(self.modified),
            "Target": {"Arn": self.body["Target"]["Arn"]},
        })
    }
}

impl Group {
    fn describe(&self, name: &str) -> Value {
        json!({
            "Arn": self.arn,
            "Name": name,
            "State": "ACTIVE",
            "CreationDate": seconds(self.created),
            "LastModificationDate": seconds(self.created),
        })
    }
}

impl Call<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        self.input.get(field).and_then(Value::as_str)
    }

    fn key(&self) -> (String, String) {
        (
            self.text("GroupName").unwrap_or("default").to_owned(),
            self.text("Name").unwrap_or("").to_owned(),
        )
    }

    /// What is kept of a request, checked.
    fn body(&self) -> Result<Value, Refusal> {
        let mut body = Map::new();
        for (name, value) in self.input.as_object().into_iter().flatten() {
            if !matches!(name.as_str(), "Name" | "GroupName" | "ClientToken") {
                body.insert(name.clone(), value.clone());
            }
        }
        let expression = self.text("ScheduleExpression").unwrap_or("");
        if Expression::parse(expression, false).is_none() {
            return Err(invalid(format!(
                "Invalid Schedule Expression {expression}."
            )));
        }
        if self.input["Target"].to_string().len() > TARGET_BYTES {
            return Err(invalid(format!(
                "The Target is larger than {TARGET_BYTES} bytes."
            )));
        }
        let start = match &self.input["StartDate"] {
            Value::String(text) => text
                .parse::<jiff::Timestamp>()
                .ok()
                .map(jiff::Timestamp::as_second),
            other => other.as_f64().map(|seconds| seconds as i64),
        };
        if start.is_some_and(|start| start < self.scope.now.as_second() - 300) {
            return Err(invalid(
                "The StartDate you specify cannot be earlier than 5 minutes ago.",
            ));
        }
        let zone = self.text("ScheduleExpressionTimezone").unwrap_or("UTC");
        if TimeZone::get(zone).is_err() {
            return Err(invalid("The ScheduleExpressionTimezone is not valid."));
        }
        let window = &self.input["FlexibleTimeWindow"];
        let flexible = window["Mode"] == "FLEXIBLE";
        if flexible != window.get("MaximumWindowInMinutes").is_some() {
            return Err(invalid(
                "A maximum flexible time window must be set if, and only if, the mode is FLEXIBLE.",
            ));
        }
        body.entry("State").or_insert_with(|| json!("ENABLED"));
        body.entry("ScheduleExpressionTimezone")
            .or_insert_with(|| json!("UTC"));
        body.entry("ActionAfterCompletion")
            .or_insert_with(|| json!("NONE"));
        if let Some(Value::Object(target)) = body.get_mut("Target") {
            target.entry("RetryPolicy").or_insert_with(
                || json!({"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}),
            );
        }
        Ok(Value::Object(body))
    }

    pub(super) fn create(&mut self) -> Result<Value, Refusal> {
        let key = self.key();
        if !self.schedules.groups.contains_key(&key.0) {
            return Err(missing(format!("Schedule group {} does not exist.", key.0)));
        }
        if self.schedules.schedules.contains_key(&key) {
            return Err(conflict(format!("Schedule {} already exists.", key.1)));
        }
        if self.schedules.schedules.len() >= SCHEDULES {
            return Err(refuse(
                "ServiceQuotaExceededException",
                "The sandbox has no room for another schedule.",
            )
            .status(402));
        }
        let arn = self
            .scope
            .arn("scheduler", &format!("schedule/{}/{}", key.0, key.1));
        let mut schedule = Schedule {
            group: key.0.clone(),
            name: key.1.clone(),
            arn: arn.clone(),
            body: self.body()?,
            created: self.scope.now,
            modified: self.scope.now,
            due: None,
        };
        schedule.due = schedule.next(self.scope.now);
        self.schedules.schedules.insert(key, schedule);
        Ok(json!({"ScheduleArn": arn}))
    }

    fn schedule(&mut self) -> Result<&mut Schedule, Refusal> {
        let key = self.key();
        self.schedules
            .schedules
            .get_mut(&key)
            .ok_or_else(|| missing(format!("Schedule {} does not exist.", key.1)))
    }

    pub(super) fn update(&mut self) -> Result<Value, Refusal> {
        let now = self.scope.now;
        self.schedule()?;
        let body = self.body()?;
        let schedule = self.schedule()?;
        schedule.body = body;
        schedule.modified = now;
        schedule.due = schedule.next(now);
        Ok(json!({"ScheduleArn": schedule.arn}))
    }

    pub(super) fn get(&mut self) -> Result<Value, Refusal> {
        Ok(self.schedule()?.describe())
    }

    pub(super) fn delete(&mut self) -> Result<Value, Refusal> {
        self.schedule()?;
        let key = self.key();
        self.schedules.schedules.remove(&key);
        Ok(json!({}))
    }

    fn limit(&self) -> usize {
        self.input["MaxResults"]
            .as_u64()
            .map_or(PAGE, |limit| usize::try_from(limit).unwrap_or(PAGE))
    }

    pub(super) fn list(&mut self) -> Value {
        let group = self.text("GroupName");
        let prefix = self.text("NamePrefix").unwrap_or("");
        let state = self.text("State");
        let after = self.text("NextToken").unwrap_or("");
        let place = |schedule: &Schedule| format!("{}/{}", schedule.group, schedule.name);
        let mut found: Vec<&Schedule> = self
            .schedules
            .schedules
            .values()
            .filter(|schedule| group.is_none_or(|group| schedule.group == group))
            .filter(|schedule| schedule.name.starts_with(prefix))
            .filter(|schedule| state.is_none_or(|state| schedule.body["State"] == state))
            .filter(|schedule| after.is_empty() || place(schedule).as_str() > after)
            .collect();
        let limit = self.limit();
        let more = found.len() > limit;
        found.truncate(limit);
        let mut answer = json!({"Schedules": found.iter().map(|schedule| schedule.summary()).collect::<Vec<_>>()});
        if more && let Some(last) = found.last() {
            answer["NextToken"] = json!(place(last));
        }
        answer
    }

    pub(super) fn create_group(&mut self) -> Result<Value, Refusal> {
        let name = self.text("Name").unwrap_or("").to_owned();
        if self.schedules.groups.contains_key(&name) {
            return Err(conflict(format!("Schedule group {name} already exists.")));
        }
        if self.schedules.groups.len() >= GROUPS {
            return Err(refuse(
                "ServiceQuotaExceededException",
                "The sandbox has no room for another schedule group.",
            )
            .status(402));
        }
        let arn = self
            .scope
            .arn("scheduler", &format!("schedule-group/{name}"));
        self.schedules.groups.insert(
            name,
            Group {
                arn: arn.clone(),
                created: self.scope.now,
                tags: read_tags(&self.input["Tags"]),
            },
        );
        Ok(json!({"ScheduleGroupArn": arn}))
    }

    pub(super) fn get_group(&mut self) -> Result<Value, Refusal> {
        let name = self.text("Name").unwrap_or("");
        match self.schedules.groups.get(name) {
            Some(group) => Ok(group.describe(name)),
            None => Err(missing(format!("Schedule group {name} does not exist."))),
        }
    }

    pub(super) fn delete_group(&mut self) -> Result<Value, Refusal> {
        let name = self.text("Name").unwrap_or("").to_owned();
        if name == "default" {
            return Err(invalid("The default schedule group cannot be deleted."));
        }
        if self.schedules.groups.remove(&name).is_none() {
            return Err(missing(format!("Schedule group {name} does not exist.")));
        }
        self.schedules
            .schedules
            .retain(|(group, _), _| *group != name);
        Ok(json!({}))
    }

    pub(super) fn list_groups(&mut self) -> Value {
        let prefix = self.text("NamePrefix").unwrap_or("");
        let after = self.text("NextToken").unwrap_or("");
        let mut found: Vec<(&String, &Group)> = self
            .schedules
            .groups
            .iter()
            .filter(|(name, _)| {
                name.starts_with(prefix) && (after.is_empty() || name.as_str() > after)
            })
            .collect();
        let limit = self.limit();
        let more = found.len() > limit;
        found.truncate(limit);
        let groups: Vec<Value> = found
            .iter()
            .map(|(name, group)| group.describe(name))
            .collect();
        let mut answer = json!({"ScheduleGroups": groups});
        if more && let Some((last, _)) = found.last() {
            answer["NextToken"] = json!(last);
        }
        answer
    }

    fn tags(&mut self) -> Result<&mut BTreeMap<String, String>, Refusal> {
        let arn = self.text("ResourceArn").unwrap_or("").to_owned();
        self.schedules
            .groups
            .values_mut()
            .find(|group| group.arn == arn)
            .map(|group| &mut group.tags)
            .ok_or_else(|| missing(format!("Resource {arn} does not exist.")))
    }

    pub(super) fn tag(&mut self) -> Result<Value, Refusal> {
        let tags = read_tags(&self.input["Tags"]);
        crate::tags::merge(self.tags()?, tags)?;
        Ok(json!({}))
    }

    pub(super) fn untag(&mut self) -> Result<Value, Refusal> {
        let keys = self.input["TagKeys"].clone();
        let tags = self.tags()?;
        for key in keys
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            tags.remove(key);
        }
        Ok(json!({}))
    }

    pub(super) fn list_tags(&mut self) -> Result<Value, Refusal> {
        let tags: Vec<Value> = self
            .tags()?
            .iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        Ok(json!({"Tags": tags}))
    }
}

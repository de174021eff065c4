//! Buses, rules and targets made, changed, listed and deleted.
//!
//! Must not know: events.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{BUSES, Bus, Call, RULES, Rule, bus_name, invalid, missing};
use crate::cron::Schedule;
use crate::filter;
use crate::refusal::{Refusal, refuse};

/// Targets of one rule.
const TARGETS: usize = 5;
/// Entries of one page.
const PAGE: usize = 100;

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

/// A page of sorted entries behind `NextToken`.
fn paged(names: Vec<String>, input: &Value) -> (Vec<String>, Option<String>) {
    let limit = input["Limit"]
        .as_u64()
        .map_or(PAGE, |limit| usize::try_from(limit).unwrap_or(PAGE));
    let after = input["NextToken"].as_str().unwrap_or("");
    let mut names: Vec<String> = names
        .into_iter()
        .filter(|name| name.as_str() > after)
        .collect();
    let more = names.len() > limit;
    names.truncate(limit);
    let next = names.last().cloned().filter(|_| more);
    (names, next)
}

impl Bus {
    fn describe(&self, name: &str) -> Value {
        let mut map = Map::new();
        map.insert("Name".into(), json!(name));
        map.insert("Arn".into(), json!(self.arn));
        if let Some(description) = &self.description {
            map.insert("Description".into(), json!(description));
        }
        if let Some(policy) = &self.policy {
            map.insert("Policy".into(), json!(policy.to_string()));
        }
        for (name, value) in &self.settings {
            map.insert(name.clone(), value.clone());
        }
        map.insert("CreationTime".into(), json!(self.created));
        map.insert("LastModifiedTime".into(), json!(self.created));
        Value::Object(map)
    }
}

impl Rule {
    fn describe(&self, account: Option<&str>) -> Value {
        let mut map = Map::new();
        let mut set = |name: &str, value: Option<&String>| {
            if let Some(value) = value {
                map.insert(name.to_owned(), json!(value));
            }
        };
        set("Name", Some(&self.name));
        set("Arn", Some(&self.arn));
        set("EventPattern", self.pattern.as_ref());
        set("ScheduleExpression", self.schedule.as_ref());
        set("State", Some(&self.state));
        set("Description", self.description.as_ref());
        set("RoleArn", self.role.as_ref());
        set("EventBusName", Some(&self.bus));
        if let Some(account) = account {
            map.insert("CreatedBy".into(), json!(account));
        }
        Value::Object(map)
    }
}

impl Call<'_> {
    pub(super) fn create_bus(&mut self) -> Result<Value, Refusal> {
        let name = self.text("Name").unwrap_or("").to_owned();
        if self.buses.buses.contains_key(&name) {
            return Err(refuse(
                "ResourceAlreadyExistsException",
                format!("Event bus {name} already exists."),
            ));
        }
        if self.buses.buses.len() >= BUSES {
            return Err(refuse(
                "LimitExceededException",
                "The requested resource exceeds the maximum number allowed.",
            ));
        }
        let arn = self.scope.arn("events", &format!("event-bus/{name}"));
        let mut bus = Bus {
            arn: arn.clone(),
            description: self.text("Description").map(str::to_owned),
            tags: read_tags(&self.input["Tags"]),
            created: self.scope.now.as_second() as f64,
            ..Bus::default()
        };
        self.keep_settings(&mut bus);
        self.buses.buses.insert(name, bus);
        Ok(json!({"EventBusArn": arn}))
    }

    fn keep_settings(&self, bus: &mut Bus) {
        for name in ["KmsKeyIdentifier", "DeadLetterConfig", "LogConfig"] {
            if let Some(value) = self.input.get(name) {
                bus.settings.insert(name.to_owned(), value.clone());
            }
        }
    }

    pub(super) fn update_bus(&mut self) -> Result<Value, Refusal> {
        let name = bus_name(self.text("Name").unwrap_or("default")).to_owned();
        let mut bus = self.bus_of("Name")?.clone();
        bus.description = self
            .text("Description")
            .map(str::to_owned)
            .or(bus.description);
        self.keep_settings(&mut bus);
        let described = json!({"Arn": bus.arn, "Name": name, "Description": bus.description});
        self.buses.buses.insert(name, bus);
        Ok(described)
    }

    pub(super) fn delete_bus(&mut self) -> Result<Value, Refusal> {
        let name = bus_name(self.text("Name").unwrap_or("")).to_owned();
        if name == "default" {
            return Err(invalid("Cannot delete event bus default."));
        }
        if self
            .buses
            .buses
            .get(&name)
            .is_some_and(|bus| !bus.rules.is_empty())
        {
            return Err(invalid(format!(
                "Event bus {name} can't be deleted since it has rules."
            )));
        }
        self.buses.buses.remove(&name);
        Ok(Value::Null)
    }

    pub(super) fn describe_bus(&mut self) -> Result<Value, Refusal> {
        let name = bus_name(self.text("Name").unwrap_or("default")).to_owned();
        Ok(self.bus_of("Name")?.describe(&name))
    }

    pub(super) fn list_buses(&mut self) -> Value {
        let prefix = self.text("NamePrefix").unwrap_or("");
        let names = self
            .buses
            .buses
            .keys()
            .filter(|name| name.starts_with(prefix));
        let (names, next) = paged(names.cloned().collect(), self.input);
        let buses: Vec<Value> = names
            .iter()
            .filter_map(|name| Some(self.buses.buses.get(name)?.describe(name)))
            .collect();
        let mut answer = json!({"EventBuses": buses});
        if let Some(next) = next {
            answer["NextToken"] = json!(next);
        }
        answer
    }

    pub(super) fn put_permission(&mut self) -> Result<Value, Refusal> {
        let whole = self.text("Policy").map(str::to_owned);
        let sid = self.text("StatementId").unwrap_or("").to_owned();
        let action = self.text("Action").unwrap_or("events:PutEvents").to_owned();
        let principal = self.text("Principal").unwrap_or("").to_owned();
        let condition = self.input.get("Condition").cloned();
        let bus = self.bus_of("EventBusName")?;
        if let Some(text) = whole {
            let policy =
                serde_json::from_str(&text).map_err(|_| invalid("Policy is not valid JSON."))?;
            bus.policy = Some(policy);
            return Ok(Value::Null);
        }
        let who = if principal == "*" {
            json!("*")
        } else {
            json!({"AWS": format!("arn:aws:iam::{principal}:root")})
        };
        let mut statement = json!({
            "Sid": sid, "Effect": "Allow", "Principal": who, "Action": action, "Resource": bus.arn,
        });
        if let Some(condition) = condition {
            statement["Condition"] = json!({
                condition["Type"].as_str().unwrap_or("StringEquals"): {
                    condition["Key"].as_str().unwrap_or(""): condition["Value"],
                },
            });
        }
        let policy = bus
            .policy
            .get_or_insert_with(|| json!({"Version": "2012-10-17", "Statement": []}));
        if let Some(all) = policy["Statement"].as_array_mut() {
            all.retain(|one| one["Sid"] != sid.as_str());
            all.push(statement);
        }
        Ok(Value::Null)
    }

    pub(super) fn remove_permission(&mut self) -> Result<Value, Refusal> {
        let sid = self.text("StatementId").unwrap_or("").to_owned();
        let all = self.input["RemoveAllPermissions"].as_bool() == Some(true);
        let bus = self.bus_of("EventBusName")?;
        let Some(policy) = bus.policy.as_mut().filter(|_| !all) else {
            if all {
                bus.policy = None;
                return Ok(Value::Null);
            }
            return Err(missing("EventBus does not have a policy.".into()));
        };
        let left = match policy["Statement"].as_array_mut() {
            Some(statements) => {
                let before = statements.len();
                statements.retain(|one| one["Sid"] != sid.as_str());
                if statements.len() == before {
                    return Err(missing(
                        "Statement with the provided id does not exist.".into(),
                    ));
                }
                statements.len()
            }
            None => 0,
        };
        if left == 0 {
            bus.policy = None;
        }
        Ok(Value::Null)
    }

    pub(super) fn put_rule(&mut self) -> Result<Value, Refusal> {
        let name = self.text("Name").unwrap_or("").to_owned();
        let bus_id = bus_name(self.text("EventBusName").unwrap_or("default")).to_owned();
        let pattern = self
            .text("EventPattern")
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        let schedule = self
            .text("ScheduleExpression")
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        if pattern.is_none() && schedule.is_none() {
            return Err(invalid(
                "Parameter(s) EventPattern or ScheduleExpression must be specified.",
            ));
        }
        if let Some(pattern) = &pattern {
            filter::check_text(pattern).map_err(|reason| {
                refuse(
                    "InvalidEventPatternException",
                    format!("Event pattern is not valid. Reason: {reason}"),
                )
            })?;
        }
        let mut due = None;
        if let Some(text) = &schedule {
            if bus_id != "default" {
                return Err(invalid(
                    "ScheduleExpression is supported only on the default event bus.",
                ));
            }
            let parsed = Schedule::parse(text, true)
                .filter(|schedule| !schedule.is_once())
                .ok_or_else(|| invalid("Parameter ScheduleExpression is not valid."))?;
            due = parsed.next(self.scope.now, self.scope.now, &TimeZone::UTC);
        }
        let resource = if bus_id == "default" {
            format!("rule/{name}")
        } else {
            format!("rule/{bus_id}/{name}")
        };
        let arn = self.scope.arn("events", &resource);
        let mut rule = Rule {
            name: name.clone(),
            arn: arn.clone(),
            bus: bus_id,
            pattern,
            schedule,
            state: self.text("State").unwrap_or("ENABLED").to_owned(),
            description: self.text("Description").map(str::to_owned),
            role: self.text("RoleArn").map(str::to_owned),
            tags: read_tags(&self.input["Tags"]),
            targets: BTreeMap::new(),
            since: self.scope.now,
            due,
        };
        let bus = self.bus_of("EventBusName")?;
        match bus.rules.get(&name) {
            Some(old) => {
                // Tags of an existing rule are changed by TagResource only.
                rule.tags.clone_from(&old.tags);
                rule.targets.clone_from(&old.targets);
                if old.schedule == rule.schedule {
                    rule.since = old.since;
                    rule.due = old.due;
                }
            }
            None if bus.rules.len() >= RULES => {
                return Err(refuse(
                    "LimitExceededException",
                    "The requested resource exceeds the maximum number allowed.",
                ));
            }
            None => {}
        }
        bus.rules.insert(name, rule);
        Ok(json!({"RuleArn": arn}))
    }

    pub(super) fn delete_rule(&mut self) -> Result<Value, Refusal> {
        let name = self.text("Name").unwrap_or("").to_owned();
        let bus = self.bus_of("EventBusName")?;
        if bus
            .rules
            .get(&name)
            .is_some_and(|rule| !rule.targets.is_empty())
        {
            return Err(invalid("Rule can't be deleted since it has targets."));
        }
        bus.rules.remove(&name);
        Ok(Value::Null)
    }

    pub(super) fn describe_rule(&mut self) -> Result<Value, Refusal> {
        let account = self.scope.account.clone();
        Ok(self.rule_of("Name")?.describe(Some(&account)))
    }

    pub(super) fn list_rules(&mut self) -> Result<Value, Refusal> {
        let prefix = self.text("NamePrefix").unwrap_or("").to_owned();
        let input = self.input;
        let bus = self.bus_of("EventBusName")?;
        let names = bus
            .rules
            .keys()
            .filter(|name| name.starts_with(&prefix))
            .cloned()
            .collect();
        let (names, next) = paged(names, input);
        let rules: Vec<Value> = names
            .iter()
            .filter_map(|name| Some(bus.rules.get(name)?.describe(None)))
            .collect();
        let mut answer = json!({"Rules": rules});
        if let Some(next) = next {
            answer["NextToken"] = json!(next);
        }
        Ok(answer)
    }

    pub(super) fn switch_rule(&mut self, state: &str) -> Result<Value, Refusal> {
        let now = self.scope.now;
        let rule = self.rule_of("Name")?;
        if rule.state != state {
            state.clone_into(&mut rule.state);
            rule.due = rule
                .schedule
                .as_deref()
                .and_then(|text| Schedule::parse(text, true))
                .and_then(|schedule| schedule.next(now, rule.since, &TimeZone::UTC));
        }
        Ok(Value::Null)
    }

    pub(super) fn put_targets(&mut self) -> Result<Value, Refusal> {
        let targets = self.input["Targets"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let rule = self.rule_of("Rule")?;
        let mut all = rule.targets.clone();
        for target in &targets {
            let id = target["Id"].as_str().unwrap_or("").to_owned();
            let arn = target["Arn"].as_str().unwrap_or("");
            if arn.splitn(6, ':').count() < 6 {
                return Err(invalid(format!(
                    "Parameter {arn} is not valid. Reason: Provided Arn is not in correct format."
                )));
            }
            let inputs = ["Input", "InputPath", "InputTransformer"];
            if inputs
                .iter()
                .filter(|name| target.get(**name).is_some())
                .count()
                > 1
            {
                return Err(invalid(format!(
                    "Only one of Input, InputPath, or InputTransformer must be provided for target {id}."
                )));
            }
            if let Some(text) = target["Input"].as_str()
                && serde_json::from_str::<Value>(text).is_err()
            {
                return Err(invalid(format!(
                    "JSON syntax error in Input for target {id}."
                )));
            }
            if arn.split(':').nth(2) == Some("sqs")
                && arn.ends_with(".fifo")
                && target["SqsParameters"]["MessageGroupId"].as_str().is_none()
            {
                return Err(invalid(format!(
                    "Parameter(s) SqsParameters must be specified for target: {id}."
                )));
            }
            all.insert(id, target.clone());
        }
        if all.len() > TARGETS {
            return Err(refuse(
                "LimitExceededException",
                "The requested resource exceeds the maximum number allowed.",
            ));
        }
        rule.targets = all;
        Ok(json!({"FailedEntryCount": 0, "FailedEntries": []}))
    }

    pub(super) fn remove_targets(&mut self) -> Result<Value, Refusal> {
        let ids = self.input["Ids"].clone();
        let rule = self.rule_of("Rule")?;
        let mut failed = Vec::new();
        for id in ids
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if rule.targets.remove(id).is_none() {
                failed.push(json!({
                    "TargetId": id,
                    "ErrorCode": "ResourceNotFoundException",
                    "ErrorMessage": format!("Target {id} does not exist on the rule."),
                }));
            }
        }
        Ok(json!({"FailedEntryCount": failed.len(), "FailedEntries": failed}))
    }

    pub(super) fn list_targets(&mut self) -> Result<Value, Refusal> {
        let targets: Vec<Value> = self.rule_of("Rule")?.targets.values().cloned().collect();
        Ok(json!({"Targets": targets}))
    }

    pub(super) fn rules_by_target(&mut self) -> Result<Value, Refusal> {
        let target = self.text("TargetArn").unwrap_or("").to_owned();
        let names: Vec<String> = self
            .bus_of("EventBusName")?
            .rules
            .values()
            .filter(|rule| {
                rule.targets
                    .values()
                    .any(|one| one["Arn"] == target.as_str())
            })
            .map(|rule| rule.name.clone())
            .collect();
        Ok(json!({"RuleNames": names}))
    }

    fn tagged(&mut self) -> Result<&mut BTreeMap<String, String>, Refusal> {
        let arn = self.text("ResourceARN").unwrap_or("").to_owned();
        for bus in self.buses.buses.values_mut() {
            if bus.arn == arn {
                return Ok(&mut bus.tags);
            }
            if let Some(rule) = bus.rules.values_mut().find(|rule| rule.arn == arn) {
                return Ok(&mut rule.tags);
            }
        }
        let name = arn.rsplit('/').next().unwrap_or("");
        Err(missing(format!(
            "Rule {name} does not exist on EventBus default."
        )))
    }

    pub(super) fn tag(&mut self) -> Result<Value, Refusal> {
        let tags = read_tags(&self.input["Tags"]);
        crate::tags::merge(self.tagged()?, tags)?;
        Ok(json!({}))
    }

    pub(super) fn untag(&mut self) -> Result<Value, Refusal> {
        let keys = self.input["TagKeys"].clone();
        let tags = self.tagged()?;
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
            .tagged()?
            .iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        Ok(json!({"Tags": tags}))
    }
}

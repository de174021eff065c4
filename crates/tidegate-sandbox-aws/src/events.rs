//! EventBridge: buses, rules, targets, events put and matched, scheduled rules.
//!
//! `manage` changes buses and rules, `targets` shapes what a target gets, `put` takes events. Must not know: HTTP, Lambda.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

mod manage;
mod put;
mod targets;

pub(crate) use targets::find;

use crate::cron::Schedule;
use crate::effect::Effect;
use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::shape::{self, Model};

/// Buses of one region.
const BUSES: usize = 100;
/// Rules of one bus.
const RULES: usize = 300;

#[derive(Clone, Debug, Default)]
struct Bus {
    arn: String,
    policy: Option<Value>,
    description: Option<String>,
    settings: BTreeMap<String, Value>,
    tags: BTreeMap<String, String>,
    created: f64,
    rules: BTreeMap<String, Rule>,
}

#[derive(Clone, Debug, Default)]
struct Rule {
    name: String,
    arn: String,
    bus: String,
    pattern: Option<String>,
    schedule: Option<String>,
    state: String,
    description: Option<String>,
    role: Option<String>,
    tags: BTreeMap<String, String>,
    /// Targets by id, as they were put.
    targets: BTreeMap<String, Value>,
    /// When the schedule was set, and when it fires next.
    since: Timestamp,
    due: Option<Timestamp>,
}

/// The buses of one region.
#[derive(Debug, Default)]
pub(crate) struct Buses {
    buses: BTreeMap<String, Bus>,
    counter: u64,
}

pub(super) fn model() -> &'static Model {
    shape::model!("events")
}

fn missing(what: String) -> Refusal {
    refuse("ResourceNotFoundException", what)
}

fn invalid(words: impl Into<String>) -> Refusal {
    refuse("ValidationException", words)
}

impl Buses {
    /// Answers one operation; deliveries that it causes are added to `effects`.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        operation: &str,
        input: &Value,
        effects: &mut Vec<Effect>,
    ) -> Result<Value, Refusal> {
        self.ready(scope);
        let mut call = Call {
            buses: self,
            scope,
            input,
        };
        match operation {
            "CreateEventBus" => call.create_bus(),
            "DeleteEventBus" => call.delete_bus(),
            "DescribeEventBus" => call.describe_bus(),
            "UpdateEventBus" => call.update_bus(),
            "ListEventBuses" => Ok(call.list_buses()),
            "PutPermission" => call.put_permission(),
            "RemovePermission" => call.remove_permission(),
            "PutRule" => call.put_rule(),
            "DeleteRule" => call.delete_rule(),
            "DescribeRule" => call.describe_rule(),
            "ListRules" => call.list_rules(),
            "EnableRule" => call.switch_rule("ENABLED"),
            "DisableRule" => call.switch_rule("DISABLED"),
            "PutTargets" => call.put_targets(),
            "RemoveTargets" => call.remove_targets(),
            "ListTargetsByRule" => call.list_targets(),
            "ListRuleNamesByTarget" => call.rules_by_target(),
            "PutEvents" => call.put_events(effects),
            "TestEventPattern" => call.test_pattern(),
            "TagResource" => call.tag(),
            "UntagResource" => call.untag(),
            "ListTagsForResource" => call.list_tags(),
            other => Err(Refusal::unsupported("EventBridge", other)),
        }
    }

    /// The default bus exists from the start.
    fn ready(&mut self, scope: &Scope) {
        self.buses.entry("default".into()).or_insert_with(|| Bus {
            arn: scope.arn("events", "event-bus/default"),
            created: scope.now.as_second() as f64,
            ..Bus::default()
        });
    }

    /// Every bus and rule with its tags, for the tagging API.
    pub(crate) fn tagged(&self) -> Vec<(String, BTreeMap<String, String>)> {
        let mut all = Vec::new();
        for bus in self.buses.values() {
            all.push((bus.arn.clone(), bus.tags.clone()));
            all.extend(
                bus.rules
                    .values()
                    .map(|rule| (rule.arn.clone(), rule.tags.clone())),
            );
        }
        all
    }

    /// Fires the scheduled rules that are due, each once however far the clock leapt.
    pub(crate) fn tick(&mut self, scope: &Scope, effects: &mut Vec<Effect>) {
        let mut fired = Vec::new();
        for bus in self.buses.values_mut() {
            for rule in bus.rules.values_mut() {
                let Some(due) = rule
                    .due
                    .filter(|due| *due <= scope.now && rule.state == "ENABLED")
                else {
                    continue;
                };
                rule.due = rule
                    .schedule
                    .as_deref()
                    .and_then(|text| Schedule::parse(text, true))
                    .and_then(|schedule| schedule.next(scope.now, rule.since, &TimeZone::UTC));
                fired.push((rule.clone(), due));
            }
        }
        for (rule, due) in fired {
            self.counter += 1;
            let event = json!({
                "version": "0",
                "id": scope.uuid(&format!("{}/{}", rule.arn, self.counter)),
                "detail-type": "Scheduled Event",
                "source": "aws.events",
                "account": scope.account,
                "time": due.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                "region": scope.region,
                "resources": [rule.arn],
                "detail": {},
            });
            targets::deliver(&rule, &event, scope, effects);
        }
    }

    /// The next moment at which a scheduled rule fires.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.buses
            .values()
            .flat_map(|bus| bus.rules.values())
            .filter(|rule| rule.state == "ENABLED")
            .filter_map(|rule| rule.due)
            .min()
    }
}

/// One request to the buses of a region.
struct Call<'a> {
    buses: &'a mut Buses,
    scope: &'a Scope,
    input: &'a Value,
}

/// The name in a bus's name or ARN.
fn bus_name(given: &str) -> &str {
    given
        .split_once(":event-bus/")
        .map_or(given, |(_, name)| name)
}

impl Call<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        self.input.get(field).and_then(Value::as_str)
    }

    fn bus_of(&mut self, field: &str) -> Result<&mut Bus, Refusal> {
        let name = bus_name(self.text(field).unwrap_or("default")).to_owned();
        self.buses
            .buses
            .get_mut(&name)
            .ok_or_else(|| missing(format!("Event bus {name} does not exist.")))
    }

    fn rule_of(&mut self, field: &str) -> Result<&mut Rule, Refusal> {
        let name = self.text(field).unwrap_or("").to_owned();
        let bus = bus_name(self.text("EventBusName").unwrap_or("default")).to_owned();
        self.bus_of("EventBusName")?
            .rules
            .get_mut(&name)
            .ok_or_else(|| missing(format!("Rule {name} does not exist on EventBus {bus}.")))
    }
}

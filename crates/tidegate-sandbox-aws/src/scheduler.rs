//! EventBridge Scheduler: schedules in groups, fired by the sandbox's clock.
//!
//! `rest` tells operations by method and path, `manage` carries them out. Must not know: HTTP, Lambda.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

mod manage;
pub(crate) mod rest;

use crate::cron::Schedule as Expression;
use crate::effect::Effect;
use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::shape::{self, Model};

/// Groups of one region.
const GROUPS: usize = 500;
/// Schedules of one region.
const SCHEDULES: usize = 10_000;

#[derive(Clone, Debug)]
struct Schedule {
    group: String,
    name: String,
    arn: String,
    /// The members that CreateSchedule takes, as they were given, with defaults.
    body: Value,
    created: Timestamp,
    modified: Timestamp,
    due: Option<Timestamp>,
}

impl Schedule {
    fn zone(&self) -> TimeZone {
        self.body["ScheduleExpressionTimezone"]
            .as_str()
            .and_then(|name| TimeZone::get(name).ok())
            .unwrap_or(TimeZone::UTC)
    }

    fn moment(&self, field: &str) -> Option<Timestamp> {
        match &self.body[field] {
            Value::String(text) => text.parse().ok(),
            other => Timestamp::from_millisecond((other.as_f64()? * 1_000.0) as i64).ok(),
        }
    }

    /// The first moment after `after` at which it fires.
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let expression = Expression::parse(self.body["ScheduleExpression"].as_str()?, false)?;
        let from = match self.moment("StartDate") {
            Some(start) if start > after => start,
            _ => after,
        };
        let start = self.moment("StartDate").unwrap_or(self.created);
        let next = expression.next(from, start, &self.zone())?;
        match self.moment("EndDate") {
            Some(end) if next > end => None,
            _ => Some(next),
        }
    }
}

#[derive(Clone, Debug)]
struct Group {
    arn: String,
    created: Timestamp,
    tags: BTreeMap<String, String>,
}

/// The schedules of one region.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    groups: BTreeMap<String, Group>,
    schedules: BTreeMap<(String, String), Schedule>,
}

pub(super) fn model() -> &'static Model {
    shape::model!("scheduler")
}

impl Schedules {
    /// Answers one operation.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        self.groups
            .entry("default".into())
            .or_insert_with(|| Group {
                arn: scope.arn("scheduler", "schedule-group/default"),
                created: scope.now,
                tags: BTreeMap::new(),
            });
        let mut call = Call {
            schedules: self,
            scope,
            input,
        };
        match operation {
            "CreateSchedule" => call.create(),
            "UpdateSchedule" => call.update(),
            "GetSchedule" => call.get(),
            "DeleteSchedule" => call.delete(),
            "ListSchedules" => Ok(call.list()),
            "CreateScheduleGroup" => call.create_group(),
            "GetScheduleGroup" => call.get_group(),
            "DeleteScheduleGroup" => call.delete_group(),
            "ListScheduleGroups" => Ok(call.list_groups()),
            "TagResource" => call.tag(),
            "UntagResource" => call.untag(),
            "ListTagsForResource" => call.list_tags(),
            other => Err(Refusal::unsupported("Scheduler", other)),
        }
    }

    /// Every group with its tags, for the tagging API.
    pub(crate) fn tagged(&self) -> Vec<(String, BTreeMap<String, String>)> {
        self.groups
            .values()
            .map(|group| (group.arn.clone(), group.tags.clone()))
            .collect()
    }

    /// Fires the schedules that are due, each once however far the clock leapt.
    pub(crate) fn tick(&mut self, scope: &Scope, effects: &mut Vec<Effect>) {
        let mut done = Vec::new();
        for (key, schedule) in &mut self.schedules {
            let due = schedule.due.filter(|due| *due <= scope.now);
            let Some(due) = due.filter(|_| schedule.body["State"] != "DISABLED") else {
                continue;
            };
            let target = &schedule.body["Target"];
            let input = target["Input"].as_str().unwrap_or("{}");
            let payload = input
                .replace("<aws.scheduler.schedule-arn>", &schedule.arn)
                .replace(
                    "<aws.scheduler.scheduled-time>",
                    &due.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                )
                .replace("<aws.scheduler.execution-id>", &scope.uuid(&schedule.arn))
                .replace("<aws.scheduler.attempt-number>", "1");
            let arn = target["Arn"].as_str().unwrap_or("");
            effects.push(Effect::to_target(arn, &payload, target));
            schedule.due = schedule.next(scope.now);
            if schedule.due.is_none() && schedule.body["ActionAfterCompletion"] == "DELETE" {
                done.push(key.clone());
            }
        }
        for key in done {
            self.schedules.remove(&key);
        }
    }

    /// The next moment at which a schedule fires.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.schedules
            .values()
            .filter(|schedule| schedule.body["State"] != "DISABLED")
            .filter_map(|schedule| schedule.due)
            .min()
    }
}

/// One request to the schedules of a region.
struct Call<'a> {
    schedules: &'a mut Schedules,
    scope: &'a Scope,
    input: &'a Value,
}

fn missing(what: String) -> Refusal {
    refuse("ResourceNotFoundException", what).status(404)
}

fn conflict(what: String) -> Refusal {
    refuse("ConflictException", what).status(409)
}

fn invalid(what: impl Into<String>) -> Refusal {
    refuse("ValidationException", what)
}

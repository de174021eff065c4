//! Events that are pushed to a function: schedules, rules, topics, buckets, log groups.

use serde_json::{Map, Value, json};

use crate::sam::function::Bound;
use crate::sam::link::{Event, python_shown};
use crate::sam::role::{Role, allowing};
use crate::sam::rules::{Is, check_id, mistyped};
use crate::sam::{Made, Sam, attribute, fields, is_truthy, reference};

/// Ids of targets are cut here.
const TARGET_ID_MAX: usize = 64;

/// What a rule or a schedule starts.
pub(crate) struct Target<'t> {
    pub(crate) arn: Value,
    pub(crate) attributes: &'t Map<String, Value>,
    /// The suffix of the target's id.
    pub(crate) suffix: &'static str,
    /// The role that starts it, where it needs one.
    pub(crate) role: Option<Value>,
}

impl Sam<'_> {
    pub(crate) fn push(
        &mut self,
        event: &Event<'_>,
        kind: &str,
        bound: &Bound,
        role: &mut Role,
    ) -> Made<()> {
        match kind {
            "Schedule" | "CloudWatchEvent" | "EventBridgeRule" => {
                let target = Target {
                    arn: bound.arn(),
                    attributes: &bound.attributes,
                    suffix: "LambdaTarget",
                    role: None,
                };
                self.rule(event, kind, &target)?;
                let source = attribute(event.id, "Arn");
                self.permission(event, bound, "events.amazonaws.com", Some(source), None);
                Ok(())
            }
            "ScheduleV2" => {
                let arn = bound.arn();
                let policy = allowing(
                    &format!("{}LambdaPolicy", event.id),
                    "lambda:InvokeFunction",
                    &arn,
                );
                self.schedule(event, &arn, &policy, &bound.attributes)
            }
            "SNS" => self.topic(event, bound, role),
            "S3" => self.bucket(event, bound),
            "CloudWatchLogs" => self.logs(event, bound),
            "AlexaSkill" => {
                self.alexa(event, bound);
                Ok(())
            }
            "IoTRule" => {
                self.iot(event, bound);
                Ok(())
            }
            "Cognito" => self.user_pool(event, bound),
            other => event.fault(format!(
                "Resource dict has missing or invalid value for key Type. Event Type is: {other}."
            )),
        }
    }

    pub(crate) fn permission(
        &mut self,
        event: &Event<'_>,
        bound: &Bound,
        principal: &str,
        source: Option<Value>,
        account: Option<Value>,
    ) -> String {
        let id = format!("{}Permission", event.id);
        let properties = fields([
            ("Action", Some(json!("lambda:InvokeFunction"))),
            ("FunctionName", Some(bound.name())),
            ("Principal", Some(json!(principal))),
            ("SourceArn", source),
            ("SourceAccount", account),
        ]);
        self.emit(
            &id,
            "AWS::Lambda::Permission",
            properties,
            bound.attributes.clone(),
        );
        id
    }

    /// A rule of EventBridge, by pattern or by schedule.
    pub(crate) fn rule(&mut self, event: &Event<'_>, kind: &str, target: &Target<'_>) -> Made<()> {
        let is_schedule = kind == "Schedule";
        let state = match (event.some("State"), event.get("Enabled")) {
            (Some(_), Some(_)) => {
                return event.fault("State and Enabled Properties cannot both be specified.");
            }
            (Some(state), None) => Some(state.clone()),
            (None, Some(enabled)) if !is_truthy(enabled) => Some(json!("DISABLED")),
            (None, Some(_)) => Some(json!("ENABLED")),
            (None, None) => None,
        };
        let queue = match event.get("DeadLetterConfig") {
            None => None,
            Some(config) => Some(self.dead_letters(event, config, target.attributes, true)?),
        };
        // Schedules of functions have no target of their own.
        let chosen = event.get("Target").and_then(|target| target.get("Id"));
        let chosen = chosen.cloned();
        let id = format!("{}{}", event.id, target.suffix);
        let id = if id.len() > TARGET_ID_MAX {
            let room = TARGET_ID_MAX.saturating_sub(target.suffix.len());
            let cut: String = event.id.chars().take(room).collect();
            format!("{cut}{}", target.suffix)
        } else {
            id
        };
        let mut wanted = fields([
            ("Arn", Some(target.arn.clone())),
            ("Id", Some(chosen.unwrap_or_else(|| json!(id)))),
            ("RoleArn", target.role.clone()),
            ("Input", event.copied("Input")),
            ("RetryPolicy", event.copied("RetryPolicy")),
            ("DeadLetterConfig", queue.map(|arn| json!({"Arn": arn}))),
        ]);
        if !is_schedule {
            wanted.extend(fields([
                ("InputPath", event.copied("InputPath")),
                ("InputTransformer", event.copied("InputTransformer")),
            ]));
        }
        let properties = if is_schedule {
            fields([
                ("ScheduleExpression", event.copied("Schedule")),
                ("Name", event.copied("Name")),
                ("Description", event.copied("Description")),
                ("State", state),
                ("Targets", Some(json!([wanted]))),
            ])
        } else {
            fields([
                ("EventBusName", event.copied("EventBusName")),
                ("EventPattern", event.copied("Pattern")),
                ("Name", event.copied("RuleName")),
                ("State", state),
                ("Targets", Some(json!([wanted]))),
            ])
        };
        self.emit(
            event.id,
            "AWS::Events::Rule",
            properties,
            target.attributes.clone(),
        );
        Ok(())
    }

    /// The queue of a rule's or a schedule's dead letters; made when only its type is given.
    fn dead_letters(
        &mut self,
        event: &Event<'_>,
        config: &Value,
        attributes: &Map<String, Value>,
        has_policy: bool,
    ) -> Made<Value> {
        let (arn, kind) = (config.get("Arn"), config.get("Type"));
        let fault = |message: &str| event.fault_by_id(message);
        match (arn, kind) {
            (Some(_), Some(_)) => {
                return fault(
                    "You can either define 'Arn' or 'Type' property of DeadLetterConfig.",
                );
            }
            (None, Some(kind)) if kind.as_str() != Some("SQS") => {
                return fault(
                    "The only valid value for 'Type' property of DeadLetterConfig is 'SQS'.",
                );
            }
            (None, None) => {
                return fault("No 'Arn' or 'Type' property provided for DeadLetterConfig.");
            }
            (Some(arn), None) => return Ok(arn.clone()),
            (None, Some(_)) => {}
        }
        let queue = match config.get("QueueLogicalId") {
            None | Some(Value::Null) => format!("{}Queue", event.id),
            Some(Value::String(id)) if id.is_empty() => format!("{}Queue", event.id),
            Some(Value::String(id)) => id.clone(),
            Some(_) => return fault("QueueLogicalId must be a string"),
        };
        check_id(event.owner, &queue)?;
        self.emit(&queue, "AWS::SQS::Queue", Map::new(), attributes.clone());
        let arn = attribute(&queue, "Arn");
        if has_policy {
            let document = json!({"Version": "2012-10-17", "Statement": [{"Action": "sqs:SendMessage",
                "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": attribute(event.id, "Arn")}}}]});
            let properties = fields([
                ("PolicyDocument", Some(document)),
                ("Queues", Some(json!([reference(&queue)]))),
            ]);
            let policy = format!("{}QueuePolicy", event.id);
            self.emit(
                &policy,
                "AWS::SQS::QueuePolicy",
                properties,
                attributes.clone(),
            );
        }
        Ok(arn)
    }

    /// A schedule of EventBridge Scheduler, and the role that starts its target.
    pub(crate) fn schedule(
        &mut self,
        event: &Event<'_>,
        arn: &Value,
        policy: &Value,
        attributes: &Map<String, Value>,
    ) -> Made<()> {
        let omits = event.some("OmitName").is_some();
        let name = match (event.some("Name").cloned(), omits) {
            (Some(_), true) => {
                return event.fault_by_id("Name cannot be set when OmitName is True");
            }
            (Some(name), false) => Some(name),
            (None, true) => None,
            (None, false) => Some(json!(event.id)),
        };
        let queue = match event.get("DeadLetterConfig") {
            None => None,
            Some(config) => Some(self.dead_letters(event, config, attributes, false)?),
        };
        let role = match event.some("RoleArn") {
            Some(role) => role.clone(),
            None => {
                let id = format!("{}Role", event.id);
                let mut policies = vec![policy.clone()];
                if let Some(queue) = &queue {
                    let name = format!("{}SQSPolicy", event.id);
                    policies.push(allowing(&name, "sqs:SendMessage", queue));
                }
                let properties = fields([
                    (
                        "AssumeRolePolicyDocument",
                        Some(crate::sam::role::trust("scheduler.amazonaws.com")),
                    ),
                    ("Policies", Some(Value::Array(policies))),
                    (
                        "PermissionsBoundary",
                        event.some("PermissionsBoundary").cloned(),
                    ),
                ]);
                self.emit(&id, "AWS::IAM::Role", properties, attributes.clone());
                attribute(&id, "Arn")
            }
        };
        let target = fields([
            ("Arn", Some(arn.clone())),
            ("RoleArn", Some(role)),
            ("Input", event.copied("Input")),
            ("RetryPolicy", event.copied("RetryPolicy")),
            ("DeadLetterConfig", queue.map(|arn| json!({"Arn": arn}))),
        ]);
        let window = event.some("FlexibleTimeWindow").cloned();
        let properties = fields([
            ("ScheduleExpression", event.copied("ScheduleExpression")),
            ("State", event.some("State").cloned()),
            ("Name", name),
            ("Description", event.copied("Description")),
            (
                "FlexibleTimeWindow",
                Some(window.unwrap_or_else(|| json!({"Mode": "OFF"}))),
            ),
            ("StartDate", event.copied("StartDate")),
            ("EndDate", event.copied("EndDate")),
            (
                "ScheduleExpressionTimezone",
                event.copied("ScheduleExpressionTimezone"),
            ),
            ("GroupName", event.copied("GroupName")),
            ("KmsKeyArn", event.copied("KmsKeyArn")),
            ("Target", Some(Value::Object(target))),
        ]);
        self.emit(
            event.id,
            "AWS::Scheduler::Schedule",
            properties,
            attributes.clone(),
        );
        Ok(())
    }

    fn topic(&mut self, event: &Event<'_>, bound: &Bound, role: &mut Role) -> Made<()> {
        let topic = event.properties.get("Topic").unwrap_or(&Value::Null);
        let subscription = |protocol: &str, endpoint: Value| {
            fields([
                ("Protocol", Some(json!(protocol))),
                ("Endpoint", Some(endpoint)),
                ("TopicArn", Some(topic.clone())),
                ("Region", event.copied("Region")),
                ("FilterPolicy", event.copied("FilterPolicy")),
                ("FilterPolicyScope", event.copied("FilterPolicyScope")),
                ("RedrivePolicy", event.copied("RedrivePolicy")),
            ])
        };
        let kind = "AWS::SNS::Subscription";
        let attributes = &bound.attributes;
        let Some(queued) = event.some("SqsSubscription") else {
            let properties = subscription("lambda", bound.arn());
            self.permission(event, bound, "sns.amazonaws.com", Some(topic.clone()), None);
            self.emit(event.id, kind, properties, attributes.clone());
            return Ok(());
        };
        let (arn, url, policy_id, batch) = match queued {
            Value::Bool(_) => {
                let queue = format!("{}Queue", event.id);
                let fifo = self.is_fifo(topic).then_some(Value::Bool(true));
                self.emit(
                    &queue,
                    "AWS::SQS::Queue",
                    fields([("FifoQueue", fifo)]),
                    attributes.clone(),
                );
                (attribute(&queue, "Arn"), reference(&queue), None, None)
            }
            Value::Object(own) => {
                let some = |name: &str| own.get(name).filter(|value| is_truthy(value));
                let (Some(arn), Some(url)) = (some("QueueArn"), some("QueueUrl")) else {
                    return event.fault("No QueueARN or QueueURL provided.");
                };
                let policy = some("QueuePolicyLogicalId").map(python_shown);
                let batch = some("BatchSize");
                (arn.clone(), url.clone(), policy, batch.cloned())
            }
            _ => return event.fault(mistyped("SqsSubscription", Is::Map)),
        };
        let document = json!({"Version": "2012-10-17", "Statement": [{"Action": "sqs:SendMessage",
            "Effect": "Allow", "Principal": "*", "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]});
        let policy = policy_id.unwrap_or_else(|| format!("{}QueuePolicy", event.id));
        check_id(event.owner, &policy)?;
        let properties = fields([
            ("PolicyDocument", Some(document)),
            ("Queues", Some(json!([url]))),
        ]);
        self.emit(
            &policy,
            "AWS::SQS::QueuePolicy",
            properties,
            attributes.clone(),
        );
        self.emit(
            event.id,
            kind,
            subscription("sqs", arn.clone()),
            attributes.clone(),
        );
        let mapping = fields([
            ("FunctionName", Some(bound.name())),
            ("EventSourceArn", Some(arn)),
            ("BatchSize", Some(batch.unwrap_or_else(|| json!(10)))),
            ("Enabled", Some(json!(true))),
        ]);
        let id = format!("{}EventSourceMapping", event.id);
        self.emit(
            &id,
            "AWS::Lambda::EventSourceMapping",
            mapping,
            attributes.clone(),
        );
        role.manage(self.managed_arn("service-role/AWSLambdaSQSQueueExecutionRole"));
        Ok(())
    }

    fn is_fifo(&self, topic: &Value) -> bool {
        let id = topic.get("Ref").and_then(Value::as_str);
        let resource = id.and_then(|id| self.input.get(id));
        let fifo = resource.and_then(|resource| resource.pointer("/Properties/FifoTopic"));
        fifo.is_some_and(|fifo| {
            let fifo = self.resolved(fifo);
            fifo == Value::Bool(true) || fifo.as_str() == Some("true")
        })
    }
}

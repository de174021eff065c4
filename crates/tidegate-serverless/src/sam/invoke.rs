//! `EventInvokeConfig`: where the outcome of asynchronous calls goes; and tags that are handed on.

use serde_json::{Map, Value, json};

use crate::sam::link::python_shown;
use crate::sam::role::{allowing, branches};
use crate::sam::{
    Fault, Made, Sam, Subject, attribute, fields, hash, is_intrinsic, is_no_value, is_truthy,
    reference, rules,
};

impl Sam<'_> {
    /// `EventInvokeConfig`, the destinations that it lacks, and the policies that they need.
    pub(crate) fn event_invoke(
        &mut self,
        subject: &Subject<'_>,
        config: &Value,
        alias: Option<&str>,
        alias_name: &str,
    ) -> Made<Vec<Value>> {
        let id = subject.id;
        let resolved = self.settled(config);
        let logical = format!("{id}EventInvokeConfig");
        let mut policies = Vec::new();
        let mut destinations = Map::new();
        let given = resolved
            .get("DestinationConfig")
            .filter(|given| is_truthy(given));
        if let Some(given) = given {
            let Some(given) = given.as_object() else {
                let message =
                    rules::mistyped("EventInvokeConfig.DestinationConfig", rules::Is::Map);
                return Err(Fault::new(id, message));
            };
            for on in ["OnSuccess", "OnFailure"] {
                let Some(wanted) = given.get(on).filter(|wanted| !wanted.is_null()) else {
                    continue;
                };
                if !wanted.is_object() {
                    let path = format!("EventInvokeConfig.DestinationConfig.{on}");
                    return Err(Fault::new(id, rules::mistyped(&path, rules::Is::Map)));
                }
                let is_shared = self.shares_destination(subject, on);
                let mut wanted = wanted.clone();
                if let Some(made) = self.shared.get(on).filter(|_| is_shared) {
                    wanted["Destination"] = made.clone();
                }
                let (destination, policy) = self.destination(subject, &wanted, on, &logical)?;
                if is_shared {
                    self.shared.insert(on, destination.clone());
                }
                destinations.insert(on.to_owned(), json!({"Destination": destination}));
                policies.extend(policy);
            }
        }
        let qualifier = if alias_name.is_empty() {
            "$LATEST"
        } else {
            alias_name
        };
        let properties = fields([
            ("FunctionName", Some(reference(id))),
            ("Qualifier", Some(json!(qualifier))),
            ("DestinationConfig", Some(Value::Object(destinations))),
            (
                "MaximumEventAgeInSeconds",
                resolved.get("MaximumEventAgeInSeconds").cloned(),
            ),
            (
                "MaximumRetryAttempts",
                resolved.get("MaximumRetryAttempts").cloned(),
            ),
        ]);
        let mut attributes = subject.own();
        attributes.remove("DependsOn");
        if let Some(alias) = alias {
            attributes.insert("DependsOn".to_owned(), json!([alias]));
        }
        self.emit(
            &logical,
            "AWS::Lambda::EventInvokeConfig",
            properties,
            attributes,
        );
        Ok(policies)
    }

    /// Whether a destination is that of `Globals`, with nothing of the function's own in it.
    fn shares_destination(&self, subject: &Subject<'_>, on: &str) -> bool {
        let path = ["EventInvokeConfig", "DestinationConfig", on];
        let functions = self.template.section("Globals");
        let mut global = functions.and_then(|all| all.get("Function"));
        for name in path {
            global = global.and_then(|global| global.get(name));
        }
        let resources = self.template.section("Resources");
        let written = resources.and_then(|all| all.get(subject.id));
        let ignores = written.and_then(|written| written.get("IgnoreGlobals"));
        let mut local = written.and_then(|written| written.get("Properties"));
        for name in path {
            local = match local.and_then(|local| local.get(name)) {
                None => return global.is_some() && !ignores.is_some_and(is_truthy),
                Some(own) if is_intrinsic(own) => return false,
                own => own,
            };
        }
        false
    }

    fn destination(
        &mut self,
        subject: &Subject<'_>,
        wanted: &Value,
        on: &str,
        logical: &str,
    ) -> Made<(Value, Option<Value>)> {
        let id = subject.id;
        const TYPES: [&str; 5] = ["SQS", "SNS", "EventBridge", "Lambda", "S3Bucket"];
        let kind = wanted.get("Type");
        let known = kind
            .and_then(Value::as_str)
            .filter(|kind| TYPES.contains(kind));
        let Some(kind) = known else {
            let shown = kind.map_or_else(|| "None".to_owned(), python_shown);
            let message = "must be one of ['SQS', 'SNS', 'EventBridge', 'Lambda', 'S3Bucket']";
            return Err(Fault::new(id, format!("'Type: {shown}' {message}")));
        };
        let prefix = format!("{logical}{on}");
        let given = wanted.get("Destination").filter(|given| !given.is_null());
        let mut attributes = subject.passed_on();
        let is_if = |given: &&Value| given.get("Fn::If").is_some() && is_intrinsic(given);
        if given
            .filter(is_if)
            .is_some_and(|given| branches(given).is_none())
        {
            let message = "Malformed 'Destination' property: Fn::If requires 3 arguments.";
            return Err(Fault::new(logical, message).at_resource(id));
        }
        let conditional = given
            .and_then(branches)
            .map(|parts| parts.map(Clone::clone));
        let made = match (given, conditional) {
            (None, _) => None,
            (Some(_), Some([condition, then, otherwise]))
                if is_no_value(&then) != is_no_value(&otherwise) =>
            {
                let name = condition.as_str().unwrap_or_default().to_owned();
                if is_no_value(&then) {
                    Some((name, otherwise))
                } else {
                    let negated = hash::id(&format!("NOT{name}"), &json!(logical));
                    self.conditions
                        .insert(negated.clone(), json!({"Fn::Not": [{"Condition": name}]}));
                    Some((negated, then))
                }
            }
            (Some(given), _) => {
                let policy = destination_policy(kind, &prefix, given);
                return Ok((given.clone(), policy));
            }
        };
        let (suffix, resource_type) = match kind {
            "SQS" => ("Queue", "AWS::SQS::Queue"),
            "SNS" => ("Topic", "AWS::SNS::Topic"),
            _ => {
                let message = "Destination is required if Type is not ['SQS', 'SNS']";
                return Err(Fault::new(id, message));
            }
        };
        let resource = format!("{prefix}{suffix}");
        let arn = match kind {
            "SQS" => attribute(&resource, "Arn"),
            _ => reference(&resource),
        };
        let destination = match &made {
            Some((condition, other)) => {
                let own = attributes.get("Condition").and_then(Value::as_str);
                let combined = match own {
                    Some(own) => {
                        let name = hash::id(&format!("{own}AND{condition}"), &json!(id));
                        self.conditions.insert(
                            name.clone(),
                            json!({"Fn::And": [{"Condition": {"Condition": own}},
                                {"Condition": {"Condition": condition}}]}),
                        );
                        name
                    }
                    None => condition.clone(),
                };
                attributes.insert("Condition".to_owned(), json!(combined));
                json!({"Fn::If": [condition, arn, other]})
            }
            None => arn,
        };
        self.emit(&resource, resource_type, Map::new(), attributes);
        let policy = destination_policy(kind, &prefix, &destination);
        Ok((destination, policy))
    }

    /// `PropagateTags`: everything that was made bears the user's tags and only them.
    pub(crate) fn propagate_tags(&mut self, subject: &Subject<'_>) {
        if subject.some("PropagateTags").is_none() {
            return;
        }
        let Some(tags) = self.tags(None, subject) else {
            return;
        };
        for (id, kind) in &self.made {
            if TAGGED.contains(&kind.as_str())
                && let Some(resource) = self.output.get_mut(id)
                && let Some(properties) = resource.get_mut("Properties")
            {
                properties["Tags"] = tags.clone();
            }
        }
    }
}

/// Types whose tags SAM sets.
const TAGGED: &[&str] = &[
    "AWS::Lambda::Function",
    "AWS::IAM::Role",
    "AWS::SQS::Queue",
    "AWS::SNS::Topic",
    "AWS::S3::Bucket",
    "AWS::IoT::TopicRule",
    "AWS::StepFunctions::StateMachine",
];

/// What a role needs to send to a destination.
pub(crate) fn destination_policy(kind: &str, prefix: &str, arn: &Value) -> Option<Value> {
    Some(match kind {
        "SQS" => allowing(&format!("{prefix}SQSPolicy"), "sqs:SendMessage", arn),
        "SNS" => allowing(&format!("{prefix}SNSPolicy"), "sns:publish", arn),
        "EventBridge" => allowing(
            &format!("{prefix}EventBridgePolicy"),
            "events:PutEvents",
            arn,
        ),
        "Lambda" => allowing(
            &format!("{prefix}LambdaPolicy"),
            "lambda:InvokeFunction",
            arn,
        ),
        "S3" | "S3Bucket" => {
            json!({"PolicyName": format!("{prefix}S3Policy"), "PolicyDocument": {"Statement": [
                {"Action": "s3:PutObject", "Effect": "Allow", "Resource": {"Fn::Join": ["/", [arn, "*"]]}},
                {"Action": "s3:ListBucket", "Effect": "Allow", "Resource": arn},
            ]}})
        }
        _ => return None,
    })
}

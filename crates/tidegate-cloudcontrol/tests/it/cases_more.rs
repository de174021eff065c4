//! More lives: policies, consumers, bindings, subscriptions, notifications, schedules, state machines.

use serde_json::{Value, json};

use crate::bench::Case;
use crate::cases::{case, function, role};

fn policy(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})
}

/// What stands around functions.
pub(crate) fn around() -> Vec<Case> {
    vec![
        Case {
            update: Some(("PolicyDocument", policy("s3:GetObject"))),
            drift: Some(("PolicyDocument", policy("s3:DeleteObject"))),
            replace: Some(("ManagedPolicyName", json!("it-managed-2"))),
            ..case(
                "IAM managed policy",
                "Managed",
                json!({"Managed": {"Type": "AWS::IAM::ManagedPolicy", "Name": "it-managed", "Properties": {
                    "ManagedPolicyName": "it-managed", "PolicyDocument": policy("s3:PutObject")}}}),
            )
        },
        Case {
            update: Some(("PolicyDocument", policy("s3:GetObject"))),
            drift: Some(("PolicyDocument", policy("s3:DeleteObject"))),
            ..case(
                "IAM inline policy",
                "Policy",
                json!({
                    "Role": role("it-inline-role"),
                    "Policy": {"Type": "AWS::IAM::Policy", "Properties": {
                        "PolicyName": "it-inline", "Roles": [{"Ref": "Role"}], "PolicyDocument": policy("s3:PutObject")}},
                }),
            )
        },
        Case {
            replace: Some(("ConsumerName", json!("it-consumer-2"))),
            ..case(
                "Kinesis consumer",
                "Consumer",
                json!({
                    "Stream": {"Type": "AWS::Kinesis::Stream", "Name": "it-fanned", "Properties": {"Name": "it-fanned", "ShardCount": 1}},
                    "Consumer": {"Type": "AWS::Kinesis::StreamConsumer", "Name": "it-consumer", "Properties": {
                        "ConsumerName": "it-consumer", "StreamARN": {"Fn::GetAtt": ["Stream", "Arn"]}}},
                }),
            )
        },
        Case {
            update: Some(("RawMessageDelivery", json!(true))),
            drift: Some(("RawMessageDelivery", json!(true))),
            ..case(
                "SNS subscription",
                "Subscription",
                json!({
                    "Topic": {"Type": "AWS::SNS::Topic", "Name": "it-subscribed", "Properties": {"TopicName": "it-subscribed"}},
                    "Queue": {"Type": "AWS::SQS::Queue", "Name": "it-subscriber", "Properties": {"QueueName": "it-subscriber"}},
                    "Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {
                        "TopicArn": {"Ref": "Topic"}, "Protocol": "sqs", "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
                        "FilterPolicy": {"kind": ["order"]}}},
                }),
            )
        },
        Case {
            replace: Some(("Name", json!("it-bus-2"))),
            ..case(
                "Event bus",
                "Bus",
                json!({"Bus": {"Type": "AWS::Events::EventBus", "Name": "it-bus", "Properties": {"Name": "it-bus"}}}),
            )
        },
    ]
}

/// A function with a source.
#[expect(
    clippy::needless_pass_by_value,
    reason = "calls read best with `json!` in place"
)]
fn bound(kind: &str, source: Value, mapping: Value, code: &str) -> Value {
    let name = format!("it-bound-{kind}");
    let mut properties = json!({
        "FunctionName": {"Ref": "Function"}, "EventSourceArn": {"Fn::GetAtt": ["Source", if kind == "table" { "StreamArn" } else { "Arn" }]}});
    for (key, value) in mapping.as_object().into_iter().flatten() {
        properties[key] = value.clone();
    }
    json!({
        "Role": role(&format!("{name}-role")),
        "Function": function(&name, code),
        "Source": source,
        "Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties},
    })
}

/// Mappings of streams and change logs, and capacity that is provisioned.
pub(crate) fn bindings(code: &[String; 2]) -> Vec<Case> {
    let stream = json!({"Type": "AWS::Kinesis::Stream", "Name": "it-bound", "Properties": {"Name": "it-bound", "ShardCount": 1}});
    let table = json!({"Type": "AWS::DynamoDB::Table", "Name": "it-bound-table", "Properties": {
        "TableName": "it-bound-table", "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"}}});
    let on_stream = json!({"StartingPosition": "TRIM_HORIZON", "BatchSize": 50, "BisectBatchOnFunctionError": true,
        "MaximumRetryAttempts": 3, "MaximumBatchingWindowInSeconds": 1, "ParallelizationFactor": 2,
        "FilterCriteria": {"Filters": [{"Pattern": "{\"data\":{\"kind\":[\"order\"]}}"}]}});
    vec![
        Case {
            update: Some(("BatchSize", json!(20))),
            drift: Some(("MaximumRetryAttempts", json!(9))),
            replace: Some(("StartingPosition", json!("LATEST"))),
            ..case(
                "Mapping of a stream",
                "Mapping",
                bound("stream", stream, on_stream, &code[0]),
            )
        },
        Case {
            update: Some(("MaximumRecordAgeInSeconds", json!(600))),
            drift: Some(("Enabled", json!(false))),
            ..case(
                "Mapping of a change log",
                "Mapping",
                bound(
                    "table",
                    table,
                    json!({"StartingPosition": "LATEST"}),
                    &code[0],
                ),
            )
        },
        Case {
            update: Some((
                "ProvisionedConcurrencyConfig",
                json!({"ProvisionedConcurrentExecutions": 2}),
            )),
            drift: Some((
                "ProvisionedConcurrencyConfig",
                json!({"ProvisionedConcurrentExecutions": 3}),
            )),
            ..case(
                "Provisioned concurrency",
                "Alias",
                json!({
                    "Role": role("it-warm-role"),
                    "Function": function("it-warm", &code[0]),
                    "Version": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
                    "Alias": {"Type": "AWS::Lambda::Alias", "Properties": {
                        "Name": "live", "FunctionName": {"Ref": "Function"},
                        "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]},
                        "ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": 1}}},
                }),
            )
        },
        Case {
            update: Some((
                "NotificationConfiguration",
                json!({"QueueConfigurations": [{"Event": "s3:ObjectRemoved:*", "Queue": {"Fn::GetAtt": ["Queue", "Arn"]}}]}),
            )),
            ..case(
                "S3 notification",
                "Bucket",
                json!({
                    "Queue": {"Type": "AWS::SQS::Queue", "Name": "it-notified", "Properties": {"QueueName": "it-notified"}},
                    "Allowed": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": {
                        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
                            "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": ["Queue", "Arn"]}}]}}},
                    "Bucket": {"Type": "AWS::S3::Bucket", "Name": "it-notifying", "DependsOn": "Allowed", "Properties": {
                        "BucketName": "it-notifying", "NotificationConfiguration": {"QueueConfigurations": [
                            {"Event": "s3:ObjectCreated:*", "Queue": {"Fn::GetAtt": ["Queue", "Arn"]}}]}}},
                }),
            )
        },
    ]
}

/// Pipelines' types that go through Cloud Control.
pub(crate) fn by_cloud_control(code: &[String; 2]) -> Vec<Case> {
    let steps =
        |state: &str| json!({"StartAt": state, "States": {state: {"Type": "Pass", "End": true}}});
    vec![
        Case {
            update: Some(("ScheduleExpression", json!("rate(2 hours)"))),
            drift: Some(("State", json!("DISABLED"))),
            replace: Some(("Name", json!("it-schedule-2"))),
            ..case(
                "Schedule",
                "Schedule",
                json!({
                    "Role": role("it-schedule-role"),
                    "Function": function("it-scheduled", &code[0]),
                    "Schedule": {"Type": "AWS::Scheduler::Schedule", "Name": "it-schedule", "Properties": {
                        "Name": "it-schedule", "ScheduleExpression": "rate(1 hours)", "State": "ENABLED",
                        "FlexibleTimeWindow": {"Mode": "OFF"},
                        "Target": {"Arn": {"Fn::GetAtt": ["Function", "Arn"]}, "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}}}},
                }),
            )
        },
        Case {
            update: Some(("DefinitionString", json!(steps("Second").to_string()))),
            replace: Some(("StateMachineName", json!("it-machine-2"))),
            ..case(
                "State machine",
                "Machine",
                json!({
                    "Role": role("it-machine-role"),
                    "Machine": {"Type": "AWS::StepFunctions::StateMachine", "Name": "it-machine", "Properties": {
                        "StateMachineName": "it-machine", "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                        "DefinitionString": steps("First").to_string()}},
                }),
            )
        },
    ]
}

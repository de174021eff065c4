//! The types' lives: what is made, changed, meddled with and replaced.

use serde_json::{Value, json};

use crate::bench::Case;

pub(crate) fn case(name: &'static str, subject: &'static str, template: Value) -> Case {
    Case {
        name,
        template,
        subject,
        update: None,
        drift: None,
        replace: None,
    }
}

/// A role that functions run under.
pub(crate) fn role(name: &str) -> Value {
    json!({
        "Type": "AWS::IAM::Role", "Name": name,
        "Properties": {
            "RoleName": name,
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]},
            "Policies": [{"PolicyName": "logs", "PolicyDocument": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}]}}],
        },
    })
}

pub(crate) fn function(name: &str, code: &str) -> Value {
    json!({
        "Type": "AWS::Lambda::Function", "Name": name,
        "Properties": {
            "FunctionName": name, "Handler": "index.handler", "Runtime": "python3.13", "MemorySize": 256, "Timeout": 10,
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Environment": {"Variables": {"STAGE": "test"}},
            "Code": {"Artifact": {"Sha256": code}},
            "Tags": [{"Key": "team", "Value": "data"}],
        },
    })
}

/// Types that the services of pipelines' neighbours have.
pub(crate) fn neighbours() -> Vec<Case> {
    vec![
        Case {
            update: Some(("RetentionPeriodHours", json!(48))),
            drift: Some(("RetentionPeriodHours", json!(72))),
            replace: Some(("Name", json!("it-stream-2"))),
            ..case(
                "Kinesis stream",
                "Stream",
                json!({"Stream": {"Type": "AWS::Kinesis::Stream", "Name": "it-stream", "Properties": {
                    "Name": "it-stream", "ShardCount": "2", "Tags": [{"Key": "team", "Value": "data"}]}}}),
            )
        },
        Case {
            update: Some(("VisibilityTimeout", json!(60))),
            drift: Some(("DelaySeconds", json!(7))),
            replace: Some(("QueueName", json!("it-queue-2"))),
            ..case(
                "SQS queue",
                "Queue",
                json!({
                    "Dead": {"Type": "AWS::SQS::Queue", "Name": "it-dead", "Properties": {"QueueName": "it-dead"}},
                    "Queue": {"Type": "AWS::SQS::Queue", "Name": "it-queue", "Properties": {
                        "QueueName": "it-queue", "VisibilityTimeout": "45",
                        "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 3}}},
                }),
            )
        },
        Case {
            update: Some(("DisplayName", json!("changed"))),
            drift: Some(("DisplayName", json!("by hand"))),
            replace: Some(("TopicName", json!("it-topic-2"))),
            ..case(
                "SNS topic",
                "Topic",
                json!({"Topic": {"Type": "AWS::SNS::Topic", "Name": "it-topic", "Properties": {
                    "TopicName": "it-topic", "DisplayName": "topic"}}}),
            )
        },
        Case {
            update: Some((
                "TimeToLiveSpecification",
                json!({"AttributeName": "until", "Enabled": true}),
            )),
            drift: Some(("DeletionProtectionEnabled", json!(true))),
            replace: Some(("TableName", json!("it-table-2"))),
            ..case(
                "DynamoDB table",
                "Table",
                json!({"Table": {"Type": "AWS::DynamoDB::Table", "Name": "it-table", "Properties": {
                    "TableName": "it-table", "BillingMode": "PAY_PER_REQUEST",
                    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}}}),
            )
        },
        Case {
            update: Some(("VersioningConfiguration", json!({"Status": "Enabled"}))),
            drift: Some(("VersioningConfiguration", json!({"Status": "Enabled"}))),
            replace: Some(("BucketName", json!("it-bucket-two"))),
            ..case(
                "S3 bucket",
                "Bucket",
                json!({"Bucket": {"Type": "AWS::S3::Bucket", "Name": "it-bucket-one", "Properties": {
                    "BucketName": "it-bucket-one", "Tags": [{"Key": "team", "Value": "data"}]}}}),
            )
        },
        Case {
            update: Some(("RetentionInDays", json!(30))),
            drift: Some(("RetentionInDays", json!(7))),
            replace: Some(("LogGroupName", json!("/it/logs-2"))),
            ..case(
                "Log group",
                "Logs",
                json!({"Logs": {"Type": "AWS::Logs::LogGroup", "Name": "/it/logs", "Properties": {
                    "LogGroupName": "/it/logs", "RetentionInDays": 14}}}),
            )
        },
        Case {
            update: Some(("ScheduleExpression", json!("rate(10 minutes)"))),
            drift: Some(("State", json!("DISABLED"))),
            replace: Some(("Name", json!("it-rule-2"))),
            ..case(
                "Events rule",
                "Rule",
                json!({
                    "Queue": {"Type": "AWS::SQS::Queue", "Name": "it-rule-queue", "Properties": {"QueueName": "it-rule-queue"}},
                    "Rule": {"Type": "AWS::Events::Rule", "Name": "it-rule", "Properties": {
                        "Name": "it-rule", "ScheduleExpression": "rate(5 minutes)",
                        "Targets": [{"Id": "queue", "Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}]}},
                }),
            )
        },
    ]
}

/// Types of Lambda and of the roles that functions run under; `code` are digests of two packages.
pub(crate) fn functions(code: &[String; 2]) -> Vec<Case> {
    let base = || json!({"Role": role("it-role"), "Function": function("it-function", &code[0])});
    let with = |id: &str, body: Value| {
        let mut template = base();
        template[id] = body;
        template
    };
    vec![
        Case {
            update: Some(("MaxSessionDuration", json!(7200))),
            drift: Some(("Description", json!("by hand"))),
            replace: Some(("RoleName", json!("it-only-role-2"))),
            ..case("IAM role", "Role", json!({"Role": role("it-only-role")}))
        },
        Case {
            update: Some(("Code", json!({"Artifact": {"Sha256": code[1]}}))),
            drift: Some(("MemorySize", json!(512))),
            replace: Some(("FunctionName", json!("it-function-2"))),
            ..case("Lambda function", "Function", base())
        },
        Case {
            update: Some(("Description", json!("second"))),
            drift: Some(("Environment", json!({"Variables": {"STAGE": "by hand"}}))),
            ..case("Lambda function configuration", "Function", base())
        },
        Case {
            drift: Some(("Description", json!("by hand"))),
            ..case("Lambda alias", "Alias", {
                let mut template = with(
                    "Alias",
                    json!({"Type": "AWS::Lambda::Alias", "Properties": {
                            "Name": "live", "FunctionName": {"Ref": "Function"},
                            "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]}}}),
                );
                template["Version"] = json!({"Type": "AWS::Lambda::Version", "Properties": {
                        "FunctionName": {"Ref": "Function"}}});
                template
            })
        },
        Case {
            replace: Some(("Principal", json!("sns.amazonaws.com"))),
            ..case(
                "Lambda permission",
                "Permission",
                with(
                    "Permission",
                    json!({"Type": "AWS::Lambda::Permission", "Properties": {
                        "FunctionName": {"Ref": "Function"}, "Action": "lambda:InvokeFunction",
                        "Principal": "events.amazonaws.com"}}),
                ),
            )
        },
        case(
            "Lambda layer",
            "Layer",
            json!({"Layer": {"Type": "AWS::Lambda::LayerVersion", "Properties": {
                "LayerName": "it-layer", "CompatibleRuntimes": ["python3.13"],
                "Content": {"Artifact": {"Sha256": code[1]}}}}}),
        ),
        Case {
            update: Some(("Cors", json!({"AllowOrigins": ["https://example.org"]}))),
            drift: Some(("AuthType", json!("AWS_IAM"))),
            ..case(
                "Lambda URL",
                "Url",
                with(
                    "Url",
                    json!({"Type": "AWS::Lambda::Url", "Properties": {
                        "TargetFunctionArn": {"Fn::GetAtt": ["Function", "Arn"]}, "AuthType": "NONE"}}),
                ),
            )
        },
        Case {
            update: Some(("MaximumRetryAttempts", json!(1))),
            drift: Some(("MaximumEventAgeInSeconds", json!(120))),
            ..case(
                "Lambda invoke config",
                "Async",
                with(
                    "Async",
                    json!({"Type": "AWS::Lambda::EventInvokeConfig", "Properties": {
                        "FunctionName": {"Ref": "Function"}, "Qualifier": "$LATEST", "MaximumRetryAttempts": 0}}),
                ),
            )
        },
        Case {
            update: Some(("BatchSize", json!(5))),
            drift: Some(("MaximumBatchingWindowInSeconds", json!(9))),
            ..case("Event source mapping", "Mapping", {
                let mut template = with(
                    "Mapping",
                    json!({"Type": "AWS::Lambda::EventSourceMapping", "Properties": {
                            "FunctionName": {"Ref": "Function"}, "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                            "BatchSize": "7", "FunctionResponseTypes": ["ReportBatchItemFailures"]}}),
                );
                template["Queue"] = json!({"Type": "AWS::SQS::Queue", "Name": "it-mapped", "Properties": {
                        "QueueName": "it-mapped"}});
                template
            })
        },
    ]
}

/// Types that go through Cloud Control.
pub(crate) fn others() -> Vec<Case> {
    vec![
        Case {
            update: Some(("MaxRetries", json!(2))),
            drift: Some(("Timeout", json!(99))),
            replace: Some(("Name", json!("it-job-2"))),
            ..case(
                "Glue job",
                "Job",
                json!({"Job": {"Type": "AWS::Glue::Job", "Name": "it-job", "Properties": {
                    "Name": "it-job", "Role": "arn:aws:iam::123456789012:role/glue", "MaxRetries": "1", "Timeout": 10,
                    "Command": {"Name": "glueetl", "PythonVersion": 3, "ScriptLocation": "s3://b/job.py"},
                    "DefaultArguments": {"--job-language": "python"}, "Tags": {"team": "data"}}}}),
            )
        },
        Case {
            update: Some((
                "ExtendedS3DestinationConfiguration",
                json!({"BucketARN": "arn:aws:s3:::b", "RoleARN": "arn:aws:iam::123456789012:role/f", "Prefix": "new/"}),
            )),
            ..case(
                "Firehose",
                "Delivery",
                json!({"Delivery": {"Type": "AWS::KinesisFirehose::DeliveryStream", "Name": "it-delivery", "Properties": {
                    "DeliveryStreamName": "it-delivery", "DeliveryStreamType": "DirectPut",
                    "ExtendedS3DestinationConfiguration": {
                        "BucketARN": "arn:aws:s3:::b", "RoleARN": "arn:aws:iam::123456789012:role/f",
                        "CustomTimeZone": "Europe/Paris"}}}}),
            )
        },
        Case {
            update: Some(("Description", json!("second"))),
            ..case(
                "API without a name of its own",
                "Stage",
                json!({
                    "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "it-api"}},
                    "Deployment": {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "Api"}}},
                    "Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": {
                        "RestApiId": {"Ref": "Api"}, "DeploymentId": {"Ref": "Deployment"}, "StageName": "prod"}},
                }),
            )
        },
    ]
}

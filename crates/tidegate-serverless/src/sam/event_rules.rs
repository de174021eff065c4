//! Which properties each kind of event has, for functions and for state machines.

use crate::sam::rules::{Is, Rule};

/// Properties of events that Lambda polls. Those that a kind needs are added to them.
const POLLED: &[Rule] = &[
    ("BatchSize", false, Is::Int),
    ("StartingPosition", false, Is::Any),
    ("StartingPositionTimestamp", false, Is::Any),
    ("Enabled", false, Is::Bool),
    ("MaximumBatchingWindowInSeconds", false, Is::Int),
    ("MaximumRetryAttempts", false, Is::Int),
    ("BisectBatchOnFunctionError", false, Is::Bool),
    ("MaximumRecordAgeInSeconds", false, Is::Int),
    ("DestinationConfig", false, Is::Map),
    ("ParallelizationFactor", false, Is::Int),
    ("Topics", false, Is::List),
    ("Queues", false, Is::List),
    ("SourceAccessConfigurations", false, Is::List),
    ("SecretsManagerKmsKeyId", false, Is::Text),
    ("TumblingWindowInSeconds", false, Is::Int),
    ("FunctionResponseTypes", false, Is::List),
    ("KafkaBootstrapServers", false, Is::List),
    ("FilterCriteria", false, Is::Map),
    ("KmsKeyArn", false, Is::Any),
    ("ConsumerGroupId", false, Is::Text),
    ("ScalingConfig", false, Is::Map),
    ("ProvisionedPollerConfig", false, Is::Map),
    ("SchemaRegistryConfig", false, Is::Map),
    ("MetricsConfig", false, Is::Map),
    ("LoggingConfig", false, Is::Map),
];

const SCHEDULE: &[Rule] = &[
    ("Schedule", true, Is::Text),
    ("RuleName", false, Is::Text),
    ("Input", false, Is::Text),
    ("Enabled", false, Is::Bool),
    ("State", false, Is::Text),
    ("Name", false, Is::Text),
    ("Description", false, Is::Text),
    ("DeadLetterConfig", false, Is::Map),
    ("RetryPolicy", false, Is::Map),
];
const MACHINE_SCHEDULE: &[Rule] = &[
    ("Schedule", true, Is::Text),
    ("Input", false, Is::Text),
    ("Enabled", false, Is::Bool),
    ("State", false, Is::Text),
    ("Name", false, Is::Text),
    ("Description", false, Is::Text),
    ("DeadLetterConfig", false, Is::Map),
    ("RetryPolicy", false, Is::Map),
    ("Target", false, Is::OnlyMap),
    ("RoleArn", false, Is::OnlyText),
];
const RULE: &[Rule] = &[
    ("EventBusName", false, Is::Text),
    ("RuleName", false, Is::Text),
    ("Pattern", false, Is::Map),
    ("DeadLetterConfig", false, Is::Map),
    ("RetryPolicy", false, Is::Map),
    ("Input", false, Is::Text),
    ("InputPath", false, Is::Text),
    ("Target", false, Is::Map),
    ("Enabled", false, Is::Bool),
    ("State", false, Is::Text),
    ("InputTransformer", false, Is::Map),
];
const MACHINE_RULE: &[Rule] = &[
    ("EventBusName", false, Is::Text),
    ("RuleName", false, Is::Text),
    ("Pattern", false, Is::Map),
    ("Input", false, Is::Text),
    ("InputPath", false, Is::Text),
    ("DeadLetterConfig", false, Is::Map),
    ("RetryPolicy", false, Is::Map),
    ("State", false, Is::Text),
    ("Target", false, Is::OnlyMap),
    ("InputTransformer", false, Is::Map),
];
const SCHEDULER: &[Rule] = &[
    ("PermissionsBoundary", false, Is::Text),
    ("ScheduleExpression", true, Is::Text),
    ("FlexibleTimeWindow", false, Is::Map),
    ("Name", false, Is::Text),
    ("State", false, Is::Text),
    ("Description", false, Is::Text),
    ("StartDate", false, Is::Text),
    ("EndDate", false, Is::Text),
    ("ScheduleExpressionTimezone", false, Is::Text),
    ("GroupName", false, Is::Text),
    ("KmsKeyArn", false, Is::Text),
    ("Input", false, Is::Text),
    ("RoleArn", false, Is::Text),
    ("DeadLetterConfig", false, Is::Map),
    ("RetryPolicy", false, Is::Map),
    ("OmitName", false, Is::OnlyBool),
];
const SNS: &[Rule] = &[
    ("Topic", true, Is::Text),
    ("Region", false, Is::Text),
    ("FilterPolicy", false, Is::Any),
    ("FilterPolicyScope", false, Is::Any),
    ("SqsSubscription", false, Is::BoolOrMap),
    ("RedrivePolicy", false, Is::Map),
];
const S3: &[Rule] = &[
    ("Bucket", true, Is::Text),
    ("Events", true, Is::OnlyTextOrTexts),
    ("Filter", false, Is::Texts),
];
const LOGS: &[Rule] = &[
    ("LogGroupName", true, Is::Text),
    ("FilterPattern", true, Is::Text),
];
const ALEXA: &[Rule] = &[("SkillId", false, Is::Text)];
const IOT: &[Rule] = &[
    ("Sql", true, Is::Text),
    ("AwsIotSqlVersion", false, Is::Text),
];
const COGNITO: &[Rule] = &[
    ("UserPool", true, Is::Text),
    ("Trigger", true, Is::OnlyTextOrTexts),
];
const API: &[Rule] = &[
    ("Path", true, Is::Text),
    ("Method", true, Is::Text),
    ("RestApiId", false, Is::Text),
    ("Stage", false, Is::Text),
    ("Auth", false, Is::Map),
    ("RequestModel", false, Is::Map),
    ("RequestParameters", false, Is::List),
    ("TimeoutInMillis", false, Is::Int),
    ("ResponseTransferMode", false, Is::Text),
    ("UnescapeMappingTemplate", false, Is::Bool),
];
const HTTP_API: &[Rule] = &[
    ("Path", false, Is::Text),
    ("Method", false, Is::Text),
    ("ApiId", false, Is::Text),
    ("Stage", false, Is::Text),
    ("Auth", false, Is::Map),
    ("TimeoutInMillis", false, Is::Int),
    ("RouteSettings", false, Is::Map),
    ("PayloadFormatVersion", false, Is::Text),
];

/// The rules of a kind of event; none when there is no such kind.
pub(crate) fn rules(kind: &str, is_machine: bool) -> Option<Vec<Rule>> {
    if is_machine {
        let rules = match kind {
            "Schedule" => MACHINE_SCHEDULE,
            "CloudWatchEvent" | "EventBridgeRule" => MACHINE_RULE,
            "ScheduleV2" => SCHEDULER,
            "Api" => API,
            _ => return None,
        };
        return Some(rules.to_vec());
    }
    let polled = |more: &[Rule]| {
        let mut rules = POLLED.to_vec();
        for rule in more {
            match rules.iter_mut().find(|(name, _, _)| *name == rule.0) {
                Some(known) => *known = *rule,
                None => rules.push(*rule),
            }
        }
        rules
    };
    let position = ("StartingPosition", true, Is::Any);
    let rules = match kind {
        "Kinesis" | "DynamoDB" | "MSK" => polled(&[("Stream", true, Is::Any), position]),
        "SQS" => polled(&[("Queue", true, Is::Any)]),
        "MQ" => polled(&[
            ("Broker", true, Is::Any),
            ("DynamicPolicyName", false, Is::OnlyBool),
        ]),
        "SelfManagedKafka" => polled(&[]),
        "DocumentDB" => polled(&[
            ("Cluster", true, Is::Any),
            ("DatabaseName", true, Is::Any),
            ("CollectionName", false, Is::Any),
            ("FullDocument", false, Is::Any),
        ]),
        "Schedule" => SCHEDULE.to_vec(),
        "CloudWatchEvent" | "EventBridgeRule" => RULE.to_vec(),
        "ScheduleV2" => SCHEDULER.to_vec(),
        "SNS" => SNS.to_vec(),
        "S3" => S3.to_vec(),
        "CloudWatchLogs" => LOGS.to_vec(),
        "AlexaSkill" => ALEXA.to_vec(),
        "IoTRule" => IOT.to_vec(),
        "Cognito" => COGNITO.to_vec(),
        "Api" => API.to_vec(),
        "HttpApi" => HTTP_API.to_vec(),
        _ => return None,
    };
    Some(rules)
}

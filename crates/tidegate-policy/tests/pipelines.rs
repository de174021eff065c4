//! The checks on pipelines of several documents. Each object stands on its own line: findings name it.

use std::sync::Arc;

use serde_json::Value;
use tidegate_manifest::{Object, Origin};

/// Objects of a YAML list, the first on line 1, the second on line 2, and so on.
fn objects(text: &str) -> Vec<Object> {
    let bodies: Vec<Value> = tidegate_yaml::from_str(text).expect("a list of objects");
    let numbered = bodies.into_iter().zip(1..);
    numbered
        .map(|(body, line)| {
            let origin = Origin {
                path: "app.yaml".to_owned(),
                line,
                ..Origin::default()
            };
            Object::from_body(body, Arc::new(origin)).expect("an object")
        })
        .collect()
}

/// `CODE level line field: message` of each finding.
fn told(text: &str) -> Vec<String> {
    let objects = objects(text);
    let found = tidegate_policy::check(&objects);
    found
        .iter()
        .map(|finding| {
            assert!(finding.help.is_some(), "{finding}");
            assert!(finding.object.is_some(), "{finding}");
            format!(
                "{} {} {} {}: {}",
                finding.code,
                if finding.is_error() {
                    "error"
                } else {
                    "warning"
                },
                finding.origin.line,
                finding.field.as_deref().unwrap_or("-"),
                finding.message
            )
        })
        .collect()
}

/// A mapping of a queue with these settings to a function with those.
fn queue(queue: &str, function: &str) -> String {
    format!(
        "- {{apiVersion: aws/2010-09-09, kind: 'AWS::SQS::Queue', metadata: {{name: Q, namespace: s}}, PhysicalName: s-q, Properties: {{RedrivePolicy: {{}}, {queue}}}}}
- {{apiVersion: aws/2010-09-09, kind: 'AWS::Lambda::Function', metadata: {{name: F, namespace: s}}, PhysicalName: s-f, Properties: {{{function}}}}}
- {{apiVersion: aws/2010-09-09, kind: 'AWS::Lambda::Alias', metadata: {{name: Live, namespace: s}}, Properties: {{FunctionName: {{Ref: F}}, Name: live}}}}
- {{apiVersion: aws/2010-09-09, kind: 'AWS::Lambda::EventSourceMapping', metadata: {{name: M, namespace: s}}, Properties: {{EventSourceArn: {{'Fn::GetAtt': [Q, Arn]}}, FunctionName: {{Ref: Live}}}}}}
"
    )
}

#[test]
fn a_queue_hides_messages_for_longer_than_the_function_runs() {
    assert_eq!(
        told(&queue("", "Timeout: 60")),
        [
            "TG1602 error 1 .Properties.VisibilityTimeout: messages of AWS::SQS::Queue s/Q become visible after 30 s while AWS::Lambda::Function s/F may run 60 s: Lambda refuses the mapping M"
        ]
    );
    assert_eq!(
        told(&queue("VisibilityTimeout: '60'", "Timeout: 60")),
        [
            "TG1602 warning 1 .Properties.VisibilityTimeout: messages of AWS::SQS::Queue s/Q become visible after 60 s, less than 6 times the 60 s of AWS::Lambda::Function s/F: throttled batches are worked on twice"
        ]
    );
    assert!(told(&queue("VisibilityTimeout: 360", "Timeout: 60")).is_empty());
    // The defaults of both: 30 s and 3 s.
    assert!(told(&queue("", "")).is_empty());
}

#[test]
fn a_name_or_an_arn_names_the_function_and_the_queue_too() {
    for (function, source) in [
        ("s-f", "arn:aws:sqs:eu-west-1:123456789012:s-q"),
        ("s-f:live", "arn:aws:sqs:eu-west-1:123456789012:s-q"),
        (
            "123456789012:function:s-f",
            "arn:aws:sqs:eu-west-1:123456789012:s-q",
        ),
        (
            "arn:aws:lambda:eu-west-1:123456789012:function:s-f:live",
            "arn:aws-cn:sqs:eu-west-1:123456789012:s-q",
        ),
    ] {
        let text = queue("", "Timeout: 60")
            .replace("{'Fn::GetAtt': [Q, Arn]}", &format!("'{source}'"))
            .replace("{Ref: Live}", &format!("'{function}'"));
        assert_eq!(told(&text).len(), 1, "{function} {source}");
    }
    // Nothing is known of what another repository holds, and nothing is said of it.
    let other = queue("", "Timeout: 60").replace(
        "{'Fn::GetAtt': [Q, Arn]}",
        "'arn:aws:sqs:eu-west-1:123456789012:theirs'",
    );
    assert!(told(&other).is_empty());
}

#[test]
fn a_circle_of_aliases_ends() {
    let text = queue("", "").replace("FunctionName: {Ref: F}", "FunctionName: {Ref: Live}");
    assert!(told(&text).is_empty());
}

#[test]
fn failures_have_somewhere_to_go() {
    let text = queue("", "").replace("RedrivePolicy: {}, ", "");
    assert_eq!(
        told(&text),
        [
            "TG1603 warning 1 .Properties.RedrivePolicy: AWS::SQS::Queue s/Q has no dead-letter queue: a message that M cannot process comes back until it expires"
        ]
    );
    let stream = |settings: &str| {
        told(&format!(
            "- {{apiVersion: aws/2010-09-09, kind: 'AWS::Lambda::EventSourceMapping', metadata: {{name: M, namespace: s}}, Properties: {{EventSourceArn: 'arn:aws:kinesis:eu-west-1:123456789012:stream/theirs', StartingPosition: LATEST, {settings}}}}}"
        ))
    };
    let blocks = "TG1603 warning 1 .Properties.DestinationConfig: one record that the function cannot process holds up its shard or partition until it expires: the mapping retries for ever";
    let drops = "TG1603 warning 1 .Properties.DestinationConfig: records that the function cannot process are dropped: the mapping ends its retries and names no destination for failures";
    assert_eq!(stream(""), [blocks]);
    assert_eq!(stream("MaximumRetryAttempts: -1"), [blocks]);
    assert_eq!(stream("MaximumRetryAttempts: 2"), [drops]);
    assert_eq!(stream("MaximumRecordAgeInSeconds: '3600'"), [drops]);
    assert!(
        stream("DestinationConfig: {OnFailure: {Destination: {'Fn::GetAtt': [Q, Arn]}}}")
            .is_empty()
    );
}

/// A mapping of a stream of this Application with these settings.
fn stream(kind: &str, stream: &str, mapping: &str, function: &str) -> Vec<String> {
    told(&format!(
        "- {{apiVersion: aws/2010-09-09, kind: '{kind}', metadata: {{name: S, namespace: s}}, Properties: {{{stream}}}}}
- {{apiVersion: aws/2010-09-09, kind: 'AWS::Lambda::Function', metadata: {{name: F, namespace: s}}, Properties: {{{function}}}}}
- {{apiVersion: aws/2010-09-09, kind: 'AWS::Lambda::EventSourceMapping', metadata: {{name: M, namespace: s}}, Properties: {{EventSourceArn: {{'Fn::GetAtt': S.Arn}}, FunctionName: {{'Fn::GetAtt': [F, Arn]}}, DestinationConfig: {{OnFailure: {{Destination: x}}}}, {mapping}}}}}"
    ))
}

#[test]
fn a_mapping_of_a_stream_says_where_it_starts() {
    let kinesis = "AWS::Kinesis::Stream";
    assert_eq!(
        stream(kinesis, "", "", ""),
        [
            "TG1601 error 3 .Properties.StartingPosition: a mapping of a stream needs StartingPosition; Lambda refuses it without"
        ]
    );
    assert_eq!(
        stream(
            "AWS::DynamoDB::Table",
            "",
            "StartingPosition: AT_TIMESTAMP",
            ""
        ),
        [
            "TG1601 error 3 .Properties.StartingPosition: a stream of DynamoDB cannot be read AT_TIMESTAMP; Lambda refuses it"
        ]
    );
    assert_eq!(
        stream(kinesis, "", "StartingPosition: AT_TIMESTAMP", ""),
        [
            "TG1601 error 3 .Properties.StartingPosition: StartingPosition AT_TIMESTAMP needs StartingPositionTimestamp"
        ]
    );
    assert_eq!(
        stream(kinesis, "", "StartingPosition: LATEST", ""),
        [
            "TG1601 warning 3 .Properties.StartingPosition: the mapping starts at LATEST on a source that this Application makes: records written before its first poll are never read"
        ]
    );
    assert!(stream(kinesis, "", "StartingPosition: TRIM_HORIZON", "").is_empty());
    let at = "StartingPosition: AT_TIMESTAMP, StartingPositionTimestamp: 1700000000";
    assert!(stream(kinesis, "", at, "").is_empty());
}

#[test]
fn a_function_may_run_as_often_as_its_mapping_invokes_it() {
    let kinesis = "AWS::Kinesis::Stream";
    let mapping = "StartingPosition: TRIM_HORIZON, ParallelizationFactor: 5";
    assert_eq!(
        stream(
            kinesis,
            "ShardCount: 4",
            mapping,
            "ReservedConcurrentExecutions: 10"
        ),
        [
            "TG1604 warning 3 -: 4 shards with ParallelizationFactor 5 ask for 20 invocations at once; AWS::Lambda::Function s/F reserves 10: the others are throttled and retried"
        ]
    );
    let reserved = "ReservedConcurrentExecutions: 20";
    assert!(stream(kinesis, "ShardCount: 4", mapping, reserved).is_empty());
    let on_demand = "ShardCount: 400, StreamModeDetails: {StreamMode: ON_DEMAND}";
    assert!(stream(kinesis, on_demand, mapping, reserved).is_empty());
    assert!(stream(kinesis, "ShardCount: 4", mapping, "").is_empty());
}

#[test]
fn every_reader_has_a_partition() {
    let topic = "- {apiVersion: kafka.strimzi.io/v1, kind: KafkaTopic, metadata: {name: clicks, namespace: s}, spec: {partitions: 3}}\n";
    let said = |document: &str| told(&format!("{topic}- {document}"));
    let keda = |more: &str| {
        said(&format!(
            "{{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {{name: c, namespace: s}}, spec: {{maxReplicaCount: 8, triggers: [{{type: kafka, metadata: {{topic: clicks{more}}}}}]}}}}"
        ))
    };
    assert_eq!(
        keda(""),
        [
            "TG1605 warning 2 .spec.maxReplicaCount: 8 readers of \"clicks\", which has 3 partitions (app.yaml:1): 5 of them stay idle"
        ]
    );
    assert!(keda(", allowIdleConsumers: 'true'").is_empty());
    for document in [
        "{apiVersion: sources.knative.dev/v1, kind: KafkaSource, metadata: {name: k, namespace: s}, spec: {consumers: 4, topics: [clicks]}}",
        "{apiVersion: kafka.strimzi.io/v1, kind: KafkaConnector, metadata: {name: k, namespace: s}, spec: {tasksMax: 4, config: {topics: clicks}}}",
        "{apiVersion: aws/2010-09-09, kind: 'AWS::Lambda::EventSourceMapping', metadata: {name: M, namespace: s}, Properties: {SelfManagedEventSource: {}, Topics: [clicks], DestinationConfig: {OnFailure: {Destination: x}}, ProvisionedPollerConfig: {MaximumPollers: 4}}}",
    ] {
        let found = said(document);
        assert_eq!(found.len(), 1, "{document}: {found:?}");
        assert!(found[0].contains("4 readers of \"clicks\""), "{found:?}");
    }
    // Of a topic that is not here nothing is known.
    assert!(said("{apiVersion: sources.knative.dev/v1, kind: KafkaSource, metadata: {name: k, namespace: s}, spec: {consumers: 4, topics: [theirs]}}").is_empty());
}

#[test]
fn records_fit_where_they_go() {
    let topic = |name: &str, bytes: &str| {
        format!(
            "- {{apiVersion: kafka.strimzi.io/v1, kind: KafkaTopic, metadata: {{name: {name}, namespace: s}}, spec: {{config: {{max.message.bytes: {bytes}}}}}}}\n"
        )
    };
    let binding = "- {apiVersion: tidegate.dev/v1alpha1, kind: EventSourceBinding, metadata: {name: b, namespace: s}, spec: {Topics: [clicks], FunctionName: f, DestinationConfig: {OnFailure: {Destination: 'kafka://failed'}}}}\n";
    let said = |of: &str, into: &str| {
        told(&format!(
            "{}{}{binding}",
            topic("clicks", of),
            topic("failed", into)
        ))
    };
    assert!(said("300000", "1048588").is_empty());
    assert_eq!(
        said("1048588", "1048588"),
        [
            "TG1606 warning 3 .spec.DestinationConfig.OnFailure.Destination: failed records of \"clicks\" take up to 1400168 bytes in \"failed\", which takes 1048588 (app.yaml:2): the largest could not be parked"
        ]
    );
    assert_eq!(
        said("8000000", "20000000"),
        [
            "TG1606 warning 3 .spec.Topics: records of \"clicks\" may have 8000000 bytes (app.yaml:1); a function takes 4718592 at most: larger ones go to the failure destination"
        ]
    );
}

#[test]
fn odd_documents_say_nothing_and_break_nothing() {
    for properties in [
        "null",
        "[]",
        "text",
        "{EventSourceArn: 7, FunctionName: [], Topics: {}}",
        "{EventSourceArn: {Ref: M}, FunctionName: {Ref: M}}",
        "{EventSourceArn: {'Fn::Join': [':', [{Ref: A}, {Ref: B}]]}, FunctionName: {'Fn::GetAtt': []}}",
        "{EventSourceArn: '::::', FunctionName: ':::::::'}",
        "{EventSourceArn: 'arn:aws:kinesis:a:b:c', StartingPosition: 3, DestinationConfig: []}",
    ] {
        let text = format!(
            "- {{apiVersion: aws/2010-09-09, kind: 'AWS::Lambda::EventSourceMapping', metadata: {{name: M, namespace: s}}, Properties: {properties}}}\n- {{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {{name: c}}, spec: {properties}}}\n- {{apiVersion: kafka.strimzi.io/v1, kind: KafkaTopic, metadata: {{name: c}}, spec: {properties}}}\n- {{apiVersion: tidegate.dev/v1alpha1, kind: EventSourceBinding, metadata: {{name: c}}, spec: {properties}}}"
        );
        let errors = told(&text);
        assert!(
            errors.iter().all(|one| one.contains("TG1603")),
            "{errors:?}"
        );
    }
}

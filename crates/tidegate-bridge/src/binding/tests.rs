//! Binding files, good and bad.
use super::*;
use crate::policy::Exhausted;

const WHOLE: &str = "\
# orders
apiVersion: tidegate.dev/v1alpha1
kind: EventSourceBinding
metadata: {name: orders}
spec:
  SelfManagedEventSource: {Endpoints: {KAFKA_BOOTSTRAP_SERVERS: ['b-1:9092', 'b-2:9092']}}
  Topics: [orders]
  StartingPosition: AT_TIMESTAMP
  StartingPositionTimestamp: 1700000000.5
  BatchSize: 10
  MaximumRetryAttempts: 3
  target: {http: {url: 'http://127.0.0.1:9/', headers: {authorization: 'Bearer ${env:TOKEN}'}}}
  DestinationConfig: {OnFailure: {Destination: 'arn:aws:sqs:eu-west-1:1:q'}}
";

fn read_all(text: &str) -> Bindings {
    let env = |name: &str| (name == "TOKEN").then(|| "secret".to_owned());
    read("b.yaml", text, &env)
}

fn check(change: &str, to: &str, expected: &str) {
    let text = WHOLE.replace(change, to);
    assert_ne!(text, WHOLE, "the change changes nothing");
    let found = read_all(&text);
    let lines: Vec<String> = found
        .findings
        .iter()
        .map(|finding| {
            let at = &finding.origin;
            let (path, line, column) = (&at.path, at.line, at.column);
            format!(
                "{} {path}:{line}:{column} {}",
                finding.code, finding.message
            )
        })
        .collect();
    assert_eq!(lines, [expected]);
}

#[test]
fn a_whole_binding() {
    let found = read_all(WHOLE);
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    let binding = &found.bindings[0];
    let SourceSettings::Kafka(kafka) = &binding.source else {
        panic!("the source is Kafka");
    };
    assert_eq!(&*kafka.bootstrap_servers, "b-1:9092,b-2:9092");
    assert_eq!(kafka.group, "tidegate-orders");
    assert_eq!(binding.start, Start::At(1_700_000_000_500));
    assert_eq!(binding.policy.batch_size, 10);
    assert_eq!(binding.policy.retries, Some(3));
    assert_eq!(binding.policy.exhausted, Exhausted::Destination);
    let TargetSettings::Http { headers, .. } = &binding.target else {
        panic!("the target is HTTP");
    };
    assert_eq!(headers["authorization"], "Bearer secret");
    assert_eq!(binding.origin.line, 3);
}

#[test]
fn mistakes_have_their_lines() {
    check(
        "BatchSize: 10",
        "BatchSize: 0",
        "TG1202 b.yaml:10:3 BatchSize is 0; it is 1 to 10000",
    );
    check(
        "AT_TIMESTAMP",
        "LATER",
        "TG1202 b.yaml:8:3 StartingPositionTimestamp is not for LATER",
    );
    check(
        "${env:TOKEN}",
        "${env:NONE}",
        "TG1202 b.yaml:12:47 the environment has no NONE",
    );
    check(
        "arn:aws:sqs:eu-west-1:1:q",
        "queue",
        "TG1202 b.yaml:13:35 \"queue\" is no failure destination",
    );
    check(
        "Topics: [orders]",
        "Topics: []",
        "TG1202 b.yaml:7:3 no topic is named",
    );
}

#[test]
fn exhausted_records_without_a_destination_are_a_warning() {
    let found = read_all(&WHOLE.replace("  DestinationConfig", "  #"));
    assert_eq!(found.bindings[0].policy.exhausted, Exhausted::Block);
    assert_eq!((found.findings.len(), found.has_errors()), (1, false));
}

#[test]
fn two_bindings_of_one_name_are_refused() {
    let found = read_all(&format!("{WHOLE}---\n{WHOLE}"));
    assert_eq!(found.bindings.len(), 1);
    assert_eq!(found.findings[0].code, "TG1203");
    assert_eq!(found.findings[0].origin.line, 17);
}

#[test]
fn foreign_text_is_no_binding() {
    for text in ["a: [", "7", "- 1", "kind: x", "{}", "\u{0}", "a: &a [*a]"] {
        let found = read_all(text);
        assert!(found.bindings.is_empty() && found.has_errors(), "{text:?}");
    }
    assert!(!read_all("# nothing\n---\n").has_errors());
}

const STREAM: &str = "\
apiVersion: tidegate.dev/v1alpha1
kind: EventSourceBinding
metadata: {name: clicks}
spec:
  EventSourceArn: arn:aws:kinesis:eu-west-1:123456789012:stream/clicks
  StartingPosition: LATEST
  TumblingWindowInSeconds: 30
  FunctionName: clicks
  FilterCriteria: {Filters: [{Pattern: '{\"data\": {\"n\": [1]}}'}]}
  kinesis: {leaseTable: leases, leaseSeconds: 10}
";

#[test]
fn a_stream() {
    let found = read_all(STREAM);
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    let binding = &found.bindings[0];
    let SourceSettings::Kinesis(kinesis) = &binding.source else {
        panic!("the source is Kinesis");
    };
    assert_eq!(kinesis.leases, LeaseSettings::Table("leases".to_owned()));
    assert_eq!(kinesis.lease, Duration::from_secs(10));
    assert_eq!(binding.policy.tumbling, Some(Duration::from_secs(30)));
    assert_eq!(binding.policy.batch_window, Duration::ZERO, "as AWS has it");
    assert_eq!(binding.policy.retries, None);
    let found = read_all(&STREAM.replace("kinesis: {leaseTable: leases, leaseSeconds: 10}", ""));
    let SourceSettings::Kinesis(kinesis) = &found.bindings[0].source else {
        panic!("the source is Kinesis");
    };
    let table = LeaseSettings::Table("tidegate-clicks".to_owned());
    assert_eq!(kinesis.leases, table);
}

#[test]
fn mistakes_of_streams_are_told() {
    let told = |change: &str, to: &str| {
        let text = STREAM.replace(change, to);
        assert_ne!(text, STREAM, "the change changes nothing");
        let found = read_all(&text);
        let messages = found.findings.iter();
        messages
            .map(|finding| finding.message.clone())
            .collect::<Vec<_>>()
    };
    let cases = [
        (
            "stream/clicks",
            "stream/clicks/consumer/fast:1",
            "\"arn:aws:kinesis:eu-west-1:123456789012:stream/clicks/consumer/fast:1\" is no stream",
        ),
        (
            "kinesis:eu-west-1",
            "dynamodb:eu-west-1",
            "records of dynamodb are not read",
        ),
        (
            "StartingPosition",
            "Topics: [t]\n  StartingPosition",
            "Topics are for Kafka; EventSourceArn names a stream",
        ),
        (
            "leaseTable: leases",
            "leaseTable: a, stateDirectory: b",
            "leaseTable and stateDirectory are both set",
        ),
        (
            "leaseSeconds: 10",
            "leaseSeconds: 1",
            "leaseSeconds is 1; it is 2 to 300",
        ),
        (
            "InSeconds: 30",
            "InSeconds: 901",
            "TumblingWindowInSeconds is 901; it is 0 to 900",
        ),
        (
            "FunctionName: clicks",
            "target: {cloudEvents: {url: 'http://127.0.0.1:9/'}}",
            "CloudEvents carry no state from one delivery to the next",
        ),
        (
            "FunctionName: clicks",
            "FunctionName: clicks\n  DestinationConfig: {OnFailure: {Destination: 'kafka://failed'}}",
            "the failure destination is a topic, and no cluster is named",
        ),
        (
            "\"data\"",
            "\"value\"",
            "pattern 1: a record has no part \"value\"; it has data, partitionKey, sequenceNumber, approximateArrivalTimestamp, kinesisSchemaVersion",
        ),
    ];
    for (change, to, expected) in cases {
        assert_eq!(told(change, to), [expected], "{to}");
    }
}

//! The sandbox over plain HTTP: the old query protocol, faults on demand, bad requests, the clock.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::Duration;

use tidegate_sandbox_aws::{AwsOptions, Clock, Delays, Fault, ManualClock, SandboxAws};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends one request with the given signature scope; gives status and body.
async fn send(sandbox: &SandboxAws, service: &str, head: &str, body: &[u8]) -> (u16, String) {
    let address = sandbox.endpoint().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let request = format!(
        "{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let body = text
        .split_once("\r\n\r\n")
        .map_or("", |(_, body)| body)
        .to_owned();
    (status, body)
}

async fn json(sandbox: &SandboxAws, service: &str, target: &str, body: &str) -> (u16, String) {
    let head = format!(
        "POST / HTTP/1.1\r\ncontent-type: application/x-amz-json-1.1\r\nx-amz-target: {target}"
    );
    send(sandbox, service, &head, body.as_bytes()).await
}

async fn form(sandbox: &SandboxAws, service: &str, path: &str, body: &str) -> (u16, String) {
    let head = format!("POST {path} HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded");
    send(sandbox, service, &head, body.as_bytes()).await
}

#[tokio::test]
async fn sqs_speaks_the_query_protocol() {
    let sandbox = SandboxAws::start(AwsOptions::default()).await.unwrap();
    let (status, made) = form(&sandbox, "sqs", "/", "Action=CreateQueue&QueueName=q&Attribute.1.Name=VisibilityTimeout&Attribute.1.Value=7&Tag.1.Key=a&Tag.1.Value=b").await;
    assert_eq!(status, 200, "{made}");
    let url = format!("{}/123456789012/q", sandbox.endpoint());
    assert!(
        made.contains(&format!("<QueueUrl>{url}</QueueUrl>")),
        "{made}"
    );
    let (_, read) = form(
        &sandbox,
        "sqs",
        "/123456789012/q",
        "Action=GetQueueAttributes&AttributeName.1=VisibilityTimeout",
    )
    .await;
    assert!(
        read.contains("<Attribute><Name>VisibilityTimeout</Name><Value>7</Value></Attribute>"),
        "{read}"
    );
    let (_, sent) = form(
        &sandbox,
        "sqs",
        "/123456789012/q",
        "Action=SendMessage&MessageBody=Hello+World",
    )
    .await;
    assert!(
        sent.contains("<MD5OfMessageBody>b10a8db164e0754105b7a99be72e3fe5</MD5OfMessageBody>"),
        "{sent}"
    );
    let (_, got) = form(
        &sandbox,
        "sqs",
        "/123456789012/q",
        "Action=ReceiveMessage&AttributeName.1=All",
    )
    .await;
    assert!(got.contains("<Body>Hello World</Body>"), "{got}");
    let (status, refused) = form(&sandbox, "sqs", "/", "Action=GetQueueUrl&QueueName=none").await;
    assert_eq!(status, 400);
    assert!(
        refused.contains("<Code>AWS.SimpleQueueService.NonExistentQueue</Code>"),
        "{refused}"
    );
    let (status, refused) = form(&sandbox, "sqs", "/", "Action=Nonsense").await;
    assert!(
        status == 400 && refused.contains("InvalidAction"),
        "{refused}"
    );
    sandbox.shutdown().await;
}

#[tokio::test]
async fn faults_are_met_on_demand() {
    let sandbox = SandboxAws::start(AwsOptions::default()).await.unwrap();
    assert!(sandbox.inject(Fault {
        service: "kinesis".into(),
        operation: Some("ListStreams".into()),
        code: "LimitExceededException".into(),
        message: "Rate exceeded".into(),
        status: 400,
        times: 1,
    }));
    let (status, body) = json(&sandbox, "kinesis", "Kinesis_20131202.ListStreams", "{}").await;
    assert_eq!(
        (status, body.as_str()),
        (
            400,
            "{\"__type\":\"LimitExceededException\",\"message\":\"Rate exceeded\"}"
        )
    );
    let (status, _) = json(&sandbox, "kinesis", "Kinesis_20131202.ListStreams", "{}").await;
    assert_eq!(status, 200);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn bad_requests_are_refused_and_the_sandbox_lives_on() {
    let sandbox = SandboxAws::start(AwsOptions::default()).await.unwrap();
    let deep = "[".repeat(100_000);
    let nested = format!("{}1{}", "{\"a\":".repeat(120), "}".repeat(120));
    for target in [
        "Kinesis_20131202.CreateStream",
        "DynamoDB_20120810.PutItem",
        "AmazonSQS.SendMessage",
        "AWSEvents.PutEvents",
        "AWSStepFunctions.CreateStateMachine",
        "CloudApiService.CreateResource",
        "AmazonSSM.PutParameter",
        "secretsmanager.CreateSecret",
    ] {
        for body in [
            "",
            "{",
            "[]",
            "null",
            "5",
            "{\"StreamName\": 5}",
            "\u{0}\u{1}",
            &deep,
            &nested,
        ] {
            let (status, answer) = json(&sandbox, "x", target, body).await;
            assert!(
                (400..500).contains(&status),
                "{target} {}: {status} {answer}",
                &body[..body.len().min(20)]
            );
        }
    }
    let (status, answer) = json(&sandbox, "ec2", "Nobody_1.Nothing", "{}").await;
    assert!(
        status == 501 && answer.contains("has no service ec2"),
        "{answer}"
    );
    let (status, answer) = json(&sandbox, "kinesis", "Kinesis_20131202.SubscribeToShard", "{\"ConsumerARN\": \"arn:aws:kinesis:us-east-1:123456789012:stream/s/consumer/c:1\", \"ShardId\": \"s\", \"StartingPosition\": {\"Type\": \"LATEST\"}}").await;
    assert!(
        status == 400 && answer.contains("UnknownOperationException"),
        "{answer}"
    );
    for (head, body) in [
        ("GET /bucket?list-type=2&max-keys=x HTTP/1.1", ""),
        ("PUT /bucket HTTP/1.1", "<a>"),
        ("PUT /b HTTP/1.1", ""),
        ("POST /bucket?delete HTTP/1.1", "<Delete/>"),
        ("PUT /bucket/key?partNumber=x&uploadId=y HTTP/1.1", ""),
        ("PATCH /bucket/key HTTP/1.1", ""),
        ("GET /%ff%fe/%00 HTTP/1.1", ""),
    ] {
        let (status, answer) = send(&sandbox, "s3", head, body.as_bytes()).await;
        assert!((400..500).contains(&status), "{head}: {status} {answer}");
    }
    for body in [
        "",
        "Action=",
        "Action=Publish",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o=1&Action=CreateTopic",
        "%%%=%",
    ] {
        let (status, answer) = form(&sandbox, "sns", "/", body).await;
        assert!((400..500).contains(&status), "{body}: {status} {answer}");
    }
    let expression = format!(
        "{{\"TableName\": \"table\", \"Key\": {{}}, \"UpdateExpression\": \"SET a = {}b\"}}",
        "(".repeat(3_000)
    );
    let (status, _) = json(
        &sandbox,
        "dynamodb",
        "DynamoDB_20120810.UpdateItem",
        &expression,
    )
    .await;
    assert_eq!(status, 400);
    let (status, _) = json(&sandbox, "kinesis", "Kinesis_20131202.ListStreams", "{}").await;
    assert_eq!(status, 200);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn states_follow_the_clock() {
    let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let sandbox = SandboxAws::start(AwsOptions {
        clock: Clock::Manual(clock.clone()),
        delays: Delays {
            stream: Duration::from_secs(10),
            ..Delays::default()
        },
        ..AwsOptions::default()
    })
    .await
    .unwrap();
    let stream = "{\"StreamName\":\"s\",\"ShardCount\":1}";
    json(&sandbox, "kinesis", "Kinesis_20131202.CreateStream", stream).await;
    let status = async || {
        let (_, body) = json(
            &sandbox,
            "kinesis",
            "Kinesis_20131202.DescribeStreamSummary",
            "{\"StreamName\":\"s\"}",
        )
        .await;
        let read: serde_json::Value = serde_json::from_str(&body).unwrap();
        read["StreamDescriptionSummary"]["StreamStatus"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(status().await, "CREATING");
    clock.advance(Duration::from_secs(9));
    assert_eq!(status().await, "CREATING");
    clock.advance(Duration::from_secs(1));
    assert_eq!(status().await, "ACTIVE");
    // A deleted queue's name comes back after a minute.
    let queue = "{\"QueueName\":\"q\",\"QueueUrl\":\"q\"}";
    for (operation, expected) in [
        ("CreateQueue", 200),
        ("DeleteQueue", 200),
        ("CreateQueue", 400),
    ] {
        let (status, answer) =
            json(&sandbox, "sqs", &format!("AmazonSQS.{operation}"), queue).await;
        assert_eq!(status, expected, "{answer}");
    }
    clock.advance(Duration::from_secs(61));
    let (status, _) = json(&sandbox, "sqs", "AmazonSQS.CreateQueue", queue).await;
    assert_eq!(status, 200);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn what_services_make_of_one_request_is_bounded() {
    let sandbox = SandboxAws::start(AwsOptions {
        delays: Delays::none(),
        ..AwsOptions::default()
    })
    .await
    .unwrap();
    // A definition that takes its whole input again and again.
    let fields: Vec<String> = (0..5_000)
        .map(|n| format!("\\\"f{n}.$\\\":\\\"$\\\""))
        .collect();
    let definition = format!(
        "{{\\\"StartAt\\\":\\\"A\\\",\\\"States\\\":{{\\\"A\\\":{{\\\"Type\\\":\\\"Pass\\\",\\\"End\\\":true,\\\"Parameters\\\":{{{}}}}}}}}}",
        fields.join(",")
    );
    let role = "arn:aws:iam::123456789012:role/r";
    let body = format!(
        "{{\"name\":\"m\",\"roleArn\":\"{role}\",\"type\":\"EXPRESS\",\"definition\":\"{definition}\"}}"
    );
    let (status, answer) = json(
        &sandbox,
        "states",
        "AWSStepFunctions.CreateStateMachine",
        &body,
    )
    .await;
    assert_eq!(status, 200, "{answer}");
    let input = "x".repeat(100_000);
    let start = format!(
        "{{\"stateMachineArn\":\"arn:aws:states:us-east-1:123456789012:stateMachine:m\",\"input\":\"{{\\\"a\\\":\\\"{input}\\\"}}\"}}"
    );
    let (_, answer) = json(
        &sandbox,
        "states",
        "AWSStepFunctions.StartSyncExecution",
        &start,
    )
    .await;
    assert!(
        answer.contains("States.DataLimitExceeded"),
        "{}",
        &answer[..200.min(answer.len())]
    );
    // The narrowest shard can be asked to split without harm.
    json(
        &sandbox,
        "kinesis",
        "Kinesis_20131202.CreateStream",
        "{\"StreamName\":\"s\",\"ShardCount\":1}",
    )
    .await;
    for (shard, at, expected) in [(0, "1", 200), (1, "5", 400), (1, "0", 400)] {
        let body = format!(
            "{{\"StreamName\":\"s\",\"ShardToSplit\":\"shardId-{shard:012}\",\"NewStartingHashKey\":\"{at}\"}}"
        );
        let (status, answer) =
            json(&sandbox, "kinesis", "Kinesis_20131202.SplitShard", &body).await;
        assert_eq!(status, expected, "{answer}");
    }
    sandbox.shutdown().await;
}

//! CloudEvents and SNS over real connections.

use hyper::StatusCode;
use serde_json::{Value, json};
use tidegate_bridge::Bridge;

use crate::place::{Place, until};
use crate::sink::{Seen, Sink, taken};

/// Two records, a JSON one and a text, as a binding in `mode` sends them.
async fn sent(mode: &str, requests: usize) -> Vec<Seen> {
    let place = Place::start().await;
    let sink = Sink::start(|_| taken()).await;
    let values = ["{\"n\":1}".to_owned(), "hällo".to_owned()];
    place.send("orders", values.into_iter()).await;
    let binding = place.binding(
        "orders",
        json!({
            "Topics": ["orders"], "StartingPosition": "TRIM_HORIZON", "MaximumBatchingWindowInSeconds": 1,
            "target": {"cloudEvents": {
                "url": sink.url, "mode": mode, "type": "order.placed", "source": "/shop",
                "headers": {"authorization": "Bearer x"},
            }},
        }),
    );
    let mut bridge = Bridge::start(vec![binding]).await;
    until("both records", async || sink.seen().len() >= requests).await;
    assert_eq!(bridge.stop().await.unclean, []);
    let seen = sink.seen();
    assert_eq!(seen.len(), requests, "no more than that");
    for request in &seen {
        assert_eq!(request.headers["authorization"], "Bearer x");
    }
    seen
}

fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    seen.headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// RFC 3339 with milliseconds, in UTC.
fn is_time(text: &str) -> bool {
    text.len() == 24 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_events_have_their_attributes_in_headers() {
    let seen = sent("binary", 2).await;
    for (index, request) in seen.iter().enumerate() {
        assert_eq!(header(request, "ce-specversion"), "1.0");
        assert_eq!(header(request, "ce-id"), format!("orders-0-{index}"));
        assert_eq!(header(request, "ce-source"), "/shop");
        assert_eq!(header(request, "ce-type"), "order.placed");
        assert_eq!(header(request, "ce-partitionkey"), "k");
        assert!(is_time(header(request, "ce-time")));
    }
    assert_eq!(header(&seen[0], "content-type"), "application/json");
    assert_eq!(&seen[0].body[..], b"{\"n\":1}");
    assert_eq!(
        header(&seen[1], "content-type"),
        "text/plain; charset=UTF-8"
    );
    assert_eq!(&seen[1].body[..], "hällo".as_bytes());
}

fn without_time(mut event: Value) -> Value {
    let time = event.as_object_mut().unwrap().remove("time").unwrap();
    assert!(is_time(time.as_str().unwrap()), "{time}");
    event
}

fn expected() -> [Value; 2] {
    let event = |index: usize, kind: &str, data: Value| {
        json!({
            "specversion": "1.0", "id": format!("orders-0-{index}"), "source": "/shop", "type": "order.placed",
            "subject": format!("orders-0#{index}"), "partitionkey": "k", "datacontenttype": kind, "data": data,
        })
    };
    [
        event(0, "application/json", json!({"n": 1})),
        event(1, "text/plain; charset=UTF-8", json!("hällo")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn structured_events_are_one_document_each() {
    let seen = sent("structured", 2).await;
    for (request, expected) in seen.iter().zip(expected()) {
        assert_eq!(
            header(request, "content-type"),
            "application/cloudevents+json; charset=UTF-8"
        );
        assert_eq!(header(request, "ce-id"), "", "attributes are in the body");
        assert_eq!(without_time(request.json()), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_events_is_a_list() {
    let seen = sent("batch", 1).await;
    assert_eq!(
        header(&seen[0], "content-type"),
        "application/cloudevents-batch+json; charset=UTF-8"
    );
    let Value::Array(events) = seen[0].json() else {
        panic!("no list");
    };
    let events: Vec<Value> = events.into_iter().map(without_time).collect();
    assert_eq!(events, expected());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_refuses_goes_to_a_topic_of_sns() {
    let place = Place::start().await;
    let sns = aws_sdk_sns::Client::new(&place.aws.config);
    let sqs = aws_sdk_sqs::Client::new(&place.aws.config);
    let topic = sns.create_topic().name("failed").send().await.unwrap();
    let topic = topic.topic_arn.unwrap();
    let queue = sqs.create_queue().queue_name("failed").send().await;
    let queue = queue.unwrap().queue_url.unwrap();
    sns.subscribe()
        .topic_arn(&topic)
        .protocol("sqs")
        .endpoint(place.aws.arn("sqs", "failed"))
        .attributes("RawMessageDelivery", "true")
        .send()
        .await
        .unwrap();
    let sink = Sink::start(|seen| {
        let event = seen.json().to_string();
        if event.contains("ImJhZCI=") {
            return (StatusCode::INTERNAL_SERVER_ERROR, "bad record".to_owned());
        }
        taken()
    })
    .await;
    let values = ["1", "\"bad\"", "3"].map(str::to_owned);
    place.send("orders", values.into_iter()).await;
    let binding = place.binding(
        "orders",
        json!({
            "Topics": ["orders"], "StartingPosition": "TRIM_HORIZON", "BisectBatchOnFunctionError": true,
            "MaximumRetryAttempts": 1, "backoff": {"initialMillis": 10, "maximumSeconds": 1},
            "target": {"http": {"url": sink.url}}, "DestinationConfig": {"OnFailure": {"Destination": topic}},
        }),
    );
    let mut bridge = Bridge::start(vec![binding]).await;
    let mut found = Vec::new();
    until("the message", async || {
        let received = sqs.receive_message().queue_url(&queue).send().await;
        found.extend(received.unwrap().messages.unwrap_or_default());
        !found.is_empty()
    })
    .await;
    until("the two others", async || sink.seen().len() >= 2).await;
    assert_eq!(bridge.stop().await.unclean, []);
    let document: Value = serde_json::from_str(found[0].body().unwrap()).unwrap();
    assert_eq!(
        document["requestContext"]["condition"],
        "RetryAttemptsExhausted"
    );
    assert_eq!(document["responseContext"]["statusCode"], 500);
    let info = &document["KafkaBatchInfo"];
    assert_eq!(info["batchSize"], 1);
    assert_eq!(
        info["recordsInfo"]["orders-0"]["firstRecordOffset"],
        json!("1")
    );
}

//! Watches as clients see them: order, selectors, bookmarks, initial events, 410 inside the stream.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::client::{Lab, MAPS, MERGE, map};

/// The events of a watch, one at a time.
struct Stream {
    body: Incoming,
    rest: String,
}

impl Stream {
    async fn open(lab: &Lab, query: &str) -> Self {
        let response = lab
            .send("GET", &format!("{MAPS}?watch=true&{query}"), &[], "")
            .await;
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body(),
            rest: String::new(),
        }
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((line, rest)) = self.rest.split_once('\n') {
                let event = serde_json::from_str(line).unwrap();
                self.rest = rest.to_owned();
                return Some(event);
            }
            let frame = self.body.frame().await?.unwrap();
            let data = frame.into_data().unwrap();
            self.rest.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// Type and name of the next event.
    async fn seen(&mut self) -> (String, String) {
        let event = self.next().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            text(&event["type"]),
            text(&event["object"]["metadata"]["name"]),
        )
    }
}

fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test]
async fn events_come_in_order_from_a_revision() {
    let lab = Lab::start().await;
    let revision = lab.get(MAPS).await.json()["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    lab.post(MAPS, &map("a")).await;
    let mut stream = Stream::open(&lab, &format!("resourceVersion={revision}")).await;
    assert_eq!(stream.seen().await, pair("ADDED", "a"));
    lab.patch(&format!("{MAPS}/a"), MERGE, &json!({"data": {"b": "2"}}))
        .await;
    assert_eq!(stream.seen().await, pair("MODIFIED", "a"));
    lab.delete(&format!("{MAPS}/a"), None).await;
    let gone = stream.next().await.unwrap();
    assert_eq!(gone["type"], "DELETED");
    let now = lab.get(MAPS).await.json()["metadata"]["resourceVersion"].clone();
    assert_eq!(gone["object"]["metadata"]["resourceVersion"], now);
}

#[tokio::test]
async fn leaving_a_selection_is_a_deletion_and_entering_an_addition() {
    let lab = Lab::start().await;
    let mut stream = Stream::open(&lab, "labelSelector=on%3Dyes").await;
    lab.post(MAPS, &map("a")).await;
    let label = |value: &str| json!({"metadata": {"labels": {"on": value}}});
    lab.patch(&format!("{MAPS}/a"), MERGE, &label("yes")).await;
    assert_eq!(stream.seen().await, pair("ADDED", "a"));
    lab.patch(&format!("{MAPS}/a"), MERGE, &json!({"data": {"z": "1"}}))
        .await;
    assert_eq!(stream.seen().await, pair("MODIFIED", "a"));
    lab.patch(&format!("{MAPS}/a"), MERGE, &label("no")).await;
    let left = stream.next().await.unwrap();
    assert_eq!(
        (
            left["type"].clone(),
            left["object"]["metadata"]["labels"]["on"].clone()
        ),
        (json!("DELETED"), json!("yes"))
    );
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let lab = Lab::start().await;
    lab.post(MAPS, &map("a")).await;
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut stream = Stream::open(&lab, query).await;
    assert_eq!(stream.seen().await, pair("ADDED", "a"));
    let bookmark = stream.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(
        bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    let refused = lab
        .get(&format!("{MAPS}?watch=true&sendInitialEvents=true"))
        .await;
    assert_eq!(
        (refused.code, refused.message().as_str()),
        (
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        )
    );
}

#[tokio::test]
async fn a_forgotten_past_is_told_inside_the_stream() {
    let lab = Lab::start().await;
    lab.post(MAPS, &map("a")).await;
    lab.server.compact();
    let mut stream = Stream::open(&lab, "resourceVersion=2").await;
    let error = stream.next().await.unwrap();
    assert_eq!(
        (
            error["type"].clone(),
            error["object"]["code"].clone(),
            error["object"]["reason"].clone()
        ),
        (json!("ERROR"), json!(410), json!("Expired"))
    );
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_watch_ends_on_time_after_a_last_bookmark() {
    let lab = Lab::start().await;
    lab.post(MAPS, &map("a")).await;
    let mut stream = Stream::open(
        &lab,
        "resourceVersion=0&timeoutSeconds=1&allowWatchBookmarks=true",
    )
    .await;
    assert_eq!(stream.seen().await, pair("ADDED", "a"));
    assert_eq!(stream.seen().await.0, "BOOKMARK");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn many_watchers_see_everything() {
    let lab = Lab::start().await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(Stream::open(&lab, "").await);
    }
    for index in 0..20 {
        lab.post(MAPS, &map(&format!("m{index:02}"))).await;
    }
    for stream in &mut streams {
        for index in 0..20 {
            assert_eq!(stream.seen().await, pair("ADDED", &format!("m{index:02}")));
        }
    }
}

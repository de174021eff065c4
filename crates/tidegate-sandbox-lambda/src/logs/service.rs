//! CloudWatch Logs as a service of the sandbox, and the way for functions to write their lines.
//!
//! Must not know: what operations do.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{
    Incoming, Neighbours, Outgoing, Refusal, Scope, Service, refuse,
};

use super::Region;

const PREFIX: &str = "Logs_20140328.";
/// Bytes of a request.
const BODY_BYTES: usize = 4 << 20;
/// Regions that hold groups.
const REGIONS: usize = 40;
/// Bytes of one line of a function.
const LINE_BYTES: usize = 1 << 20;

/// Where functions write their lines.
pub(crate) trait Lines: Send + Sync + Debug {
    /// Adds lines to a stream of a group; both are made when they are not there.
    fn put(&self, region: &str, group: &str, stream: &str, lines: &[(Timestamp, String)]);
}

/// CloudWatch Logs of one sandbox.
#[derive(Debug)]
pub(crate) struct Logs {
    neighbours: Neighbours,
    regions: Mutex<BTreeMap<String, Region>>,
}

impl Logs {
    /// Without groups.
    pub(crate) fn new(neighbours: Neighbours) -> Self {
        Self {
            neighbours,
            regions: Mutex::default(),
        }
    }

    fn regions(&self) -> MutexGuard<'_, BTreeMap<String, Region>> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, scope: &Scope, operation: &str, body: &[u8]) -> Result<Value, Refusal> {
        if let Some(fault) = self.neighbours.fault("logs", operation) {
            return Err(fault);
        }
        let input = match body {
            b"" => json!({}),
            body => serde_json::from_slice(body)
                .map_err(|error| refuse("SerializationException", error.to_string()))?,
        };
        let mut regions = self.regions();
        if !regions.contains_key(&scope.region) && regions.len() >= REGIONS {
            return Err(refuse(
                "LimitExceededException",
                format!("the sandbox keeps logs of {REGIONS} regions"),
            ));
        }
        regions
            .entry(scope.region.clone())
            .or_default()
            .call(scope, operation, &input)
    }
}

#[async_trait]
impl Service for Logs {
    fn takes(&self, _: Option<&str>, request: &Incoming) -> bool {
        request
            .header("x-amz-target")
            .is_some_and(|target| target.starts_with(PREFIX))
    }

    async fn answer(&self, scope: &Scope, request: &Incoming) -> Outgoing {
        const KIND: &str = "application/x-amz-json-1.1";
        let target = request.header("x-amz-target").unwrap_or("");
        let operation = target.strip_prefix(PREFIX).unwrap_or("");
        let done = if request.body.len() > BODY_BYTES {
            Err(refuse("SerializationException", "the request is too large"))
        } else {
            self.call(scope, operation, &request.body)
        };
        match done {
            Ok(Value::Null) => Outgoing::new(200, KIND, "{}"),
            Ok(value) => Outgoing::new(200, KIND, value.to_string()),
            Err(refusal) => {
                let body = json!({"__type": refusal.code, "message": refusal.message});
                Outgoing::new(refusal.status, KIND, body.to_string())
                    .header("x-amzn-errortype", refusal.code)
            }
        }
    }
}

impl Lines for Logs {
    fn put(&self, region: &str, group: &str, stream: &str, lines: &[(Timestamp, String)]) {
        let scope = Scope {
            account: self.neighbours.options().account.clone(),
            region: region.to_owned(),
            endpoint: String::new(),
            now: self.neighbours.clock().now(),
        };
        let events: Vec<(i64, String)> = lines
            .iter()
            .map(|(at, line)| {
                let mut line = line.clone();
                line.truncate(line.floor_char_boundary(LINE_BYTES));
                (at.as_millisecond(), line)
            })
            .filter(|(_, line)| !line.is_empty())
            .collect();
        let mut regions = self.regions();
        if !regions.contains_key(region) && regions.len() >= REGIONS {
            return;
        }
        let state = regions.entry(region.to_owned()).or_default();
        if state.ensure(&scope, group, stream) {
            state.add(group, stream, scope.now, events);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::KEPT_BYTES;

    fn scope() -> Scope {
        Scope {
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            endpoint: String::new(),
            now: Timestamp::from_second(1_790_000_000).unwrap(),
        }
    }

    fn filled(lines: usize) -> Region {
        let mut region = Region::default();
        let scope = scope();
        assert!(region.ensure(&scope, "/aws/lambda/f", "s"));
        let at = scope.now.as_millisecond();
        let events = (0..lines).map(|n| (at, format!("line {n}"))).collect();
        region.add("/aws/lambda/f", "s", scope.now, events);
        region
    }

    #[test]
    fn a_stream_is_paged_both_ways_without_gap_or_repeat() {
        let mut region = filled(25);
        for head in [true, false] {
            let mut seen = Vec::new();
            let mut token = Value::Null;
            loop {
                let mut input = json!({
                    "logGroupName": "/aws/lambda/f", "logStreamName": "s", "limit": 10, "startFromHead": head,
                });
                if !token.is_null() {
                    input["nextToken"] = token.clone();
                }
                let answer = region.call(&scope(), "GetLogEvents", &input).unwrap();
                let page = answer["events"].as_array().unwrap().clone();
                let next = if head {
                    "nextForwardToken"
                } else {
                    "nextBackwardToken"
                };
                if page.is_empty() {
                    assert_eq!(
                        answer[next], token,
                        "an empty page gives its own token again"
                    );
                    break;
                }
                token = answer[next].clone();
                let messages: Vec<String> = page
                    .iter()
                    .map(|event| event["message"].as_str().unwrap().to_owned())
                    .collect();
                seen = if head {
                    [seen, messages].concat()
                } else {
                    [messages, seen].concat()
                };
            }
            let all: Vec<String> = (0..25).map(|n| format!("line {n}")).collect();
            assert_eq!(seen, all);
        }
    }

    #[test]
    fn a_search_is_paged_and_filters() {
        let mut region = filled(25);
        let mut count = 0;
        let mut token = Value::Null;
        loop {
            let mut input =
                json!({"logGroupName": "/aws/lambda/f", "filterPattern": "line", "limit": 7});
            if !token.is_null() {
                input["nextToken"] = token;
            }
            let answer = region.call(&scope(), "FilterLogEvents", &input).unwrap();
            count += answer["events"].as_array().unwrap().len();
            token = answer["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(count, 25);
        let input = json!({"logGroupName": "/aws/lambda/f", "filterPattern": "\"line 7\""});
        let answer = region.call(&scope(), "FilterLogEvents", &input).unwrap();
        assert_eq!(answer["events"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut region = filled(0);
        let scope = scope();
        let at = scope.now.as_millisecond();
        let line = "x".repeat(1 << 20);
        for _ in 0..(KEPT_BYTES >> 20) + 20 {
            region.add("/aws/lambda/f", "s", scope.now, vec![(at, line.clone())]);
            assert!(region.bytes <= KEPT_BYTES);
        }
        region
            .call(
                &scope,
                "DeleteLogGroup",
                &json!({"logGroupName": "/aws/lambda/f"}),
            )
            .unwrap();
        assert_eq!(region.bytes, 0);
    }
}

//! The REST protocols: Scheduler's JSON, and S3's requests with bucket and key told apart.
//!
//! Must not know: what operations do.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{Incoming, Outgoing, read_json};
use crate::hub::Hub;
use crate::refusal::refuse;
use crate::regions::Scope;
use crate::s3::Request;
use crate::scheduler;

pub(super) async fn answer(hub: &Hub, scope: &Scope, request: &Incoming) -> Outgoing {
    let parameters = request.parameters();
    let query: BTreeMap<String, String> = parameters.iter().cloned().collect();
    let body = match read_json(&request.body) {
        Ok(body) => body,
        Err(words) => return written(Err(refuse("SerializationException", words))),
    };
    let done = match scheduler::rest::route(
        &request.method,
        &request.parts(),
        &query,
        &parameters,
        body,
    ) {
        Some((operation, input)) => hub.call(scope, "scheduler", operation, &input).await,
        None => Err(refuse(
            "UnknownOperationException",
            format!(
                "the sandbox's Scheduler has no {} {}",
                request.method, request.path
            ),
        )
        .status(404)),
    };
    written(done)
}

fn written(done: Result<Value, crate::refusal::Refusal>) -> Outgoing {
    match done {
        Ok(value) => Outgoing::new(200, "application/json", value.to_string()),
        Err(refusal) => {
            let body = json!({"Message": refusal.message, "message": refusal.message}).to_string();
            Outgoing::new(refusal.status, "application/json", body)
                .header("x-amzn-errortype", refusal.code)
        }
    }
}

/// The bucket in the name of a host such as `bucket.s3.eu-west-1.amazonaws.com` or `bucket.localhost`.
fn bucket_of_host(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let (bucket, rest) = match name.find(".s3.").or_else(|| name.find(".s3-")) {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (name.strip_suffix(".localhost")?, "localhost"),
    };
    let plain = bucket.is_empty() || rest.is_empty() || bucket == "s3";
    (!plain).then_some(bucket)
}

/// A request to S3: the bucket from the host or the path, the rest of the path is the key.
pub(super) fn bucket_request(request: &Incoming) -> Request {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let path = request.path.strip_prefix('/').unwrap_or(&request.path);
    let (bucket, key) = match request.header("host").and_then(bucket_of_host) {
        Some(bucket) => (bucket.to_owned(), decode(path)),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (decode(bucket), decode(key))
        }
    };
    Request {
        method: request.method.clone(),
        bucket,
        key,
        query: request.parameters().into_iter().collect(),
        headers: request.headers.clone(),
        body: request.body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, path: &str, bucket: &str, key: &str) {
        let request = Incoming {
            path: path.into(),
            headers: BTreeMap::from([("host".into(), host.into())]),
            ..Incoming::default()
        };
        let read = bucket_request(&request);
        assert_eq!((read.bucket.as_str(), read.key.as_str()), (bucket, key));
    }

    #[test]
    fn buckets_and_keys() {
        check("127.0.0.1:80", "/b/a%20b/c", "b", "a b/c");
        check("127.0.0.1:80", "/b", "b", "");
        check("localhost:80", "/", "", "");
        check("b.localhost:80", "/k", "b", "k");
        check(
            "my.bucket.s3.eu-west-1.amazonaws.com",
            "/k//x",
            "my.bucket",
            "k//x",
        );
        check("s3.localhost:80", "/b/k", "b", "k");
    }
}

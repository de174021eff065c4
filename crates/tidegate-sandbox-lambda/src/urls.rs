//! Function URLs over HTTP: a request becomes an event of payload format 2.0, an answer becomes a response.
//!
//! A URL is served under its own host name (`ID.lambda-url.REGION.…`, whatever follows) and under `/_lambda/url/ID/`.
//! Must not know: how functions run.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use tidegate_sandbox_aws::service::{Incoming, Outgoing, Scope};

use crate::lambda::Lambda;
use crate::names::{Named, arn};
use crate::runner::Call;

mod cors;

/// Under which path URLs are served, beside their own host names.
const PATH: &str = "/_lambda/url/";
/// Bytes of a request's body.
const BODY_BYTES: usize = 6 << 20;
/// The part of a host name that tells a function URL.
const HOST: &str = ".lambda-url.";

/// The id of the function URL that a request is for, and the path behind it.
pub(crate) fn target(request: &Incoming) -> Option<(&str, &str)> {
    if let Some(rest) = request.path.strip_prefix(PATH) {
        let at = rest.find('/').unwrap_or(rest.len());
        return Some((&rest[..at], &rest[at..]));
    }
    let (id, _) = request.header("host")?.split_once(HOST)?;
    Some((id, &request.path))
}

/// What is known of a URL.
#[derive(Clone, Debug)]
struct Found {
    named: Named,
    config: Value,
    region: String,
    admitted: bool,
}

fn message(status: u16, words: &str) -> Outgoing {
    Outgoing::new(
        status,
        "application/json",
        json!({"Message": words}).to_string(),
    )
}

impl Lambda {
    /// Answers a request to a function URL.
    pub(crate) async fn serve_url(
        self: &Arc<Self>,
        scope: &Scope,
        request: &Incoming,
        id: &str,
        path: &str,
    ) -> Outgoing {
        let Some(found) = self.find_url(id) else {
            return message(404, "there is no such function URL in this sandbox");
        };
        let rules = &found.config["Cors"];
        if let Some(answer) = cors::preflight(rules, request) {
            return answer;
        }
        let signed = request.header("authorization").is_some();
        let admitted = match found.config["AuthType"].as_str() {
            Some("NONE") => found.admitted,
            _ => signed,
        };
        let answer = if !admitted {
            message(
                403,
                "Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",
            )
        } else if request.body.len() > BODY_BYTES {
            message(
                413,
                "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
            )
        } else {
            self.call_url(scope, request, id, path, &found).await
        };
        cors::complete(rules, request, answer)
    }

    fn find_url(&self, id: &str) -> Option<Found> {
        let state = self.state.lock();
        let front = format!("https://{id}{HOST}");
        state.functions.iter().find_map(|((region, _), function)| {
            let (qualifier, config) = function.urls.iter().find(|(_, config)| {
                let url = config["FunctionUrl"].as_str().unwrap_or_default();
                url.starts_with(&front)
            })?;
            let policy = function.policies.get(qualifier);
            let admitted = policy.is_some_and(|policy| {
                policy.statements.iter().any(|one| {
                    let action = one["Action"].as_str().unwrap_or_default();
                    let everyone = one["Principal"] == "*" || one["Principal"]["AWS"] == "*";
                    let kind = &one["Condition"]["StringEquals"]["lambda:FunctionUrlAuthType"];
                    everyone
                        && matches!(action, "lambda:InvokeFunctionUrl" | "lambda:*" | "*")
                        && (kind.is_null() || kind == "NONE")
                })
            });
            Some(Found {
                named: Named {
                    name: function.name.clone(),
                    qualifier: Some(qualifier.clone()).filter(|word| !word.is_empty()),
                },
                config: config.clone(),
                region: region.clone(),
                admitted,
            })
        })
    }

    async fn call_url(
        self: &Arc<Self>,
        scope: &Scope,
        request: &Incoming,
        id: &str,
        path: &str,
        found: &Found,
    ) -> Outgoing {
        let there = Scope {
            region: found.region.clone(),
            ..scope.clone()
        };
        let call_id = uuid::Uuid::new_v4().to_string();
        let event = event(&there, request, id, path, found, &call_id);
        let call = Call {
            id: call_id,
            arn: arn(&there, &found.named.name, found.named.qualifier.as_deref()),
            event: Bytes::from(event.to_string()),
            client: Value::Null,
        };
        match self.run(&there, &found.named, &call).await {
            Ok((_, outcome)) => match outcome.result {
                Ok(bytes) => response(&bytes),
                Err(_) => Outgoing::new(502, "application/json", "Internal Server Error"),
            },
            Err(refusal) => message(refusal.status, &refusal.message),
        }
        .header("x-amzn-requestid", call.id)
    }
}

/// Whether a body of this media type goes into an event as text.
fn is_text(media_type: &str) -> bool {
    let kind = media_type.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(
            kind.as_str(),
            "application/json" | "application/xml" | "application/javascript"
        )
}

/// A decoded query string, the values of a repeated name joined by commas.
fn joined(pairs: Vec<(String, String)>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in pairs {
        all.entry(name)
            .and_modify(|known| {
                known.push(',');
                known.push_str(&value);
            })
            .or_insert(value);
    }
    all
}

/// The event that a handler gets.
fn event(
    scope: &Scope,
    request: &Incoming,
    id: &str,
    path: &str,
    found: &Found,
    call_id: &str,
) -> Value {
    let mut headers = request.headers.clone();
    let cookies = headers.remove("cookie");
    let domain = format!("{id}{HOST}{}.on.aws", found.region);
    headers.insert("host".into(), domain.clone());
    headers
        .entry("x-forwarded-for".into())
        .or_insert_with(|| "127.0.0.1".into());
    headers
        .entry("x-forwarded-proto".into())
        .or_insert_with(|| "https".into());
    headers
        .entry("x-forwarded-port".into())
        .or_insert_with(|| "443".into());
    let raw_path = percent_decode_str(if path.is_empty() { "/" } else { path })
        .decode_utf8_lossy()
        .into_owned();
    let is_open = found.config["AuthType"] == "NONE";
    let account = if is_open { "anonymous" } else { &scope.account };
    let mut context = json!({
        "accountId": account, "apiId": id, "domainName": domain, "domainPrefix": id,
        "http": {
            "method": request.method, "path": raw_path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
            "userAgent": request.header("user-agent").unwrap_or_default(),
        },
        "requestId": call_id, "routeKey": "$default", "stage": "$default",
        "time": scope.now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(), "timeEpoch": scope.now.as_millisecond(),
    });
    if !is_open {
        let user = format!("arn:{}:iam::{}:root", scope.partition(), scope.account);
        context["authorizer"] = json!({"iam": {
            "accessKey": "sandbox", "accountId": scope.account, "callerId": scope.account, "cognitoIdentity": null,
            "principalOrgId": null, "userArn": user, "userId": scope.account,
        }});
    }
    let mut event = Map::new();
    event.insert("version".into(), json!("2.0"));
    event.insert("routeKey".into(), json!("$default"));
    event.insert("rawPath".into(), json!(raw_path));
    event.insert("rawQueryString".into(), json!(request.query));
    if let Some(cookies) = cookies {
        let cookies: Vec<&str> = cookies.split(';').map(str::trim).collect();
        event.insert("cookies".into(), json!(cookies));
    }
    event.insert("headers".into(), json!(headers));
    let parameters = joined(request.parameters());
    if !parameters.is_empty() {
        event.insert("queryStringParameters".into(), json!(parameters));
    }
    event.insert("requestContext".into(), context);
    let media_type = request.header("content-type").unwrap_or_default();
    let text = match std::str::from_utf8(&request.body) {
        Ok(text) if is_text(media_type) => Some(text),
        Ok(_) | Err(_) => None,
    };
    if !request.body.is_empty() {
        let body = text.map_or_else(|| STANDARD.encode(&request.body), str::to_owned);
        event.insert("body".into(), json!(body));
    }
    let encoded = !request.body.is_empty() && text.is_none();
    event.insert("isBase64Encoded".into(), json!(encoded));
    Value::Object(event)
}

/// A number of an answer, which may be written as text.
fn status(value: &Value) -> Option<u16> {
    let number = match value {
        Value::String(text) => text.parse().ok()?,
        other => other.as_u64()?,
    };
    u16::try_from(number)
        .ok()
        .filter(|status| (100..=599).contains(status))
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// What a client gets for what a handler returned.
fn response(bytes: &Bytes) -> Outgoing {
    let wrong = || Outgoing::new(502, "application/json", "Internal Server Error");
    let answer: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let Some(shaped) = answer
        .as_object()
        .filter(|map| map.contains_key("statusCode"))
    else {
        // What says no status is the body itself.
        let body = match answer {
            Value::String(text) => Bytes::from(text),
            _ => bytes.clone(),
        };
        return Outgoing::new(200, "application/json", body);
    };
    let Some(status) = status(&shaped["statusCode"]) else {
        return wrong();
    };
    let body = match shaped.get("body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(body) if shaped.get("isBase64Encoded") == Some(&Value::Bool(true)) => {
            match STANDARD.decode(plain(body)) {
                Ok(bytes) => Bytes::from(bytes),
                Err(_) => return wrong(),
            }
        }
        Some(body) => Bytes::from(plain(body)),
    };
    let mut answer = Outgoing {
        status,
        headers: Vec::new(),
        body,
    };
    for (name, value) in shaped
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        answer = answer.header(&name.to_ascii_lowercase(), plain(value));
    }
    if !answer
        .headers
        .iter()
        .any(|(name, _)| name == "content-type")
    {
        answer = answer.header("content-type", "application/json");
    }
    for cookie in shaped
        .get("cookies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        answer = answer.header("set-cookie", plain(cookie));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &Value, status: u16, media_type: &str, body: &str) {
        let given = response(&Bytes::from(answer.to_string()));
        let kinds: Vec<_> = given
            .headers
            .iter()
            .filter(|(name, _)| name == "content-type")
            .collect();
        assert_eq!(given.status, status, "{answer}");
        assert_eq!(kinds.len(), 1, "{answer}");
        assert_eq!(kinds[0].1, media_type, "{answer}");
        assert_eq!(given.body, body, "{answer}");
    }

    #[test]
    fn answers_become_responses() {
        let json = "application/json";
        check(&json!({"a": 1}), 200, json, "{\"a\":1}");
        check(&json!("words"), 200, json, "words");
        check(&json!(null), 200, json, "null");
        check(&json!({"statusCode": 201}), 201, json, "");
        check(&json!({"statusCode": "204", "body": null}), 204, json, "");
        check(
            &json!({"statusCode": 200, "body": {"x": 1}, "headers": {"Content-Type": "text/plain"}}),
            200,
            "text/plain",
            "{\"x\":1}",
        );
        check(
            &json!({"statusCode": 200, "body": "aGk=", "isBase64Encoded": true}),
            200,
            json,
            "hi",
        );
        for wrong in [
            json!({"statusCode": "many"}),
            json!({"statusCode": 70_000}),
            json!({"statusCode": 200, "body": "%", "isBase64Encoded": true}),
        ] {
            check(&wrong, 502, json, "Internal Server Error");
        }
    }

    #[test]
    fn targets_are_told_by_host_or_path() {
        let by_path = |path: &str| Incoming {
            path: path.to_owned(),
            ..Incoming::default()
        };
        assert_eq!(target(&by_path("/_lambda/url/x/a/b")), Some(("x", "/a/b")));
        assert_eq!(target(&by_path("/_lambda/url/x")), Some(("x", "")));
        assert_eq!(target(&by_path("/bucket/x")), None);
        let mut by_host = by_path("/a");
        by_host
            .headers
            .insert("host".into(), "x.lambda-url.eu-west-1.localhost:1".into());
        assert_eq!(target(&by_host), Some(("x", "/a")));
    }
}

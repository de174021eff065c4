//! The query protocol: operations by `Action`, answers in XML.
//!
//! Must not know: what operations do.

use serde_json::{Value, json};

use super::{Incoming, Outgoing, sqs_query};
use crate::form;
use crate::hub::Hub;
use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::sqs;

const SNS: &str = "http://sns.amazonaws.com/doc/2010-03-31/";
const SQS: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

pub(super) async fn answer(
    hub: &Hub,
    scope: &Scope,
    service: &str,
    request: &Incoming,
    id: &str,
) -> Outgoing {
    let mut pairs = request.parameters();
    pairs.extend(form::pairs(&String::from_utf8_lossy(&request.body)));
    let document = form::document(&pairs);
    let action = document["Action"].as_str().unwrap_or("").to_owned();
    let namespace = if service == "sqs" { SQS } else { SNS };
    let done = if action.is_empty() {
        Err(refuse(
            "MissingAction",
            "the request has no parameter Action",
        ))
    } else if service == "sqs" {
        let input = sqs_query::input(&action, document, &request.path);
        hub.call(scope, "sqs", &action, &input).await
    } else {
        hub.call(scope, "sns", &action, &sns_input(document)).await
    };
    match done {
        Ok(value) => {
            let body = if service == "sqs" {
                sqs_query::answer(&action, &value, SQS, id)
            } else {
                form::answer(&action, SNS, &value, &["Attributes"], id)
            };
            Outgoing::new(200, "text/xml", body)
        }
        Err(refusal) => refused(service, namespace, &refusal, id),
    }
}

fn refused(service: &str, namespace: &str, refusal: &Refusal, id: &str) -> Outgoing {
    let code = match (service, refusal.code.as_str()) {
        (_, "UnknownOperationException") => "InvalidAction".to_owned(),
        ("sqs", code) => sqs::fault::query_code(code),
        (_, code) => code.to_owned(),
    };
    let body = form::error(namespace, &code, &refusal.message, refusal.status, id);
    Outgoing::new(refusal.status, "text/xml", body)
}

/// Forms know text only: what SNS has as flags becomes flags.
fn sns_input(mut document: Value) -> Value {
    if let Some(flag) = document["ReturnSubscriptionArn"]
        .as_str()
        .map(|text| text == "true")
    {
        document["ReturnSubscriptionArn"] = json!(flag);
    }
    if let Some(map) = document.as_object_mut() {
        map.remove("Action");
        map.remove("Version");
    }
    document
}

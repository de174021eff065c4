//! SQS in the query protocol: its flattened lists and maps turned into the members of the JSON protocol, and back.
//!
//! Must not know: queues.

use serde_json::{Map, Value, json};

use crate::form::{entries_map, escape};

/// Members that are numbers.
const NUMBERS: [&str; 5] = [
    "MaxNumberOfMessages",
    "VisibilityTimeout",
    "WaitTimeSeconds",
    "DelaySeconds",
    "MaxResults",
];
/// Flattened lists and the members they are.
const LISTS: [(&str, &str); 8] = [
    ("AttributeName", "AttributeNames"),
    ("MessageAttributeName", "MessageAttributeNames"),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames"),
    ("TagKey", "TagKeys"),
    ("AWSAccountId", "AWSAccountIds"),
    ("ActionName", "Actions"),
    ("DeleteMessageBatchRequestEntry", "Entries"),
    ("ChangeMessageVisibilityBatchRequestEntry", "Entries"),
];

/// The input of an operation; the queue may be named by the path.
pub(super) fn input(action: &str, document: Value, path: &str) -> Value {
    let mut input = entry(document);
    if input.get("QueueUrl").is_none() && path.len() > 1 {
        input["QueueUrl"] = json!(path);
    }
    if action == "CreateQueue"
        && let Some(map) = input.as_object_mut()
        && let Some(tags) = map.remove("Tags")
    {
        map.insert("tags".into(), tags);
    }
    if let Some(map) = input.as_object_mut() {
        map.remove("Action");
        map.remove("Version");
    }
    input
}

fn entry(document: Value) -> Value {
    let Value::Object(map) = document else {
        return document;
    };
    let mut out = Map::new();
    for (name, value) in map {
        let list = value.as_array().cloned();
        match (name.as_str(), list) {
            ("Attribute", Some(list)) => {
                out.insert("Attributes".into(), entries_map(&list));
            }
            ("Tag", Some(list)) => {
                out.insert("Tags".into(), entries_map(&list));
            }
            ("MessageAttribute", Some(list)) => {
                out.insert("MessageAttributes".into(), entries_map(&list));
            }
            ("MessageSystemAttribute", Some(list)) => {
                out.insert("MessageSystemAttributes".into(), entries_map(&list));
            }
            ("SendMessageBatchRequestEntry", Some(list)) => {
                out.insert(
                    "Entries".into(),
                    json!(list.into_iter().map(entry).collect::<Vec<_>>()),
                );
            }
            (name, Some(list)) => {
                let member = LISTS
                    .iter()
                    .find(|(flat, _)| *flat == name)
                    .map_or(name, |(_, member)| member);
                let list: Vec<Value> = list.into_iter().map(entry).collect();
                out.insert(member.to_owned(), json!(list));
            }
            (name, None) if NUMBERS.contains(&name) => {
                let number = value.as_str().and_then(|text| text.parse::<i64>().ok());
                out.insert(
                    name.to_owned(),
                    number.map_or(value, |number| json!(number)),
                );
            }
            (name, None) => {
                out.insert(name.to_owned(), value);
            }
        }
    }
    Value::Object(out)
}

fn leaf(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn pairs(element: &str, key: &str, map: &Value) -> String {
    map.as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let value = match value {
                Value::Object(inner) => {
                    let fields: String = inner
                        .iter()
                        .map(|(name, value)| leaf(name, &plain(value)))
                        .collect();
                    format!("<Value>{fields}</Value>")
                }
                other => leaf("Value", &plain(other)),
            };
            format!("<{element}>{}{value}</{element}>", leaf(key, name))
        })
        .collect()
}

/// The answer of an operation in XML.
pub(super) fn answer(action: &str, value: &Value, namespace: &str, id: &str) -> String {
    let inner = fields(action, value);
    let result = if inner.is_empty()
        && !action.starts_with("Get")
        && !action.starts_with("List")
        && action != "ReceiveMessage"
    {
        String::new()
    } else {
        format!("<{action}Result>{inner}</{action}Result>")
    };
    format!(
        "<?xml version=\"1.0\"?><{action}Response xmlns=\"{namespace}\">{result}<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
    )
}

fn fields(action: &str, value: &Value) -> String {
    let mut out = String::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("Attributes", map) => out.push_str(&pairs("Attribute", "Name", map)),
            ("MessageAttributes", map) => out.push_str(&pairs("MessageAttribute", "Name", map)),
            ("Tags", map) => out.push_str(&pairs("Tag", "Key", map)),
            (_, Value::Array(list)) => {
                let element = match name.as_str() {
                    "QueueUrls" | "queueUrls" => "QueueUrl".to_owned(),
                    "Messages" => "Message".to_owned(),
                    "Successful" => format!("{action}ResultEntry"),
                    "Failed" => "BatchResultErrorEntry".to_owned(),
                    other => other.trim_end_matches('s').to_owned(),
                };
                for one in list {
                    match one {
                        Value::Object(_) => {
                            out.push_str(&format!(
                                "<{element}>{}</{element}>",
                                fields(action, one)
                            ));
                        }
                        other => out.push_str(&leaf(&element, &plain(other))),
                    }
                }
            }
            (name, value) => out.push_str(&leaf(name, &plain(value))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form;

    #[test]
    fn forms_become_the_json_protocol_and_answers_xml() {
        let body = "Action=SendMessage&MessageBody=x&DelaySeconds=5&MessageAttribute.1.Name=a\
                    &MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=b";
        let document = form::document(&form::pairs(body));
        assert_eq!(
            input("SendMessage", document, "/1/q"),
            json!({
                "MessageBody": "x", "DelaySeconds": 5, "QueueUrl": "/1/q",
                "MessageAttributes": {"a": {"DataType": "String", "StringValue": "b"}},
            })
        );
        let xml = answer(
            "ReceiveMessage",
            &json!({"Messages": [{"Body": "<x>", "Attributes": {"SentTimestamp": "1"}}]}),
            "n",
            "r",
        );
        assert!(xml.contains(
            "<Message><Attribute><Name>SentTimestamp</Name><Value>1</Value></Attribute><Body>&lt;x&gt;</Body></Message>"
        ));
    }
}

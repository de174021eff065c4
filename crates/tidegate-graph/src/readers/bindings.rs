//! References of event-source bindings: the topics that they read and the function that they call.

use serde_json::Value;

use crate::reader::{Identity, Need, ReferenceReader, References, View};
use crate::{Relation, Strength};

/// Reads what a binding ties together.
#[derive(Debug)]
pub(crate) struct Bindings;

impl ReferenceReader for Bindings {
    fn read<'a>(&self, view: &View<'a>, found: &mut References<'a>) {
        if !view.is("tidegate.dev", "EventSourceBinding") {
            return;
        }
        let near = view.key.namespace.as_str();
        let topics = view.body.pointer("/spec/Topics").and_then(Value::as_array);
        for (index, topic) in topics.into_iter().flatten().enumerate() {
            let Some(name) = topic.as_str().filter(|name| !name.is_empty()) else {
                continue;
            };
            found.need(Need {
                identity: Identity::topic(name, near),
                relation: Relation::Topic,
                field: format!(".spec.Topics[{index}]"),
                strength: Strength::Soft,
            });
        }
        let function = view.body.pointer("/spec/FunctionName");
        if let Some(name) = function.and_then(Value::as_str).and_then(function_name) {
            found.need(Need {
                identity: Identity::function(name, near),
                relation: Relation::Reference,
                field: ".spec.FunctionName".to_owned(),
                strength: Strength::Soft,
            });
        }
    }
}

/// The name in `NAME`, `NAME:ALIAS`, `ACCOUNT:function:NAME` or an ARN.
fn function_name(text: &str) -> Option<&str> {
    let parts: Vec<&str> = text.split(':').collect();
    let name = match parts.iter().position(|part| *part == "function") {
        Some(at) => parts.get(at + 1).copied(),
        None => parts.first().copied(),
    };
    name.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_in_four_forms() {
        for text in [
            "alerts",
            "alerts:live",
            "123456789012:function:alerts",
            "arn:aws:lambda:eu-west-1:123456789012:function:alerts:live",
        ] {
            assert_eq!(function_name(text), Some("alerts"), "{text}");
        }
        assert_eq!(function_name(""), None);
        assert_eq!(function_name("arn:aws:lambda:eu-west-1:1:function"), None);
    }
}

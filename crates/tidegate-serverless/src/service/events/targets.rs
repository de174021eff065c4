//! What rules of EventBridge send to a function, and the rules themselves.
//!
//! Must not know: where a rule's expression or pattern comes from.

use serde_json::{Value, json};
use tidegate_yaml::{Node, ParseOptions};

use super::common::{self, Properties, truthy};
use super::script;
use crate::service::context::{Composer, Context, Function, is_mapping};

/// How an input's text is put into the template's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// Its quotes are escaped.
    Quotes,
    /// Its quotes are escaped, and escaped line ends taken out.
    QuotesAndLines,
}

/// What a target gets instead of the event.
#[derive(Debug, Default)]
pub(crate) struct Input {
    text: Option<String>,
    path: Option<Value>,
    transformer: Option<Value>,
}

impl Input {
    /// Reads `input`, `inputPath` and `inputTransformer`.
    ///
    /// # Errors
    ///
    /// The name of the setting that the framework cannot read.
    pub(crate) fn of(event: &Node, escape: Escape) -> Result<Input, String> {
        let text = input_text(truthy(event, "input"))?;
        let text = match text {
            Some(text) => Some(unescaped(&text, escape).ok_or("input")?),
            None => None,
        };
        let path = match truthy(event, "inputPath").map(script::text) {
            Some(path) => Some(Value::from(through_json(&path).ok_or("inputPath")?)),
            None => None,
        };
        Ok(Input {
            text,
            path,
            transformer: truthy(event, "inputTransformer").map(transformer),
        })
    }

    /// Adds it to a target.
    pub(crate) fn put(self, target: &mut Properties) {
        if let Some(text) = self.text {
            target.set("Input", text);
        }
        if let Some(path) = self.path {
            target.set("InputPath", path);
        }
        if let Some(transformer) = self.transformer {
            target.set("InputTransformer", transformer);
        }
    }
}

fn transformer(node: &Node) -> Value {
    let mut properties = Properties::default();
    if let Some(template) = node.get("inputTemplate") {
        properties.set("InputTemplate", template.to_json());
    }
    properties.copy("InputPathsMap", node, "inputPathsMap");
    properties.0.into()
}

/// The text of an input: an object's JSON, whose textual `body` is JSON itself.
pub(crate) fn input_text(input: Option<&Node>) -> Result<Option<String>, String> {
    let Some(input) = input else {
        return Ok(None);
    };
    if !is_mapping(input) {
        return Ok(Some(script::text(input)));
    }
    let Some(body) = input.get("body").and_then(Node::as_str) else {
        return Ok(Some(script::stringify(input)));
    };
    serde_json::from_str::<serde::de::IgnoredAny>(body).map_err(|_| "input")?;
    let body = tidegate_yaml::parse_one(body.as_bytes(), &ParseOptions::default());
    let body = body.map_err(|_| "input")?;
    let mut input = input.clone();
    if let tidegate_yaml::Value::Mapping(entries) = &mut input.value {
        for (key, value) in entries {
            if &*key.text == "body" {
                *value = body.clone();
            }
        }
    }
    Ok(Some(script::stringify(&input)))
}

/// A text as it comes out of the JSON template that the framework writes it into unchanged.
pub(crate) fn through_json(text: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{text}\"")).ok()
}

fn unescaped(text: &str, escape: Escape) -> Option<String> {
    let mut text = text.replace('"', "\\\"");
    if escape == Escape::QuotesAndLines {
        text = text.replace("\\n", "").replace("\\r", "");
    }
    through_json(&text)
}

/// Tells that a setting breaks the JSON that the framework puts it into.
pub(crate) fn unreadable(context: &Context<'_>, template: &mut Composer, at: &Node, setting: &str) {
    template.error(
        common::MALFORMED,
        format!("`{setting}` cannot stand in the template: it breaks out of the text around it"),
        context.place(at),
        "write it without line ends and backslashes; the Serverless Framework fails on them too",
    );
}

/// Adds a rule and the right of EventBridge to invoke the function for it.
pub(crate) fn rule(
    context: &Context<'_>,
    function: &Function,
    (id, permission): (String, String),
    properties: Properties,
    event: &Node,
    template: &mut Composer,
) {
    let resource = common::after_alias(function, "AWS::Events::Rule", &Value::Object(properties.0));
    let source = json!({"SourceArn": {"Fn::GetAtt": [id, "Arn"]}});
    template.resource(id, resource, event.span);
    let resource = common::permission(context, function, "events.amazonaws.com", source);
    template.resource(permission, resource, event.span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_go_through_the_frameworks_json() {
        let quoted = unescaped(r#"{"a":"b"}"#, Escape::Quotes);
        assert_eq!(quoted.as_deref(), Some(r#"{"a":"b"}"#));
        assert_eq!(unescaped(r#"{"a":"b\"c"}"#, Escape::Quotes), None);
        let lines = unescaped(r#"{"a":"b\nc"}"#, Escape::QuotesAndLines);
        assert_eq!(lines.as_deref(), Some(r#"{"a":"bc"}"#));
        assert_eq!(through_json("a\nb"), None);
    }
}

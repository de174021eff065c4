//! Checks of requests: the validator, and the models of bodies.
//!
//! Must not know: what answers a request.

use serde_json::{Value, json};
use tidegate_yaml::Node;

use super::endpoint::{Endpoint, is_required};
use super::methods;
use crate::service::context::{Composer, Context, entries, is_mapping};
use crate::service::events::common::{Properties, given, truthy};
use crate::service::events::script;
use crate::service::names;

/// Adds the checks of an endpoint's requests.
pub(super) fn add(context: &Context<'_>, endpoint: &Endpoint<'_>, template: &mut Composer) {
    let schemas = endpoint
        .request()
        .and_then(|request| truthy(request, "schemas"));
    let is_needed = |(_, node): &(String, &Node)| !matches!(is_required(node), Value::Bool(false));
    let has_parameters = endpoint.parameters.iter().any(is_needed);
    let schemas = entries(schemas);
    if !has_parameters && schemas.is_empty() {
        return;
    }
    let service = names::alphanumeric(&context.service);
    let validator = format!("ApiGateway{service}RequestValidator");
    let resource = json!({
        "Type": "AWS::ApiGateway::RequestValidator",
        "Properties": {
            "RestApiId": super::reference(context),
            "ValidateRequestBody": true,
            "ValidateRequestParameters": true,
            "Name": format!(
                "{}-{} | Validate request body and querystring parameters",
                context.service, context.stage
            ),
        },
    });
    template.resource(&validator, resource, endpoint.event.span);
    let mut models = Properties::default();
    for (kind, schema) in schemas {
        let model = model(context, endpoint, (&kind.text, schema), template);
        models.set(&kind.text, json!({"Ref": model}));
    }
    let id = methods::logical_id(&endpoint.path, &endpoint.method);
    let method = template.resources.get_mut(&id);
    if let Some(method) = method.and_then(|method| method.get_mut("Properties")) {
        method["RequestValidatorId"] = json!({"Ref": validator});
        if !models.0.is_empty() {
            method["RequestModels"] = models.0.into();
        }
    }
}

/// Adds the model of a body; gives its logical id.
fn model(
    context: &Context<'_>,
    endpoint: &Endpoint<'_>,
    (kind, schema): (&str, &Node),
    template: &mut Composer,
) -> String {
    let shared = schema.as_str();
    let shared = shared.and_then(|name| {
        let named = context.setting(&["apiGateway", "request", "schemas", name])?;
        Some((name, named))
    });
    let (id, kind, schema) = match shared {
        Some((name, named)) => {
            let id = format!("ApiGateway{}Model", camel_case(name));
            (id, "application/json", named)
        }
        None => {
            let method = methods::logical_id(&endpoint.path, &endpoint.method);
            (format!("{method}{}Model", start_case(kind)), kind, schema)
        }
    };
    let explicit = truthy(schema, "schema").filter(|_| is_mapping(schema));
    let mut properties = Properties::default();
    properties.set("RestApiId", super::reference(context));
    properties.set("ContentType", kind);
    properties.set("Schema", explicit.unwrap_or(schema).to_json());
    if explicit.is_some() || shared.is_some() {
        for (name, key) in [("Name", "name"), ("Description", "description")] {
            if let Some(node) = given(schema, key) {
                properties.set(name, node.to_json());
            }
        }
    }
    let resource = json!({"Type": "AWS::ApiGateway::Model", "Properties": properties.0});
    template.resource(&id, resource, schema.span);
    id
}

/// The words of a name: runs of letters of one case, a capital before them, or of digits.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let kind = |index: usize| letters.get(index).copied().unwrap_or(' ');
    let run = |from: usize, is: fn(&char) -> bool| {
        letters
            .iter()
            .skip(from)
            .take_while(|letter| is(letter))
            .count()
    };
    type Test = fn(&char) -> bool;
    let (upper, lower): (Test, Test) = (char::is_ascii_uppercase, char::is_ascii_lowercase);
    let mut words = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let capitals = run(at, upper);
        let after = run(at + capitals, lower);
        let length = match (capitals, after) {
            (0, 0) => run(at, char::is_ascii_digit),
            (0 | 1, small) if small > 0 => capitals + small,
            (capitals, small) if small > 0 => capitals - 1,
            (capitals, _) => capitals,
        };
        if length > 0 {
            words.push((at..at + length).map(kind).collect());
        }
        at += length.max(1);
    }
    words
}

fn start_case(name: &str) -> String {
    words(name)
        .iter()
        .map(|word| names::upper_first(word))
        .collect()
}

fn camel_case(name: &str) -> String {
    let words = words(name).into_iter();
    words
        .map(|word| names::upper_first(&word.to_lowercase()))
        .collect()
}

/// The name of a key's or plan's entry: its first key, as JavaScript goes over it.
pub(super) fn first_key(node: &Node) -> Option<(String, &Node)> {
    let (key, value) = script::in_order(entries(Some(node))).into_iter().next()?;
    Some((key.text.to_string(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_words() {
        assert_eq!(
            words("XMLHttp2request-v_1A"),
            ["XML", "Http", "2", "request", "v", "1", "A"]
        );
        assert_eq!(start_case("application/json"), "ApplicationJson");
        assert_eq!(start_case("text/X-my+xml"), "TextXMyXml");
        assert_eq!(camel_case("post-create model"), "PostCreateModel");
    }
}

//! How Cloud Control names a resource, and what a template's `Ref` and `Fn::GetAtt` make of it. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tidegate_aws::TypeFacts;

/// The identifier that properties say, parts joined by `|`; none while one of them is left to the service.
pub(crate) fn identifier(facts: &TypeFacts, properties: &Map<String, Value>) -> Option<String> {
    let parts: Option<Vec<String>> = facts
        .primary_identifier
        .iter()
        .map(|path| text(at(properties, path)?))
        .collect();
    parts
        .filter(|parts| !parts.is_empty())
        .map(|parts| parts.join("|"))
}

/// The one property that names a resource and that a template may set.
pub(crate) fn name_property(facts: &TypeFacts) -> Option<&str> {
    match facts.primary_identifier.as_slice() {
        [only] if !facts.read_only.contains(only) && !only.contains('.') => Some(only),
        _ => None,
    }
}

/// What `Ref` gives: the identifier; of several parts the resource's own one, not those of what it hangs on.
pub(crate) fn reference(resource_type: &str, facts: &TypeFacts, identifier: &str) -> String {
    let names = &facts.primary_identifier;
    let parts: Vec<&str> = identifier.split('|').collect();
    if names.len() < 2 || parts.len() != names.len() {
        return identifier.to_owned();
    }
    let given_by_service: Vec<usize> = (0..names.len())
        .filter(|place| facts.read_only.contains(&names[*place]))
        .collect();
    if let [only] = given_by_service.as_slice() {
        return parts[*only].to_owned();
    }
    let short = resource_type.rsplit("::").next().unwrap_or_default();
    let own = [
        format!("{short}Name"),
        "Name".to_owned(),
        format!("{short}Id"),
        "Id".to_owned(),
    ];
    let place = own
        .iter()
        .find_map(|own| names.iter().position(|name| name == own));
    parts[place.unwrap_or(names.len() - 1)].to_owned()
}

/// What `Fn::GetAtt` gives: what the service sets, under dotted names.
pub(crate) fn attributes(facts: &TypeFacts, model: &Map<String, Value>) -> BTreeMap<String, Value> {
    let paths = facts.read_only.iter().chain(&facts.primary_identifier);
    paths
        .filter_map(|path| Some((path.clone(), at(model, path)?.clone())))
        .collect()
}

/// The value at a dotted path, without lists in between.
pub(crate) fn at<'v>(properties: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let mut steps = path.split('.');
    let mut here = properties.get(steps.next()?)?;
    for step in steps {
        here = here.get(step)?;
    }
    Some(here).filter(|value| !value.is_null())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_aws::facts;

    use super::*;

    #[test]
    fn references_are_the_own_part_of_an_identifier() {
        let check = |kind: &str, id: &str, expected: &str| {
            assert_eq!(reference(kind, &facts(kind), id), expected, "{kind}");
        };
        check("AWS::Glue::Job", "j", "j");
        check("AWS::ApiGateway::Deployment", "d|api", "d");
        check("AWS::ApiGateway::Resource", "api|r", "r");
        check("AWS::ApiGateway::Stage", "api|prod", "prod");
        check("AWS::Cognito::UserPoolGroup", "pool|admins", "admins");
        check("AWS::ECS::Service", "arn|cluster", "arn");
        check("AWS::Glue::Table", "1|db|t", "t");
    }

    #[test]
    fn identifiers_are_known_when_all_their_parts_are() {
        let facts = facts("AWS::Cognito::UserPoolGroup");
        let properties = |value: Value| value.as_object().cloned().unwrap_or_default();
        let whole = properties(json!({"UserPoolId": "p", "GroupName": "g"}));
        assert_eq!(identifier(&facts, &whole).as_deref(), Some("p|g"));
        let open = properties(json!({"UserPoolId": {"Ref": "Pool"}, "GroupName": "g"}));
        assert_eq!(identifier(&facts, &open), None);
    }
}

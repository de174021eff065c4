//! Policy templates and names of managed policies: compact tables of facts.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::sam::{Fault, Made};

/// One template a line: `[name, [parameters], [statements]]`.
const TEMPLATES: &str = include_str!("../../data/policy-templates.jsonl");
/// One policy a line: `name partitions [path]`.
const MANAGED: &str = include_str!("../../data/managed-policies.txt");

struct Template {
    parameters: Vec<String>,
    statements: Value,
}

static BY_NAME: LazyLock<BTreeMap<String, Template>> = LazyLock::new(|| {
    let read = |line: &str| {
        let (name, parameters, statements): (String, Vec<String>, Value) =
            serde_json::from_str(line).ok()?;
        let template = Template {
            parameters,
            statements,
        };
        Some((name, template))
    };
    TEMPLATES.lines().filter_map(read).collect()
});

/// Whether a name is a policy template's.
pub(crate) fn is_template(name: &str) -> bool {
    BY_NAME.contains_key(name)
}

/// The policy document of a template with its parameters filled in.
pub(crate) fn expand(id: &str, name: &str, values: &Value) -> Made<Value> {
    let Some(template) = BY_NAME.get(name) else {
        return Err(Fault::new(
            id,
            format!("Template with name '{name}' is not found"),
        ));
    };
    let Value::Object(given) = values else {
        let message = format!("Must specify valid parameter values for policy template '{name}'");
        return Err(Fault::new(id, message));
    };
    let missing: Vec<String> = template
        .parameters
        .iter()
        .filter(|parameter| !given.contains_key(*parameter))
        .map(|parameter| format!("'{parameter}'"))
        .collect();
    if !missing.is_empty() {
        let message = format!(
            "Following required parameters of template '{name}' don't have values: [{}]",
            missing.join(", ")
        );
        return Err(Fault::new(id, message));
    }
    let statements = fill(&template.statements, &template.parameters, given);
    Ok(Value::Object(Map::from_iter([(
        "Statement".to_owned(),
        statements,
    )])))
}

fn fill(value: &Value, parameters: &[String], given: &Map<String, Value>) -> Value {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("Ref").and_then(Value::as_str)
                && parameters.iter().any(|parameter| parameter == name)
            {
                return given.get(name).cloned().unwrap_or_default();
            }
            let fields = map.iter();
            fields
                .map(|(key, value)| (key.clone(), fill(value, parameters, given)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(list) => list
            .iter()
            .map(|value| fill(value, parameters, given))
            .collect(),
        plain => plain.clone(),
    }
}

static MANAGED_BY_NAME: LazyLock<BTreeMap<&'static str, (&'static str, &'static str)>> =
    LazyLock::new(|| {
        let read = |line: &'static str| {
            let mut words = line.split(' ');
            let (name, partitions) = (words.next()?, words.next()?);
            Some((name, (partitions, words.next().unwrap_or_default())))
        };
        MANAGED.lines().filter_map(read).collect()
    });

/// The ARN of a managed policy that AWS has in a partition.
pub(crate) fn managed(name: &str, partition: &str) -> Option<String> {
    let letter = match partition {
        "aws" => 'a',
        "aws-cn" => 'c',
        "aws-us-gov" => 'g',
        "aws-eusc" => 'e',
        _ => return None,
    };
    let (partitions, path) = MANAGED_BY_NAME.get(name)?;
    let is_there = partitions.contains(letter);
    is_there.then(|| format!("arn:{partition}:iam::aws:policy/{path}{name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let document = expand("F", "SQSPollerPolicy", &json!({"QueueName": "q"})).expect("known");
        let resource = &document["Statement"][0]["Resource"];
        assert_eq!(resource["Fn::Sub"][1], json!({"queueName": "q"}));
        assert!(expand("F", "SQSPollerPolicy", &json!({})).is_err());
        assert_eq!(BY_NAME.len(), 81);
    }

    #[test]
    fn managed_policies_have_their_partitions() {
        assert_eq!(
            managed("AWSLambdaBasicExecutionRole", "aws-cn").as_deref(),
            Some("arn:aws-cn:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
        );
        assert_eq!(managed("NoSuch", "aws"), None);
    }
}

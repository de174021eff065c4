//! What IAM demands of a policy document, in its own words.
//!
//! Must not know: roles and policies that carry documents. Only the document's form is checked, never what it grants.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use tidegate_sandbox_aws::service::{Refusal, refuse};

/// What a document is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It says what its holder may do: actions and resources, no principal.
    Grants,
    /// It says who may assume a role: principals, no resource.
    Trust,
}

const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];
const STATEMENT: [&str; 9] = [
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Principal",
    "NotPrincipal",
    "Condition",
];
/// Levels of nesting of a document: none that IAM takes has more.
const DEPTH: usize = 12;

fn malformed(words: impl Into<String>) -> Refusal {
    refuse("MalformedPolicyDocument", words)
}

fn syntax() -> Refusal {
    malformed("Syntax errors in policy.")
}

/// Checks a document.
///
/// # Errors
/// `MalformedPolicyDocument`.
pub(super) fn check(text: &str, used: Use) -> Result<(), Refusal> {
    let document: Value = serde_json::from_str(text)
        .ok()
        .filter(|value| shallow(value, DEPTH))
        .ok_or_else(|| {
            malformed(match used {
                Use::Trust => "This policy contains invalid Json",
                Use::Grants => "Syntax errors in policy.",
            })
        })?;
    let map = document.as_object().ok_or_else(syntax)?;
    if map
        .keys()
        .any(|key| !["Version", "Id", "Statement"].contains(&key.as_str()))
    {
        return Err(syntax());
    }
    match map.get("Version").map(|version| version.as_str()) {
        Some(Some(version)) if VERSIONS.contains(&version) => {}
        Some(_) => return Err(syntax()),
        // Policies of roles often name no version, and IAM takes them.
        None => {}
    }
    if map.get("Id").is_some_and(|id| !id.is_string()) {
        return Err(syntax());
    }
    let statements = statements(map)?;
    let mut ids = BTreeSet::new();
    for statement in &statements {
        check_statement(statement, used)?;
        if let Some(id) = statement.get("Sid").and_then(Value::as_str)
            && !id.is_empty()
            && !ids.insert(id)
        {
            return Err(malformed(
                "Statement IDs (SID) in a single policy must be unique.",
            ));
        }
    }
    if used == Use::Grants
        && map
            .get("Version")
            .is_some_and(|version| version == "2008-10-17")
    {
        return Err(malformed(
            "Policy document must be version 2012-10-17 or greater.",
        ));
    }
    Ok(())
}

fn shallow(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(list) => depth > 0 && list.iter().all(|one| shallow(one, depth - 1)),
        Value::Object(map) => depth > 0 && map.values().all(|one| shallow(one, depth - 1)),
        _ => true,
    }
}

fn statements(map: &Map<String, Value>) -> Result<Vec<&Map<String, Value>>, Refusal> {
    match map.get("Statement") {
        Some(Value::Object(one)) => Ok(vec![one]),
        Some(Value::Array(list)) if !list.is_empty() => list
            .iter()
            .map(|one| one.as_object().ok_or_else(syntax))
            .collect(),
        _ => Err(syntax()),
    }
}

fn check_statement(statement: &Map<String, Value>, used: Use) -> Result<(), Refusal> {
    if statement
        .keys()
        .any(|key| !STATEMENT.contains(&key.as_str()))
    {
        return Err(syntax());
    }
    match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow" | "Deny") => {}
        _ => return Err(syntax()),
    }
    if let Some(id) = statement.get("Sid") {
        let id = id.as_str().ok_or_else(syntax)?;
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(malformed(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
            ));
        }
    }
    if statement.contains_key("Action") && statement.contains_key("NotAction")
        || statement.contains_key("Resource") && statement.contains_key("NotResource")
        || statement.contains_key("Principal") && statement.contains_key("NotPrincipal")
    {
        return Err(syntax());
    }
    check_condition(statement.get("Condition"))?;
    match used {
        Use::Grants => check_grant(statement),
        Use::Trust => check_trust(statement),
    }
}

fn check_condition(condition: Option<&Value>) -> Result<(), Refusal> {
    let Some(condition) = condition else {
        return Ok(());
    };
    let operators = condition.as_object().ok_or_else(syntax)?;
    for keys in operators.values() {
        for values in keys.as_object().ok_or_else(syntax)?.values() {
            let plain =
                |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
            let fine = match values {
                Value::Array(list) => list.iter().all(plain),
                one => plain(one),
            };
            if !fine {
                return Err(syntax());
            }
        }
    }
    Ok(())
}

/// The texts of a member that is one text or a list of them.
fn texts(value: &Value) -> Result<Vec<&str>, Refusal> {
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(list) => list
            .iter()
            .map(|one| one.as_str().ok_or_else(syntax))
            .collect(),
        _ => Err(syntax()),
    }
}

fn check_actions(statement: &Map<String, Value>) -> Result<Vec<&str>, Refusal> {
    let named = statement.get("Action").or(statement.get("NotAction"));
    let Some(named) = named else {
        return Err(malformed("Policy statement must contain actions."));
    };
    let actions = texts(named)?;
    if actions.is_empty() {
        return Err(malformed("Policy statement must contain actions."));
    }
    for action in &actions {
        if *action == "*" {
            continue;
        }
        let Some((vendor, rest)) = action.split_once(':') else {
            return Err(malformed(
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
            ));
        };
        if rest.contains(':') {
            return Err(malformed("Actions/Condition can contain only one colon."));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-*?_.".contains(&byte);
        if vendor.is_empty() || !vendor.bytes().all(plain) {
            return Err(malformed(format!("Vendor {vendor} is not valid")));
        }
        if rest.is_empty() {
            return Err(syntax());
        }
    }
    Ok(actions)
}

fn check_grant(statement: &Map<String, Value>) -> Result<(), Refusal> {
    if statement.contains_key("Principal") || statement.contains_key("NotPrincipal") {
        return Err(malformed("Policy document should not specify a principal."));
    }
    check_actions(statement)?;
    let Some(named) = statement.get("Resource").or(statement.get("NotResource")) else {
        return Err(malformed("Policy statement must contain resources."));
    };
    let resources = texts(named)?;
    if resources.is_empty() {
        return Err(malformed("Policy statement must contain resources."));
    }
    resources.into_iter().try_for_each(check_resource)
}

fn check_resource(resource: &str) -> Result<(), Refusal> {
    if resource.chars().all(|character| character == '*') && !resource.is_empty() {
        return Ok(());
    }
    let parts: Vec<&str> = resource.splitn(6, ':').collect();
    if parts[0] != "arn" {
        return Err(malformed(format!(
            "Resource {resource} must be in ARN format or \"*\"."
        )));
    }
    // `arn:aws:s3:*` stands for all of it, as IAM reads it.
    if parts.len() < 6 && !resource.ends_with('*') {
        return Err(malformed("The policy failed legacy parsing"));
    }
    let partition = parts.get(1).copied().unwrap_or("");
    let known =
        partition.contains(['*', '?', '$']) || partition.is_empty() || partition.starts_with("aws");
    if !known {
        return Err(malformed(format!(
            "Partition \"{partition}\" is not valid for resource \"{resource}\"."
        )));
    }
    Ok(())
}

fn check_trust(statement: &Map<String, Value>) -> Result<(), Refusal> {
    if statement.contains_key("Resource") || statement.contains_key("NotResource") {
        return Err(malformed("Has prohibited field Resource"));
    }
    let Some(principal) = statement.get("Principal").or(statement.get("NotPrincipal")) else {
        return Err(malformed("Missing required field Principal"));
    };
    let actions = check_actions(statement)?;
    let assume = |action: &&str| {
        let lower = action.to_ascii_lowercase();
        lower == "*" || lower.starts_with("sts:")
    };
    if !actions.iter().all(assume) {
        return Err(malformed(
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ));
    }
    check_principal(principal)
}

fn check_principal(principal: &Value) -> Result<(), Refusal> {
    let kinds = match principal {
        Value::String(text) if text == "*" => return Ok(()),
        Value::String(text) => {
            return Err(malformed(format!(
                "Invalid principal in policy: \"{text}\""
            )));
        }
        Value::Object(kinds) if !kinds.is_empty() => kinds,
        _ => return Err(syntax()),
    };
    for (kind, named) in kinds {
        if !["AWS", "Service", "Federated", "CanonicalUser"].contains(&kind.as_str()) {
            return Err(malformed(format!(
                "Invalid principal in policy: \"{kind}\""
            )));
        }
        for name in texts(named)? {
            let fine = match kind.as_str() {
                "AWS" => {
                    name == "*"
                        || name.starts_with("arn:")
                        || name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit())
                        || name.starts_with("AROA")
                        || name.starts_with("AIDA")
                }
                "Service" => name.contains('.') && !name.contains(char::is_whitespace),
                _ => !name.is_empty(),
            };
            if !fine {
                return Err(malformed(format!(
                    "Invalid principal in policy: \"{}\":\"{name}\"",
                    if kind == "Service" { "SERVICE" } else { kind }
                )));
            }
        }
    }
    Ok(())
}

/// May the service `principal`, such as `lambda.amazonaws.com`, assume a role with this trust policy?
///
/// Conditions are taken as met.
pub(super) fn admits(text: &str, principal: &str) -> bool {
    allows(text, &|given| match given {
        Value::String(text) => text == "*",
        given => texts(&given["Service"]).is_ok_and(|all| all.contains(&principal)),
    })
}

/// May callers of an account assume a role with this trust policy?
///
/// Conditions are taken as met, and every caller of the account is taken for the one that is named.
pub(super) fn admits_account(text: &str, account: &str) -> bool {
    let mine =
        |name: &&str| *name == "*" || *name == account || name.split(':').nth(4) == Some(account);
    allows(text, &|given| match given {
        Value::String(text) => text == "*",
        given => texts(&given["AWS"]).is_ok_and(|all| all.iter().any(mine)),
    })
}

fn allows(text: &str, named: &dyn Fn(&Value) -> bool) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    let Some(statements) = document.as_object().and_then(|map| statements(map).ok()) else {
        return false;
    };
    let assumes = |statement: &Map<String, Value>| {
        let actions = statement
            .get("Action")
            .and_then(|action| texts(action).ok());
        actions.is_some_and(|actions| {
            actions.iter().any(|action| {
                let lower = action.to_ascii_lowercase();
                ["*", "sts:*", "sts:assumerole", "sts:assume*"].contains(&lower.as_str())
            })
        })
    };
    let effect = |wanted: &str| {
        statements.iter().any(|one| {
            assumes(one)
                && one.get("Principal").is_some_and(named)
                && one.get("Effect").is_some_and(|effect| effect == wanted)
        })
    };
    effect("Allow") && !effect("Deny")
}

/// The characters of a document that count against its limit: all but white space.
pub(super) fn size(text: &str) -> usize {
    text.chars().filter(|one| !one.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_one(used: Use, text: &str, expected: Option<&str>) {
        let found = check(text, used).err().map(|refusal| refusal.message);
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn grants() {
        let one = |body: &str| format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{{{body}}}]}}");
        for (body, expected) in [
            (r#""Effect":"Allow","Action":"s3:*","Resource":"*""#, None),
            (
                r#""Sid":"A1","Effect":"Deny","NotAction":["s3:Get*"],"NotResource":["arn:aws:s3:::b/*"]"#,
                None,
            ),
            (
                r#""Effect":"Allow","Action":"s3:*""#,
                Some("Policy statement must contain resources."),
            ),
            (
                r#""Effect":"Allow","Resource":"*""#,
                Some("Policy statement must contain actions."),
            ),
            (
                r#""Effect":"Allow","Action":"get","Resource":"*""#,
                Some("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
            ),
            (
                r#""Effect":"Allow","Action":"s3:a","Resource":"bucket""#,
                Some("Resource bucket must be in ARN format or \"*\"."),
            ),
            (
                r#""Effect":"Allow","Action":"s3:a","Resource":"arn:aws:s3""#,
                Some("The policy failed legacy parsing"),
            ),
            (
                r#""Effect":"allow","Action":"s3:a","Resource":"*""#,
                Some("Syntax errors in policy."),
            ),
            (
                r#""Effect":"Allow","Action":"s3:a","Resource":"*","Principal":"*""#,
                Some("Policy document should not specify a principal."),
            ),
            (
                r#""Sid":"a b","Effect":"Allow","Action":"s3:a","Resource":"*""#,
                Some(
                    "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
                ),
            ),
        ] {
            check_one(Use::Grants, &one(body), expected);
        }
        check_one(Use::Grants, "{", Some("Syntax errors in policy."));
        check_one(
            Use::Grants,
            r#"{"Statement":[{"Effect":"Allow","Action":"s3:a","Resource":"*"}]}"#,
            None,
        );
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        check_one(Use::Grants, &deep, Some("Syntax errors in policy."));
    }

    #[test]
    fn trusts() {
        let lambda = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com"]},"Action":["sts:AssumeRole"]}]}"#;
        check_one(Use::Trust, lambda, None);
        assert!(admits(lambda, "lambda.amazonaws.com"));
        assert!(!admits(lambda, "events.amazonaws.com"));
        check_one(
            Use::Trust,
            r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}}"#,
            Some("Missing required field Principal"),
        );
        check_one(
            Use::Trust,
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}}"#,
            Some("Has prohibited field Resource"),
        );
        check_one(
            Use::Trust,
            r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"lambda"},"Action":"sts:AssumeRole"}}"#,
            Some("Invalid principal in policy: \"SERVICE\":\"lambda\""),
        );
        check_one(
            Use::Trust,
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:Get"}}"#,
            Some("AssumeRole policy may only specify STS AssumeRole actions."),
        );
        check_one(
            Use::Trust,
            "nonsense",
            Some("This policy contains invalid Json"),
        );
        let denied = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:*"},{"Effect":"Deny","Principal":{"Service":"lambda.amazonaws.com"},"Action":"*"}]}"#;
        assert!(!admits(denied, "lambda.amazonaws.com"));
    }
}

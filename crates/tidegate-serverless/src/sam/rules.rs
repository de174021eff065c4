//! Which properties a SAM type has, and of which types their values are.

use serde_json::{Map, Value};

use crate::sam::{Fault, Made, Sam, Subject};

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    /// Anything.
    Any,
    /// Text.
    Text,
    /// Text; told of as "a type".
    PlainText,
    /// Text, or a mapping.
    TextOrMap,
    /// A mapping.
    Map,
    /// A mapping of mappings.
    Maps,
    /// A mapping of texts.
    Texts,
    /// A mapping of numbers and mappings.
    IntsOrMaps,
    /// A list.
    List,
    /// A list of texts and mappings.
    TextsOrMaps,
    /// True or false.
    Bool,
    /// True or false, or a mapping.
    BoolOrMap,
    /// A whole number.
    Int,
    /// Text, a mapping, or a list of these.
    Policies,
    /// Text, or a list of texts and mappings.
    MachinePolicies,
    /// `Delete` or `Retain`.
    Deletion,
    /// True or false, never a function.
    OnlyBool,
    /// A mapping, never a function.
    OnlyMap,
    /// Text, never a function.
    OnlyText,
    /// Text or a list of texts, never a function.
    OnlyTextOrTexts,
}

/// A property: its name, whether it must be there, what it may be.
pub(crate) type Rule = (&'static str, bool, Is);

/// Checks the properties of a resource against the rules of its type; `order` is that of the document.
pub(crate) fn check(
    id: &str,
    properties: &Map<String, Value>,
    order: &[String],
    kind: &str,
    rules: &[Rule],
) -> Result<(), String> {
    let id_fault = |message: String| Err(format!("Resource with id [{id}] is invalid. {message}"));
    if !is_id(id) {
        return id_fault(NO_ID.to_owned());
    }
    let written = order.iter().filter(|name| properties.contains_key(*name));
    let rest = properties.keys().filter(|name| !order.contains(name));
    for name in written.chain(rest) {
        if !rules.iter().any(|(known, _, _)| known == name) {
            return id_fault(format!(
                "property {name} not defined for resource of type {kind}"
            ));
        }
    }
    for (name, is_required, is) in rules {
        match properties.get(*name).filter(|value| !value.is_null()) {
            None if *is_required => {
                return id_fault(format!("Missing required property '{name}'."));
            }
            None => {}
            Some(value) if fits(value, *is) => {}
            Some(_) => return id_fault(mistyped(name, *is)),
        }
    }
    Ok(())
}

const NO_ID: &str = "Logical ids must be alphanumeric.";

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Checks an id that the user gives to a resource that is made for `owner`.
pub(crate) fn check_id(owner: &str, id: &str) -> Made<()> {
    if is_id(id) {
        return Ok(());
    }
    Err(Fault::new(id, NO_ID).at_resource(owner))
}

/// Checks the properties of a resource against the rules of its type.
pub(crate) fn check_subject(
    sam: &Sam<'_>,
    subject: &Subject<'_>,
    kind: &str,
    rules: &[Rule],
) -> Made<()> {
    let order = sam.order(&["Resources", subject.id, "Properties"]);
    check(subject.id, subject.properties, &order, kind, rules)
        .map_err(|text| Fault::whole(subject.id, text))
}

/// What SAM says of a value of the wrong type.
pub(crate) fn mistyped(name: &str, is: Is) -> String {
    let expected = match is {
        Is::Map | Is::OnlyMap => "map",
        Is::Text | Is::OnlyText => "string",
        Is::Deletion => "one of the strings: 'Delete' or 'Retain'",
        _ => return format!("Type of property '{name}' is invalid."),
    };
    format!("Property '{name}' should be a {expected}.")
}

/// Python takes truth values for whole numbers.
fn is_int(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.is_boolean()
}

pub(crate) fn fits(value: &Value, is: Is) -> bool {
    let is_function = value.as_object().is_some_and(|map| map.len() == 1);
    let never = [Is::OnlyBool, Is::OnlyMap, Is::OnlyText, Is::OnlyTextOrTexts];
    if is_function && !never.contains(&is) {
        // A function of one key is never looked into.
        return true;
    }
    let is_text_or_map = |value: &Value| value.is_string() || value.is_object();
    let all = |wanted: &dyn Fn(&Value) -> bool| {
        value.as_array().is_some_and(|list| list.iter().all(wanted))
    };
    let values = |wanted: &dyn Fn(&Value) -> bool| {
        value
            .as_object()
            .is_some_and(|map| map.values().all(wanted))
    };
    match is {
        Is::Any => true,
        Is::Text | Is::PlainText | Is::OnlyText => value.is_string(),
        Is::TextOrMap => is_text_or_map(value),
        Is::Map | Is::OnlyMap => value.is_object(),
        Is::Maps => values(&Value::is_object),
        Is::Texts => values(&Value::is_string),
        Is::IntsOrMaps => values(&|value| value.is_object() || is_int(value)),
        Is::List => value.is_array(),
        Is::TextsOrMaps => all(&is_text_or_map),
        Is::OnlyTextOrTexts => value.is_string() || all(&Value::is_string),
        Is::Bool | Is::OnlyBool => value.is_boolean(),
        Is::BoolOrMap => value.is_boolean() || value.is_object(),
        Is::Int => is_int(value),
        Is::Policies => is_text_or_map(value) || all(&is_text_or_map),
        // A single one was made a list of it before.
        Is::MachinePolicies => {
            value.is_string()
                || all(&is_text_or_map)
                || value.as_object().is_some_and(|map| !map.is_empty())
        }
        Is::Deletion => matches!(value.as_str(), Some("Delete" | "Retain")),
    }
}

/// Properties of `AWS::Serverless::Function`.
pub(crate) const FUNCTION: &[Rule] = &[
    ("FunctionName", false, Is::TextOrMap),
    ("Handler", false, Is::Any),
    ("Runtime", false, Is::Any),
    ("CodeUri", false, Is::Any),
    ("ImageUri", false, Is::Any),
    ("PackageType", false, Is::Any),
    ("InlineCode", false, Is::Any),
    ("DeadLetterQueue", false, Is::Map),
    ("Description", false, Is::Any),
    ("MemorySize", false, Is::Any),
    ("Timeout", false, Is::Any),
    ("VpcConfig", false, Is::Any),
    ("Role", false, Is::Text),
    ("AssumeRolePolicyDocument", false, Is::Map),
    ("Policies", false, Is::Policies),
    ("RolePath", false, Is::Any),
    ("PermissionsBoundary", false, Is::Text),
    ("Environment", false, Is::Maps),
    ("Events", false, Is::Maps),
    ("Tags", false, Is::Map),
    ("PropagateTags", false, Is::Bool),
    ("Tracing", false, Is::TextOrMap),
    ("KmsKeyArn", false, Is::Any),
    ("DeploymentPreference", false, Is::Map),
    ("ReservedConcurrentExecutions", false, Is::Any),
    ("Layers", false, Is::TextsOrMaps),
    ("EventInvokeConfig", false, Is::Map),
    ("EphemeralStorage", false, Is::Any),
    ("AutoPublishAlias", false, Is::PlainText),
    ("AutoPublishCodeSha256", false, Is::PlainText),
    ("AutoPublishAliasAllProperties", false, Is::OnlyBool),
    ("VersionDescription", false, Is::Any),
    ("ProvisionedConcurrencyConfig", false, Is::Any),
    ("FileSystemConfigs", false, Is::Any),
    ("ImageConfig", false, Is::Any),
    ("CodeSigningConfigArn", false, Is::Any),
    ("Architectures", false, Is::Any),
    ("SnapStart", false, Is::Map),
    ("FunctionUrlConfig", false, Is::Map),
    ("RuntimeManagementConfig", false, Is::Any),
    ("LoggingConfig", false, Is::Any),
    ("RecursiveLoop", false, Is::Any),
    ("SourceKMSKeyArn", false, Is::Any),
    ("CapacityProviderConfig", false, Is::Map),
    ("FunctionScalingConfig", false, Is::Map),
    ("VersionDeletionPolicy", false, Is::Deletion),
    ("PublishToLatestPublished", false, Is::Any),
    ("TenancyConfig", false, Is::Any),
    ("DurableConfig", false, Is::Map),
];

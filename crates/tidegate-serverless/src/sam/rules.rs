//! Which properties a SAM type has, and of which types their values are.

use serde_json::Value;

use crate::sam::{Fault, Made, Subject, is_intrinsic};

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    /// Anything.
    Any,
    /// Text.
    Text,
    /// Text, or a mapping.
    TextOrMap,
    /// A mapping.
    Map,
    /// A list.
    List,
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// Text, a mapping, or a list of these.
    Policies,
}

/// A property: its name, whether it must be there, what it may be.
pub(crate) type Rule = (&'static str, bool, Is);

/// Checks the properties of a resource against the rules of its type.
pub(crate) fn check(subject: &Subject<'_>, kind: &str, rules: &[Rule]) -> Made<()> {
    for name in subject.properties.keys() {
        if !rules.iter().any(|(known, _, _)| known == name) {
            let message = format!("property {name} not defined for resource of type {kind}");
            return Err(Fault::new(subject.id, message));
        }
    }
    for (name, is_required, is) in rules {
        match subject.get(name) {
            None if *is_required => {
                let message = format!("Missing required property '{name}'.");
                return Err(Fault::new(subject.id, message));
            }
            None => {}
            Some(value) if fits(value, *is) => {}
            Some(_) => return Err(Fault::new(subject.id, mistyped(name, *is))),
        }
    }
    Ok(())
}

/// What SAM says of a value of the wrong type.
pub(crate) fn mistyped(name: &str, is: Is) -> String {
    let expected = match is {
        Is::Map => "map",
        Is::List => "list",
        Is::Text => "string",
        Is::Bool => "boolean",
        Is::Int => "integer",
        Is::Any | Is::TextOrMap | Is::Policies => {
            return format!("Type of property '{name}' is invalid.");
        }
    };
    format!("Property '{name}' should be a {expected}.")
}

pub(crate) fn fits(value: &Value, is: Is) -> bool {
    // Functions of one key are never looked into.
    if is_intrinsic(value) {
        return true;
    }
    match is {
        Is::Any => true,
        Is::Text => value.is_string(),
        Is::TextOrMap => value.is_string() || value.is_object(),
        Is::Map => value.is_object(),
        Is::List => value.is_array(),
        Is::Bool => value.is_boolean(),
        Is::Int => value.is_i64() || value.is_u64(),
        Is::Policies => match value {
            Value::Array(list) => list.iter().all(|one| one.is_string() || one.is_object()),
            other => other.is_string() || other.is_object(),
        },
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
    ("Environment", false, Is::Map),
    ("Events", false, Is::Map),
    ("Tags", false, Is::Map),
    ("PropagateTags", false, Is::Bool),
    ("Tracing", false, Is::TextOrMap),
    ("KmsKeyArn", false, Is::Any),
    ("DeploymentPreference", false, Is::Map),
    ("ReservedConcurrentExecutions", false, Is::Any),
    ("Layers", false, Is::List),
    ("EventInvokeConfig", false, Is::Map),
    ("EphemeralStorage", false, Is::Any),
    ("AutoPublishAlias", false, Is::Text),
    ("AutoPublishCodeSha256", false, Is::Text),
    ("AutoPublishAliasAllProperties", false, Is::Bool),
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
    ("VersionDeletionPolicy", false, Is::Text),
    ("PublishToLatestPublished", false, Is::Any),
    ("TenancyConfig", false, Is::Any),
    ("DurableConfig", false, Is::Map),
];

//! Names that a service gives its resources: logical ids, functions, roles, log groups.

use serde_json::{Value, json};

/// The default role of a service's functions.
pub(crate) const ROLE: &str = "IamRoleLambdaExecution";

/// A name with its first letter in upper case.
pub(crate) fn upper_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// The key of a function, layer or such as part of a logical id: `ingest-data` is `IngestDashdata`.
pub(crate) fn normalize(key: &str) -> String {
    upper_first(&key.replace('-', "Dash").replace('_', "Underscore"))
}

/// A name without all that is no letter or digit, its first letter in upper case.
pub(crate) fn alphanumeric(name: &str) -> String {
    let kept: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    upper_first(&kept)
}

/// The logical id of a function.
pub(crate) fn function(key: &str) -> String {
    format!("{}LambdaFunction", normalize(key))
}

/// The logical id of a function's log group.
pub(crate) fn log_group(key: &str) -> String {
    format!("{}LogGroup", normalize(key))
}

/// The name of a function's log group.
pub(crate) fn log_group_name(function_name: &str) -> String {
    format!("/aws/lambda/{function_name}")
}

/// The logical id of a version whose digest is given in base64.
pub(crate) fn version(key: &str, digest: &str) -> String {
    let digest: String = digest.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{}LambdaVersion{digest}", normalize(key))
}

/// The name of the default role, unless the service says one.
pub(crate) fn role_name(service: &str, stage: &str) -> Value {
    json!({"Fn::Join": ["-", [service, stage, {"Ref": "AWS::Region"}, "lambdaRole"]]})
}

/// The name of the default role's policy.
pub(crate) fn policy_name(service: &str, stage: &str) -> Value {
    json!({"Fn::Join": ["-", [service, stage, "lambda"]]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_parts_of_logical_ids() {
        assert_eq!(
            function("ingest-data_v2"),
            "IngestDashdataUnderscorev2LambdaFunction"
        );
        assert_eq!(log_group("é"), "ÉLogGroup");
        assert_eq!(alphanumeric("my-stream.fifo"), "Mystreamfifo");
        assert_eq!(version("a", "x+/Y9="), "ALambdaVersionxY9");
    }
}

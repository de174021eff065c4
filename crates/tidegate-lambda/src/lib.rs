//! Handlers of Lambda's resource types and of the roles that functions run under.
//!
//! Translation between CloudFormation's properties and the services' shapes, and the calls in their
//! right order; what is common to all AWS types is in `tidegate-aws`. Must not know: the engine.

mod alias;
mod configuration;
mod document;
mod function;
mod invoke_config;
mod layer;
mod permission;
mod policy;
mod role;
mod url;
mod version;

use std::sync::Arc;

use tidegate_aws::{Artifacts, Aws, Handler};

/// All handlers of this crate.
pub fn handlers(aws: &Aws, artifacts: Arc<dyn Artifacts>) -> Vec<Arc<dyn Handler>> {
    let lambda = aws_sdk_lambda::Client::new(&aws.config);
    let iam = aws_sdk_iam::Client::new(&aws.config);
    vec![
        Arc::new(function::Functions::new(
            lambda.clone(),
            Arc::clone(&artifacts),
        )),
        Arc::new(version::Versions::new(lambda.clone())),
        Arc::new(alias::Aliases::new(lambda.clone())),
        Arc::new(permission::Permissions::new(lambda.clone())),
        Arc::new(layer::Layers::new(lambda.clone(), artifacts)),
        Arc::new(invoke_config::InvokeConfigs::new(lambda.clone())),
        Arc::new(url::Urls::new(lambda)),
        Arc::new(role::Roles::new(iam.clone())),
        Arc::new(policy::Policies::new(iam, aws.clone())),
    ]
}

/// The name of a function in its name, its ARN, or an alias' or a version's ARN.
pub(crate) fn function_name(text: &str) -> &str {
    let mut parts = text.split(':');
    match parts.clone().nth(5) {
        Some("function") => parts.nth(6).unwrap_or(text),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_in_several_ways() {
        assert_eq!(function_name("f"), "f");
        let arn = "arn:aws:lambda:eu-west-1:1:function:f";
        assert_eq!(function_name(arn), "f");
        assert_eq!(function_name(&format!("{arn}:live")), "f");
    }
}

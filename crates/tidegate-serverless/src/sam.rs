//! AWS SAM.
use crate::Template;
use std::collections::BTreeMap;
use tidegate_manifest::Diagnostic;
use tidegate_render::AwsEnvironment;
/// The macro's name.
pub const TRANSFORM: &str = "AWS::Serverless-2016-10-31";
/// Options.
#[derive(Debug, Default)]
pub struct SamOptions {
    /// x
    pub parameters: BTreeMap<String, String>,
}
impl SamOptions {
    /// x
    pub fn of(environment: &AwsEnvironment) -> Self {
        Self {
            parameters: environment.parameters.clone(),
        }
    }
}
/// x
/// # Errors
/// x
pub fn transform(
    template: &Template,
    _: &SamOptions,
) -> Result<(Template, Vec<Diagnostic>), Vec<Diagnostic>> {
    Ok((template.clone(), vec![]))
}

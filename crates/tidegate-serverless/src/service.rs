//! serverless.yml
use crate::Template;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_manifest::{Diagnostic, Origin};
use tidegate_render::{Artifact, AwsEnvironment, FileTree};
/// x
#[derive(Debug, Default)]
pub struct Composed {
    /// x
    pub template: Option<Template>,
    /// x
    pub stack: String,
    /// x
    pub parameters: BTreeMap<String, String>,
    /// x
    pub archives: BTreeMap<String, Artifact>,
    /// x
    pub diagnostics: Vec<Diagnostic>,
}
/// x
pub fn compose(
    _: &Arc<dyn FileTree>,
    _: &str,
    _: &[u8],
    _: &AwsEnvironment,
    _: &Origin,
) -> Composed {
    Composed::default()
}

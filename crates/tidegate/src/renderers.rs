//! All renderers of this build, put together.

use std::sync::Arc;

use tidegate_kustomize::KustomizeRenderer;
use tidegate_render::{DirectoryRenderer, Renderers};
use tidegate_serverless::TemplateReader;

/// Plain directories with templates and services in them, and kustomizations.
pub fn renderers() -> Renderers {
    let directories = DirectoryRenderer {
        readers: vec![Arc::new(TemplateReader::default())],
        ..DirectoryRenderer::default()
    };
    Renderers::none()
        .with(Arc::new(directories))
        .with(Arc::new(KustomizeRenderer::default()))
}

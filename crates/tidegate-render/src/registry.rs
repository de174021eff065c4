//! The renderers of a program, by source type; a type without one is refused in words.

use std::sync::Arc;

use tidegate_manifest::Diagnostic;

use crate::{RenderInput, Rendered, Renderer, SourceType, detect};

/// Renders any source with the renderer of its type.
#[derive(Clone, Debug, Default)]
pub struct Renderers {
    renderers: Vec<Arc<dyn Renderer>>,
}

impl Renderers {
    /// Adds the renderer of a type; the last one of a type wins.
    #[must_use]
    pub fn with(mut self, renderer: Arc<dyn Renderer>) -> Self {
        self.renderers.push(renderer);
        self
    }

    /// Renders a source as what it is.
    pub fn render(&self, input: &RenderInput) -> (SourceType, Rendered) {
        let source_type = detect(&*input.tree, &input.source);
        (source_type, self.render_as(source_type, input))
    }

    /// Renders a source as a type that somebody chose.
    pub fn render_as(&self, source_type: SourceType, input: &RenderInput) -> Rendered {
        let mut found = self.renderers.iter().rev().filter(|r| r.source_type() == source_type);
        match found.next() {
            Some(renderer) => renderer.render(input),
            None => Rendered { diagnostics: vec![refusal(source_type, input)], ..Rendered::default() },
        }
    }
}

fn refusal(source_type: SourceType, input: &RenderInput) -> Diagnostic {
    let what = match source_type {
        SourceType::Directory => "a plain directory",
        SourceType::Kustomize => "a kustomization",
        SourceType::Helm => "a Helm chart",
        SourceType::Plugin => "a source for a config management plugin",
    };
    let path = input.source.path.clone().unwrap_or_default();
    let origin = tidegate_manifest::Origin { path: path.clone(), ..input.origin.clone() };
    Diagnostic::error("TG0201", format!("{path:?} is {what}, which this build does not render"), origin)
        .object(format!("Application {}", input.application))
        .field(".spec.source")
        .help("commit what it renders to and point the source there, with directory: {} to read it as plain manifests")
}

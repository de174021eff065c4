//! The renderers of a program, by source type; a type without one is refused in words.

use std::sync::Arc;

use tidegate_manifest::{Diagnostic, Origin};

use crate::detect::explicit_types;
use crate::{
    DirectoryRenderer, RecordedTree, RenderInput, Rendered, Renderer, SourceType, detect, overrides,
};

/// Renders any source with the renderer of its type. The default knows plain directories.
#[derive(Clone, Debug)]
pub struct Renderers {
    renderers: Vec<Arc<dyn Renderer>>,
}

impl Default for Renderers {
    fn default() -> Self {
        Renderers::none().with(Arc::new(DirectoryRenderer::default()))
    }
}

impl Renderers {
    /// No renderer at all: every source is refused.
    pub fn none() -> Self {
        Renderers {
            renderers: Vec::new(),
        }
    }

    /// Adds the renderer of a type; the last one of a type wins.
    #[must_use]
    pub fn with(mut self, renderer: Arc<dyn Renderer>) -> Self {
        self.renderers.push(renderer);
        self
    }

    /// Renders a source as what it is, with the overrides that stand in its directory. The
    /// result's read-set covers all that was looked at, the decision included.
    pub fn render(&self, input: &RenderInput) -> (SourceType, Rendered) {
        self.recorded(input, None)
    }

    /// Renders a source as a type that somebody chose.
    pub fn render_as(&self, source_type: SourceType, input: &RenderInput) -> Rendered {
        self.recorded(input, Some(source_type)).1
    }

    fn recorded(&self, input: &RenderInput, chosen: Option<SourceType>) -> (SourceType, Rendered) {
        let tree = Arc::new(RecordedTree::new(Arc::clone(&input.tree)));
        let (source, mut diagnostics) = overrides::apply(&*tree, input);
        let named = explicit_types(&source);
        let source_type = chosen.unwrap_or_else(|| detect(&*tree, &source));
        if chosen.is_none() && named.len() > 1 {
            diagnostics.push(several(&named, input));
        }
        let input = RenderInput {
            tree: Arc::clone(&tree) as _,
            source,
            ..input.clone()
        };
        let mut rendered = if diagnostics.iter().any(Diagnostic::is_error) {
            Rendered::default()
        } else {
            match self
                .renderers
                .iter()
                .rev()
                .find(|r| r.source_type() == source_type)
            {
                Some(renderer) => renderer.render(&input),
                None => Rendered {
                    diagnostics: vec![refusal(source_type, &input)],
                    ..Rendered::default()
                },
            }
        };
        rendered.diagnostics.splice(0..0, diagnostics);
        rendered.read_set = tree.read_set();
        (source_type, rendered)
    }
}

fn several(named: &[SourceType], input: &RenderInput) -> Diagnostic {
    let names: Vec<String> = named.iter().map(|t| t.as_str().to_lowercase()).collect();
    let message = format!("multiple application sources defined: {}", names.join(", "));
    Diagnostic::error("TG0501", message, origin(input))
        .object(format!("Application {}", input.application))
        .field(".spec.source")
        .help("keep one of helm, kustomize, directory and plugin")
}

fn refusal(source_type: SourceType, input: &RenderInput) -> Diagnostic {
    let what = match source_type {
        SourceType::Directory => "a plain directory",
        SourceType::Kustomize => "a kustomization",
        SourceType::Helm => "a Helm chart",
        SourceType::Plugin => "a source for a config management plugin",
    };
    let path = input
        .source
        .path
        .clone()
        .or_else(|| input.source.chart.clone())
        .unwrap_or_default();
    Diagnostic::error("TG0503", format!("{path:?} is {what}, which this build does not render"), origin(input))
        .object(format!("Application {}", input.application))
        .field(".spec.source")
        .help("commit what it renders to and point the source there, with `directory: {}` to read it as plain manifests")
}

fn origin(input: &RenderInput) -> Origin {
    let path = input.source.path.clone().unwrap_or_default();
    Origin {
        path,
        ..input.origin.clone()
    }
}

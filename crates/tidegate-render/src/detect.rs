//! What a source is: what it says itself, else what stands in its directory (Argo CD's order).

use tidegate_manifest::ApplicationSource;

use crate::walk::{Resolved, resolve};
use crate::{EntryKind, FileTree, SourceType, is_aws_plugin};

/// Files whose presence makes a directory a kustomization.
pub const KUSTOMIZATION_FILES: &[&str] =
    &["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The types that a source names itself; Argo CD refuses more than one.
pub fn explicit_types(source: &ApplicationSource) -> Vec<SourceType> {
    [
        (source.kustomize.is_some(), SourceType::Kustomize),
        (source.helm.is_some(), SourceType::Helm),
        (source.directory.is_some(), SourceType::Directory),
        (
            source.plugin.as_ref().is_some_and(|p| !is_aws_plugin(p)),
            SourceType::Plugin,
        ),
    ]
    .into_iter()
    .filter_map(|(named, source_type)| named.then_some(source_type))
    .collect()
}

/// Decides by the explicit sub-spec, then by `chart`, else by the files.
pub fn detect(tree: &dyn FileTree, source: &ApplicationSource) -> SourceType {
    if let Some(named) = explicit_types(source).first() {
        return *named;
    }
    if source.chart.is_some() {
        return SourceType::Helm;
    }
    detect_files(tree, source.path.as_deref().unwrap_or_default())
}

/// Decides by the files of a directory alone: a name that ends in `Chart.yaml` makes it a chart, a
/// kustomization file a kustomization; of several the last by name decides, so that a directory
/// with both usual names is a kustomization.
pub fn detect_files(tree: &dyn FileTree, directory: &str) -> SourceType {
    let Ok(Resolved::Directory(directory)) = resolve(tree, directory) else {
        return SourceType::Directory;
    };
    let Ok(entries) = tree.list(&directory) else {
        return SourceType::Directory;
    };
    let mut found = SourceType::Directory;
    for entry in entries {
        if !matches!(entry.kind, EntryKind::File | EntryKind::Symlink) {
            continue;
        }
        if KUSTOMIZATION_FILES.contains(&entry.name.as_str()) {
            found = SourceType::Kustomize;
        } else if entry.name.ends_with("Chart.yaml") {
            found = SourceType::Helm;
        }
    }
    found
}

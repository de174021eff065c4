//! What a source is: what it says itself, else what stands in its directory (Argo CD 1.2).

use tidegate_manifest::ApplicationSource;

use crate::{EntryKind, FileTree, SourceType};

/// Decides by the explicit sub-spec, else by the files.
pub fn detect(tree: &dyn FileTree, source: &ApplicationSource) -> SourceType {
    if source.helm.is_some() || source.chart.is_some() {
        return SourceType::Helm;
    }
    if source.kustomize.is_some() {
        return SourceType::Kustomize;
    }
    if source.plugin.is_some() {
        return SourceType::Plugin;
    }
    if source.directory.is_some() {
        return SourceType::Directory;
    }
    detect_files(tree, source.path.as_deref().unwrap_or_default())
}

/// Decides by the files of a directory alone; a kustomization wins over a chart.
pub fn detect_files(tree: &dyn FileTree, directory: &str) -> SourceType {
    let directory = directory.trim_matches('/');
    let directory = if directory == "." { "" } else { directory };
    let has = |name: &str| {
        let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        matches!(tree.entry(&path), Ok(Some(EntryKind::File | EntryKind::Symlink)))
    };
    if ["kustomization.yaml", "kustomization.yml", "Kustomization"].iter().any(|name| has(name)) {
        SourceType::Kustomize
    } else if has("Chart.yaml") {
        SourceType::Helm
    } else {
        SourceType::Directory
    }
}

//! What a build may need from outside its tree, as traits: bases of other repositories, files of the
//! network, charts. Nobody provides them unless the operator does.

use std::fmt;
use std::sync::Arc;

use tidegate_render::FileTree;

use crate::repository::RepositoryAddress;

/// The files of a base in another repository.
#[derive(Clone, Debug)]
pub struct RemoteBase {
    /// The files of the commit.
    pub tree: Arc<dyn FileTree>,
    /// The directory of the base, from the tree's root.
    pub directory: String,
}

/// Gets bases that stand in other repositories, under the operator's rules.
pub trait RemoteBases: fmt::Debug + Send + Sync {
    /// The files behind an address.
    ///
    /// # Errors
    /// Why it is not there, or not allowed.
    fn fetch(&self, address: &RepositoryAddress) -> Result<RemoteBase, String>;
}

/// Gets files that `https://` addresses name, under the operator's rules.
pub trait NetworkFiles: fmt::Debug + Send + Sync {
    /// The bytes behind a URL.
    ///
    /// # Errors
    /// Why it is not there, or not allowed.
    fn get(&self, url: &str) -> Result<Vec<u8>, String>;
}

/// A chart to be rendered for `helmCharts`.
#[derive(Clone, Debug)]
pub struct ChartRequest {
    /// The files that the chart stands in.
    pub tree: Arc<dyn FileTree>,
    /// The chart's directory, from the tree's root.
    pub directory: String,
    /// The name of the chart.
    pub name: String,
    /// The name of the release; empty when it is to be made up.
    pub release_name: String,
    /// The template of the release's name, empty for none.
    pub name_template: String,
    /// The namespace of the release, empty for none.
    pub namespace: String,
    /// Values in YAML, the later ones over the earlier.
    pub values: Vec<Vec<u8>>,
    /// API versions that the chart is told of.
    pub api_versions: Vec<String>,
    /// The version of Kubernetes that the chart is told of, empty for the default.
    pub kube_version: String,
    /// Whether custom resource definitions belong to the result.
    pub include_crds: bool,
    /// Whether tests are left out.
    pub skip_tests: bool,
    /// Whether hooks are left out.
    pub skip_hooks: bool,
    /// Whether versions that are still developed count for the charts that it depends on.
    pub devel: bool,
}

/// A chart that stands in no tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChartAddress {
    /// The name of the chart.
    pub name: String,
    /// Its version or a range of them, empty for the newest.
    pub version: String,
    /// The repository: `https://…` or `oci://…`.
    pub repository: String,
    /// Whether versions that are still developed count.
    pub devel: bool,
}

/// Renders charts.
pub trait Charts: fmt::Debug + Send + Sync {
    /// The files of a chart that does not stand in the tree.
    ///
    /// # Errors
    /// Why it is not there, or not allowed.
    fn pull(&self, chart: &ChartAddress) -> Result<RemoteBase, String>;

    /// What `helm template` writes.
    ///
    /// # Errors
    /// What Helm says.
    fn template(&self, request: &ChartRequest) -> Result<Vec<u8>, String>;
}

//! `helmCharts`: which chart, with which values; rendering is a trait's.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_render::FileTree;
use tidegate_render::walk::{Resolved, join, resolve};

use crate::fault::{CODE_GENERATOR, CODE_UNSUPPORTED, Fault, Outcome};
use crate::loader::Loader;
use crate::merge_schema::MergeSchema;
use crate::node::Node;
use crate::outside::{ChartAddress, ChartRequest, Charts};
use crate::read;
use crate::resource::{FROM_HELM, Resource};
use crate::resources::Reading;
use crate::strategic;
use crate::target::Build;

/// The directory of charts where none is named.
const CHART_HOME: &str = "charts";

/// Settings for all charts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HelmGlobals {
    pub(crate) chart_home: String,
    pub(crate) config_home: String,
}

/// A chart.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct HelmChart {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) repo: String,
    pub(crate) release_name: String,
    pub(crate) namespace: String,
    pub(crate) additional_values_files: Vec<String>,
    pub(crate) values_file: String,
    pub(crate) values_inline: Map<String, Value>,
    pub(crate) values_merge: String,
    #[serde(rename = "includeCRDs")]
    pub(crate) include_crds: bool,
    pub(crate) skip_hooks: bool,
    pub(crate) api_versions: Vec<String>,
    pub(crate) kube_version: String,
    pub(crate) name_template: String,
    pub(crate) skip_tests: bool,
    pub(crate) devel: bool,
}

/// A chart in the field's old form.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct OldHelmChart {
    pub(crate) chart_name: String,
    pub(crate) chart_version: String,
    pub(crate) chart_repo_url: String,
    pub(crate) chart_home: String,
    pub(crate) helm_home: String,
    pub(crate) values: String,
    pub(crate) values_local: Map<String, Value>,
    pub(crate) values_merge: String,
    pub(crate) release_name: String,
    pub(crate) release_namespace: String,
}

impl OldHelmChart {
    pub(crate) fn into_chart(self) -> (HelmGlobals, HelmChart) {
        let globals = HelmGlobals {
            chart_home: self.chart_home,
            config_home: self.helm_home,
        };
        let chart = HelmChart {
            name: self.chart_name,
            version: self.chart_version,
            repo: self.chart_repo_url,
            values_file: self.values,
            values_inline: self.values_local,
            values_merge: self.values_merge,
            release_name: self.release_name,
            namespace: self.release_namespace,
            ..HelmChart::default()
        };
        (globals, chart)
    }
}

fn fault(message: impl Into<String>) -> Fault {
    Fault::new(CODE_GENERATOR, message)
}

/// Renders a chart to the objects of a build.
///
/// # Errors
/// What is wrong with the chart, its values and its output; who renders charts is not there.
pub(crate) fn inflate(
    build: &mut Build,
    loader: &Loader,
    globals: &HelmGlobals,
    chart: &HelmChart,
) -> Outcome<Vec<Resource>> {
    let (true, Some(charts)) = (build.options.enable_helm, build.options.charts.clone()) else {
        let message = if build.options.enable_helm {
            "charts are not rendered here: nobody is given who does"
        } else {
            "must specify --enable-helm"
        };
        return Err(Fault::new(CODE_UNSUPPORTED, message));
    };
    if chart.name.is_empty() {
        return Err(fault("chart name cannot be empty"));
    }
    if !matches!(
        chart.values_merge.as_str(),
        "" | "merge" | "override" | "replace"
    ) {
        return Err(fault("valuesMerge must be one of [merge override replace]"));
    }
    let mut more = Vec::new();
    for path in &chart.additional_values_files {
        let loaded = build.load(loader, path);
        more.push(
            loaded
                .map_err(|fault| fault.prefix("could not load additionalValuesFile"))?
                .0,
        );
    }
    let (tree, directory) = find(&*charts, loader, globals, chart)?;
    let values = if chart.values_file.is_empty() {
        let path = join(&directory, "values.yaml");
        tree.read(&path, crate::loader::MAX_FILE)
            .map_err(|error| fault(error.to_string()).at(&path))?
    } else {
        build.load(loader, &chart.values_file)?.0
    };
    let mut all = vec![merged_values(chart, values)?];
    all.extend(more);
    let options = &build.options;
    let request = ChartRequest {
        tree,
        directory,
        name: chart.name.clone(),
        release_name: chart.release_name.clone(),
        name_template: chart.name_template.clone(),
        namespace: chart.namespace.clone(),
        values: all,
        api_versions: if options.helm_api_versions.is_empty() {
            chart.api_versions.clone()
        } else {
            options.helm_api_versions.clone()
        },
        kube_version: if options.helm_kube_version.is_empty() {
            chart.kube_version.clone()
        } else {
            options.helm_kube_version.clone()
        },
        include_crds: chart.include_crds,
        skip_tests: chart.skip_tests,
        skip_hooks: chart.skip_hooks,
        devel: chart.devel,
    };
    let text = charts
        .template(&request)
        .map_err(|message| fault(format!("chart {}: {message}", chart.name)))?;
    let mut found = objects(build, &text)?;
    for resource in &mut found {
        resource.source.path.clone_from(&request.directory);
        let mut annotations = resource.texts("annotations");
        annotations.insert(FROM_HELM.to_owned(), "true".to_owned());
        resource.set_texts("annotations", &annotations);
    }
    Ok(found)
}

/// The chart in the tree, or wherever it is pulled to.
fn find(
    charts: &dyn Charts,
    loader: &Loader,
    globals: &HelmGlobals,
    chart: &HelmChart,
) -> Outcome<(Arc<dyn FileTree>, String)> {
    let home = match globals.chart_home.as_str() {
        "" => CHART_HOME,
        home => home,
    };
    let mut directory = join(loader.root(), home);
    if !chart.version.is_empty() && !chart.repo.is_empty() {
        directory = join(&directory, &format!("{}-{}", chart.name, chart.version));
    }
    directory = join(&directory, &chart.name);
    let tree = loader.tree();
    if let Ok(Resolved::Directory(found)) = resolve(&*tree, &directory) {
        return Ok((tree, found));
    }
    if chart.repo.is_empty() {
        // The original means to name the place, and names none.
        return Err(fault("no repo specified for pull, no chart found at ''"));
    }
    let wanted = ChartAddress {
        name: chart.name.clone(),
        version: chart.version.clone(),
        repository: chart.repo.clone(),
        devel: chart.devel,
    };
    let pulled = charts
        .pull(&wanted)
        .map_err(|error| fault(format!("chart {} cannot be pulled: {error}", chart.name)))?;
    Ok((pulled.tree, pulled.directory))
}

/// The values file and the inline values, one over the other.
fn merged_values(chart: &HelmChart, file: Vec<u8>) -> Outcome<Vec<u8>> {
    if chart.values_inline.is_empty() {
        return Ok(file);
    }
    let inline = Value::Object(chart.values_inline.clone());
    if chart.values_merge == "replace" {
        return Ok(tidegate_yaml::to_string(&inline).into_bytes());
    }
    let text = String::from_utf8_lossy(&file);
    let from_file = read::text_as_node(&text)
        .map_err(|error| fault(format!("could not parse values file into rnode: {error}")))?;
    if from_file.is_null() {
        return Err(fault("could not parse values file into rnode: EOF"));
    }
    let inline = read::from_decoded_json(&inline);
    let (under, over) = if chart.values_merge == "merge" {
        (inline, from_file)
    } else {
        (from_file, inline)
    };
    let said = |error: String| fault(format!("could not merge values: {error}"));
    let merged = strategic::merge(under, &over, MergeSchema::builtin()).map_err(said)?;
    let merged = merged.unwrap_or_else(|| Node::Map(Vec::new()));
    let json = read::to_json(&merged)
        .map_err(|error| fault(format!("could not parse merged values into map: {error}")))?;
    Ok(tidegate_yaml::to_string(&json).into_bytes())
}

/// The objects of a chart's output; what stands before the first `---` may be talk.
fn objects(build: &Build, text: &[u8]) -> Outcome<Vec<Resource>> {
    let first = build.read(text, "", Reading::Patch);
    let Err(refused) = first else {
        return first;
    };
    let marker = text.windows(4).position(|window| window == b"\n---");
    match marker.and_then(|at| text.get(at + 1..)) {
        Some(rest) => build
            .read(rest, "", Reading::Patch)
            .map_err(|_| refused.prefix("could not parse bytes into resource map")),
        None => Err(refused.prefix("could not parse bytes into resource map")),
    }
}

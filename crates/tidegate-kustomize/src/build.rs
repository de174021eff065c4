//! A whole build: from the files of a tree to objects in their final order.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tidegate_manifest::{Diagnostic, Origin};
use tidegate_render::FileTree;

use crate::fault::{CODE_RESOURCE, CODE_TRANSFORMER, CODE_WARNING, Fault, Outcome};
use crate::field_path::lookup;
use crate::field_spec::{FieldSpec, Made};
use crate::generators;
use crate::kustomization::{Kustomization, Var};
use crate::loader::{LoadRestrictions, Loader, Outside};
use crate::name_reference;
use crate::outside::{Charts, NetworkFiles, RemoteBases};
use crate::patches;
use crate::read;
use crate::resource::{Resource, Source};
use crate::resources;
use crate::sort;
use crate::target::{Accumulated, Build};
use crate::transformers;
use crate::vars::{VarValue, Vars};

/// The version of Kustomize whose results these are.
pub const KUSTOMIZE_VERSION: &str = "v5.8.1";

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Which files may be loaded.
    pub restrictions: LoadRestrictions,
    /// The order of objects where no `sortOptions` say it.
    pub reorder: Reorder,
    /// Whether objects get the label `app.kubernetes.io/managed-by`.
    pub managed_by_label: bool,
    /// Whether charts may be rendered.
    pub enable_helm: bool,
    /// The program that renders charts, for whoever runs it; empty where none is named.
    pub helm_command: String,
    /// API versions that charts are told of, in the place of their own.
    pub helm_api_versions: Vec<String>,
    /// The version of Kubernetes that charts are told of, in the place of their own.
    pub helm_kube_version: String,
    /// Who gets bases of other repositories; nobody by default.
    pub remote: Option<Arc<dyn RemoteBases>>,
    /// Who gets files of the network; nobody by default.
    pub network: Option<Arc<dyn NetworkFiles>>,
    /// Who renders charts; nobody by default.
    pub charts: Option<Arc<dyn Charts>>,
}

/// The order of objects, as `--reorder` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reorder {
    /// By kind, as `kustomize build` does without being asked.
    #[default]
    Legacy,
    /// As they were accumulated.
    None,
}

/// One object that was built.
#[derive(Clone, Debug)]
pub struct BuiltObject {
    /// The object.
    pub body: Value,
    /// The file it was read from or the kustomization that made it, from the tree's root.
    pub path: String,
    /// Line of its first character in that file, from 1; 0 for what was made.
    pub line: u32,
    /// Column of its first character in that file, from 1; 0 for what was made.
    pub column: u32,
}

/// What a build gives.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// The objects in their final order.
    pub objects: Vec<BuiltObject>,
    /// What should be written differently.
    pub warnings: Vec<Diagnostic>,
}

impl Built {
    /// The bytes that `kustomize build` writes.
    pub fn to_yaml(&self) -> String {
        tidegate_yaml::stream_to_string(self.objects.iter().map(|object| &object.body))
    }
}

/// Builds the kustomization in a directory of a tree.
///
/// ```
/// use std::sync::Arc;
/// use tidegate_kustomize::{BuildOptions, build};
/// use tidegate_render::MemoryTree;
/// let tree = MemoryTree::default()
///     .with_file("kustomization.yaml", "resources: [a.yaml]\nnamePrefix: dev-\n")
///     .with_file("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
/// let built = build(Arc::new(tree), "", &BuildOptions::default(), &Default::default()).unwrap();
/// assert_eq!(built.to_yaml(), "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: dev-a\n");
/// ```
///
/// # Errors
/// What is wrong, in the words of Kustomize, at its file; `origin` is what all places share.
pub fn build(
    tree: Arc<dyn FileTree>,
    directory: &str,
    options: &BuildOptions,
    origin: &Origin,
) -> Result<Built, Vec<Diagnostic>> {
    edited(tree, directory, options, origin, |_| {})
}

/// As [`build`], after the kustomization was edited in memory.
pub(crate) fn edited(
    tree: Arc<dyn FileTree>,
    directory: &str,
    options: &BuildOptions,
    origin: &Origin,
    edit: impl FnOnce(&mut Kustomization),
) -> Result<Built, Vec<Diagnostic>> {
    let mut build = Build::new(options.clone());
    let made = run(&mut build, tree, directory, options, edit);
    let warnings = build.warnings.iter().map(|warning| {
        let place = warning.diagnostic(origin);
        Diagnostic::warning(warning.code, warning.message.clone(), place.origin)
            .help("the build goes on; Kustomize says the same on its standard error")
    });
    match made {
        Ok(objects) => Ok(Built {
            objects,
            warnings: warnings.collect(),
        }),
        Err(fault) => Err(warnings.chain([fault.diagnostic(origin)]).collect()),
    }
}

fn run(
    build: &mut Build,
    tree: Arc<dyn FileTree>,
    directory: &str,
    options: &BuildOptions,
    edit: impl FnOnce(&mut Kustomization),
) -> Outcome<Vec<BuiltObject>> {
    let loader = Loader::new(
        tree,
        directory,
        options.restrictions,
        Outside {
            remote: options.remote.clone(),
            network: options.network.clone(),
        },
    )?;
    let mut target = build.open(loader, String::new())?;
    edit(&mut target.file);
    let asked = |what: &str| target.file.build_metadata.iter().any(|word| word == what);
    let (origins, transformations, managed) = (
        asked("originAnnotations"),
        asked("transformerAnnotations"),
        asked("managedByLabel") || options.managed_by_label,
    );
    if !target.file.build_metadata.is_empty() {
        build.note_origins();
    }
    build.take_schema(&target, true)?;
    let mut all = build.accumulate(&target, Accumulated::default())?;
    let fault = |message: String| Fault::new(CODE_TRANSFORMER, message).at(target.loader.root());
    generators::add_hashes(&mut all.resources).map_err(fault)?;
    name_reference::update(&mut all.resources, &all.config.name_reference).map_err(fault)?;
    let unused = resolve_vars(&mut all).map_err(fault)?;
    if !unused.is_empty() {
        let message = format!(
            "well-defined vars that were never replaced: {}",
            unused.join(",")
        );
        let place = target.loader.root();
        build
            .warnings
            .push(Fault::new(CODE_WARNING, message).at(place).field("vars"));
    }
    let mut list = all.resources;
    list.retain(|resource| !patches::is_empty(&resource.node));
    for resource in &list {
        resources::check(&resource.node).map_err(|message| {
            let Source { path, line, column } = &resource.source;
            Fault::new(CODE_RESOURCE, message)
                .at(path)
                .place(*line, *column)
        })?;
    }
    list.retain(|resource| {
        let local = resource.text_of("annotations", "config.kubernetes.io/local-config");
        local.is_none_or(|value| value == "false")
    });
    if target.file.sort_options.is_some() || options.reorder == Reorder::Legacy {
        sort::sort(&mut list, target.file.sort_options.as_ref()).map_err(fault)?;
    }
    if managed {
        let label = BTreeMap::from([(
            "app.kubernetes.io/managed-by".to_owned(),
            format!("kustomize-{KUSTOMIZE_VERSION}"),
        )]);
        let spec = FieldSpec {
            path: "metadata/labels".to_owned(),
            create: true,
            ..FieldSpec::default()
        };
        transformers::set_texts(&mut list, &label, &[spec]).map_err(fault)?;
    }
    list.into_iter()
        .map(|mut resource| {
            resource.finish().map_err(|message| {
                let Source { path, line, column } = &resource.source;
                Fault::new(CODE_TRANSFORMER, message)
                    .at(path)
                    .place(*line, *column)
            })?;
            resource.write_marks(origins, transformations);
            written(resource)
        })
        .collect()
}

fn written(resource: Resource) -> Outcome<BuiltObject> {
    let Source { path, line, column } = resource.source;
    let body = read::to_output(&resource.node).map_err(|message| {
        Fault::new(CODE_TRANSFORMER, message)
            .at(&path)
            .place(line, column)
    })?;
    Ok(BuiltObject {
        body,
        path,
        line,
        column,
    })
}

/// Puts the values of variables in; gives the names of those that nothing mentions.
fn resolve_vars(all: &mut Accumulated) -> Result<Vec<String>, String> {
    let mut values = BTreeMap::new();
    for (name, var) in &all.vars {
        values.insert(name.clone(), value_of(&all.resources, var)?);
    }
    let mut vars = Vars::new(values);
    if vars.is_empty() {
        return Ok(Vec::new());
    }
    let specs = &all.config.var_reference;
    for resource in &mut all.resources {
        for spec in specs {
            spec.apply(resource, &Made::Nothing, &mut |node| {
                if node.is_null() {
                    Ok(())
                } else {
                    vars.replace(node)
                }
            })?;
        }
    }
    Ok(vars.unused().map(str::to_owned).collect())
}

fn value_of(list: &[Resource], var: &Var) -> Result<VarValue, String> {
    let name = &var.name;
    let Some(resource) = list.iter().find(|resource| resource.vars.contains(name)) else {
        return Err(format!(
            "var '{name}' cannot be mapped to a field in the set of known resources"
        ));
    };
    let path = match var.fieldref.field_path.as_str() {
        "" => "metadata.name",
        path => path,
    };
    let missing = || format!("field specified in var '{name}' not found in corresponding resource");
    let parts = crate::field_path::with_indexes(crate::field_path::split_smart(path));
    match lookup(&resource.node, &parts) {
        Ok(Some(node)) => VarValue::of(node).map_err(|_| missing()),
        Ok(None) | Err(_) => Err(missing()),
    }
}

//! `tidegate render`: the objects and templates that a directory renders to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use serde_json::Value;
use tidegate::Error;
use tidegate::manifest::{
    ApplicationSource, CloudFormationResource, Diagnostic, DirectoryOptions, HelmSettings,
    KustomizeSettings, Origin,
};
use tidegate::render::{
    AwsEnvironment, DirectoryTree, FileTree, RenderInput, Rendered, Renderers, SourceType,
};

use crate::arguments::{AwsArguments, Output, RenderArguments, RenderAs};
use crate::exit::{Exit, Usage};
use crate::output;

pub(crate) fn run(arguments: &RenderArguments) -> Result<Exit> {
    let rendered = rendered(arguments)?;
    let bodies = bodies(&rendered);
    match arguments.output {
        Output::Json => match bodies.as_slice() {
            // What CloudFormation takes is a template, not a list of one.
            [only] if !rendered.templates.is_empty() => output::json(only)?,
            _ => output::json(&bodies.into())?,
        },
        Output::Yaml => output::raw(&tidegate::yaml::stream_to_string(&bodies))?,
        Output::Name => rendered
            .objects
            .iter()
            .try_for_each(|object| output::line(&object.short()))?,
        Output::Table => rendered.objects.iter().try_for_each(|object| {
            output::line(&format!("{}  {}", object.short(), object.origin.place()))
        })?,
    }
    output::refuse_all(&rendered.diagnostics);
    Ok(if rendered.diagnostics.iter().any(Diagnostic::is_error) {
        Exit::Failed
    } else {
        Exit::Ok
    })
}

/// What is printed: objects of Kubernetes as they are, and templates in the place of their resources.
fn bodies(rendered: &Rendered) -> Vec<Value> {
    let objects = rendered.objects.iter();
    let objects = objects.filter(|object| !CloudFormationResource::is_type(&object.gvk));
    let templates = rendered.templates.iter();
    objects
        .map(|object| object.body.clone())
        .chain(templates.map(|template| template.body.clone()))
        .collect()
}

/// What templates are read against, as the flags say.
fn environment(arguments: &AwsArguments) -> Result<AwsEnvironment> {
    let mut environment = AwsEnvironment {
        stage: arguments.stage.clone(),
        ..AwsEnvironment::default()
    };
    if let Some(region) = &arguments.region {
        environment.region.clone_from(region);
    }
    if let Some(account) = &arguments.account_id {
        environment.account_id.clone_from(account);
    }
    for parameter in &arguments.parameter {
        let (key, value) = parameter.split_once('=').ok_or_else(|| {
            Usage(format!(
                "--parameter {parameter:?} is not KEY=VALUE\nhelp: for example --parameter Stage=prod"
            ))
        })?;
        let (key, value) = (key.to_owned(), value.to_owned());
        environment.parameters.insert(key, value);
    }
    Ok(environment)
}

/// The objects of a directory or file, and what is wrong with it.
fn rendered(arguments: &RenderArguments) -> Result<Rendered> {
    let path = &arguments.path;
    if !path.exists() {
        return Err(Error::Location(format!("{} is not there", path.display())).into());
    }
    let options = DirectoryOptions {
        recurse: arguments.recurse,
        include: arguments.include.clone(),
        exclude: arguments.exclude.clone(),
        ..DirectoryOptions::default()
    };
    let (root, options) = if path.is_file() {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let name = path.file_name().and_then(std::ffi::OsStr::to_str);
        let name =
            name.ok_or_else(|| anyhow!("{} has a name that is not UTF-8", path.display()))?;
        let only = DirectoryOptions {
            include: Some(literal(name)),
            disable_extension_filter: true,
            ..options
        };
        (parent.unwrap_or(Path::new(".")), only)
    } else {
        (path.as_path(), options)
    };
    let tree = DirectoryTree::open(root).map_err(|error| anyhow!("{}: {error}", root.display()))?;
    let tree: Arc<dyn FileTree> = Arc::new(tree);
    let source_type = match arguments.as_type {
        Some(RenderAs::Directory) => SourceType::Directory,
        Some(RenderAs::Kustomize) => SourceType::Kustomize,
        Some(RenderAs::Helm) => SourceType::Helm,
        Some(RenderAs::Sam | RenderAs::Serverless | RenderAs::Cloudformation) => {
            SourceType::Directory
        }
        None if path.is_file() => SourceType::Directory,
        None => tidegate::render::detect_files(&*tree, ""),
    };
    let is_flagged =
        arguments.recurse || arguments.include.is_some() || arguments.exclude.is_some();
    if is_flagged && !source_type.is_directory() {
        return Err(Error::Refused(format!(
            "--recurse, --include and --exclude are for plain directories, and {} is {}; add --as directory",
            path.display(),
            source_type.as_str()
        ))
        .into());
    }
    let surroundings = Surroundings::of(root)?;
    let is_kustomize = source_type == SourceType::Kustomize;
    let is_whole_machine = is_kustomize && surroundings.root == Path::new("/");
    let (tree, inner) = if is_kustomize {
        surroundings.tree()?
    } else {
        (tree, None)
    };
    let input = RenderInput {
        tree,
        source: ApplicationSource {
            directory: Some(options),
            path: inner,
            ..ApplicationSource::default()
        },
        application: "render".to_owned(),
        namespace: String::new(),
        origin: Origin::default(),
        aws: Arc::new(environment(&arguments.aws)?),
    };
    let mut rendered = renderers(arguments)?.render_as(source_type, &input);
    if is_whole_machine {
        for diagnostic in &mut rendered.diagnostics {
            let path = &mut diagnostic.origin.path;
            if !path.is_empty() {
                path.insert(0, '/');
            }
        }
    }
    let wants_template = matches!(
        arguments.as_type,
        Some(RenderAs::Sam | RenderAs::Serverless | RenderAs::Cloudformation)
    );
    if wants_template && rendered.templates.is_empty() && rendered.diagnostics.is_empty() {
        let message = format!("{} holds no template and no service", path.display());
        return Err(Error::Refused(format!(
            "{message}\nhelp: a template has Resources with a Type each, a service has service and provider"
        ))
        .into());
    }
    if wants_template {
        rendered
            .objects
            .retain(|object| CloudFormationResource::is_type(&object.gvk));
    }
    Ok(rendered)
}

/// Who renders; whoever types `--enable-helm` allows helm, as for `kustomize build`.
fn renderers(arguments: &RenderArguments) -> Result<Renderers> {
    let build_options = arguments.kustomize_options.clone().unwrap_or_default();
    let mut words = build_options.split_whitespace();
    let allows_helm = words.any(|word| matches!(word, "--enable-helm" | "--enable-helm=true"));
    let settings = KustomizeSettings {
        helm: allows_helm.then(|| HelmSettings {
            repositories: vec!["**".to_owned()],
            ..HelmSettings::default()
        }),
        build_options,
        ..KustomizeSettings::default()
    };
    Ok(tidegate::renderers_with(&settings)?)
}

/// What a kustomization may read: bases lie beside it and above, so it is the repository, and without one this machine,
/// as for `kustomize build`.
struct Surroundings {
    root: PathBuf,
    directory: PathBuf,
}

impl Surroundings {
    fn of(directory: &Path) -> Result<Self> {
        let directory = directory
            .canonicalize()
            .map_err(|error| anyhow!("{}: {error}", directory.display()))?;
        let mut above = directory.ancestors();
        let root = above
            .find(|place| place.join(".git").exists())
            .or_else(|| directory.ancestors().last())
            .unwrap_or(&directory)
            .to_owned();
        Ok(Self { root, directory })
    }

    /// The files, and where the kustomization stands in them.
    fn tree(&self) -> Result<(Arc<dyn FileTree>, Option<String>)> {
        let (root, directory) = (&self.root, &self.directory);
        let inner = directory.strip_prefix(root).unwrap_or(Path::new(""));
        let inner = inner
            .to_str()
            .ok_or_else(|| anyhow!("{} has a name that is not UTF-8", directory.display()))?;
        let tree =
            DirectoryTree::open(root).map_err(|error| anyhow!("{}: {error}", root.display()))?;
        let path = (!inner.is_empty()).then(|| inner.to_owned());
        Ok((Arc::new(tree), path))
    }
}

/// A glob that matches just this name.
fn literal(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            if "*?[]{}\\!,".contains(c) {
                vec!['\\', c]
            } else {
                vec![c]
            }
        })
        .collect()
}

//! `tidegate render`: the objects that a directory renders to.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use tidegate::Error;
use tidegate::manifest::{ApplicationSource, Diagnostic, DirectoryOptions, Object, Origin};
use tidegate::render::{DirectoryTree, FileTree, RenderInput, Renderers, SourceType};

use crate::arguments::{Output, RenderArguments, RenderAs};
use crate::exit::Exit;
use crate::output;

pub(crate) fn run(arguments: &RenderArguments) -> Result<Exit> {
    let (objects, findings) = objects(arguments)?;
    match arguments.output {
        Output::Json => output::json(&objects.iter().map(|object| object.body.clone()).collect())?,
        Output::Yaml => {
            let bodies: Vec<_> = objects.iter().map(|object| object.body.clone()).collect();
            output::raw(&tidegate::yaml::stream_to_string(&bodies))?;
        }
        Output::Name => objects
            .iter()
            .try_for_each(|object| output::line(&object.short()))?,
        Output::Table => objects.iter().try_for_each(|object| {
            output::line(&format!("{}  {}", object.short(), object.origin.place()))
        })?,
    }
    output::refuse_all(&findings);
    Ok(if findings.iter().any(Diagnostic::is_error) {
        Exit::Failed
    } else {
        Exit::Ok
    })
}

/// The objects of a directory or file, and what is wrong with it.
fn objects(arguments: &RenderArguments) -> Result<(Vec<Object>, Vec<Diagnostic>)> {
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
        (parent.unwrap_or(std::path::Path::new(".")), only)
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
            return Err(
                Error::Refused("this build does not render AWS templates yet".to_owned()).into(),
            );
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
    let input = RenderInput {
        tree,
        source: ApplicationSource {
            directory: Some(options),
            ..ApplicationSource::default()
        },
        application: "render".to_owned(),
        namespace: String::new(),
        origin: Origin::default(),
        aws: Arc::default(),
    };
    let rendered = Renderers::default().render_as(source_type, &input);
    Ok((rendered.objects, rendered.diagnostics))
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

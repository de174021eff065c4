//! Kustomizations as sources of applications, with Argo CD's `kustomize` sub-spec.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tidegate_manifest::{Diagnostic, Object, Origin, Renderer as RendererKind};
use tidegate_render::walk::{Resolved, clean_path, join, resolve};
use tidegate_render::{RenderInput, Rendered, Renderer, SourceType};

use crate::build::{BuildOptions, Built, edited};
use crate::fault::{CODE_KUSTOMIZATION, CODE_OBJECT};
use crate::kustomization::{Image, Kustomization, Label, Patch, PatchOptions, Replica, Selector};
use crate::variables;

/// Renders kustomizations.
#[derive(Clone, Debug, Default)]
pub struct KustomizeRenderer {
    /// How every one of them is built.
    pub options: BuildOptions,
}

impl Renderer for KustomizeRenderer {
    fn source_type(&self) -> SourceType {
        SourceType::Kustomize
    }

    fn render(&self, input: &RenderInput) -> Rendered {
        let origin = Origin {
            renderer: RendererKind::Kustomize,
            ..input.origin.clone()
        };
        let path = input.source.path.clone().unwrap_or_default();
        let directory = clean_path(&path).unwrap_or(path);
        let spec = input
            .source
            .document
            .get("kustomize")
            .cloned()
            .unwrap_or_default();
        let mut mistakes = Vec::new();
        let mut edits = Edits::read(&spec, &mut mistakes);
        if spec
            .get("commonAnnotationsEnvsubst")
            .and_then(Value::as_bool)
            == Some(true)
        {
            for text in edits.annotations.values_mut() {
                match variables::expand(text, input) {
                    Ok(expanded) => *text = expanded,
                    Err(mistake) => mistakes.push(mistake),
                }
            }
        }
        let mut rendered = Rendered::default();
        if !mistakes.is_empty() {
            let at = Origin {
                path: directory,
                ..origin
            };
            rendered.diagnostics = mistakes
                .into_iter()
                .map(|message| {
                    Diagnostic::error(CODE_KUSTOMIZATION, message, at.clone())
                        .object(format!("Application {}", input.application))
                        .field(".spec.source.kustomize")
                        .help("the fields are those of Argo CD's kustomize sub-spec")
                })
                .collect();
            return rendered;
        }
        let exists = |component: &str| {
            let place = join(&directory, component);
            matches!(resolve(&*input.tree, &place), Ok(Resolved::Directory(_)))
        };
        let made = edited(
            Arc::clone(&input.tree),
            &directory,
            &self.options,
            &origin,
            |file| {
                edits.apply(file, &exists);
            },
        );
        match made {
            Ok(built) => take(built, &origin, &mut rendered),
            Err(diagnostics) => rendered.diagnostics = diagnostics,
        }
        rendered
    }
}

fn take(built: Built, origin: &Origin, rendered: &mut Rendered) {
    rendered.diagnostics = built.warnings;
    for object in built.objects {
        let at = Origin {
            path: object.path,
            line: object.line,
            column: object.column,
            ..origin.clone()
        };
        match Object::from_body(object.body, Arc::new(at.clone())) {
            Ok(object) => rendered.objects.push(object),
            Err(errors) => rendered.diagnostics.extend(errors.into_iter().map(|error| {
                Diagnostic::error(CODE_OBJECT, error.message, at.clone()).help(error.help)
            })),
        }
    }
}

/// What an application changes in its kustomization.
#[derive(Debug, Default)]
struct Edits {
    name_prefix: String,
    name_suffix: String,
    namespace: String,
    images: Vec<Image>,
    replicas: Vec<Replica>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    force_labels: bool,
    force_annotations: bool,
    without_selector: bool,
    include_templates: bool,
    patches: Vec<Patch>,
    components: Vec<String>,
    ignore_missing_components: bool,
}

impl Edits {
    fn read(spec: &Value, mistakes: &mut Vec<String>) -> Self {
        let text = |key: &str| {
            spec.get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let flag = |key: &str| spec.get(key).and_then(Value::as_bool).unwrap_or_default();
        let list = |key: &str| {
            spec.get(key)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let texts = |key: &str| -> BTreeMap<String, String> {
            let map = spec
                .get(key)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            map.into_iter()
                .map(|(key, value)| {
                    let text = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    (key, text)
                })
                .collect()
        };
        let images = list("images");
        let counts = list("replicas");
        let replicas = counts.iter().filter_map(|replica| {
            let name = replica.get("name")?.as_str()?.to_owned();
            let count = replica.get("count")?;
            let count = count.as_i64().or_else(|| count.as_str()?.parse().ok());
            if count.is_none() {
                mistakes.push(format!("the count of replicas for {name:?} is no number"));
            }
            Some(Replica {
                name,
                count: count?,
            })
        });
        let replicas = replicas.collect();
        Self {
            name_prefix: text("namePrefix"),
            name_suffix: text("nameSuffix"),
            namespace: text("namespace"),
            images: images.iter().filter_map(Value::as_str).map(image).collect(),
            replicas,
            labels: texts("commonLabels"),
            annotations: texts("commonAnnotations"),
            force_labels: flag("forceCommonLabels"),
            force_annotations: flag("forceCommonAnnotations"),
            without_selector: flag("labelWithoutSelector"),
            include_templates: flag("labelIncludeTemplates"),
            patches: list("patches").iter().map(patch).collect(),
            components: list("components")
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            ignore_missing_components: flag("ignoreMissingComponents"),
        }
    }

    fn apply(&self, file: &mut Kustomization, exists: &dyn Fn(&str) -> bool) {
        let replace = |field: &mut String, text: &String| {
            if !text.is_empty() {
                field.clone_from(text);
            }
        };
        replace(&mut file.name_prefix, &self.name_prefix);
        replace(&mut file.name_suffix, &self.name_suffix);
        replace(&mut file.namespace, &self.namespace);
        for image in &self.images {
            set_image(&mut file.images, image);
        }
        file.images.sort_by(|a, b| a.name.cmp(&b.name));
        for replica in &self.replicas {
            match file
                .replicas
                .iter_mut()
                .find(|known| known.name == replica.name)
            {
                Some(known) => known.count = replica.count,
                None => file.replicas.push(replica.clone()),
            }
        }
        if !self.labels.is_empty() {
            self.set_labels(file);
        }
        for (key, value) in &self.annotations {
            if self.force_annotations || !file.common_annotations.contains_key(key) {
                file.common_annotations.insert(key.clone(), value.clone());
            }
        }
        file.patches.extend(self.patches.iter().cloned());
        for component in &self.components {
            let known = file.components.contains(component);
            if !known && (!self.ignore_missing_components || exists(component)) {
                file.components.push(component.clone());
            }
        }
    }

    fn set_labels(&self, file: &mut Kustomization) {
        if self.without_selector {
            let mut pairs = self.labels.clone();
            if !self.force_labels {
                pairs.retain(|key, _| !file.common_labels.contains_key(key));
            }
            file.labels.push(Label {
                pairs,
                include_templates: self.include_templates,
                ..Label::default()
            });
            return;
        }
        for (key, value) in &self.labels {
            if self.force_labels || !file.common_labels.contains_key(key) {
                file.common_labels.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Sets an image as `kustomize edit set image` does.
fn set_image(images: &mut Vec<Image>, new: &Image) {
    match images.iter_mut().find(|known| known.name == new.name) {
        Some(known) => {
            if !new.new_name.is_empty() {
                known.new_name.clone_from(&new.new_name);
            }
            known.new_tag.clone_from(&new.new_tag);
            known.digest.clone_from(&new.digest);
        }
        None => images.push(new.clone()),
    }
}

/// Reads `[old=]new[:tag|@digest]`.
fn image(text: &str) -> Image {
    let (name, new) = text
        .split_once('=')
        .map_or((None, text), |(name, new)| (Some(name), new));
    let from = new.find('/').map_or(0, |at| at);
    let (rest, digest) = match new.split_once('@') {
        Some((rest, digest)) => (rest, digest),
        None => (new, ""),
    };
    let colon = rest
        .get(from..)
        .and_then(|tail| tail.rfind(':'))
        .map(|at| at + from);
    let (place, tag) = match colon {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, ""),
    };
    Image {
        name: name.unwrap_or(place).to_owned(),
        new_name: if name.is_some_and(|name| name != place) {
            place.to_owned()
        } else {
            String::new()
        },
        new_tag: tag.to_owned(),
        digest: digest.to_owned(),
        tag_suffix: String::new(),
    }
}

fn patch(value: &Value) -> Patch {
    let text = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let flag =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_bool).unwrap_or_default();
    Patch {
        path: text(value, "path"),
        patch: text(value, "patch"),
        target: value
            .get("target")
            .filter(|target| target.is_object())
            .map(|target| Selector {
                group: text(target, "group"),
                version: text(target, "version"),
                kind: text(target, "kind"),
                name: text(target, "name"),
                namespace: text(target, "namespace"),
                label_selector: text(target, "labelSelector"),
                annotation_selector: text(target, "annotationSelector"),
            }),
        options: value
            .get("options")
            .filter(|options| options.is_object())
            .map(|options| PatchOptions {
                allow_name_change: flag(options, "allowNameChange"),
                allow_kind_change: flag(options, "allowKindChange"),
            }),
    }
}

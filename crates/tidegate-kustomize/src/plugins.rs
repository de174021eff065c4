//! Generators and transformers as objects: those that are built in, by `apiVersion: builtin`.
//! Everything else is a program, and programs are not run.

use serde::Deserialize;
use serde_json::Value;

use crate::charts::{self, HelmChart, HelmGlobals};
use crate::fault::{CODE_GENERATOR, CODE_TRANSFORMER, CODE_UNSUPPORTED, Fault, Outcome};
use crate::field_spec::{self, FieldSpec, Made as NewField};
use crate::generators::{self, Made};
use crate::kustomization::{
    GeneratorArgs, Image, Patch, Replacement, ReplacementField, Replica, Selector, Shape, Texts,
    parse_plugin,
};
use crate::loader::Loader;
use crate::merge_schema::MergeSchema;
use crate::node::Tag;
use crate::patches::{self, Ready};
use crate::read;
use crate::resource::Resource;
use crate::resources::Reading;
use crate::selector::select;
use crate::target::Build;
use crate::transformers::{self, End, Namespacing, Subjects};

fn fault(message: impl Into<String>) -> Fault {
    Fault::new(CODE_TRANSFORMER, message)
}

/// The configuration of a built-in plugin as JSON.
fn settings(config: &Resource) -> Outcome<Value> {
    let place = |fault: Fault| {
        fault
            .at(&config.source.path)
            .place(config.source.line, config.source.column)
    };
    if config.gvk().api_version() != "builtin" {
        let message = format!(
            "external plugins disabled; unable to load external plugin '{}'",
            config.kind()
        );
        return Err(place(Fault::new(CODE_UNSUPPORTED, message)));
    }
    read::to_json(&config.node).map_err(|message| place(fault(message)))
}

fn unknown(config: &Resource) -> Fault {
    let message = format!("unable to load builtin {}", config.gvk());
    Fault::new(CODE_UNSUPPORTED, message).at(&config.source.path)
}

fn chart(
    build: &mut Build,
    config: &Resource,
    settings: Value,
    loader: &Loader,
) -> Outcome<Vec<Resource>> {
    let unfit = |error: serde_json::Error| {
        Fault::new(CODE_GENERATOR, error.to_string()).at(&config.source.path)
    };
    let globals = HelmGlobals::deserialize(&settings).map_err(unfit)?;
    let chart: HelmChart = serde_json::from_value(settings).map_err(unfit)?;
    charts::inflate(build, loader, &globals, &chart).map_err(|fault| fault.at(&config.source.path))
}

/// Runs a generator.
pub(crate) fn generate(
    build: &mut Build,
    config: &Resource,
    loader: &Loader,
) -> Outcome<Vec<Resource>> {
    let mut settings = settings(config)?;
    let made = match config.kind() {
        "ConfigMapGenerator" => Made::ConfigMap,
        "SecretGenerator" => Made::Secret,
        "IAMPolicyGenerator" => return Ok(vec![service_account(&settings, config)?]),
        "HelmChartInflationGenerator" => return chart(build, config, settings, loader),
        _ => return Err(unknown(config)),
    };
    if let Some(map) = settings.as_object_mut() {
        for (key, text) in [("name", config.name()), ("namespace", config.namespace())] {
            if matches!(map.get(key), None | Some(Value::Null)) || map.get(key) == Some(&"".into())
            {
                map.insert(key.to_owned(), text.into());
            }
        }
    }
    let args: GeneratorArgs = parse_plugin(&settings, Shape::GENERATOR)
        .map_err(|message| Fault::new(CODE_GENERATOR, message).at(&config.source.path))?;
    let made = generators::make(made, &args, None, loader, config.source.clone())?;
    Ok(vec![made])
}

/// Makes the service account of a GKE workload identity.
fn service_account(settings: &Value, config: &Resource) -> Outcome<Resource> {
    let settings: Value = parse_plugin(settings, Shape::SERVICE_ACCOUNT)
        .map_err(|message| Fault::new(CODE_GENERATOR, message).at(&config.source.path))?;
    let text = |part: &str, key: &str| {
        let value = settings.get(part).and_then(|part| part.get(key));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let cloud = settings
        .get("cloud")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if cloud != "gke" {
        let message = format!("cloud provider {cloud} not supported yet");
        return Err(Fault::new(CODE_GENERATOR, message).at(&config.source.path));
    }
    let (account, project) = (
        text("serviceAccount", "name"),
        text("serviceAccount", "projectId"),
    );
    let address = format!("{account}@{project}.iam.gserviceaccount.com");
    let object = serde_json::json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
        "annotations": {"iam.gke.io/gcp-service-account": address},
        "name": text("kubernetesService", "name"),
    }});
    let mut resource = Resource::new(read::from_json(&object), config.source.clone());
    if resource.name().is_empty() {
        let message = format!(
            "missing metadata.name in object {{{{v1 ServiceAccount}} {{{{ {}}} map[] map[iam.gke.io/gcp-service-account:{address}]}}}}",
            text("kubernetesService", "namespace")
        );
        return Err(Fault::new(CODE_GENERATOR, message).at(&config.source.path));
    }
    resource.set_namespace(&text("kubernetesService", "namespace"));
    Ok(resource)
}

/// Reads the patches of `patchesStrategicMerge`: each entry is a patch, or the path of one.
pub(crate) fn strategic_patches(
    entries: &[String],
    build: &mut Build,
    loader: &Loader,
) -> Outcome<Vec<Resource>> {
    let mut all = Vec::new();
    for entry in entries {
        let patches = match build.read(entry.as_bytes(), "", Reading::Patch) {
            Ok(patches) => patches,
            Err(_) => {
                let (bytes, file) = build.load(loader, entry)?;
                build.read(&bytes, &file, Reading::Resources)?
            }
        };
        all.extend(patches);
    }
    if all.is_empty() && !entries.is_empty() {
        let files = entries.join(" ");
        return Err(fault(format!(
            "patch appears to be empty; files=[{files}], Patch="
        )));
    }
    Ok(all)
}

/// Reads an entry of `patches`.
pub(crate) fn patch(entry: &Patch, build: &mut Build, loader: &Loader) -> Outcome<Ready> {
    let inline = entry.patch.trim();
    let (text, file) = match (inline.is_empty(), entry.path.is_empty()) {
        (true, true) => return Err(fault("must specify one of patch and path in the entry")),
        (false, false) => return Err(fault("patch and path can't be set at the same time")),
        (false, true) => (inline.to_owned(), String::new()),
        (true, false) => {
            let path = &entry.path;
            let (bytes, file) = build.load(loader, path).map_err(|fault| {
                fault.prefix(&format!("failed to get the patch file from path({path})"))
            })?;
            let text = String::from_utf8(bytes)
                .map_err(|_| fault(format!("{path} is no UTF-8 text")).at(&file))?;
            (text, file)
        }
    };
    patches::ready(entry, &text, build).map_err(|message| fault(message).at(&file))
}

/// Reads an entry of `patchesJson6902`.
pub(crate) fn json_patch(entry: &Patch, build: &mut Build, loader: &Loader) -> Outcome<Ready> {
    let target = entry.target.clone().unwrap_or_default();
    if target.name.is_empty() {
        return Err(fault("must specify the target name"));
    }
    let text = match (entry.path.is_empty(), entry.patch.is_empty()) {
        (true, true) => return Err(fault("empty file path and empty jsonOp")),
        (false, false) => return Err(fault("must specify a file path or jsonOp, not both")),
        (true, false) => entry.patch.clone(),
        (false, true) => {
            let (bytes, file) = build.load(loader, &entry.path)?;
            if bytes.is_empty() {
                return Err(fault(format!(
                    "patch file '{}' empty seems to be empty",
                    entry.path
                ))
                .at(&file));
            }
            String::from_utf8(bytes).map_err(|_| fault("the patch is no UTF-8 text").at(&file))?
        }
    };
    let patch = patches::json_patch(&text)
        .map_err(|message| fault(format!("decoding {text}: {message}")))?;
    if patch.len() == 0 {
        return Err(fault(format!(
            "patch appears to be empty; file={}, JsonOp={text}",
            entry.path
        )));
    }
    Ok(Ready::Json {
        patch,
        target: Some(target),
        source: String::new(),
        remembers: false,
    })
}

/// A built-in transformer with its configuration.
#[derive(Debug)]
pub(crate) enum Transformer {
    Names {
        text: String,
        end: End,
        specs: Vec<FieldSpec>,
    },
    BothNames {
        prefix: String,
        suffix: String,
        specs: Vec<FieldSpec>,
    },
    Texts {
        texts: Texts,
        specs: Vec<FieldSpec>,
    },
    Namespace {
        namespace: String,
        unset_only: bool,
        subjects: Subjects,
        specs: Vec<FieldSpec>,
    },
    Patch(Ready),
    Patches(Vec<Resource>),
    Image {
        image: Image,
        specs: Vec<FieldSpec>,
    },
    Replicas {
        replica: Replica,
        specs: Vec<FieldSpec>,
    },
    Replacements(Vec<Replacement>),
    Hash,
    AddValue {
        value: String,
        targets: Vec<AddTarget>,
    },
}

/// Where a value is added.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AddTarget {
    selector: Option<Selector>,
    field_path: String,
    file_path_position: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Settings {
    prefix: String,
    suffix: String,
    field_specs: Option<Vec<FieldSpec>>,
    labels: Texts,
    annotations: Texts,
    metadata: Metadata,
    unset_only: bool,
    set_role_binding_subjects: String,
    image_tag: Image,
    replica: Replica,
    replacements: Vec<ReplacementField>,
    paths: Vec<String>,
    patches: String,
    path: String,
    json_op: String,
    target: Option<Selector>,
    value: String,
    target_file_path: String,
    targets: Vec<AddTarget>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    namespace: String,
}

impl Transformer {
    /// Reads the configuration of a transformer.
    pub(crate) fn new(config: &Resource, build: &mut Build, loader: &Loader) -> Outcome<Self> {
        let at = |fault: Fault| fault.at(&config.source.path);
        let settings = settings(config)?;
        let read = |shape: Shape| {
            parse_plugin::<Settings>(&settings, shape).map_err(|message| at(fault(message)))
        };
        Ok(match config.kind() {
            kind @ ("PrefixTransformer" | "SuffixTransformer" | "PrefixSuffixTransformer") => {
                let own = read(Shape::NAMES)?;
                let Some(specs) = own.field_specs else {
                    return Err(at(fault("fieldSpecs is not expected to be nil")));
                };
                match kind {
                    "PrefixTransformer" => Transformer::Names {
                        text: own.prefix,
                        end: End::Front,
                        specs,
                    },
                    "SuffixTransformer" => Transformer::Names {
                        text: own.suffix,
                        end: End::Back,
                        specs,
                    },
                    _ => Transformer::BothNames {
                        prefix: own.prefix,
                        suffix: own.suffix,
                        specs,
                    },
                }
            }
            "LabelTransformer" => {
                let own = read(Shape::TEXTS)?;
                Transformer::Texts {
                    texts: own.labels,
                    specs: own.field_specs.unwrap_or_default(),
                }
            }
            "AnnotationsTransformer" => {
                let own = read(Shape::TEXTS)?;
                Transformer::Texts {
                    texts: own.annotations,
                    specs: own.field_specs.unwrap_or_default(),
                }
            }
            "NamespaceTransformer" => {
                let own = read(Shape::NAMESPACE)?;
                Transformer::Namespace {
                    namespace: own.metadata.namespace,
                    unset_only: own.unset_only,
                    subjects: Subjects::named(&own.set_role_binding_subjects)
                        .map_err(|message| at(fault(message)))?,
                    specs: own.field_specs.unwrap_or_default(),
                }
            }
            "PatchTransformer" => {
                let entry: Patch =
                    parse_plugin(&settings, Shape::PATCH).map_err(|message| at(fault(message)))?;
                Transformer::Patch(patch(&entry, build, loader).map_err(at)?)
            }
            "PatchStrategicMergeTransformer" => {
                let own = read(Shape::PATCHES)?;
                if own.paths.is_empty() && own.patches.is_empty() {
                    return Err(at(fault("empty file path and empty patch content")));
                }
                let mut all = strategic_patches(&own.paths, build, loader).map_err(at)?;
                all.extend(
                    build
                        .read(own.patches.as_bytes(), "", Reading::Patch)
                        .map_err(at)?,
                );
                Transformer::Patches(all)
            }
            "PatchJson6902Transformer" => {
                let own = read(Shape::JSON_PATCH)?;
                let entry = Patch {
                    path: own.path,
                    patch: own.json_op,
                    target: own.target,
                    options: None,
                };
                Transformer::Patch(json_patch(&entry, build, loader).map_err(at)?)
            }
            "ImageTagTransformer" => {
                let own = read(Shape::IMAGE)?;
                Transformer::Image {
                    image: own.image_tag,
                    specs: own.field_specs.unwrap_or_default(),
                }
            }
            "ReplicaCountTransformer" => {
                let own = read(Shape::REPLICA)?;
                Transformer::Replicas {
                    replica: own.replica,
                    specs: own.field_specs.unwrap_or_default(),
                }
            }
            "ReplacementTransformer" => {
                let own = read(Shape::REPLACER)?;
                Transformer::Replacements(
                    build
                        .replacements_of(loader, &own.replacements)
                        .map_err(at)?,
                )
            }
            "HashTransformer" => Transformer::Hash,
            "ValueAddTransformer" => {
                add_value(read(Shape::VALUE_ADD)?, build, loader).map_err(at)?
            }
            _ => return Err(unknown(config)),
        })
    }

    /// Applies the transformer to the objects of a build.
    ///
    /// # Errors
    /// What the transformer says.
    pub(crate) fn apply(
        &self,
        list: &mut Vec<Resource>,
        schema: &MergeSchema,
    ) -> Result<(), String> {
        match self {
            Transformer::Names { text, end, specs } => {
                transformers::add_to_names(list, text, *end, specs)
            }
            Transformer::BothNames {
                prefix,
                suffix,
                specs,
            } => {
                transformers::add_to_names(list, prefix, End::Front, specs)?;
                transformers::add_to_names(list, suffix, End::Back, specs)
            }
            Transformer::Texts { texts, specs } => transformers::set_texts(list, texts, specs),
            Transformer::Namespace {
                namespace,
                unset_only,
                subjects,
                specs,
            } => {
                let namespacing = Namespacing {
                    namespace,
                    unset_only: *unset_only,
                    subjects: *subjects,
                };
                namespacing.apply(list, specs)
            }
            Transformer::Patch(ready) => ready.apply(list, schema),
            Transformer::Patches(patches) => patches::merge_each(list, patches, schema),
            Transformer::Image { image, specs } => transformers::set_images(list, image, specs),
            Transformer::Replicas { replica, specs } => {
                transformers::set_replicas(list, replica, specs)
            }
            Transformer::Replacements(replacements) => {
                crate::replacements::apply(list, replacements)
            }
            Transformer::Hash => generators::add_hashes(list),
            Transformer::AddValue { value, targets } => targets
                .iter()
                .try_for_each(|target| add_to(list, value, target)),
        }
    }
}

fn add_value(own: Settings, build: &mut Build, loader: &Loader) -> Outcome<Transformer> {
    let mut targets = own.targets;
    if !own.target_file_path.is_empty() {
        let (bytes, file) = build.load(loader, &own.target_file_path)?;
        let node = tidegate_yaml::parse_first(&bytes, &tidegate_yaml::ParseOptions::default())
            .map_err(|errors| fault(errors.to_string()).at(&file))?;
        let more: Settings = parse_plugin(&node.to_json(), Shape::VALUE_ADD)
            .map_err(|message| fault(message).at(&file))?;
        targets.extend(more.targets);
    }
    if targets.is_empty() {
        return Err(fault("must specify at least one target"));
    }
    if targets.iter().any(|target| target.field_path.is_empty()) {
        return Err(fault("fieldPath cannot be empty"));
    }
    if let Some(target) = targets.iter().find(|target| target.file_path_position < 0) {
        let position = target.file_path_position;
        return Err(fault(format!(
            "value of FilePathPosition ({position}) cannot be negative"
        )));
    }
    let own_value = own.value.trim();
    let value = if own_value.is_empty() {
        let root = loader.root();
        root.rsplit('/').next().unwrap_or(root).to_owned()
    } else {
        own_value.to_owned()
    };
    Ok(Transformer::AddValue { value, targets })
}

fn add_to(list: &mut [Resource], value: &str, target: &AddTarget) -> Result<(), String> {
    let selected = match &target.selector {
        Some(selector) => select(list, selector)?,
        None => (0..list.len()).collect(),
    };
    for index in selected {
        let Some(resource) = list.get_mut(index) else {
            continue;
        };
        if target.field_path == "metadata/namespace" {
            let namespacing = Namespacing {
                namespace: value,
                ..Namespacing::default()
            };
            namespacing.apply_one(resource, &[])?;
            continue;
        }
        let spec = FieldSpec {
            path: target.field_path.clone(),
            create: true,
            ..FieldSpec::default()
        };
        let set = &mut |node: &mut crate::node::Node| {
            let new = placed(
                node.text().unwrap_or_default(),
                value,
                target.file_path_position,
            );
            field_spec::set_scalar(node, &new, Tag::Str)
        };
        let made = NewField::Scalar(Tag::Str);
        spec.apply(resource, &made, set)?;
    }
    Ok(())
}

/// A value, or a path with the value at a position from 1 on.
fn placed(old: &str, value: &str, position: i64) -> String {
    let Some(before) = usize::try_from(position)
        .ok()
        .and_then(|position| position.checked_sub(1))
    else {
        return value.to_owned();
    };
    let (root, rest) = match old.strip_prefix('/') {
        Some(rest) => ("/", rest),
        None => ("", old),
    };
    let mut parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(before.min(parts.len()), value);
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_placed_in_paths() {
        assert_eq!(placed("/a/b", "v", 0), "v");
        assert_eq!(placed("/a/b", "v", 1), "/v/a/b");
        assert_eq!(placed("a/b", "v", 2), "a/v/b");
        assert_eq!(placed("a", "v", 9), "a/v");
    }
}

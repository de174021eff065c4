//! The kustomization file: its fields, read as Go's JSON decoder reads them (names in any case,
//! unknown ones refused), with its words for mistakes.

mod shape;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tidegate_yaml::ParseOptions;

use crate::charts::{HelmChart, HelmGlobals, OldHelmChart};
use crate::fault::{CODE_KUSTOMIZATION, Fault, Outcome};
use crate::field_spec::FieldSpec;

pub(crate) use shape::{Shape, go_kind};

/// A map of texts.
pub(crate) type Texts = BTreeMap<String, String>;

/// A kustomization file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Kustomization {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: Option<Value>,
    pub(crate) openapi: Texts,
    pub(crate) name_prefix: String,
    pub(crate) name_suffix: String,
    pub(crate) namespace: String,
    pub(crate) common_labels: Texts,
    pub(crate) labels: Vec<Label>,
    pub(crate) common_annotations: Texts,
    pub(crate) patches_strategic_merge: Vec<String>,
    pub(crate) patches_json6902: Vec<Patch>,
    pub(crate) patches: Vec<Patch>,
    pub(crate) images: Vec<Image>,
    pub(crate) image_tags: Vec<Image>,
    pub(crate) replacements: Vec<ReplacementField>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) vars: Vec<Var>,
    pub(crate) sort_options: Option<SortOptions>,
    pub(crate) resources: Vec<String>,
    pub(crate) components: Vec<String>,
    pub(crate) crds: Vec<String>,
    pub(crate) bases: Vec<String>,
    pub(crate) config_map_generator: Vec<GeneratorArgs>,
    pub(crate) secret_generator: Vec<GeneratorArgs>,
    pub(crate) helm_globals: Option<HelmGlobals>,
    pub(crate) helm_charts: Vec<HelmChart>,
    pub(crate) helm_chart_inflation_generator: Vec<OldHelmChart>,
    pub(crate) generator_options: Option<GeneratorOptions>,
    pub(crate) configurations: Vec<String>,
    pub(crate) generators: Vec<String>,
    pub(crate) transformers: Vec<String>,
    pub(crate) validators: Vec<String>,
    pub(crate) build_metadata: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Label {
    pub(crate) pairs: Texts,
    pub(crate) include_selectors: bool,
    pub(crate) include_templates: bool,
    pub(crate) fields: Vec<FieldSpec>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Patch {
    pub(crate) path: String,
    pub(crate) patch: String,
    pub(crate) target: Option<Selector>,
    pub(crate) options: Option<PatchOptions>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PatchOptions {
    pub(crate) allow_name_change: bool,
    pub(crate) allow_kind_change: bool,
}

/// Which objects something is for; every text is a regular expression or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Selector {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) label_selector: String,
    pub(crate) annotation_selector: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) new_name: String,
    pub(crate) new_tag: String,
    pub(crate) tag_suffix: String,
    pub(crate) digest: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) count: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ReplacementField {
    pub(crate) path: String,
    #[serde(flatten)]
    pub(crate) replacement: Replacement,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Replacement {
    pub(crate) source: Option<SourceSelector>,
    pub(crate) targets: Option<Vec<TargetSelector>>,
    pub(crate) source_value: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SourceSelector {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) field_path: String,
    pub(crate) options: Option<FieldOptions>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TargetSelector {
    pub(crate) select: Option<Selector>,
    pub(crate) reject: Vec<Selector>,
    pub(crate) field_paths: Vec<String>,
    pub(crate) options: Option<FieldOptions>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FieldOptions {
    pub(crate) delimiter: String,
    pub(crate) index: i64,
    pub(crate) create: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Var {
    pub(crate) name: String,
    pub(crate) objref: VarTarget,
    pub(crate) fieldref: FieldRef,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct VarTarget {
    pub(crate) api_version: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FieldRef {
    pub(crate) field_path: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SortOptions {
    pub(crate) order: String,
    pub(crate) legacy_sort_options: Option<LegacySortOptions>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LegacySortOptions {
    pub(crate) order_first: Vec<String>,
    pub(crate) order_last: Vec<String>,
}

/// Arguments of a ConfigMap or Secret generator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct GeneratorArgs {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) behavior: String,
    pub(crate) literals: Vec<String>,
    pub(crate) files: Vec<String>,
    pub(crate) envs: Vec<String>,
    pub(crate) env: String,
    pub(crate) options: Option<GeneratorOptions>,
    /// The type of a Secret.
    pub(crate) r#type: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct GeneratorOptions {
    pub(crate) labels: Texts,
    pub(crate) annotations: Texts,
    pub(crate) disable_name_suffix_hash: bool,
    pub(crate) immutable: bool,
}

/// The apiVersion of kustomizations.
const KUSTOMIZATION_VERSION: &str = "kustomize.config.k8s.io/v1beta1";
/// The apiVersion of components.
const COMPONENT_VERSION: &str = "kustomize.config.k8s.io/v1alpha1";

impl Kustomization {
    /// Reads a file, with the warnings about old fields.
    pub(crate) fn parse(text: &[u8]) -> Outcome<(Kustomization, Vec<String>)> {
        let invalid = |message: String| {
            Fault::new(
                CODE_KUSTOMIZATION,
                format!("invalid Kustomization: {message}"),
            )
        };
        let node =
            tidegate_yaml::parse_first(text, &ParseOptions::default()).map_err(|errors| {
                let first = errors.0.first();
                let (line, column) = first.map_or((0, 0), |e| (e.span.line, e.span.column));
                invalid(errors.to_string()).place(line, column)
            })?;
        let json = shape::normalise(&node, Shape::KUSTOMIZATION).map_err(|mistake| {
            let span = mistake.span;
            invalid(mistake.message).place(span.line, span.column)
        })?;
        let json = if json.is_null() {
            Value::Object(serde_json::Map::new())
        } else {
            json
        };
        let file: Kustomization =
            serde_json::from_value(json).map_err(|e| invalid(format!("json: {e}")))?;
        let warnings = file.warnings();
        Ok((file.fixed()?, warnings))
    }

    fn warnings(&self) -> Vec<String> {
        let replaced = [
            (!self.bases.is_empty(), "bases", "resources"),
            (!self.common_labels.is_empty(), "commonLabels", "labels"),
            (!self.image_tags.is_empty(), "imageTags", "images"),
            (
                !self.patches_json6902.is_empty(),
                "patchesJson6902",
                "patches",
            ),
            (
                !self.patches_strategic_merge.is_empty(),
                "patchesStrategicMerge",
                "patches",
            ),
            (!self.vars.is_empty(), "vars", "replacements"),
        ];
        replaced
            .into_iter()
            .filter(|(used, ..)| *used)
            .map(|(_, old, new)| format!("'{old}' is deprecated. Please use '{new}' instead"))
            .collect()
    }

    /// Moves old fields to their new places and checks what the file is.
    fn fixed(mut self) -> Outcome<Kustomization> {
        if self.kind.is_empty() {
            "Kustomization".clone_into(&mut self.kind);
        }
        let wanted = if self.kind == "Component" {
            COMPONENT_VERSION
        } else {
            KUSTOMIZATION_VERSION
        };
        if self.api_version.is_empty() {
            wanted.clone_into(&mut self.api_version);
        }
        self.resources.append(&mut self.bases);
        self.images.append(&mut self.image_tags);
        for args in self
            .config_map_generator
            .iter_mut()
            .chain(&mut self.secret_generator)
        {
            if !args.env.is_empty() {
                args.envs.push(std::mem::take(&mut args.env));
            }
        }
        for old in std::mem::take(&mut self.helm_chart_inflation_generator) {
            let (globals, chart) = old.into_chart();
            self.helm_globals.get_or_insert(globals);
            self.helm_charts.push(chart);
        }
        let empty = Kustomization {
            kind: self.kind.clone(),
            api_version: self.api_version.clone(),
            ..Kustomization::default()
        };
        if self == empty {
            return Err(Fault::new(
                CODE_KUSTOMIZATION,
                "kustomization.yaml is empty",
            ));
        }
        let mut errors = Vec::new();
        if !matches!(self.kind.as_str(), "Kustomization" | "Component") {
            errors.push("kind should be Kustomization or Component".to_owned());
        }
        if self.api_version != wanted {
            errors.push(format!("apiVersion for {} should be {wanted}", self.kind));
        }
        if errors.is_empty() {
            Ok(self)
        } else {
            let message = format!("Failed to read kustomization file: {}", errors.join("; "));
            Err(Fault::new(CODE_KUSTOMIZATION, message))
        }
    }
}

/// Brings a `configurations` file into the shape of its fields.
///
/// # Errors
/// Unknown fields and values of the wrong type.
pub(crate) fn normalise_config(node: &tidegate_yaml::Node) -> Result<Value, String> {
    shape::normalise_strictly(node, Shape::CONFIG).map_err(|mistake| mistake.message)
}

/// Reads a list of replacements or one, from a file that `replacements[].path` names.
///
/// # Errors
/// Why it is neither.
pub(crate) fn parse_replacements(text: &[u8]) -> Result<Vec<Replacement>, String> {
    let node =
        tidegate_yaml::parse_first(text, &ParseOptions::default()).map_err(|e| e.to_string())?;
    let (shape, single) = match &node.value {
        tidegate_yaml::Value::Sequence(_) => (Shape::REPLACEMENTS, false),
        tidegate_yaml::Value::Mapping(_) => (Shape::REPLACEMENT, true),
        other => {
            let kind = match other {
                tidegate_yaml::Value::String(_) => "string",
                tidegate_yaml::Value::Bool(_) => "bool",
                tidegate_yaml::Value::Number(_) => "float64",
                _ => "invalid",
            };
            return Err(format!(
                "unsupported replacement type encountered within replacement path: {kind}"
            ));
        }
    };
    let json = shape::normalise_leniently(&node, shape).map_err(|mistake| mistake.message)?;
    let json = if single {
        Value::Array(vec![json])
    } else {
        json
    };
    serde_json::from_value(json).map_err(|e| format!("json: {e}"))
}

/// Reads the configuration of a built-in plugin into a type; unknown fields are ignored, as in the
/// original.
///
/// # Errors
/// Values of the wrong type.
pub(crate) fn parse_plugin<T: for<'de> Deserialize<'de>>(
    config: &Value,
    shape: Shape,
) -> Result<T, String> {
    let node = tidegate_yaml::Node::from_json(config);
    let json = shape::normalise_leniently(&node, shape).map_err(|mistake| mistake.message)?;
    serde_json::from_value(json).map_err(|e| format!("json: {e}"))
}

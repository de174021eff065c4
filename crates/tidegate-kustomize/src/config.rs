//! The transformer configuration: the field specs that come with Kustomize, those of `configurations`
//! files, and those that `crds` say.

use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::Value;
use tidegate_yaml::ParseOptions;

use crate::field_spec::{FieldSpec, merge_all, merge_one};
use crate::id::Gvk;

/// Lines: `list group version kind create path`; `> group version kind` opens the referrers of a
/// kind, which follow as `group version kind create path`. `-` is nothing, `+` creates.
const BUILTIN: &str = include_str!("../data/field-specs.txt");
/// References followed inside a `crds` file.
const MAX_CRD_DEPTH: usize = 32;

/// Who refers to objects of a kind by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NameReference {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) field_specs: Vec<FieldSpec>,
}

impl NameReference {
    pub(crate) fn gvk(&self) -> Gvk {
        Gvk {
            group: self.group.clone(),
            version: self.version.clone(),
            kind: self.kind.clone(),
        }
    }
}

/// All lists of field specs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Config {
    pub(crate) name_prefix: Vec<FieldSpec>,
    pub(crate) name_suffix: Vec<FieldSpec>,
    pub(crate) namespace: Vec<FieldSpec>,
    pub(crate) common_labels: Vec<FieldSpec>,
    pub(crate) labels: Vec<FieldSpec>,
    pub(crate) template_labels: Vec<FieldSpec>,
    pub(crate) common_annotations: Vec<FieldSpec>,
    pub(crate) name_reference: Vec<NameReference>,
    pub(crate) var_reference: Vec<FieldSpec>,
    pub(crate) images: Vec<FieldSpec>,
    pub(crate) replicas: Vec<FieldSpec>,
}

impl Config {
    /// The lists that come with Kustomize.
    pub(crate) fn builtin() -> Arc<Config> {
        static CONFIG: OnceLock<Arc<Config>> = OnceLock::new();
        let config = CONFIG.get_or_init(|| {
            let mut config = Config::default();
            BUILTIN.lines().for_each(|line| config.read_line(line));
            config.sort();
            Arc::new(config)
        });
        Arc::clone(config)
    }

    /// What adding the lists that come with Kustomize to nothing gives: of specs that stand for each
    /// other one is left.
    fn settled() -> Arc<Config> {
        static CONFIG: OnceLock<Arc<Config>> = OnceLock::new();
        let config = CONFIG.get_or_init(|| {
            let mut config = Config::default();
            // The lists are ours; a test merges them.
            let merged = config.merge(&Config::builtin());
            Arc::new(if merged.is_ok() {
                config
            } else {
                Config::clone(&Config::builtin())
            })
        });
        Arc::clone(config)
    }

    /// Adds the lists of a configuration to one that may be shared.
    ///
    /// # Errors
    /// As [`Config::merge`].
    pub(crate) fn merge_shared(own: &mut Arc<Config>, other: &Arc<Config>) -> Result<(), String> {
        let builtin = |config| {
            [Config::builtin(), Config::settled()]
                .iter()
                .any(|b| Arc::ptr_eq(b, config))
        };
        if Arc::ptr_eq(own, other) || **other == Config::default() {
            return Ok(());
        }
        if builtin(other) && Arc::ptr_eq(own, &Config::settled()) {
            return Ok(());
        }
        if builtin(other) && **own == Config::default() {
            *own = Config::settled();
            return Ok(());
        }
        Arc::make_mut(own).merge(other)
    }

    fn read_line(&mut self, line: &str) {
        let text = |word: &str| {
            if word == "-" {
                String::new()
            } else {
                word.to_owned()
            }
        };
        let words: Vec<&str> = line.split(' ').collect();
        let spec = |words: &[&str; 5]| FieldSpec {
            group: text(words[0]),
            version: text(words[1]),
            kind: text(words[2]),
            create: words[3] == "+",
            path: words[4].to_owned(),
            ..FieldSpec::default()
        };
        match words.as_slice() {
            [">", group, version, kind] => self.name_reference.push(NameReference {
                group: text(group),
                version: text(version),
                kind: text(kind),
                field_specs: Vec::new(),
            }),
            [list, group, version, kind, create, path] => {
                let spec = spec(&[group, version, kind, create, path]);
                if let Some(list) = self.list(list) {
                    list.push(spec);
                }
            }
            [group, version, kind, create, path] => {
                let spec = spec(&[group, version, kind, create, path]);
                if let Some(last) = self.name_reference.last_mut() {
                    last.field_specs.push(spec);
                }
            }
            _ => {}
        }
    }

    fn list(&mut self, name: &str) -> Option<&mut Vec<FieldSpec>> {
        Some(match name {
            "namePrefix" => &mut self.name_prefix,
            "nameSuffix" => &mut self.name_suffix,
            "namespace" => &mut self.namespace,
            "commonLabels" => &mut self.common_labels,
            "labels" => &mut self.labels,
            "templateLabels" => &mut self.template_labels,
            "commonAnnotations" => &mut self.common_annotations,
            "varReference" => &mut self.var_reference,
            "images" => &mut self.images,
            "replicas" => &mut self.replicas,
            _ => return None,
        })
    }

    /// Reads a `configurations` file.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn parse(text: &[u8]) -> Result<Config, String> {
        let node = tidegate_yaml::parse_first(text, &ParseOptions::strict())
            .map_err(|errors| errors.to_string())?;
        let said =
            |message: String| format!("error unmarshaling JSON: while decoding JSON: {message}");
        let json = crate::kustomization::normalise_config(&node).map_err(said)?;
        if json.is_null() {
            return Ok(Config::default());
        }
        let mut config: Config =
            serde_json::from_value(json).map_err(|error| said(format!("json: {error}")))?;
        config.sort();
        Ok(config)
    }

    /// Adds the lists of another configuration.
    ///
    /// # Errors
    /// Specs of the same field that differ.
    pub(crate) fn merge(&mut self, other: &Config) -> Result<(), String> {
        let said = |what: &'static str| {
            move |error: String| format!("failed to merge {what} fieldSpec: {error}")
        };
        merge_all(&mut self.name_prefix, &other.name_prefix).map_err(said("NamePrefix"))?;
        merge_all(&mut self.name_suffix, &other.name_suffix).map_err(said("NameSuffix"))?;
        merge_all(&mut self.namespace, &other.namespace).map_err(said("NameSpace"))?;
        merge_all(&mut self.common_annotations, &other.common_annotations)
            .map_err(said("CommonAnnotations"))?;
        merge_all(&mut self.common_labels, &other.common_labels).map_err(said("CommonLabels"))?;
        merge_all(&mut self.labels, &other.labels).map_err(said("Labels"))?;
        merge_all(&mut self.template_labels, &other.template_labels)
            .map_err(said("TemplateLabels"))?;
        merge_all(&mut self.var_reference, &other.var_reference).map_err(said("VarReference"))?;
        self.merge_references(&other.name_reference)
            .map_err(said("NameReference"))?;
        merge_all(&mut self.images, &other.images).map_err(said("Images"))?;
        merge_all(&mut self.replicas, &other.replicas).map_err(said("Replicas"))?;
        self.sort();
        Ok(())
    }

    fn merge_references(&mut self, others: &[NameReference]) -> Result<(), String> {
        for other in others {
            let gvk = other.gvk();
            match self
                .name_reference
                .iter_mut()
                .find(|known| known.gvk() == gvk)
            {
                Some(known) => merge_all(&mut known.field_specs, &other.field_specs)?,
                None => self.name_reference.push(other.clone()),
            }
        }
        Ok(())
    }

    fn sort(&mut self) {
        for name in [
            "namePrefix",
            "nameSuffix",
            "namespace",
            "commonLabels",
            "labels",
            "templateLabels",
            "commonAnnotations",
            "varReference",
            "images",
            "replicas",
        ] {
            if let Some(list) = self.list(name) {
                list.sort_by_cached_key(|spec| crate::sort::rank_key(&spec.gvk()));
            }
        }
        self.name_reference
            .sort_by_cached_key(|reference| crate::sort::rank_key(&reference.gvk()));
    }

    /// Reads what a `crds` file says about the fields of its types.
    ///
    /// # Errors
    /// Why it is no such file.
    pub(crate) fn of_crds(text: &[u8]) -> Result<Config, String> {
        if text.is_empty() {
            return Err("the file is empty".to_owned());
        }
        let node = tidegate_yaml::parse_first(text, &ParseOptions::default())
            .map_err(|errors| errors.to_string())?;
        let Value::Object(types) = node.to_json() else {
            return Err(
                "json: cannot unmarshal into Go value of type accumulator.nameToApiMap".to_owned(),
            );
        };
        if let Some((_, other)) = types
            .iter()
            .find(|(_, value)| !value.is_object() && !value.is_null())
        {
            return Err(format!(
                "json: cannot unmarshal {} into Go value of type accumulator.OpenAPIDefinition",
                crate::kustomization::go_kind(other)
            ));
        }
        let mut config = Config::default();
        for (name, definition) in &types {
            let properties = properties_of(definition);
            let is_kind = ["kind", "apiVersion", "metadata"]
                .iter()
                .all(|key| properties.is_some_and(|p| p.get(*key).is_some()));
            if is_kind {
                let kind = name.rsplit('.').next().unwrap_or_default();
                config.read_crd(&types, name, kind, &mut Vec::new())?;
            }
        }
        config.sort();
        Ok(config)
    }

    fn read_crd(
        &mut self,
        types: &serde_json::Map<String, Value>,
        name: &str,
        kind: &str,
        path: &mut Vec<String>,
    ) -> Result<(), String> {
        if path.len() > MAX_CRD_DEPTH {
            return Ok(());
        }
        let Some(properties) = types.get(name).and_then(properties_of) else {
            return Ok(());
        };
        for (property, schema) in properties {
            path.push(property.clone());
            let spec = |extra: Option<&str>| FieldSpec {
                kind: kind.to_owned(),
                path: path
                    .iter()
                    .map(String::as_str)
                    .chain(extra)
                    .collect::<Vec<_>>()
                    .join("/"),
                ..FieldSpec::default()
            };
            let text = |key: &str| schema.get(key).and_then(Value::as_str);
            if text("x-kubernetes-annotation").is_some() {
                merge_one(&mut self.common_annotations, &spec(None))?;
            }
            if text("x-kubernetes-label-selector").is_some() {
                merge_one(&mut self.common_labels, &spec(None))?;
            }
            if text("x-kubernetes-identity").is_some() {
                merge_one(&mut self.name_prefix, &spec(None))?;
            }
            if let (Some(version), Some(target)) = (
                text("x-kubernetes-object-ref-api-version"),
                text("x-kubernetes-object-ref-kind"),
            ) {
                let key = text("x-kubernetes-object-ref-name-key").unwrap_or("name");
                self.merge_references(&[NameReference {
                    group: String::new(),
                    version: version.to_owned(),
                    kind: target.to_owned(),
                    field_specs: vec![spec(Some(key))],
                }])?;
            }
            if let Some(reference) = text("$ref") {
                self.read_crd(types, reference, kind, path)?;
            }
            path.pop();
        }
        Ok(())
    }
}

fn properties_of(definition: &Value) -> Option<&serde_json::Map<String, Value>> {
    let schema = definition
        .as_object()?
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case("schema"));
    schema?.1.get("properties")?.as_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtin_lists_are_whole() {
        let config = Config::builtin();
        assert_eq!(config.common_labels.len(), 32);
        assert_eq!(config.template_labels.len(), 10);
        assert_eq!(config.var_reference.len(), 72);
        assert_eq!(config.name_reference.len(), 16);
        let referrers = config.name_reference.iter().map(|r| r.field_specs.len());
        assert!(referrers.min().is_some_and(|least| least > 0));
    }
}

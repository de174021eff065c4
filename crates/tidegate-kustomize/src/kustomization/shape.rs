//! The types of a kustomization's fields, and how JSON is brought into them: names in any case,
//! nulls as if absent, mistakes in the words of Go's decoder.

use serde_json::{Map, Value};
use tidegate_yaml::{Node, Span};

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Text,
    /// A text of a part that Go embeds: numbers stay numbers there, and are wrong.
    Inner,
    Bool,
    Int,
    /// Anything at all.
    Any,
    Texts,
    TextMap,
    Struct(&'static str, &'static [(&'static str, Shape)]),
    Structs(&'static str, &'static [(&'static str, Shape)]),
}

use Shape::{Any, Bool, Inner, Int, Struct, Structs, Text, TextMap, Texts};

const FIELD_SPEC: &[(&str, Shape)] = &[
    ("group", Inner),
    ("version", Inner),
    ("kind", Inner),
    ("path", Text),
    ("create", Bool),
];
/// As the two plugins read it that convert every text.
const OPEN_FIELD_SPEC: &[(&str, Shape)] = &[
    ("group", Text),
    ("version", Text),
    ("kind", Text),
    ("path", Text),
    ("create", Bool),
];
const SELECTOR: &[(&str, Shape)] = &[
    ("group", Inner),
    ("version", Inner),
    ("kind", Inner),
    ("name", Inner),
    ("namespace", Inner),
    ("annotationSelector", Text),
    ("labelSelector", Text),
];
const PATCH_OPTIONS: &[(&str, Shape)] = &[("allowNameChange", Bool), ("allowKindChange", Bool)];
const PATCH: &[(&str, Shape)] = &[
    ("path", Text),
    ("patch", Text),
    ("target", Struct("Selector", SELECTOR)),
    ("options", Struct("PatchArgs", PATCH_OPTIONS)),
];
const LABEL: &[(&str, Shape)] = &[
    ("pairs", TextMap),
    ("includeSelectors", Bool),
    ("includeTemplates", Bool),
    ("fields", Structs("FieldSpec", FIELD_SPEC)),
];
const IMAGE: &[(&str, Shape)] = &[
    ("name", Text),
    ("newName", Text),
    ("tagSuffix", Text),
    ("newTag", Text),
    ("digest", Text),
];
const REPLICA: &[(&str, Shape)] = &[("name", Text), ("count", Int)];
const FIELD_OPTIONS: &[(&str, Shape)] = &[
    ("delimiter", Text),
    ("index", Int),
    ("encoding", Text),
    ("create", Bool),
];
const SOURCE: &[(&str, Shape)] = &[
    ("group", Inner),
    ("version", Inner),
    ("kind", Inner),
    ("name", Inner),
    ("namespace", Inner),
    ("fieldPath", Text),
    ("options", Struct("FieldOptions", FIELD_OPTIONS)),
];
const TARGET: &[(&str, Shape)] = &[
    ("select", Struct("Selector", SELECTOR)),
    ("reject", Structs("Selector", SELECTOR)),
    ("fieldPaths", Texts),
    ("options", Struct("FieldOptions", FIELD_OPTIONS)),
];
const REPLACEMENT: &[(&str, Shape)] = &[
    ("source", Struct("SourceSelector", SOURCE)),
    ("targets", Structs("TargetSelector", TARGET)),
    ("sourceValue", Text),
    ("path", Text),
];
const OBJECT_REFERENCE: &[(&str, Shape)] = &[
    ("apiVersion", Text),
    ("group", Text),
    ("version", Text),
    ("kind", Text),
    ("name", Text),
    ("namespace", Text),
];
const VAR: &[(&str, Shape)] = &[
    ("name", Text),
    ("objref", Struct("Target", OBJECT_REFERENCE)),
    ("fieldref", Struct("FieldSelector", &[("fieldPath", Text)])),
];
const GENERATOR_OPTIONS: &[(&str, Shape)] = &[
    ("labels", TextMap),
    ("annotations", TextMap),
    ("disableNameSuffixHash", Bool),
    ("immutable", Bool),
];
const CONFIG_MAP: &[(&str, Shape)] = &[
    ("name", Text),
    ("namespace", Text),
    ("behavior", Text),
    ("literals", Texts),
    ("files", Texts),
    ("envs", Texts),
    ("env", Text),
    ("options", Struct("GeneratorOptions", GENERATOR_OPTIONS)),
];
const SECRET: &[(&str, Shape)] = &[
    ("name", Inner),
    ("namespace", Inner),
    ("behavior", Inner),
    ("literals", Texts),
    ("files", Texts),
    ("envs", Texts),
    ("env", Inner),
    ("options", Struct("GeneratorOptions", GENERATOR_OPTIONS)),
    ("type", Inner),
];
const NAME_REFERENCE: &[(&str, Shape)] = &[
    ("group", Inner),
    ("version", Inner),
    ("kind", Inner),
    ("fieldSpecs", Structs("FieldSpec", FIELD_SPEC)),
];
const CONFIG: &[(&str, Shape)] = &[
    ("namePrefix", Structs("FieldSpec", FIELD_SPEC)),
    ("nameSuffix", Structs("FieldSpec", FIELD_SPEC)),
    ("namespace", Structs("FieldSpec", FIELD_SPEC)),
    ("commonLabels", Structs("FieldSpec", FIELD_SPEC)),
    ("labels", Structs("FieldSpec", FIELD_SPEC)),
    ("templateLabels", Structs("FieldSpec", FIELD_SPEC)),
    ("commonAnnotations", Structs("FieldSpec", FIELD_SPEC)),
    (
        "nameReference",
        Structs("NameBackReferences", NAME_REFERENCE),
    ),
    ("varReference", Structs("FieldSpec", FIELD_SPEC)),
    ("images", Structs("FieldSpec", FIELD_SPEC)),
    ("replicas", Structs("FieldSpec", FIELD_SPEC)),
];
const METADATA: &[(&str, Shape)] = &[
    ("name", Text),
    ("namespace", Text),
    ("labels", TextMap),
    ("annotations", TextMap),
];
const SORT: &[(&str, Shape)] = &[
    ("order", Text),
    (
        "legacySortOptions",
        Struct(
            "LegacySortOptions",
            &[("orderFirst", Texts), ("orderLast", Texts)],
        ),
    ),
];
const KUSTOMIZATION: &[(&str, Shape)] = &[
    ("apiVersion", Text),
    ("kind", Text),
    ("metadata", Struct("ObjectMeta", METADATA)),
    ("openapi", TextMap),
    ("namePrefix", Text),
    ("nameSuffix", Text),
    ("namespace", Text),
    ("commonLabels", TextMap),
    ("labels", Structs("Label", LABEL)),
    ("commonAnnotations", TextMap),
    ("patchesStrategicMerge", Texts),
    ("patchesJson6902", Structs("Patch", PATCH)),
    ("patches", Structs("Patch", PATCH)),
    ("images", Structs("Image", IMAGE)),
    ("imageTags", Structs("Image", IMAGE)),
    ("replacements", Structs("ReplacementField", REPLACEMENT)),
    ("replicas", Structs("Replica", REPLICA)),
    ("vars", Structs("Var", VAR)),
    ("sortOptions", Struct("SortOptions", SORT)),
    ("resources", Texts),
    ("components", Texts),
    ("crds", Texts),
    ("bases", Texts),
    ("configMapGenerator", Structs("ConfigMapArgs", CONFIG_MAP)),
    ("secretGenerator", Structs("SecretArgs", SECRET)),
    ("helmGlobals", Any),
    ("helmCharts", Any),
    ("helmChartInflationGenerator", Any),
    (
        "generatorOptions",
        Struct("GeneratorOptions", GENERATOR_OPTIONS),
    ),
    ("configurations", Texts),
    ("generators", Texts),
    ("transformers", Texts),
    ("validators", Texts),
    ("buildMetadata", Texts),
];

impl Shape {
    pub(crate) const KUSTOMIZATION: Shape = Struct("Kustomization", KUSTOMIZATION);
    pub(crate) const CONFIG: Shape = Struct("TransformerConfig", CONFIG);
    pub(crate) const REPLACEMENT: Shape = Struct("Replacement", REPLACEMENT);
    pub(crate) const REPLACEMENTS: Shape = Structs("Replacement", REPLACEMENT);
    pub(crate) const GENERATOR: Shape = Struct("SecretArgs", SECRET);
    pub(crate) const PATCH: Shape = Struct("PatchTransformerPlugin", PATCH);
    pub(crate) const PATCHES: Shape = Struct(
        "PatchStrategicMergeTransformerPlugin",
        &[("paths", Texts), ("patches", Text)],
    );
    pub(crate) const JSON_PATCH: Shape = Struct(
        "PatchJson6902TransformerPlugin",
        &[
            ("path", Text),
            ("jsonOp", Text),
            ("target", Struct("Selector", SELECTOR)),
        ],
    );
    pub(crate) const NAMES: Shape = Struct(
        "PrefixTransformerPlugin",
        &[
            ("prefix", Text),
            ("suffix", Text),
            ("fieldSpecs", Structs("FieldSpec", OPEN_FIELD_SPEC)),
        ],
    );
    pub(crate) const TEXTS: Shape = Struct(
        "LabelTransformerPlugin",
        &[
            ("labels", TextMap),
            ("annotations", TextMap),
            ("fieldSpecs", Structs("FieldSpec", FIELD_SPEC)),
        ],
    );
    pub(crate) const NAMESPACE: Shape = Struct(
        "NamespaceTransformerPlugin",
        &[
            ("metadata", Struct("ObjectMeta", METADATA)),
            ("fieldSpecs", Structs("FieldSpec", FIELD_SPEC)),
            ("unsetOnly", Bool),
            ("setRoleBindingSubjects", Text),
        ],
    );
    pub(crate) const IMAGE: Shape = Struct(
        "ImageTagTransformerPlugin",
        &[
            ("imageTag", Struct("Image", IMAGE)),
            ("fieldSpecs", Structs("FieldSpec", FIELD_SPEC)),
        ],
    );
    pub(crate) const REPLICA: Shape = Struct(
        "ReplicaCountTransformerPlugin",
        &[
            ("replica", Struct("Replica", REPLICA)),
            ("fieldSpecs", Structs("FieldSpec", FIELD_SPEC)),
        ],
    );
    pub(crate) const REPLACER: Shape = Struct(
        "ReplacementTransformerPlugin",
        &[("replacements", Structs("ReplacementField", REPLACEMENT))],
    );
    pub(crate) const SERVICE_ACCOUNT: Shape = Struct(
        "IAMPolicyGeneratorPlugin",
        &[
            ("cloud", Inner),
            (
                "kubernetesService",
                Struct(
                    "KubernetesService",
                    &[("namespace", Inner), ("name", Inner)],
                ),
            ),
            (
                "serviceAccount",
                Struct("ServiceAccount", &[("name", Inner), ("projectId", Inner)]),
            ),
        ],
    );
    pub(crate) const VALUE_ADD: Shape = Struct(
        "ValueAddTransformerPlugin",
        &[
            ("value", Text),
            ("targetFilePath", Text),
            (
                "targets",
                Structs(
                    "Target",
                    &[
                        ("selector", Struct("Selector", SELECTOR)),
                        ("fieldPath", Text),
                        ("filePathPosition", Int),
                    ],
                ),
            ),
        ],
    );

    fn go_type(self) -> String {
        match self {
            Text | Inner => "string".to_owned(),
            Bool => "bool".to_owned(),
            Int => "int".to_owned(),
            Any => "interface {}".to_owned(),
            Texts => "[]string".to_owned(),
            TextMap => "map[string]string".to_owned(),
            Struct(name, _) => format!("types.{name}"),
            Structs(name, _) => format!("[]types.{name}"),
        }
    }
}

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) message: String,
    pub(crate) span: Span,
}

/// Brings a document into a shape; unknown fields are mistakes, and numbers are no texts.
pub(super) fn normalise(node: &Node, shape: Shape) -> Result<Value, Mistake> {
    let rules = Normaliser {
        strict: true,
        converts: false,
    };
    rules.value(node, shape, "", "")
}

/// As [`normalise`], ignoring unknown fields; numbers and booleans become texts where texts belong.
pub(super) fn normalise_leniently(node: &Node, shape: Shape) -> Result<Value, Mistake> {
    let rules = Normaliser {
        strict: false,
        converts: true,
    };
    rules.value(node, shape, "", "")
}

/// As [`normalise_leniently`], refusing unknown fields.
pub(super) fn normalise_strictly(node: &Node, shape: Shape) -> Result<Value, Mistake> {
    let rules = Normaliser {
        strict: true,
        converts: true,
    };
    rules.value(node, shape, "", "")
}

/// A number or boolean as the text that stands for it where a text belongs.
fn as_text(value: &tidegate_yaml::Value) -> Option<String> {
    match value {
        tidegate_yaml::Value::Bool(flag) => Some(flag.to_string()),
        tidegate_yaml::Value::Number(number) if number.is_f64() => {
            number.as_f64().map(crate::read::go_single_float)
        }
        tidegate_yaml::Value::Number(number) => Some(number.to_string()),
        tidegate_yaml::Value::Null
        | tidegate_yaml::Value::String(_)
        | tidegate_yaml::Value::Sequence(_)
        | tidegate_yaml::Value::Mapping(_) => None,
    }
}

/// What Go's decoder calls a kind of value.
pub(crate) fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

struct Normaliser {
    /// Unknown fields are mistakes.
    strict: bool,
    /// Numbers and booleans become texts where texts belong.
    converts: bool,
}

impl Normaliser {
    fn value(&self, node: &Node, shape: Shape, owner: &str, path: &str) -> Result<Value, Mistake> {
        let wrong = || Mistake {
            message: format!(
                "json: cannot unmarshal {} into Go {} of type {}",
                go_kind(&node.to_json()),
                if owner.is_empty() {
                    "value".to_owned()
                } else {
                    format!("struct field {owner}.{path}")
                },
                shape.go_type()
            ),
            span: node.span,
        };
        use tidegate_yaml::Value as Yaml;
        if self.converts
            && matches!(shape, Text)
            && let Some(text) = as_text(&node.value)
        {
            return Ok(Value::String(text));
        }
        match (shape, &node.value) {
            (_, Yaml::Null) => Ok(Value::Null),
            (Any, _) | (Text | Inner, Yaml::String(_)) | (Bool, Yaml::Bool(_)) => {
                Ok(node.to_json())
            }
            (Int, Yaml::Number(number)) if number.is_i64() => Ok(node.to_json()),
            (Texts, Yaml::Sequence(items)) => self.list(items, Text, owner, path),
            (TextMap, Yaml::Mapping(entries)) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let text = match self.value(value, Text, owner, path)? {
                        Value::Null => Value::String(String::new()),
                        text => text,
                    };
                    map.insert(key.text.to_string(), text);
                }
                Ok(Value::Object(map))
            }
            (Struct(name, fields), Yaml::Mapping(entries)) => {
                self.fields(entries, name, fields, path)
            }
            (Structs(name, fields), Yaml::Sequence(items)) => {
                self.list(items, Struct(name, fields), owner, path)
            }
            _ => Err(wrong()),
        }
    }

    fn list(
        &self,
        items: &[Node],
        shape: Shape,
        owner: &str,
        path: &str,
    ) -> Result<Value, Mistake> {
        let empty = match shape {
            Struct(..) => Value::Object(Map::new()),
            _ => Value::String(String::new()),
        };
        items
            .iter()
            .map(|item| {
                self.value(item, shape, owner, path).map(|value| {
                    if value.is_null() {
                        empty.clone()
                    } else {
                        value
                    }
                })
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array)
    }

    fn fields(
        &self,
        entries: &[(tidegate_yaml::Key, Node)],
        name: &str,
        fields: &[(&str, Shape)],
        path: &str,
    ) -> Result<Value, Mistake> {
        let mut map = Map::new();
        // Of names that differ in case only, the last in this order counts.
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_by(|(a, _), (b, _)| a.text.cmp(&b.text));
        for (key, value) in entries {
            let exact = fields.iter().find(|(field, _)| *field == &*key.text);
            let known = exact.or_else(|| {
                fields
                    .iter()
                    .find(|(field, _)| field.to_lowercase() == key.text.to_lowercase())
            });
            let Some((field, shape)) = known else {
                if self.strict {
                    return Err(Mistake {
                        message: format!("json: unknown field {:?}", key.text),
                        span: key.span,
                    });
                }
                continue;
            };
            let inner = if path.is_empty() {
                (*field).to_owned()
            } else {
                format!("{path}.{field}")
            };
            let value = self.value(value, *shape, name, &inner)?;
            if !value.is_null() {
                map.insert((*field).to_owned(), value);
            }
        }
        Ok(Value::Object(map))
    }
}

//! Which lists merge and by which keys: the part of an OpenAPI document that strategic merge asks.
//!
//! The built-in table holds the facts of Kubernetes 1.21.2, the version that Kustomize embeds; it is
//! read once. A custom document (`openapi.path`) replaces it, or joins it when it comes late. Knows
//! no values.
//!
//! Lines of the table: `T id` opens a type; `f name type` is a field, `l name type` a replaced list
//! of that element type, `m name type keys…` a merged list, `a * type` what every other key holds;
//! `K apiVersion type kinds…` says which type a kind is, `N type names…` which definitions are it.
//! `-` is a type without merged lists.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tidegate_yaml::ParseOptions;

const BUILTIN: &str = include_str!("../data/merge-keys.txt");
/// References followed before a chain of them counts as endless.
const MAX_REFERENCES: usize = 32;

const GROUP_VERSION_KIND: &str = "x-kubernetes-group-version-kind";
const STRATEGY: &str = "x-kubernetes-patch-strategy";
const MERGE_KEY: &str = "x-kubernetes-patch-merge-key";
const LIST_KEYS: &str = "x-kubernetes-list-map-keys";

/// A type table.
#[derive(Debug, Default)]
pub(crate) struct MergeSchema {
    types: Vec<Type>,
    kinds: HashMap<(String, String), TypeId>,
    /// Types of built-in definitions by name.
    names: HashMap<&'static str, u32>,
    /// Whether kinds live in namespaces, where the document says so.
    namespaced: HashMap<(String, String), bool>,
}

/// What a custom document does to the built-in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Nothing was asked of the built-in one, so it is never read.
    Alone,
    /// It was read before.
    Over,
    /// It is read after, because something was to be asked of it before.
    Under,
}

/// A type, or one that is known and merges no list.
type TypeId = Option<u32>;

#[derive(Clone, Debug, Default)]
struct Type {
    fields: HashMap<String, Field>,
    others: Option<Field>,
    /// Whether every field is listed, not only those that reach a merged list.
    complete: bool,
}

/// What is known of a field.
#[derive(Clone, Debug, Default)]
pub(crate) struct Field {
    list: bool,
    /// The keys of a merged list; none of them for a list of scalars.
    merge: Option<Vec<String>>,
    /// The type of the field, of the elements for a list.
    child: TypeId,
}

/// What is known at one place of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'s> {
    /// Nothing: an object with `apiVersion` and `kind` may begin here.
    Unknown,
    /// A value that is no list.
    Value(&'s MergeSchema, TypeId),
    /// A list.
    List(&'s MergeSchema, &'s Field),
}

impl<'s> Place<'s> {
    /// The place of a field.
    pub(crate) fn field(self, name: &str) -> Place<'s> {
        let Place::Value(schema, Some(id)) = self else {
            return Place::Unknown;
        };
        let Some(kind) = schema.types.get(id as usize) else {
            return Place::Unknown;
        };
        match kind.fields.get(name).or(kind.others.as_ref()) {
            Some(field) if field.list => Place::List(schema, field),
            Some(field) => Place::Value(schema, field.child),
            None if kind.complete => Place::Unknown,
            None => Place::Value(schema, None),
        }
    }

    /// The place of a list's elements.
    pub(crate) fn element(self) -> Place<'s> {
        match self {
            Place::List(schema, field) => Place::Value(schema, field.child),
            Place::Unknown | Place::Value(..) => Place::Unknown,
        }
    }

    /// The keys by which this list merges; `None` when it is replaced as a whole.
    pub(crate) fn merge_keys(self) -> Option<&'s [String]> {
        match self {
            Place::List(_, field) => field.merge.as_deref(),
            Place::Unknown | Place::Value(..) => None,
        }
    }

    /// Whether nothing is known here.
    pub(crate) fn is_unknown(self) -> bool {
        matches!(self, Place::Unknown)
    }
}

impl MergeSchema {
    /// The built-in table.
    pub(crate) fn builtin() -> &'static MergeSchema {
        static TABLE: OnceLock<MergeSchema> = OnceLock::new();
        TABLE.get_or_init(|| MergeSchema::from_table(BUILTIN))
    }

    /// Reads a custom OpenAPI document, JSON or YAML.
    ///
    /// # Errors
    /// Why the text is no such document.
    pub(crate) fn custom(text: &[u8], layer: Layer) -> Result<MergeSchema, String> {
        let node = tidegate_yaml::parse_first(text, &ParseOptions::default())
            .map_err(|errors| errors.to_string())?;
        let document = node.to_json();
        let Value::Object(document) = document else {
            return Err("it is no mapping with `definitions`".into());
        };
        Ok(Reader::read(&document, layer))
    }

    /// Whether the built-in document knows a kind.
    pub(crate) fn knows(&self, api_version: &str, kind: &str) -> bool {
        !self.root(api_version, kind).is_unknown()
    }

    /// Whether the document says of a kind that it lives outside namespaces.
    pub(crate) fn cluster_scoped(&self) -> impl Iterator<Item = (String, String)> {
        let outside = self.namespaced.iter().filter(|(_, inside)| !**inside);
        outside.map(|(key, _)| key.clone())
    }

    /// The place of an object of a kind.
    pub(crate) fn root(&self, api_version: &str, kind: &str) -> Place<'_> {
        if api_version.is_empty() || kind.is_empty() {
            return Place::Unknown;
        }
        let key = (api_version.to_owned(), kind.to_owned());
        self.kinds
            .get(&key)
            .map_or(Place::Unknown, |id| Place::Value(self, *id))
    }

    /// Reads the table; a line that is none is skipped, a test counts what was read.
    fn from_table(table: &'static str) -> MergeSchema {
        let mut schema = MergeSchema::default();
        for line in table.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["T", _] => schema.types.push(Type::default()),
                ["K", api_version, id, kinds @ ..] => {
                    let id = id.parse().ok();
                    for kind in kinds {
                        let key = ((*api_version).to_owned(), (*kind).to_owned());
                        schema.kinds.insert(key, id);
                    }
                }
                ["N", id, names @ ..] => {
                    if let Ok(id) = id.parse() {
                        schema.names.extend(names.iter().map(|name| (*name, id)));
                    }
                }
                [tag, name, child, keys @ ..] => {
                    let field = Field {
                        list: matches!(*tag, "l" | "m"),
                        merge: (*tag == "m")
                            .then(|| keys.iter().map(|key| (*key).to_owned()).collect()),
                        child: child.parse().ok(),
                    };
                    if let Some(last) = schema.types.last_mut() {
                        if *tag == "a" {
                            last.others = Some(field);
                        } else {
                            last.fields.insert((*name).to_owned(), field);
                        }
                    }
                }
                _ => {}
            }
        }
        schema
    }
}

/// A definition by its name.
enum Definition<'d> {
    Custom(&'d Value),
    Builtin(TypeId),
    Missing,
}

/// Where references lead to.
enum Resolved<'d> {
    Builtin(TypeId),
    Schema(Option<&'d str>, &'d Value),
}

/// Reads a whole OpenAPI document.
struct Reader<'d> {
    definitions: &'d Map<String, Value>,
    layer: Layer,
    /// The types of definitions, known before their fields are, so that they may refer to each other.
    ids: HashMap<&'d str, u32>,
    schema: MergeSchema,
}

impl<'d> Reader<'d> {
    fn read(document: &'d Map<String, Value>, layer: Layer) -> MergeSchema {
        let empty = Map::new();
        let definitions = document
            .get("definitions")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let mut reader = Reader {
            definitions,
            layer,
            ids: HashMap::new(),
            schema: MergeSchema::default(),
        };
        if layer != Layer::Alone {
            let builtin = MergeSchema::builtin();
            reader.schema.types.clone_from(&builtin.types);
            reader.schema.kinds.clone_from(&builtin.kinds);
        }
        for name in definitions.keys() {
            let id = reader.reserve();
            reader.ids.insert(name, id);
        }
        for (name, definition) in definitions {
            let Some(id) = reader.ids.get(name.as_str()).copied() else {
                continue;
            };
            reader.fill(id, definition);
            for key in kinds_of(definition) {
                let known = reader.schema.kinds.contains_key(&key);
                if layer != Layer::Under || !known {
                    reader.schema.kinds.insert(key, Some(id));
                }
            }
        }
        if let Some(paths) = document.get("paths").and_then(Value::as_object) {
            reader.read_paths(paths);
        }
        reader.schema
    }

    /// A kind with a path inside a namespace lives in one, whatever its other paths say.
    fn read_paths(&mut self, paths: &Map<String, Value>) {
        for (path, info) in paths {
            let kind = info.get("get").and_then(|get| get.get(GROUP_VERSION_KIND));
            let Some(key) = kind.and_then(kind_key) else {
                continue;
            };
            let inside = path.contains("namespaces/{namespace}");
            *self.schema.namespaced.entry(key).or_default() |= inside;
        }
    }

    /// The type of a definition, and what the document says of it.
    fn definition(&self, name: &str) -> Definition<'d> {
        let custom = self.definitions.get(name).map(Definition::Custom);
        let builtin = || {
            let known = MergeSchema::builtin().names.get(name).copied();
            let named = known.is_some() || name.starts_with("io.k8s.");
            (self.layer != Layer::Alone && named).then_some(Definition::Builtin(known))
        };
        let found = if self.layer == Layer::Under {
            builtin().or(custom)
        } else {
            custom.or_else(builtin)
        };
        found.unwrap_or(Definition::Missing)
    }

    fn reserve(&mut self) -> u32 {
        let id = u32::try_from(self.schema.types.len()).unwrap_or(u32::MAX);
        self.schema.types.push(Type::default());
        id
    }

    fn fill(&mut self, id: u32, definition: &'d Value) {
        let mut fields = HashMap::new();
        if let Some(properties) = definition.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                if let Some(field) = self.field(property) {
                    fields.insert(name.clone(), field);
                }
            }
        }
        let others = match definition.get("additionalProperties") {
            Some(value @ Value::Object(_)) => self.field(value),
            _ => None,
        };
        if let Some(slot) = self.schema.types.get_mut(id as usize) {
            *slot = Type {
                fields,
                others,
                complete: true,
            };
        }
    }

    /// Follows references; what stood beside a reference is lost, as in the original.
    fn resolve(&self, mut value: &'d Value) -> Option<Resolved<'d>> {
        let mut name = None;
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
                return Some(Resolved::Schema(name, value));
            };
            let last = reference.strip_prefix("#/definitions/")?;
            name = Some(last);
            value = match self.definition(last) {
                Definition::Custom(value) => value,
                Definition::Builtin(id) => return Some(Resolved::Builtin(id)),
                Definition::Missing => return None,
            };
        }
        None
    }

    fn field(&mut self, property: &'d Value) -> Option<Field> {
        let (name, value) = match self.resolve(property)? {
            Resolved::Builtin(child) => {
                return Some(Field {
                    child,
                    ..Field::default()
                });
            }
            Resolved::Schema(name, value) => (name, value),
        };
        if !is_array(value) {
            return Some(Field {
                child: Some(self.type_of(name, value)),
                ..Field::default()
            });
        }
        let child = value
            .get("items")
            .and_then(|items| self.resolve(items))
            .and_then(|items| match items {
                Resolved::Builtin(id) => id,
                Resolved::Schema(name, items) => Some(self.type_of(name, items)),
            });
        Some(Field {
            list: true,
            merge: merge_keys(value),
            child,
        })
    }

    /// The type of a resolved schema; depth is bounded by the parser's.
    fn type_of(&mut self, name: Option<&'d str>, value: &'d Value) -> u32 {
        if let Some(id) = name.and_then(|name| self.ids.get(name)) {
            return *id;
        }
        let id = self.reserve();
        self.fill(id, value);
        id
    }
}

fn is_array(value: &Value) -> bool {
    match value.get("type") {
        Some(Value::String(kind)) => kind == "array",
        Some(Value::Array(kinds)) => matches!(kinds.as_slice(), [Value::String(k)] if k == "array"),
        _ => false,
    }
}

fn merge_keys(value: &Value) -> Option<Vec<String>> {
    let strategy = value.get(STRATEGY)?.as_str()?;
    if !strategy.split(',').any(|part| part == "merge") {
        return None;
    }
    if let Some(keys) = value.get(LIST_KEYS).and_then(Value::as_array) {
        return Some(
            keys.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        );
    }
    let key = value.get(MERGE_KEY).and_then(Value::as_str);
    Some(key.map(str::to_owned).into_iter().collect())
}

fn kinds_of(definition: &Value) -> impl Iterator<Item = (String, String)> {
    let kinds = definition.get(GROUP_VERSION_KIND).and_then(Value::as_array);
    kinds.into_iter().flatten().filter_map(kind_key)
}

fn kind_key(value: &Value) -> Option<(String, String)> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let group = text("group").unwrap_or_default();
    let (version, kind) = (text("version")?, text("kind")?);
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    Some((api_version, kind.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys<'s>(schema: &'s MergeSchema, kind: (&str, &str), path: &str) -> Option<&'s [String]> {
        path.split('/')
            .fold(schema.root(kind.0, kind.1), |place, step| match step {
                "[]" => place.element(),
                step => place.field(step),
            })
            .merge_keys()
    }

    fn check(kind: (&str, &str), path: &str, expected: Option<&[&str]>) {
        let found = keys(MergeSchema::builtin(), kind, path);
        let found = found.map(|keys| keys.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expected, "{kind:?} {path}");
    }

    #[test]
    fn builtin_table_is_whole() {
        let schema = MergeSchema::builtin();
        assert_eq!(schema.types.len(), 44);
        let merged = schema.types.iter().flat_map(|t| t.fields.values());
        assert_eq!(merged.filter(|field| field.merge.is_some()).count(), 29);
        let last = u32::try_from(schema.types.len()).unwrap();
        let children = schema
            .types
            .iter()
            .flat_map(|t| t.fields.values().chain(&t.others))
            .map(|field| field.child)
            .chain(schema.kinds.values().copied());
        assert!(children.flatten().all(|id| id < last));
    }

    #[test]
    fn pods_merge_where_kubernetes_1_21_merged() {
        let deployment = ("apps/v1", "Deployment");
        let pod = "spec/template/spec";
        for (path, expected) in [
            ("containers", Some(["name"].as_slice())),
            ("containers/[]/env", Some(&["name"])),
            ("containers/[]/envFrom", None),
            ("containers/[]/ports", Some(&["containerPort", "protocol"])),
            ("containers/[]/args", None),
            ("volumes", Some(&["name"])),
            ("tolerations", None),
            ("hostAliases", Some(&["ip"])),
            (
                "topologySpreadConstraints",
                Some(&["topologyKey", "whenUnsatisfiable"]),
            ),
        ] {
            check(deployment, &format!("{pod}/{path}"), expected);
        }
        check(deployment, "metadata/finalizers", Some(&[]));
        check(("v1", "Service"), "spec/ports", Some(&["port", "protocol"]));
        check(("v1", "ServiceAccount"), "imagePullSecrets", None);
        check(
            ("batch/v1", "CronJob"),
            "spec/jobTemplate/spec/template/spec/initContainers",
            Some(&["name"]),
        );
        check(
            ("autoscaling/v2", "HorizontalPodAutoscaler"),
            "metadata/finalizers",
            None,
        );
        check(("example.com/v1", "Anything"), "spec/containers", None);
    }

    #[test]
    fn custom_documents_replace_it() {
        let schema = MergeSchema::custom(
            b"definitions:
  t.List: {type: array, items: {$ref: '#/definitions/t.Item'}, x-kubernetes-patch-strategy: merge, x-kubernetes-patch-merge-key: id}
  t.Item: {type: object, properties: {inner: {$ref: '#/definitions/t.List'}}}
  t.Loop: {$ref: '#/definitions/t.Loop'}
  t.Kind:
    properties: {spec: {properties: {items: {$ref: '#/definitions/t.List'}}}, loop: {$ref: '#/definitions/t.Loop'}}
    x-kubernetes-group-version-kind: [{group: t.example, version: v1, kind: Kind}]
paths:
  /apis/t.example/v1/kinds: {get: {x-kubernetes-group-version-kind: {group: t.example, version: v1, kind: Kind}}}
",
            Layer::Alone,
        )
        .unwrap();
        let kind = ("t.example/v1", "Kind");
        let id = vec!["id".to_owned()];
        assert_eq!(keys(&schema, kind, "spec/items"), Some(id.as_slice()));
        assert_eq!(
            keys(&schema, kind, "spec/items/[]/inner"),
            Some(id.as_slice())
        );
        assert!(schema.root("apps/v1", "Deployment").is_unknown());
        assert!(schema.root(kind.0, kind.1).field("loop").is_unknown());
        assert!(MergeSchema::custom(b"[]", Layer::Alone).is_err());
    }

    #[test]
    fn late_documents_join_the_builtin_one() {
        let text = b"definitions:
  t.Kind:
    properties: {spec: {$ref: '#/definitions/io.k8s.api.core.v1.PodSpec'}}
    x-kubernetes-group-version-kind: [{group: t.example, version: v1, kind: Kind}]
  io.k8s.api.core.v1.PodSpec:
    properties: {containers: {type: array, items: {}}}
paths:
  /apis/t.example/v1/kinds: {get: {x-kubernetes-group-version-kind: {group: t.example, version: v1, kind: Kind}}}
";
        let kind = ("t.example/v1", "Kind");
        let name = vec!["name".to_owned()];
        for (layer, expected) in [
            (Layer::Alone, None),
            (Layer::Over, None),
            (Layer::Under, Some(name.as_slice())),
        ] {
            let schema = MergeSchema::custom(text, layer).unwrap();
            assert_eq!(
                keys(&schema, kind, "spec/containers"),
                expected,
                "{layer:?}"
            );
            let knows = schema.knows("apps/v1", "Deployment");
            assert_eq!(knows, layer != Layer::Alone);
            let outside: Vec<_> = schema.cluster_scoped().collect();
            assert_eq!(outside, [(kind.0.to_owned(), kind.1.to_owned())]);
        }
    }
}

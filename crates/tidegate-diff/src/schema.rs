//! The type table: how the fields of an object merge, and what OpenAPI says about them. No values are walked here.
//!
//! Sources of the rules: the structured-merge-diff type system (scalar, list, map; atomic, set, map, granular) and
//! Kubernetes' OpenAPI extensions `x-kubernetes-list-type`, `-list-map-keys`, `-map-type`, `-patch-strategy`,
//! `-patch-merge-key`, `-preserve-unknown-fields`, `-embedded-resource`, `-int-or-string`.

mod builtin;
mod crd;
pub mod resources;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use serde_json::Value;

pub use crd::CrdError;

/// A string of the table: borrowed from the built-in data, owned for a CRD.
pub type Name = Cow<'static, str>;

/// The index of a type in its [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(u32);

/// What a scalar accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    Numeric,
    String,
    Boolean,
    /// Any scalar: quantities, times, int-or-string.
    Untyped,
}

/// The JSON side of a type, as OpenAPI writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonType {
    String {
        format: Option<Name>,
    },
    Integer {
        format: Option<Name>,
    },
    Number {
        format: Option<Name>,
    },
    Boolean,
    Array,
    Object,
    Quantity,
    IntOrString,
    /// `runtime.RawExtension`: an object of any kind, kept as one value.
    Raw,
    /// No type: whatever comes.
    Any,
}

/// How the items of a list relate to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListRelation {
    Atomic,
    /// Items are scalars, each its own key.
    Set,
    /// Items are objects, told apart by the list's keys.
    Map,
}

/// A list type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListType {
    pub element: TypeId,
    pub relation: ListRelation,
    pub keys: Vec<Name>,
    /// Whether OpenAPI states a list type (`atomic` is also what no statement means).
    pub declared: bool,
}

/// How the members of a map or struct relate to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapRelation {
    Atomic,
    Granular,
}

/// A map or struct type: known fields, and the type of all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapType {
    /// Sorted by name.
    pub fields: Vec<FieldType>,
    /// The type of unknown fields; `None` refuses them.
    pub element: Option<TypeId>,
    pub relation: MapRelation,
    /// Whether OpenAPI states a map type.
    pub declared: bool,
}

impl MapType {
    /// The declared field `name`.
    pub fn field(&self, name: &str) -> Option<&FieldType> {
        self.fields
            .binary_search_by(|f| f.name.as_ref().cmp(name))
            .ok()
            .map(|i| &self.fields[i])
    }

    /// The type of the member `name`, declared or not.
    pub fn member(&self, name: &str) -> Option<TypeId> {
        self.field(name).map(|f| f.ty).or(self.element)
    }
}

/// One field of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldType {
    pub name: Name,
    pub ty: TypeId,
    pub required: bool,
    pub default: Option<Value>,
    pub patch: PatchFacts,
}

/// `x-kubernetes-patch-strategy` and `-patch-merge-key` of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchFacts {
    pub merge: bool,
    pub retain_keys: bool,
    pub merge_key: Option<Name>,
}

/// One type: which of scalar, list and map it may be, and its JSON facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeNode {
    /// The component name, as in `io.k8s.api.core.v1.PodSpec`; inline types have none.
    pub name: Option<Name>,
    /// Set when the use of a named type overrides its map type; `name` is then the type's.
    pub overridden: bool,
    pub json: JsonType,
    pub scalar: Option<Scalar>,
    pub list: Option<ListType>,
    pub map: Option<MapType>,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve_unknown: bool,
    /// `nullable`.
    pub nullable: bool,
}

impl TypeNode {
    fn scalar(json: JsonType, scalar: Scalar) -> Self {
        Self {
            scalar: Some(scalar),
            ..Self::empty(json)
        }
    }

    fn empty(json: JsonType) -> Self {
        Self {
            name: None,
            overridden: false,
            json,
            scalar: None,
            list: None,
            map: None,
            embedded: false,
            preserve_unknown: false,
            nullable: false,
        }
    }

    /// The struct or map part.
    pub fn as_map(&self) -> Option<&MapType> {
        self.map.as_ref()
    }

    /// The list part.
    pub fn as_list(&self) -> Option<&ListType> {
        self.list.as_ref()
    }

    /// Whether values of this type are quantities.
    pub fn is_quantity(&self) -> bool {
        self.json == JsonType::Quantity
    }
}

/// An arena of types.
#[derive(Debug, Default, PartialEq)]
pub struct Schema {
    types: Vec<TypeNode>,
    by_name: HashMap<Name, TypeId>,
    /// By `group/version/kind`; the core group is empty.
    kinds: BTreeMap<String, TypeId>,
}

/// A type inside its schema: cheap to clone, what every operation takes.
#[derive(Debug, Clone)]
pub struct TypeRef {
    schema: Arc<Schema>,
    id: TypeId,
}

impl TypeRef {
    /// The schema that the type belongs to.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Its index there.
    pub fn id(&self) -> TypeId {
        self.id
    }

    /// The type's facts.
    pub fn node(&self) -> &TypeNode {
        self.schema.node(self.id)
    }

    /// Another type of the same schema.
    pub fn with(&self, id: TypeId) -> Self {
        Self {
            schema: Arc::clone(&self.schema),
            id,
        }
    }

    /// The type of the member `name` of this map or struct.
    pub fn member(&self, name: &str) -> Option<Self> {
        self.node()
            .map
            .as_ref()?
            .member(name)
            .map(|id| self.with(id))
    }

    /// The element type of this list, or of this map's undeclared members.
    pub fn element(&self) -> Option<Self> {
        let node = self.node();
        let id = node
            .list
            .as_ref()
            .map(|l| l.element)
            .or_else(|| node.map.as_ref()?.element)?;
        Some(self.with(id))
    }
}

impl Schema {
    /// The type of a built-in kind (`""` is the core group).
    pub fn builtin(group: &str, version: &str, kind: &str) -> Option<TypeRef> {
        let schema = Self::builtins();
        let id = schema.kind(group, version, kind)?;
        Some(TypeRef {
            schema: Arc::clone(schema),
            id,
        })
    }

    /// A built-in component by its OpenAPI name, as in `io.k8s.api.core.v1.PodSpec`.
    pub fn builtin_type(name: &str) -> Option<TypeRef> {
        let schema = Self::builtins();
        let id = schema.named(name)?;
        Some(TypeRef {
            schema: Arc::clone(schema),
            id,
        })
    }

    /// The whole built-in table, read once.
    pub fn builtins() -> &'static Arc<Self> {
        static TABLE: OnceLock<Arc<Schema>> = OnceLock::new();
        TABLE.get_or_init(|| Arc::new(builtin::read(builtin::DATA)))
    }

    /// The type of a kind without a schema: maps are granular, lists atomic.
    pub fn deduced() -> TypeRef {
        static DEDUCED: OnceLock<TypeRef> = OnceLock::new();
        DEDUCED
            .get_or_init(|| {
                let mut schema = Self::default();
                let common = schema.add_common();
                TypeRef {
                    schema: Arc::new(schema),
                    id: common.deduced,
                }
            })
            .clone()
    }

    /// The type of one version of a CustomResourceDefinition (`apiextensions.k8s.io/v1`).
    ///
    /// # Errors
    /// When the version is absent or its structural schema is malformed.
    pub fn from_crd(crd: &Value, version: &str) -> Result<TypeRef, CrdError> {
        crd::read(crd, version)
    }

    /// The facts of one type.
    pub fn node(&self, id: TypeId) -> &TypeNode {
        &self.types[id.0 as usize]
    }

    /// Every type, with its index.
    pub fn types(&self) -> impl Iterator<Item = (TypeId, &TypeNode)> {
        (0u32..).map(TypeId).zip(&self.types)
    }

    /// A type by component name.
    pub fn named(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// The type of a kind.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<TypeId> {
        self.kinds.get(&kind_key(group, version, kind)).copied()
    }

    /// Every kind as (group, version, kind, type), sorted.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, &str, &str, TypeId)> {
        self.kinds.iter().filter_map(|(key, id)| {
            let mut parts = key.rsplitn(3, '/');
            let (kind, version, group) = (parts.next()?, parts.next()?, parts.next()?);
            Some((group, version, kind, *id))
        })
    }

    fn add(&mut self, node: TypeNode) -> TypeId {
        let id = TypeId(
            u32::try_from(self.types.len())
                .expect("a schema document is far below 4 billion types"),
        );
        self.types.push(node);
        id
    }

    /// The two catch-all types: everything atomic, and maps granular with atomic lists.
    fn add_common(&mut self) -> CommonTypes {
        let atomic = self.add(TypeNode::empty(JsonType::Any));
        let deduced = self.add(TypeNode::empty(JsonType::Any));
        for (id, relation, element) in [
            (atomic, MapRelation::Atomic, atomic),
            (deduced, MapRelation::Granular, deduced),
        ] {
            let node = &mut self.types[id.0 as usize];
            node.scalar = Some(Scalar::Untyped);
            node.list = Some(ListType {
                element: atomic,
                relation: ListRelation::Atomic,
                keys: Vec::new(),
                declared: false,
            });
            node.map = Some(MapType {
                fields: Vec::new(),
                element: Some(element),
                relation,
                declared: false,
            });
            node.preserve_unknown = true;
        }
        CommonTypes { atomic, deduced }
    }

    /// Whether `map` is a catch-all without fields of its own: its members carry no atomicity.
    pub(crate) fn is_deduced_map(&self, map: &MapType) -> bool {
        let Some(element) = map.element else {
            return false;
        };
        let node = self.node(element);
        let atomic = node
            .map
            .as_ref()
            .is_some_and(|m| m.relation == MapRelation::Atomic);
        map.fields.is_empty()
            && node.name.is_none()
            && node.scalar == Some(Scalar::Untyped)
            && !atomic
    }
}

fn kind_key(group: &str, version: &str, kind: &str) -> String {
    format!("{group}/{version}/{kind}")
}

/// The catch-all types of one schema.
#[derive(Debug, Clone, Copy)]
struct CommonTypes {
    atomic: TypeId,
    deduced: TypeId,
}

//! Reads the built-in type table. The data file is ours and checked by a test; a bad line is skipped, never a panic.
//!
//! Lines: `P short prefix`; `T name expression` opens a type; `G group version kind` says it is that kind (`-` is the
//! core group); `F name flags expression [default as JSON]` is a field. Flags: `r` required, `m` patch strategy merge,
//! `k` retainKeys, `:key` merge key, `-` none. Expressions: `string[.format]`, `integer.format`, `number.format`,
//! `boolean`, `any`, `object`, `quantity`, `int-or-string`, `raw`, `struct`, `[relation]element`, `{relation}element`,
//! `@name`; `!atomic` or `!granular` after a reference, struct or object states the map type.

use std::borrow::Cow;

use super::{
    CommonTypes, FieldType, JsonType, ListRelation, ListType, MapRelation, MapType, Name,
    PatchFacts, Scalar, Schema, TypeId, TypeNode, kind_key,
};

pub(super) const DATA: &str = include_str!("../../data/builtin-schema.txt");

/// Lists nested in lists: no built-in type goes deeper than two.
const MAX_NESTING: u8 = 8;

pub(super) fn read(data: &'static str) -> Schema {
    let mut reader = Reader::new();
    reader.declare(data);
    reader.define(data);
    reader.schema
}

struct Reader {
    schema: Schema,
    common: CommonTypes,
    prefixes: Vec<(&'static str, &'static str)>,
}

impl Reader {
    fn new() -> Self {
        let mut schema = Schema::default();
        let common = schema.add_common();
        Self {
            schema,
            common,
            prefixes: Vec::new(),
        }
    }

    /// First pass: every named type gets its index, so that references may point forward.
    fn declare(&mut self, data: &'static str) {
        let mut current = None;
        for line in data.lines() {
            let (tag, rest) = line.split_once(' ').unwrap_or((line, ""));
            match tag {
                "P" => {
                    if let Some(pair) = rest.split_once(' ') {
                        self.prefixes.push(pair);
                    }
                }
                "T" => {
                    let (short, _) = rest.split_once(' ').unwrap_or((rest, ""));
                    let name = self.expand(short);
                    let mut node = TypeNode::empty(JsonType::Any);
                    node.name = Some(name.clone());
                    let id = self.schema.add(node);
                    self.schema.by_name.insert(name, id);
                    current = Some(id);
                }
                "G" => {
                    let mut words = rest.split(' ');
                    if let (Some(group), Some(version), Some(kind), Some(id)) =
                        (words.next(), words.next(), words.next(), current)
                    {
                        let group = if group == "-" { "" } else { group };
                        self.schema
                            .kinds
                            .entry(kind_key(group, version, kind))
                            .or_insert(id);
                    }
                }
                _ => {}
            }
        }
    }

    /// Second pass: what each type is. An override of a referenced type needs the type itself, so it comes last.
    fn define(&mut self, data: &'static str) {
        let mut current: Option<TypeId> = None;
        let mut overrides = Vec::new();
        for line in data.lines() {
            let (tag, rest) = line.split_once(' ').unwrap_or((line, ""));
            match tag {
                "T" => {
                    let (short, expression) = rest.split_once(' ').unwrap_or((rest, "any"));
                    let name = self.expand(short);
                    current = self.schema.named(&name);
                    if let Some(id) = current {
                        let mut node = self.node(expression, 0);
                        node.name = Some(name);
                        self.schema.types[id.0 as usize] = node;
                    }
                }
                "F" => {
                    if let Some((field, overridden)) = self.field(rest) {
                        let Some(owner) = current else { continue };
                        if let Some(relation) = overridden {
                            overrides.push((owner, field.name.clone(), relation));
                        }
                        if let Some(map) = &mut self.schema.types[owner.0 as usize].map {
                            map.fields.push(field);
                        }
                    }
                }
                _ => {}
            }
        }
        for (owner, field, relation) in overrides {
            self.override_relation(owner, &field, relation);
        }
    }

    fn override_relation(&mut self, owner: TypeId, field: &str, relation: MapRelation) {
        let Some(target) = self
            .schema
            .node(owner)
            .map
            .as_ref()
            .and_then(|m| m.field(field))
            .map(|f| f.ty)
        else {
            return;
        };
        let mut node = self.schema.node(target).clone();
        node.overridden = true;
        if let Some(map) = &mut node.map {
            map.relation = relation;
            map.declared = true;
        }
        let id = self.schema.add(node);
        let fields = self.schema.types[owner.0 as usize]
            .map
            .as_mut()
            .map(|m| &mut m.fields);
        if let Some(found) = fields.and_then(|fields| fields.iter_mut().find(|f| f.name == field)) {
            found.ty = id;
        }
    }

    fn field(&mut self, line: &'static str) -> Option<(FieldType, Option<MapRelation>)> {
        let mut words = line.splitn(4, ' ');
        let (name, flags, expression) = (words.next()?, words.next()?, words.next()?);
        let default = words
            .next()
            .and_then(|json| serde_json::from_str(json).ok());
        let (flags, merge_key) = match flags.split_once(':') {
            Some((flags, key)) => (flags, Some(Cow::Borrowed(key))),
            None => (flags, None),
        };
        let patch = PatchFacts {
            merge: flags.contains('m'),
            retain_keys: flags.contains('k'),
            merge_key,
        };
        let (ty, overridden) = self.reference(expression, 0);
        self.promote(ty, &patch);
        let field = FieldType {
            name: Cow::Borrowed(name),
            ty,
            required: flags.contains('r'),
            default,
            patch,
        };
        Some((field, overridden))
    }

    /// Without a list type, a merge patch strategy makes a list associative.
    fn promote(&mut self, ty: TypeId, patch: &PatchFacts) {
        let node = &mut self.schema.types[ty.0 as usize];
        if node.name.is_some() || !patch.merge {
            return;
        }
        if let Some(list) = node.list.as_mut().filter(|l| !l.declared) {
            match &patch.merge_key {
                Some(key) => {
                    list.relation = ListRelation::Map;
                    list.keys = vec![key.clone()];
                }
                None => list.relation = ListRelation::Set,
            }
        }
    }

    /// The type that an expression names, and the map type that its use states for a named one.
    fn reference(&mut self, expression: &'static str, depth: u8) -> (TypeId, Option<MapRelation>) {
        if let Some(name) = expression.strip_prefix('@') {
            let (short, relation) = split_relation(name);
            let name = self.expand(short);
            if name.ends_with(".pkg.runtime.RawExtension") {
                return (self.schema.named(&name).unwrap_or(self.common.atomic), None);
            }
            return (
                self.schema.named(&name).unwrap_or(self.common.deduced),
                relation,
            );
        }
        let node = self.node(expression, depth);
        (self.schema.add(node), None)
    }

    fn node(&mut self, expression: &'static str, depth: u8) -> TypeNode {
        if depth > MAX_NESTING {
            return self.catch_all(self.common.atomic, JsonType::Any);
        }
        if let Some((relation, element)) =
            expression.strip_prefix('[').and_then(|e| e.split_once(']'))
        {
            return self.list(relation, element, depth);
        }
        if let Some((relation, element)) =
            expression.strip_prefix('{').and_then(|e| e.split_once('}'))
        {
            let element = self.reference(element, depth + 1).0;
            return map_node(Vec::new(), Some(element), relation);
        }
        let (word, stated) = expression.split_once('!').unwrap_or((expression, ""));
        let (word, format) = match word.split_once('.') {
            Some((word, format)) => (word, Some(Cow::Borrowed(format))),
            None => (word, None),
        };
        match word {
            "string" => {
                let scalar = match format.as_deref() {
                    None | Some("byte") => Scalar::String,
                    Some(_) => Scalar::Untyped,
                };
                TypeNode::scalar(JsonType::String { format }, scalar)
            }
            "integer" => TypeNode::scalar(JsonType::Integer { format }, Scalar::Numeric),
            "number" => TypeNode::scalar(JsonType::Number { format }, Scalar::Numeric),
            "boolean" => TypeNode::scalar(JsonType::Boolean, Scalar::Boolean),
            "quantity" => TypeNode::scalar(JsonType::Quantity, Scalar::Untyped),
            "int-or-string" => self.catch_all(self.common.deduced, JsonType::IntOrString),
            "raw" => self.catch_all(self.common.atomic, JsonType::Raw),
            "object" => map_node(Vec::new(), Some(self.common.deduced), stated),
            "struct" => map_node(Vec::new(), None, stated),
            _ => self.catch_all(self.common.deduced, JsonType::Any),
        }
    }

    fn list(&mut self, relation: &'static str, element: &'static str, depth: u8) -> TypeNode {
        let element = self.reference(element, depth + 1).0;
        let (relation, keys) = relation.split_once(':').unwrap_or((relation, ""));
        let list = ListType {
            element,
            relation: match relation {
                "set" => ListRelation::Set,
                "map" => ListRelation::Map,
                _ => ListRelation::Atomic,
            },
            keys: keys
                .split(',')
                .filter(|k| !k.is_empty())
                .map(Cow::Borrowed)
                .collect(),
            declared: !relation.is_empty(),
        };
        TypeNode {
            list: Some(list),
            ..TypeNode::empty(JsonType::Array)
        }
    }

    /// A copy of a catch-all type with its own JSON facts.
    fn catch_all(&self, id: TypeId, json: JsonType) -> TypeNode {
        TypeNode {
            json,
            ..self.schema.node(id).clone()
        }
    }

    fn expand(&self, short: &'static str) -> Name {
        for (mark, prefix) in &self.prefixes {
            if let Some(rest) = short.strip_prefix(mark) {
                return Cow::Owned(format!("{prefix}{rest}"));
            }
        }
        Cow::Borrowed(short)
    }
}

fn map_node(fields: Vec<FieldType>, element: Option<TypeId>, stated: &str) -> TypeNode {
    let relation = relation_of(stated).unwrap_or(MapRelation::Granular);
    let map = MapType {
        fields,
        element,
        relation,
        declared: !stated.is_empty(),
    };
    TypeNode {
        map: Some(map),
        ..TypeNode::empty(JsonType::Object)
    }
}

fn split_relation(word: &'static str) -> (&'static str, Option<MapRelation>) {
    match word.split_once('!') {
        Some((name, stated)) => (name, relation_of(stated)),
        None => (word, None),
    }
}

fn relation_of(stated: &str) -> Option<MapRelation> {
    match stated {
        "atomic" => Some(MapRelation::Atomic),
        "granular" => Some(MapRelation::Granular),
        _ => None,
    }
}

//! Kubernetes' own Go types, as far as the wire shows them: JSON names, what is left out when empty, protobuf numbers.
//! Only the table; decoding JSON by it is in `gotypes/json.rs`, protobuf in `protobuf.rs`.
//!
//! The data file is written by `data/go-types.go` from the struct tags. Lines: `K group version kind type` (`-` is the core
//! group); `T type` opens a struct; `F name number flags expression` is a field (`-` for a name: the members of the inlined
//! struct; number 0: not in protobuf). Flags: `o` omitempty, `z` omitzero, `i` inline, `p` pointer, `-` none. Expressions:
//! `string[~Go name]`, `bool`, `int32`, `int64`, `float64`, `bytes`, `time`, `microtime`, `duration`, `quantity`, `intstr`,
//! `raw`, `fieldsv1`, `json`, `wrapped` (a list of strings in a message), `oneormany`, `oneorbool`, `oneorstrings` (a schema
//! or an alternative), `[element`, `{element`, `@type`, `any`.

pub(crate) mod json;

use std::collections::HashMap;
use std::sync::OnceLock;

const DATA: &str = include_str!("../data/go-types.txt");

/// The index of a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StructId(usize);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GoType {
    /// With the Go name of a named string type.
    String(Option<&'static str>),
    Bool,
    Int32,
    Int64,
    Float,
    Bytes,
    Time,
    MicroTime,
    Duration,
    Quantity,
    IntOrString,
    Raw,
    FieldsV1,
    Json,
    /// A named list of strings, which protobuf wraps in a message.
    Wrapped,
    /// A schema or a list of schemas.
    OneOrMany(StructId),
    /// A schema or a boolean.
    OneOrBool(StructId),
    /// A schema or a list of strings.
    OneOrStrings(StructId),
    List(Box<GoType>),
    Map(Box<GoType>),
    Struct(StructId),
    Any,
}

/// What JSON leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Omit {
    Never,
    /// Zero scalars, empty lists and maps, nil pointers; structs never.
    Empty,
    /// Also structs that are zero throughout.
    Zero,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Empty for the members of an inlined struct.
    pub(crate) name: &'static str,
    pub(crate) number: u32,
    pub(crate) omit: Omit,
    pub(crate) inline: bool,
    pub(crate) pointer: bool,
    pub(crate) ty: GoType,
}

#[derive(Clone, Debug)]
pub(crate) struct Struct {
    /// `core.v1.PodSpec`.
    pub(crate) name: &'static str,
    pub(crate) fields: Vec<Field>,
}

impl Struct {
    /// `PodSpec`.
    pub(crate) fn short(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    /// `v1.PodSpec`, as Go prints the type.
    pub(crate) fn printed(&self) -> &'static str {
        self.name
            .split_once('.')
            .map_or(self.name, |(_, rest)| rest)
    }
}

/// The whole table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    kinds: HashMap<(&'static str, &'static str, &'static str), StructId>,
    structs: Vec<Struct>,
}

impl Table {
    /// The table of this build.
    pub(crate) fn get() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| read(DATA))
    }

    pub(crate) fn kind(&self, group: &str, version: &str, kind: &str) -> Option<StructId> {
        // The keys live forever, the question does not: compare by value.
        self.kinds
            .get(&(group, version, kind) as &(&str, &str, &str))
            .copied()
    }

    pub(crate) fn at(&self, id: StructId) -> &Struct {
        &self.structs[id.0]
    }

    /// The field `name`, also of inlined structs.
    pub(crate) fn field(&self, id: StructId, name: &str) -> Option<&Field> {
        self.at(id)
            .fields
            .iter()
            .find_map(|field| match (&field.ty, field.inline) {
                (GoType::Struct(inner), true) => self.field(*inner, name),
                _ => (field.name == name).then_some(field),
            })
    }

    /// The inlined structs on the way to the field `name`, outermost first.
    pub(crate) fn inlined_into(&self, id: StructId, name: &str) -> Vec<&'static str> {
        for field in self.at(id).fields.iter().filter(|field| field.inline) {
            let GoType::Struct(inner) = field.ty else {
                continue;
            };
            if self.field(inner, name).is_some() {
                let mut path = vec![self.at(inner).short()];
                path.extend(self.inlined_into(inner, name));
                return path;
            }
        }
        Vec::new()
    }
}

/// Reads the data file. It is ours and checked by a test; a bad line is skipped, never a panic.
fn read(data: &'static str) -> Table {
    let mut table = Table::default();
    let mut ids: HashMap<&str, StructId> = HashMap::new();
    for name in data.lines().filter_map(|line| line.strip_prefix("T ")) {
        ids.insert(name, StructId(table.structs.len()));
        table.structs.push(Struct {
            name,
            fields: Vec::new(),
        });
    }
    let mut current = None;
    for line in data.lines() {
        let words: Vec<&'static str> = line.split(' ').collect();
        match words.as_slice() {
            ["K", group, version, kind, ty] => {
                let group = if *group == "-" { "" } else { group };
                if let Some(id) = ids.get(ty) {
                    table.kinds.insert((group, version, kind), *id);
                }
            }
            ["T", name] => current = ids.get(name).copied(),
            ["F", name, number, flags, expression] => {
                let (Some(StructId(at)), Some(ty)) = (current, parse(expression, &ids)) else {
                    continue;
                };
                table.structs[at].fields.push(Field {
                    name: if *name == "-" { "" } else { name },
                    number: number.parse().unwrap_or(0),
                    omit: match (flags.contains('z'), flags.contains('o')) {
                        (true, _) => Omit::Zero,
                        (false, true) => Omit::Empty,
                        (false, false) => Omit::Never,
                    },
                    inline: flags.contains('i') && *name == "-",
                    pointer: flags.contains('p'),
                    ty,
                });
            }
            _ => {}
        }
    }
    table
}

fn parse(text: &'static str, ids: &HashMap<&str, StructId>) -> Option<GoType> {
    if let Some(name) = text.strip_prefix('@') {
        return ids.get(name).map(|id| GoType::Struct(*id));
    }
    if let Some(element) = text.strip_prefix('[') {
        return Some(GoType::List(Box::new(parse(element, ids)?)));
    }
    if let Some(element) = text.strip_prefix('{') {
        return Some(GoType::Map(Box::new(parse(element, ids)?)));
    }
    if let Some((what, name)) = text.split_once('@') {
        let id = *ids.get(name)?;
        return match what {
            "oneormany" => Some(GoType::OneOrMany(id)),
            "oneorbool" => Some(GoType::OneOrBool(id)),
            "oneorstrings" => Some(GoType::OneOrStrings(id)),
            _ => None,
        };
    }
    let (base, name) = match text.split_once('~') {
        Some((base, name)) => (base, Some(name)),
        None => (text, None),
    };
    Some(match base {
        "string" => GoType::String(name),
        "bool" => GoType::Bool,
        "int32" => GoType::Int32,
        "int64" | "int" => GoType::Int64,
        "float64" => GoType::Float,
        "bytes" => GoType::Bytes,
        "time" => GoType::Time,
        "microtime" => GoType::MicroTime,
        "duration" => GoType::Duration,
        "quantity" => GoType::Quantity,
        "intstr" => GoType::IntOrString,
        "raw" => GoType::Raw,
        "fieldsv1" => GoType::FieldsV1,
        "json" => GoType::Json,
        "wrapped" => GoType::Wrapped,
        "any" => GoType::Any,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        let table = Table::get();
        let count = |tag: &str| DATA.lines().filter(|line| line.starts_with(tag)).count();
        assert_eq!(table.structs.len(), count("T "));
        assert_eq!(table.kinds.len(), count("K "));
        assert_eq!(
            table
                .structs
                .iter()
                .map(|one| one.fields.len())
                .sum::<usize>(),
            count("F ")
        );
        assert_eq!(
            DATA.lines().count(),
            count("T ") + count("K ") + count("F ")
        );
    }

    #[test]
    fn inlined_members_are_found() {
        let table = Table::get();
        let volume = table.kind("", "v1", "Pod").and_then(|pod| {
            let GoType::Struct(spec) = table.field(pod, "spec")?.ty else {
                return None;
            };
            let GoType::List(element) = &table.field(spec, "volumes")?.ty else {
                return None;
            };
            let GoType::Struct(volume) = **element else {
                return None;
            };
            table.field(volume, "configMap")
        });
        assert_eq!(volume.map(|field| field.number), Some(19));
    }
}

//! Field specs: which field of which kinds a transformer changes, and how it is found or made.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::field_path::split;
use crate::id::Gvk;
use crate::node::{MAX_PATH, Node, Scalar, Tag};
use crate::resource::Resource;

/// One entry of a list of field specs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct FieldSpec {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) path: String,
    pub(crate) create: bool,
    #[serde(skip)]
    pub(crate) parts: Parts,
}

/// The parts of a path, split when they are first needed. The path says it all, so they are equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(OnceLock<Vec<String>>);

impl PartialEq for Parts {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Parts {}

impl FieldSpec {
    fn parts(&self) -> &[String] {
        self.parts.0.get_or_init(|| split(&self.path, '/'))
    }

    pub(crate) fn gvk(&self) -> Gvk {
        Gvk {
            group: self.group.clone(),
            version: self.version.clone(),
            kind: self.kind.clone(),
        }
    }

    pub(crate) fn fits(&self, group: &str, version: &str, kind: &str) -> bool {
        let fits = |wanted: &str, own: &str| wanted.is_empty() || wanted == own;
        fits(&self.kind, kind) && fits(&self.group, group) && fits(&self.version, version)
    }
}

/// Adds a spec unless one for the same field is there.
///
/// # Errors
/// The one that is there differs in `create`.
pub(crate) fn merge_one(list: &mut Vec<FieldSpec>, new: &FieldSpec) -> Result<(), String> {
    let gvk = new.gvk();
    let same = list
        .iter()
        .find(|known| known.gvk().is_selected_by(&gvk) && known.path == new.path);
    match same {
        Some(known) if known.create != new.create => Err("conflicting fieldspecs".to_owned()),
        Some(_) => Ok(()),
        None => {
            list.push(new.clone());
            Ok(())
        }
    }
}

/// Adds many specs.
///
/// # Errors
/// As [`merge_one`].
pub(crate) fn merge_all(list: &mut Vec<FieldSpec>, new: &[FieldSpec]) -> Result<(), String> {
    new.iter().try_for_each(|spec| merge_one(list, spec))
}

/// What is made at the end of a path that asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    Nothing,
    Map,
    Scalar(Tag),
}

/// What happens to a field that was found.
pub(crate) type Setter<'f> = dyn FnMut(&mut Node) -> Result<(), String> + 'f;

impl FieldSpec {
    /// Calls `set` on the fields that the spec names in an object, when it is for its kind.
    ///
    /// # Errors
    /// Scalars in the middle of the path, and what `set` says.
    pub(crate) fn apply(
        &self,
        resource: &mut Resource,
        made: &Made,
        set: &mut Setter<'_>,
    ) -> Result<(), String> {
        let (group, version, kind) = resource.kind_parts();
        if self.fits(group, version, kind) {
            self.apply_to_any(resource, made, set)
        } else {
            Ok(())
        }
    }

    /// As [`FieldSpec::apply`], whatever the object's kind.
    ///
    /// # Errors
    /// As [`FieldSpec::apply`].
    pub(crate) fn apply_to_any(
        &self,
        resource: &mut Resource,
        made: &Made,
        set: &mut Setter<'_>,
    ) -> Result<(), String> {
        if self.parts().len() > MAX_PATH {
            return Err(format!("a field spec has more than {MAX_PATH} parts"));
        }
        let walk = Walk {
            create: self.create,
            made,
        };
        walk.visit(&mut resource.node, self.parts(), set)
            .map_err(|error| {
                format!(
                    "considering field '{}' of object {}: {error}",
                    self.path,
                    resource.id()
                )
            })
    }
}

struct Walk<'m> {
    create: bool,
    made: &'m Made,
}

impl Walk<'_> {
    fn visit(&self, node: &mut Node, path: &[String], set: &mut Setter<'_>) -> Result<(), String> {
        let Some((first, rest)) = path.split_first() else {
            return set(node);
        };
        if node.is_null() {
            return Ok(());
        }
        match node {
            Node::Seq(items) => items
                .iter_mut()
                .try_for_each(|item| self.visit(item, path, set)),
            Node::Map(_) => self.visit_field(node, first, rest, set),
            Node::Scalar(_) => Err("expected sequence or mapping node".to_owned()),
        }
    }

    fn visit_field(
        &self,
        node: &mut Node,
        part: &str,
        rest: &[String],
        set: &mut Setter<'_>,
    ) -> Result<(), String> {
        let (name, is_list) = match part.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (part, false),
        };
        if name.is_empty() {
            return Err("cannot set or create an empty field name".to_owned());
        }
        let is_position = name.bytes().all(|b| b.is_ascii_digit()) || name == "-";
        if is_position || (name.starts_with('[') && name.ends_with(']')) {
            let error = crate::field_path::wrong_kind(crate::field_path::Kind::Seq, node);
            return Err(format!("fieldName: {name}: {error}"));
        }
        if name == "*" {
            return Err(format!(
                "fieldName: {name}: wildcard is not supported in PathGetter"
            ));
        }
        let creates = self.create && *self.made != Made::Nothing && !is_list;
        let new = || match self.made {
            _ if !rest.is_empty() => Node::Map(Vec::new()),
            Made::Scalar(tag) => Node::Scalar(Scalar {
                text: "".into(),
                tag: *tag,
                ..Scalar::default()
            }),
            Made::Map | Made::Nothing => Node::Map(Vec::new()),
        };
        if creates && node.get(name).is_none() {
            node.insert(name, new());
        }
        let Some(field) = node.get_mut(name) else {
            return Ok(());
        };
        if field.is_null() {
            if creates {
                *field = new();
            } else if is_list {
                *field = Node::Seq(Vec::new());
            }
        }
        self.visit(field, rest, set)
    }
}

/// Sets a scalar; quotes that are there stay.
///
/// # Errors
/// The field is no scalar.
pub(crate) fn set_scalar(node: &mut Node, text: &str, tag: Tag) -> Result<(), String> {
    match node {
        Node::Scalar(scalar) => {
            scalar.text = text.into();
            scalar.tag = tag;
            Ok(())
        }
        other => Err(crate::field_path::wrong_kind(
            crate::field_path::Kind::Scalar,
            other,
        )),
    }
}

/// Sets an entry of a mapping to a text.
///
/// # Errors
/// The field is no mapping.
pub(crate) fn set_entry(node: &mut Node, key: &str, text: &str) -> Result<(), String> {
    if !node.is_map() {
        return Err(crate::field_path::wrong_kind(
            crate::field_path::Kind::Map,
            node,
        ));
    }
    match node.get_mut(key) {
        Some(value @ Node::Scalar(_)) => set_scalar(value, text, Tag::Str),
        Some(value) => {
            *value = Node::string(text);
            Ok(())
        }
        None => {
            let value = Node::Scalar(Scalar {
                text: text.into(),
                tag: Tag::Str,
                ..Scalar::default()
            });
            node.insert(key, value);
            Ok(())
        }
    }
}

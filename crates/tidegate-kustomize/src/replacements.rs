//! Replacements: a value of one object, or a fixed one, put into fields of others.

use crate::field_path::{Kind, lookup, lookup_mut, split_smart, visit};
use crate::id::{Gvk, ResId};
use crate::kustomization::{FieldOptions, Replacement, SourceSelector, TargetSelector};
use crate::node::{MAX_DEPTH, MAX_PATH, Node};
use crate::read;
use crate::resource::Resource;
use crate::selector::Matcher;

/// Most bytes that the replacements of one kustomization write.
const MAX_WRITTEN: usize = 64 << 20;
/// The field that stands where none is named.
const DEFAULT_FIELD: &str = "metadata.name";

/// Applies replacements in order.
///
/// # Errors
/// Sources and fields that are not there, and options that do not fit them.
pub(crate) fn apply(list: &mut [Resource], replacements: &[Replacement]) -> Result<(), String> {
    let mut written = 0;
    replacements.iter().try_for_each(|replacement| {
        let targets = match (
            &replacement.targets,
            &replacement.source,
            &replacement.source_value,
        ) {
            (None, ..) | (_, None, None) => {
                return Err("replacements must specify a source and at least one target".to_owned());
            }
            (Some(targets), ..) => targets,
        };
        let mut value = value_of(list, replacement)?;
        targets
            .iter()
            .try_for_each(|target| put(list, &mut value, target, &mut written))
    })
}

/// What is put into targets.
struct Value {
    node: Node,
    /// The object and the path of the field it is: a target that changes this field changes what
    /// later targets get.
    field: Option<(usize, Vec<String>)>,
}

impl Value {
    fn fixed(node: Node) -> Self {
        Self { node, field: None }
    }

    fn refresh(&mut self, list: &[Resource]) {
        if let Some((index, path)) = &self.field
            && let Some(source) = list.get(*index)
            && let Ok(Some(node)) = lookup(&source.node, path)
            && matches!(node, Node::Scalar(_))
            && *node != self.node
        {
            self.node = node.clone();
        }
    }
}

fn value_of(list: &[Resource], replacement: &Replacement) -> Result<Value, String> {
    let source = match (&replacement.source, &replacement.source_value) {
        (Some(_), Some(_)) => {
            return Err("value and resource selectors are mutually exclusive".to_owned());
        }
        (None, Some(value)) => return Ok(Value::fixed(Node::plain(value))),
        (None, None) => {
            return Err("replacements must specify a source and at least one target".to_owned());
        }
        (Some(source), None) => source,
    };
    let id = source_id(source);
    let mut matches = list
        .iter()
        .enumerate()
        .filter(|(_, resource)| resource.has_id(|other| other.is_selected_by(&id)));
    let (index, found) = match (matches.next(), matches.next()) {
        (Some(found), None) => found,
        (Some(_), Some(_)) => {
            return Err(format!(
                "multiple matches for selector {}",
                shown(source, &id)
            ));
        }
        (None, _) => return Err(format!("nothing selected by {}", shown(source, &id))),
    };
    let path = if source.field_path.is_empty() {
        DEFAULT_FIELD
    } else {
        &source.field_path
    };
    let path_parts = split_smart(path);
    let value = lookup(&found.node, &path_parts)
        .map_err(|error| format!("error looking up replacement source: {error}"))?;
    let Some(value) = value.filter(|value| !is_nothing(value)) else {
        return Err(format!(
            "fieldPath `{path}` is missing for replacement source {id}"
        ));
    };
    let node = refined(value, source.options.as_ref())?;
    let is_part = source
        .options
        .as_ref()
        .is_some_and(|options| !options.delimiter.is_empty());
    Ok(Value {
        node,
        field: (!is_part).then_some((index, path_parts)),
    })
}

fn is_nothing(node: &Node) -> bool {
    match node {
        Node::Scalar(_) => node.is_null(),
        Node::Seq(items) => items.is_empty(),
        Node::Map(entries) => entries.is_empty(),
    }
}

fn source_id(source: &SourceSelector) -> ResId {
    let gvk = Gvk {
        group: source.group.clone(),
        version: source.version.clone(),
        kind: source.kind.clone(),
    };
    ResId {
        gvk,
        name: source.name.clone(),
        namespace: source.namespace.clone(),
        cluster_scoped: false,
    }
}

fn shown(source: &SourceSelector, id: &ResId) -> String {
    let mut text = id.to_string();
    if !source.field_path.is_empty() {
        text = format!("{text}:{}", source.field_path);
    }
    match &source.options {
        Some(options) if !options.delimiter.is_empty() || options.create => format!(
            "{text}:{}({}), create={}",
            options.delimiter, options.index, options.create
        ),
        _ => text,
    }
}

fn refined(value: &Node, options: Option<&FieldOptions>) -> Result<Node, String> {
    let Some(options) = options.filter(|options| !options.delimiter.is_empty()) else {
        return Ok(value.clone());
    };
    let Node::Scalar(scalar) = value else {
        return Err("delimiter option can only be used with scalar nodes".to_owned());
    };
    let part = usize::try_from(options.index)
        .ok()
        .and_then(|index| scalar.text.split(&options.delimiter).nth(index));
    let Some(part) = part else {
        return Err(format!(
            "options.index {} is out of bounds for value {}",
            options.index, scalar.text
        ));
    };
    let mut scalar = scalar.clone();
    scalar.text = part.into();
    Ok(Node::Scalar(scalar))
}

fn put(
    list: &mut [Resource],
    value: &mut Value,
    target: &TargetSelector,
    written: &mut usize,
) -> Result<(), String> {
    let Some(select) = &target.select else {
        return Err("target must specify resources to select".to_owned());
    };
    let said = |error| format!("error creating target selector: {error}");
    let selects = Matcher::new(select).map_err(said)?;
    let rejects = target
        .reject
        .iter()
        .map(Matcher::new)
        .collect::<Result<Vec<_>, _>>()
        .map_err(said)?;
    for index in 0..list.len() {
        let resource = &list[index];
        let ids = resource.all_ids();
        let rejected = rejects.iter().any(|reject| {
            (reject.asks_texts() && reject.texts(resource))
                || (!reject.is_unnamed() && ids.iter().any(|id| reject.id(id)))
        });
        if selects.texts(resource) && !rejected && ids.iter().any(|id| selects.id(id)) {
            put_into(list, index, value, target, written)?;
            // Who writes all annotations anew writes over the build's own.
            let replaces = |path: &String| path == "metadata.annotations" || path == "metadata";
            if target.field_paths.iter().any(replaces) {
                list[index].forget();
            }
        }
    }
    Ok(())
}

fn put_into(
    list: &mut [Resource],
    index: usize,
    value: &mut Value,
    target: &TargetSelector,
    written: &mut usize,
) -> Result<(), String> {
    let default = [DEFAULT_FIELD.to_owned()];
    let paths = if target.field_paths.is_empty() {
        &default[..]
    } else {
        &target.field_paths
    };
    let options = target.options.as_ref();
    let create = options
        .filter(|options| options.create)
        .map(|_| Kind::of(&value.node));
    for path in paths {
        value.refresh(list);
        let value = &value.node;
        let object = &mut list[index].node;
        let parts = split_smart(path);
        let (bytes, depth) = value.weight();
        if parts.len() > MAX_PATH || depth > MAX_DEPTH {
            return Err(format!(
                "a replacement reaches deeper than {MAX_PATH} fields, or holds a value deeper than {MAX_DEPTH}"
            ));
        }
        let mut fits = || {
            *written += bytes;
            if *written > MAX_WRITTEN {
                return Err(format!("replacements write more than {MAX_WRITTEN} bytes"));
            }
            Ok(())
        };
        if put_into_text(object, value, &parts, create).is_some() {
            continue;
        }
        let failed = || {
            let or_create = if create.is_some() { " or create" } else { "" };
            format!("unable to find{or_create} field {path:?} in replacement target")
        };
        let mut refused = None;
        let count = visit(object, &parts, create, &mut |field| {
            fits()
                .and_then(|()| set(field, value, options))
                .inspect_err(|error| refused = Some(error.clone()))
        });
        match (count, refused) {
            (_, Some(error)) => return Err(error),
            (Err(error), None) => return Err(format!("{}: {error}", failed())),
            (Ok(0), None) => return Err(failed()),
            (Ok(_), None) => {}
        }
    }
    Ok(())
}

fn set(field: &mut Node, value: &Node, options: Option<&FieldOptions>) -> Result<(), String> {
    if let Some(options) = options.filter(|options| !options.delimiter.is_empty()) {
        let Some(text) = field.text() else {
            return Err("delimiter option can only be used with scalar nodes".to_owned());
        };
        let new = value.text().unwrap_or_default().to_owned();
        let mut parts: Vec<&str> = text.split(&options.delimiter).collect();
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, &new),
            Ok(index) => match parts.get_mut(index) {
                Some(part) => *part = &new,
                None => parts.push(&new),
            },
        }
        let joined = parts.join(&options.delimiter);
        if let Node::Scalar(scalar) = field {
            scalar.text = joined.into();
        }
        return Ok(());
    }
    set_value(field, value.clone());
    Ok(())
}

/// A scalar takes the text only, and keeps its type; anything else is replaced.
fn set_value(field: &mut Node, value: Node) {
    match field {
        Node::Scalar(scalar) => {
            scalar.text = value.text().unwrap_or_default().into();
        }
        other => *other = value,
    }
}

/// Sets a value inside a text that holds JSON or YAML; `None` when the path leads into none.
fn put_into_text(
    object: &mut Node,
    value: &Node,
    parts: &[String],
    create: Option<Kind>,
) -> Option<()> {
    let split = (1..parts.len()).find(|end| {
        matches!(lookup(object, &parts[..*end]), Ok(Some(node @ Node::Scalar(_)))
            if read::text_as_node(node.text().unwrap_or_default()).is_ok())
    })?;
    let (outer, inner) = parts.split_at(split);
    let field = lookup_mut(object, outer).ok()??;
    let text = field.text()?.to_owned();
    let mut document = read::text_as_node(&text).ok()?;
    let count = visit(&mut document, inner, create, &mut |found| {
        set_value(found, value.clone());
        Ok(())
    })
    .ok()?;
    if count == 0 {
        return None;
    }
    let written = written(&document, &text)?;
    if let Node::Scalar(scalar) = field {
        scalar.text = written.into();
    }
    Some(())
}

/// The document in the form it had: compact or indented JSON, or YAML.
fn written(document: &Node, before: &str) -> Option<String> {
    if !before.trim_start().starts_with(['{', '[']) {
        return Some(crate::block_yaml::to_string(document).trim().to_owned());
    }
    let json = read::to_json(document).ok()?;
    let indented = before.contains('\n') && before.contains("  ");
    Some(crate::go_json::to_string(&json, indented))
}

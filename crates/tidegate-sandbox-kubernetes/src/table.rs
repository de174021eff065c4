//! Tables: what `kubectl get` prints, column by column (spec kubernetes.md B10, the server's printers).
//! Here is the frame of a table; columns of built-in kinds are in `table/columns.rs`, of custom ones in `table/custom.rs`.

mod age;
mod cluster;
mod columns;
mod custom;
mod jsonpath;
mod network;
mod pod;
mod row;
mod storage;
mod workloads;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::http::respond;
use crate::object;
use crate::resource::{Resource, Version};
use columns::Printer;
use custom::Column;
use row::Row;

/// What a table is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) version: &'a Version,
    /// `v1` or `v1beta1`.
    pub(crate) form: &'static str,
    /// The `includeObject` parameter.
    pub(crate) include: &'a str,
    pub(crate) now: Timestamp,
}

/// The values that `includeObject` may have; none means `Metadata`.
pub(crate) const INCLUDES: [&str; 4] = ["", "Metadata", "None", "Object"];

/// The table of one object (or of one watch event).
pub(crate) fn of_object(request: &Request<'_>, objects: &[&Value]) -> Value {
    let metadata = match objects {
        [object] => json!({"resourceVersion": object::meta(object, "resourceVersion")}),
        _ => json!({}),
    };
    of_list(request, metadata, objects)
}

/// The table of a list with the list's metadata.
pub(crate) fn of_list(request: &Request<'_>, metadata: Value, objects: &[&Value]) -> Value {
    table(request, metadata, objects, &Layout::of(request))
}

/// The table of a Scale; the resource is the one that is scaled.
pub(crate) fn of_scale(request: &Request<'_>, scale: &Value) -> Value {
    let metadata = json!({"resourceVersion": object::meta(scale, "resourceVersion")});
    table(
        request,
        metadata,
        &[scale],
        &Layout::Builtin(&columns::SCALE),
    )
}

fn table(request: &Request<'_>, metadata: Value, objects: &[&Value], layout: &Layout) -> Value {
    let mut objects = objects.to_vec();
    if request
        .resource
        .is("flowcontrol.apiserver.k8s.io", "flowschemas")
    {
        // The one kind that is not listed by name.
        objects.sort_by_key(|object| {
            object
                .pointer("/spec/matchingPrecedence")
                .and_then(Value::as_i64)
        });
    }
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| row(request, object, layout))
        .collect();
    let mut table = json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{}", request.form),
    });
    table["metadata"] = metadata;
    table["columnDefinitions"] = Value::Array(layout.definitions());
    table["rows"] = Value::Array(rows);
    table
}

/// How the objects of a resource become rows.
enum Layout {
    Builtin(&'static Printer),
    Custom(Vec<Column>),
}

impl Layout {
    fn of(request: &Request<'_>) -> Self {
        match &request.version.custom {
            Some(custom) => Self::Custom(custom::columns(&custom.columns)),
            None => {
                let name = &request.resource.name;
                Self::Builtin(columns::printer(name.group(), name.resource()))
            }
        }
    }

    fn definitions(&self) -> Vec<Value> {
        match self {
            Self::Builtin(printer) => printer.columns.split(", ").map(declared).collect(),
            Self::Custom(columns) => {
                let mut all = vec![column("Name", "string", "name")];
                all.extend(columns.iter().map(|column| column.definition.clone()));
                all
            }
        }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match self {
            Self::Builtin(printer) => (printer.cells)(&Row { object, now }),
            Self::Custom(columns) => {
                let mut cells = vec![json!(object::name(object))];
                cells.extend(columns.iter().map(|column| column.cell(object, now)));
                cells
            }
        }
    }
}

/// A column from its short form in `columns.rs`.
fn declared(text: &str) -> Value {
    let (name, kind) = text.split_once(':').unwrap_or((text, "string"));
    let wide = kind.ends_with('*');
    let kind = kind.trim_end_matches('*');
    let (kind, format) = kind.split_once('.').unwrap_or((kind, ""));
    let mut column = column(name, kind, format);
    column["priority"] = json!(i32::from(wide));
    column
}

fn column(name: &str, kind: &str, format: &str) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": "", "priority": 0})
}

fn row(request: &Request<'_>, object: &Value, layout: &Layout) -> Value {
    let shown = match request.include {
        "None" => Value::Null,
        "Object" => object.clone(),
        _ => respond::partial(object, request.form),
    };
    let mut row = json!({"cells": layout.cells(object, request.now)});
    if request.resource.is("", "pods")
        && let Some(conditions) = pod::conditions(object)
    {
        row["conditions"] = conditions;
    }
    row["object"] = shown;
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_become_columns() {
        let expected = json!({"name": "Node Selector", "type": "string", "format": "", "description": "", "priority": 1});
        assert_eq!(declared("Node Selector:string*"), expected);
        assert_eq!(declared("Name:string.name")["format"], "name");
    }
}

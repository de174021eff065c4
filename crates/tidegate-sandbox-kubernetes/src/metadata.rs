//! Checks of `metadata` that hold for every kind: names, labels, annotations, owners, finalizers.
//! The texts are those of apimachinery's validation.

use serde_json::{Map, Value, json};

use crate::object;
use crate::resource::Resource;
use crate::status::Cause;

/// All annotations of an object together, in bytes.
const MAX_ANNOTATIONS: usize = 256 << 10;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const QUALIFIED: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";

/// Whether the metadata has the JSON types that decoding needs; the message is Go's.
pub(crate) fn check_shape(body: &Value) -> Result<(), String> {
    let Some(metadata) = body.get("metadata").filter(|value| !value.is_null()) else {
        return Ok(());
    };
    let Some(map) = metadata.as_object() else {
        return Err(format!(
            "json: cannot unmarshal {} into Go value of type v1.ObjectMeta",
            kind_of(metadata)
        ));
    };
    for field in [
        "name",
        "namespace",
        "generateName",
        "uid",
        "resourceVersion",
    ] {
        if let Some(value) = map
            .get(field)
            .filter(|value| !value.is_string() && !value.is_null())
        {
            return Err(unmarshal(value, &format!("ObjectMeta.{field}"), "string"));
        }
    }
    for field in ["labels", "annotations"] {
        let Some(value) = map.get(field).filter(|value| !value.is_null()) else {
            continue;
        };
        let path = format!("ObjectMeta.{field}");
        let Some(entries) = value.as_object() else {
            return Err(unmarshal(value, &path, "map[string]string"));
        };
        if let Some(bad) = entries
            .values()
            .find(|value| !value.is_string() && !value.is_null())
        {
            return Err(unmarshal(bad, &path, "string"));
        }
    }
    for (field, what) in [
        ("finalizers", "[]string"),
        ("ownerReferences", "[]v1.OwnerReference"),
    ] {
        if let Some(value) = map
            .get(field)
            .filter(|value| !value.is_array() && !value.is_null())
        {
            return Err(unmarshal(value, &format!("ObjectMeta.{field}"), what));
        }
    }
    Ok(())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn unmarshal(value: &Value, field: &str, wanted: &str) -> String {
    let have = kind_of(value);
    format!("json: cannot unmarshal {have} into Go struct field {field} of type {wanted}")
}

/// The refusals of an object's metadata.
pub(crate) fn check(resource: &Resource, object: &Value) -> Vec<Cause> {
    let empty = Map::new();
    let metadata = object::metadata(object).unwrap_or(&empty);
    let mut causes = Vec::new();
    check_name(resource, object, &mut causes);
    if resource.namespaced && object::namespace(object).is_empty() {
        causes.push(Cause::required("metadata.namespace", ""));
    }
    if let Some(labels) = metadata.get("labels").and_then(Value::as_object) {
        check_labels(labels, "metadata.labels", &mut causes);
    }
    if let Some(annotations) = metadata.get("annotations").and_then(Value::as_object) {
        check_annotations(annotations, &mut causes);
    }
    if let Some(owners) = metadata.get("ownerReferences").and_then(Value::as_array) {
        check_owners(owners, &mut causes);
    }
    check_finalizers(resource, object, &mut causes);
    causes
}

fn check_name(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let name = object::name(object);
    let prefix = object::meta(object, "generateName");
    if !prefix.is_empty() {
        // A prefix may end in a hyphen: something follows.
        let whole = match prefix.strip_suffix('-') {
            Some(rest) => format!("{rest}a"),
            None => prefix.to_owned(),
        };
        if let Some(why) = name_problem(resource, &whole) {
            causes.push(Cause::invalid(
                "metadata.generateName",
                &json!(prefix),
                &why,
            ));
        }
    }
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
        return;
    }
    if let Some(why) = name_problem(resource, name) {
        causes.push(Cause::invalid("metadata.name", &json!(name), &why));
    }
}

fn name_problem(resource: &Resource, name: &str) -> Option<String> {
    match name_rule(resource) {
        NameRule::Subdomain => subdomain(name),
        NameRule::Label => dns_label(name),
        NameRule::PathSegment => path_segment(name),
    }
}

enum NameRule {
    Subdomain,
    Label,
    PathSegment,
}

fn name_rule(resource: &Resource) -> NameRule {
    match (resource.name.group(), resource.name.resource()) {
        ("", "namespaces") => NameRule::Label,
        ("", "services") | ("apps", "statefulsets") => NameRule::Label,
        ("rbac.authorization.k8s.io", _) | ("networking.k8s.io", "ipaddresses") => {
            NameRule::PathSegment
        }
        _ => NameRule::Subdomain,
    }
}

fn check_labels(labels: &Map<String, Value>, path: &str, causes: &mut Vec<Cause>) {
    for (key, value) in labels {
        if let Some(why) = qualified(key) {
            causes.push(Cause::invalid(path, &json!(key), &why));
        }
        if let Some(why) = value.as_str().and_then(label_value) {
            causes.push(Cause::invalid(path, value, &why));
        }
    }
}

fn check_annotations(annotations: &Map<String, Value>, causes: &mut Vec<Cause>) {
    let mut total = 0;
    for (key, value) in annotations {
        if let Some(why) = qualified(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &json!(key), &why));
        }
        total += key.len() + value.as_str().map_or(0, str::len);
    }
    if total > MAX_ANNOTATIONS {
        let message = format!("Too long: may not be more than {MAX_ANNOTATIONS} bytes");
        causes.push(Cause::new(
            "FieldValueTooLong",
            "metadata.annotations",
            message,
        ));
    }
}

fn check_owners(owners: &[Value], causes: &mut Vec<Cause>) {
    let mut controllers = Vec::new();
    for owner in owners {
        let path = "metadata.ownerReferences";
        let required = [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ];
        for (field, why) in required {
            if object::text(owner, &[field]).is_empty() {
                let value = owner.get(field).cloned().unwrap_or_else(|| json!(""));
                causes.push(Cause::invalid(format!("{path}.{field}"), &value, why));
            }
        }
        if owner.get("controller") == Some(&json!(true)) {
            controllers.push(object::text(owner, &["kind"]));
        }
    }
    if controllers.len() > 1 {
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            controllers[0], controllers[1]
        );
        let shown = Value::Array(owners.to_vec());
        causes.push(Cause::invalid("metadata.ownerReferences", &shown, &why));
    }
}

/// Finalizers without a domain that Kubernetes knows.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "foregroundDeletion", "orphan"];

fn check_finalizers(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let finalizers = object::finalizers(object);
    for finalizer in &finalizers {
        if let Some(why) = qualified(finalizer) {
            causes.push(Cause::invalid(
                "metadata.finalizers",
                &json!(finalizer),
                &why,
            ));
        }
    }
    // The servers for extensions do without this check.
    let strict = !resource.is_custom()
        && !["apiextensions.k8s.io", "apiregistration.k8s.io"].contains(&resource.name.group());
    for (index, finalizer) in finalizers.iter().enumerate().filter(|_| strict) {
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            let path = format!("metadata.finalizers[{index}]");
            causes.push(Cause::invalid(path, &json!(finalizer), why));
        }
    }
    let both = ["orphan", "foregroundDeletion"]
        .iter()
        .all(|name| finalizers.contains(name));
    if both {
        let shown = json!(finalizers);
        let why = "finalizer orphan and foregroundDeletion cannot be both set";
        causes.push(Cause::invalid("metadata.finalizers", &shown, why));
    }
}

/// The refusals of a change of metadata.
pub(crate) fn check_change(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in [
        "name",
        "namespace",
        "uid",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        let read = |object: &Value| {
            object::metadata(object)
                .and_then(|meta| meta.get(field))
                .cloned()
                .unwrap_or(Value::Null)
        };
        let (before, after) = (read(old), read(new));
        if before != after {
            causes.push(Cause::invalid(
                format!("metadata.{field}"),
                &after,
                "field is immutable",
            ));
        }
    }
    if object::is_deleting(old) {
        let had = object::finalizers(old);
        let added: Vec<&str> = object::finalizers(new)
            .into_iter()
            .filter(|name| !had.contains(name))
            .collect();
        if !added.is_empty() {
            let list = added
                .iter()
                .map(|name| format!("{name:?}"))
                .collect::<Vec<_>>()
                .join(", ");
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}"
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    causes
}

fn inner(text: &str, edge: impl Fn(u8) -> bool, middle: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            edge(*first) && edge(*last) && bytes.iter().all(|b| edge(*b) || middle(*b))
        }
        _ => false,
    }
}

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    inner(text, lower, |byte| byte == b'-')
}

/// Why `text` is no RFC 1123 subdomain.
pub(crate) fn subdomain(text: &str) -> Option<String> {
    let mut whys = Vec::new();
    if text.len() > 253 {
        whys.push("must be no more than 253 characters".to_owned());
    }
    if !text.split('.').all(is_label) {
        whys.push(SUBDOMAIN.to_owned());
    }
    joined(&whys)
}

/// Why `text` is no RFC 1123 label.
pub(crate) fn dns_label(text: &str) -> Option<String> {
    let dotted = !is_label(text) && subdomain(text).is_none();
    label_like(
        text,
        is_label(text),
        if dotted {
            "must not contain dots"
        } else {
            LABEL
        },
    )
}

/// Why `text` is no RFC 1035 label.
pub(crate) fn dns_label_1035(text: &str) -> Option<String> {
    let good = is_label(text) && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    label_like(text, good, LABEL_1035)
}

fn label_like(text: &str, good: bool, rule: &str) -> Option<String> {
    let mut whys = Vec::new();
    if text.len() > 63 {
        whys.push("must be no more than 63 characters".to_owned());
    }
    if !good {
        whys.push(rule.to_owned());
    }
    joined(&whys)
}

fn path_segment(text: &str) -> Option<String> {
    if text == "." || text == ".." {
        return Some(format!("may not be '{text}'"));
    }
    let bad: Vec<String> = ["/", "%"]
        .iter()
        .filter(|part| text.contains(**part))
        .map(|part| format!("may not contain '{part}'"))
        .collect();
    joined(&bad)
}

/// Why `text` is no label value.
pub(crate) fn label_value(text: &str) -> Option<String> {
    let mut whys = Vec::new();
    if text.len() > 63 {
        whys.push("must be no more than 63 bytes".to_owned());
    }
    if !text.is_empty() && !is_name_part(text) {
        whys.push(LABEL_VALUE.to_owned());
    }
    joined(&whys)
}

fn is_name_part(text: &str) -> bool {
    inner(
        text,
        |byte| byte.is_ascii_alphanumeric(),
        |byte| b"-_.".contains(&byte),
    )
}

/// Why `text` is no qualified name (`[PREFIX/]NAME`).
pub(crate) fn qualified(text: &str) -> Option<String> {
    let mut whys = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                whys.push("prefix part must be non-empty".to_owned());
            } else if let Some(why) = subdomain(prefix) {
                whys.push(format!("prefix part {why}"));
            }
            *name
        }
        _ => return Some(QUALIFIED.to_owned()),
    };
    if name.is_empty() {
        whys.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        whys.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_name_part(name) {
        whys.push(NAME_PART.to_owned());
    }
    joined(&whys)
}

fn joined(whys: &[String]) -> Option<String> {
    if whys.is_empty() {
        None
    } else {
        Some(whys.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rules() {
        let check = |text: &str, rule: fn(&str) -> Option<String>, good: bool| {
            assert_eq!(rule(text).is_none(), good, "{text}");
        };
        for (text, good) in [
            ("a", true),
            ("a.b-c", true),
            ("A", false),
            ("-a", false),
            ("a..b", false),
            ("", false),
        ] {
            check(text, subdomain, good);
        }
        for (text, good) in [("a-b", true), ("a.b", false), ("0a", true), ("a-", false)] {
            check(text, dns_label, good);
        }
        for (text, good) in [("a-b", true), ("0a", false)] {
            check(text, dns_label_1035, good);
        }
        for (text, good) in [
            ("a/b", true),
            ("b", true),
            ("/b", false),
            ("a/", false),
            ("a/b/c", false),
            ("B_.c", true),
            ("x.y/B", true),
            ("X.y/B", false),
        ] {
            check(text, qualified, good);
        }
        for (text, good) in [("", true), ("a_B.c", true), ("a b", false), ("-", false)] {
            check(text, label_value, good);
        }
    }

    #[test]
    fn a_deleted_object_takes_no_new_finalizers() {
        let old = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}});
        let mut new = old.clone();
        assert!(check_change(&old, &new).is_empty());
        new["metadata"]["finalizers"] = json!(["a/b", "a/c"]);
        let causes = check_change(&old, &new);
        assert_eq!(
            causes[0].message,
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"a/c\"}"
        );
    }
}

//! Label and field selectors: parsing, matching, and the fields that each resource knows (spec kubernetes.md B5).

use std::borrow::Cow;

use serde_json::Value;

use crate::metadata;
use crate::object;
use crate::resource::{Resource, Version};
use crate::status::Status;

/// How long a selector may be.
const MAX_TERMS: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    /// Absent counts as "not in".
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

/// A label selector; the empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels(Vec<Requirement>);

impl Labels {
    pub(crate) fn parse(text: &str) -> Result<Self, Status> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let terms = split_terms(text);
        if terms.len() > MAX_TERMS {
            return Err(Status::bad_request("the label selector has too many terms"));
        }
        let parsed = terms
            .iter()
            .map(|term| requirement(term))
            .collect::<Result<_, _>>();
        parsed
            .map(Self)
            .map_err(|why| Status::bad_request(format!("unable to parse requirement: {why}")))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = object::metadata(object).and_then(|meta| meta.get("labels"));
        self.0.iter().all(|requirement| {
            let have = labels
                .and_then(|labels| labels.get(&requirement.key))
                .and_then(Value::as_str);
            match &requirement.test {
                Test::Exists => have.is_some(),
                Test::Absent => have.is_none(),
                Test::In(values) => have.is_some_and(|have| values.iter().any(|v| v == have)),
                Test::NotIn(values) => !have.is_some_and(|have| values.iter().any(|v| v == have)),
                Test::Greater(than) => number(have).is_some_and(|have| have > *than),
                Test::Less(than) => number(have).is_some_and(|have| have < *than),
            }
        })
    }
}

fn number(text: Option<&str>) -> Option<i64> {
    text?.parse().ok()
}

/// Splits at commas outside parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn requirement(term: &str) -> Result<Requirement, String> {
    let term = term.trim();
    let made = |key: &str, test: Test| checked(key.trim(), test);
    if let Some(key) = term.strip_prefix('!') {
        return made(key, Test::Absent);
    }
    if let Some((key, value)) = term.split_once("!=") {
        return made(key, Test::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return made(key, Test::In(vec![value.trim().to_owned()]));
    }
    for (sign, greater) in [('>', true), ('<', false)] {
        if let Some((key, value)) = term.split_once(sign) {
            let bound = value.trim().parse().map_err(|_| {
                format!("values[0][{}]: Invalid value: {:?}: for 'Gt', 'Lt' operators, the value must be an integer", key.trim(), value.trim())
            })?;
            return made(
                key,
                if greater {
                    Test::Greater(bound)
                } else {
                    Test::Less(bound)
                },
            );
        }
    }
    let mut words = term.splitn(2, char::is_whitespace);
    let key = words.next().unwrap_or("");
    let rest = words.next().unwrap_or("").trim();
    if rest.is_empty() {
        return match key {
            "" => Err("found '', expected: !, identifier, or 'end of string'".to_owned()),
            key => made(key, Test::Exists),
        };
    }
    let (operator, list) = rest.split_at(rest.find(['(', ' ', '\t']).unwrap_or(rest.len()));
    let values = list
        .trim()
        .strip_prefix('(')
        .and_then(|list| list.strip_suffix(')'))
        .map(|list| {
            list.split(',')
                .map(|value| value.trim().to_owned())
                .collect::<Vec<_>>()
        });
    match (operator, values) {
        ("in", Some(values)) => made(key, Test::In(values)),
        ("notin", Some(values)) => made(key, Test::NotIn(values)),
        ("in" | "notin", None) => Err(format!("found '{}' expected: '('", list.trim())),
        (other, _) => Err(format!(
            "found '{other}', expected: in, notin, =, ==, !=, gt, lt"
        )),
    }
}

fn checked(key: &str, test: Test) -> Result<Requirement, String> {
    if let Some(why) = metadata::qualified(key) {
        return Err(format!("key: Invalid value: {key:?}: {why}"));
    }
    if let Test::In(values) | Test::NotIn(values) = &test {
        for (index, value) in values.iter().enumerate() {
            if let Some(why) = metadata::label_value(value) {
                return Err(format!(
                    "values[{index}][{key}]: Invalid value: {value:?}: {why}"
                ));
            }
        }
    }
    Ok(Requirement {
        key: key.to_owned(),
        test,
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldTest {
    field: String,
    value: String,
    equal: bool,
}

/// A field selector; the empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<FieldTest>);

impl Fields {
    pub(crate) fn parse(
        text: &str,
        resource: &Resource,
        version: &Version,
    ) -> Result<Self, Status> {
        let mut tests = Vec::new();
        for term in split_escaped(text, ',')
            .iter()
            .filter(|term| !term.is_empty())
        {
            let test = field_test(term).ok_or_else(|| {
                Status::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{term}'"
                ))
            })?;
            if tests.len() == MAX_TERMS {
                return Err(Status::bad_request("the field selector has too many terms"));
            }
            check_field(resource, version, &test.field)?;
            tests.push(test);
        }
        Ok(Self(tests))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one name that is asked for, if it is.
    pub(crate) fn single_name(&self) -> Option<&str> {
        let named = |test: &&FieldTest| test.equal && test.field == "metadata.name";
        self.0.iter().find(named).map(|test| test.value.as_str())
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0
            .iter()
            .all(|test| (field(object, &test.field) == test.value) == test.equal)
    }
}

fn split_escaped(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let last = parts.len() - 1;
        match letter {
            '\\' => {
                parts[last].push('\\');
                parts[last].extend(letters.next());
            }
            _ if letter == at => parts.push(String::new()),
            _ => parts[last].push(letter),
        }
    }
    parts
}

fn field_test(term: &str) -> Option<FieldTest> {
    let (field, value, equal) = if let Some((field, value)) = term.split_once("!=") {
        (field, value, false)
    } else if let Some((field, value)) = term.split_once("==") {
        (field, value, true)
    } else {
        let (field, value) = term.split_once('=')?;
        (field, value, true)
    };
    let mut plain = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' {
            letters.next()
        } else {
            Some(letter)
        });
    }
    Some(FieldTest {
        field: field.to_owned(),
        value: plain,
        equal,
    })
}

fn check_field(resource: &Resource, version: &Version, field: &str) -> Result<(), Status> {
    if field == "metadata.name" || (field == "metadata.namespace") {
        return Ok(());
    }
    let known = builtin_fields(resource);
    if let Some(custom) = &version.custom {
        if custom.selectable.iter().any(|path| path == field) {
            return Ok(());
        }
        return Err(Status::bad_request(format!(
            "field label not supported: {field}"
        )));
    }
    if known.contains(&field) {
        return Ok(());
    }
    if known.is_empty() {
        return Err(Status::bad_request(format!(
            "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        )));
    }
    Err(Status::bad_request(format!(
        "field label not supported: {field}"
    )))
}

fn builtin_fields(resource: &Resource) -> &'static [&'static str] {
    match (resource.name.group(), resource.name.resource()) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("events.k8s.io", "events") => &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        ("", "nodes") => &["spec.unschedulable"],
        ("apps", "replicasets") | ("", "replicationcontrollers") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("certificates.k8s.io", "certificatesigningrequests") => &["spec.signerName"],
        _ => &[],
    }
}

/// The value of a selectable field, as text.
fn field<'a>(object: &'a Value, path: &str) -> Cow<'a, str> {
    let defaulted = |path: &[&str], or: &'static str| match object::at(object, path) {
        Some(value) => object::scalar(Some(value)),
        None => Cow::Borrowed(or),
    };
    match path {
        "spec.unschedulable" => defaulted(&["spec", "unschedulable"], "false"),
        "spec.hostNetwork" => defaulted(&["spec", "hostNetwork"], "false"),
        "status.replicas" => defaulted(&["status", "replicas"], "0"),
        "status.successful" => defaulted(&["status", "succeeded"], "0"),
        "status.podIPs" => Cow::Borrowed(object::text(object, &["status", "podIP"])),
        "source" => match object::text(object, &["source", "component"]) {
            "" => Cow::Borrowed(object::text(object, &["reportingComponent"])),
            component => Cow::Borrowed(component),
        },
        path => {
            let steps: Vec<&str> = path.split('.').filter(|step| !step.is_empty()).collect();
            object::scalar(object::at(object, &steps))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors_match_as_kubernetes_does() {
        let object = json!({"metadata": {"labels": {"a": "1", "app.x/b": "two"}}});
        let check = |text: &str, expected: bool| {
            assert_eq!(
                Labels::parse(text).unwrap().matches(&object),
                expected,
                "{text}"
            );
        };
        for (text, expected) in [
            ("", true),
            ("a=1", true),
            ("a==1,app.x/b=two", true),
            ("a!=1", false),
            ("c!=1", true),
            ("a in (1, 2)", true),
            ("a in (2,3),a", false),
            ("a notin (2,3)", true),
            ("c notin (2)", true),
            ("a in(1)", true),
            ("!c", true),
            ("!a", false),
            ("a", true),
            ("a>0,a<2", true),
            ("a>1", false),
            ("c=", false),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn broken_label_selectors_are_refused() {
        for text in ["a in 1", "a=b c", "a/b/c=1", ",", "a foo (b)", "=x", "a>b"] {
            let status = Labels::parse(text).unwrap_err();
            assert_eq!(status.code, 400, "{text}");
            assert!(
                status.message.starts_with("unable to parse requirement: "),
                "{text}"
            );
        }
    }

    #[test]
    fn field_selectors_know_their_resource() {
        let registry = crate::registry::Registry::new(Vec::new());
        let check = |resource: &str, text: &str| {
            let name = crate::resource::ResourceName::of("", resource);
            let resource = registry.get(&name).unwrap();
            Fields::parse(text, &resource, resource.storage())
        };
        let pod = json!({"metadata": {"name": "p"}, "status": {"phase": "Running"}});
        assert!(
            check("pods", "status.phase=Running,metadata.name!=q")
                .unwrap()
                .matches(&pod)
        );
        assert!(
            check("pods", "spec.hostNetwork=false")
                .unwrap()
                .matches(&pod)
        );
        assert_eq!(
            check("configmaps", "data.a=1").unwrap_err().message,
            "\"data.a\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
        assert_eq!(
            check("pods", "spec.x=1").unwrap_err().message,
            "field label not supported: spec.x"
        );
        assert_eq!(check("pods", "spec").unwrap_err().code, 400);
    }
}

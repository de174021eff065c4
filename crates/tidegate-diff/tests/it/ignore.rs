//! Ignore rules and the jq paths in them.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_diff::ignore::IgnoreRules;
use tidegate_diff::ignore::jq::PathExpression;
use tidegate_diff::schema::Schema;
use tidegate_manifest::IgnoreDifference;

fn rule(pointers: &[&str], jq: &[&str], managers: &[&str]) -> IgnoreDifference {
    let own = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
    IgnoreDifference {
        group: "*".into(),
        kind: "*".into(),
        json_pointers: own(pointers),
        jq_path_expressions: own(jq),
        managed_fields_managers: own(managers),
        ..IgnoreDifference::default()
    }
}

fn left(rule: IgnoreDifference, object: Value) -> Value {
    let rules = IgnoreRules::compile(&[rule]).unwrap();
    let (mut target, mut live) = (object.clone(), object);
    rules.apply(None, &mut target, &mut live);
    assert_eq!(target, live);
    live
}

#[test]
fn pointers() {
    let check = |pointer: &str, object: Value, expected: Value| {
        assert_eq!(left(rule(&[pointer], &[], &[]), object), expected);
    };
    check(
        "/spec/replicas",
        json!({"spec": {"replicas": 1, "x": 1}}),
        json!({"spec": {"x": 1}}),
    );
    check(
        "/metadata/annotations/a~1b",
        json!({"metadata": {"annotations": {"a/b": 1}}}),
        json!({"metadata": {"annotations": {}}}),
    );
    check(
        "/spec/l/0",
        json!({"spec": {"l": [1, 2]}}),
        json!({"spec": {"l": [2]}}),
    );
    check("/spec/nothing/here", json!({"spec": 1}), json!({"spec": 1}));
}

#[test]
fn jq_paths() {
    let object = json!({"spec": {
        "containers": [{"name": "a", "image": "1", "env": [{"name": "X"}]}, {"name": "side-b", "image": "2"}],
        "n": null, "list": [1, 2, 3, 4], "key.with.dots": {"q": 1}}});
    let check = |expression: &str, pointers: &[&str]| {
        let mut expected = object.clone();
        // Later positions first.
        for pointer in pointers.iter().rev() {
            expected = left(rule(&[pointer], &[], &[]), expected);
        }
        assert_eq!(
            left(rule(&[], &[expression], &[]), object.clone()),
            expected,
            "{expression}"
        );
    };
    check(
        ".spec.containers[].image",
        &["/spec/containers/0/image", "/spec/containers/1/image"],
    );
    check(
        ".spec.containers[] | select(.name == \"a\") | .image",
        &["/spec/containers/0/image"],
    );
    check(
        ".spec.containers[] | select(.name | startswith(\"side\"))",
        &["/spec/containers/1"],
    );
    check(
        ".spec.containers[] | select(.name | test(\"^side-[a-z]$\")).image",
        &["/spec/containers/1/image"],
    );
    check(".spec.containers[0].env[]?", &["/spec/containers/0/env/0"]);
    check(".spec.containers[].env[]?", &["/spec/containers/0/env/0"]);
    check(".spec.list[1:3]", &["/spec/list/1", "/spec/list/2"]);
    check(".spec.list[-1]", &["/spec/list/3"]);
    check(".spec[\"key.with.dots\"].q", &["/spec/key.with.dots/q"]);
    check(".spec.\"key.with.dots\".q", &["/spec/key.with.dots/q"]);
    check(".spec.n, .spec.list", &["/spec/list", "/spec/n"]);
    check(
        ".spec.containers | .[] | select(has(\"env\") and (.image != \"2\")) | .env",
        &["/spec/containers/0/env"],
    );
    check(
        ".. | select(type == \"object\" and has(\"image\")) | .image",
        &["/spec/containers/0/image", "/spec/containers/1/image"],
    );
    check(
        ".spec.list[] | select(. > 2)",
        &["/spec/list/2", "/spec/list/3"],
    );
    check(
        ".spec.containers[] | select(.env // [] | any(.name == \"X\"))",
        &["/spec/containers/0"],
    );
    check(".spec.containers[] | select([] == 1)", &[]);
    // What does not fit names nothing.
    check(".spec.n[]", &[]);
    check(".spec.missing.deeper", &[]);
    check(".spec.list.name", &[]);
    check("1", &[]);
}

#[test]
fn refused_expressions() {
    let check = |expression: &str, reason: &str| {
        let errors = IgnoreRules::compile(&[rule(&[], &[expression], &[])]).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            format!("jqPathExpressions: {expression:?}: {reason}")
        );
    };
    check(".a | map(.b)", "map is not supported in path expressions");
    check(".a[", "the expression ends too early");
    check(".a)", "unexpected `)`");
    check("$x", "`$` is not supported here");
    check(".a | select(", "the expression ends too early");
    check(
        ".a | test(.b)",
        "test takes one pattern, written as a string",
    );
    check(".a | test(\"(\")", "\"(\" is no regular expression");
    check("\"\\(1)\"", "string interpolation is not supported");
    assert!(PathExpression::parse(&"(".repeat(5000)).is_err());
    assert!(PathExpression::parse(&".a//".repeat(2000)).is_err());
    let errors = IgnoreRules::compile(&[rule(&["spec"], &["$a", "$b"], &[])]).unwrap_err();
    assert_eq!(errors.len(), 3);
}

#[test]
fn long_runs_end() {
    let wide = json!((0..2000).collect::<Vec<_>>());
    let product = PathExpression::parse("select((.[] == .[]) == 1)").unwrap();
    assert_eq!(
        product.paths(&wide).unwrap_err(),
        "the expression takes too many steps"
    );
}

#[test]
fn whom_a_rule_concerns() {
    let check = |group: &str, kind: &str, name: Option<&str>, expected: bool| {
        let rule = IgnoreDifference {
            group: group.into(),
            kind: kind.into(),
            name: name.map(str::to_owned),
            ..IgnoreDifference::default()
        };
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}});
        assert_eq!(
            IgnoreRules::compile(&[rule]).unwrap().concern(&object),
            expected,
            "{group} {kind} {name:?}"
        );
    };
    check("apps", "Deployment", None, true);
    check("*", "*", None, true);
    check("app*", "Dep?oyment", Some("d"), true);
    check("", "Deployment", None, false);
    check("apps", "deployment", None, false);
    check("apps", "Deployment", Some("e"), false);
}

#[test]
fn fields_of_managers() {
    let ty = Schema::builtin("apps", "v1", "Deployment").unwrap();
    let rules = IgnoreRules::compile(&[rule(&[], &[], &["hpa"])]).unwrap();
    let mut target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1, "paused": true}});
    let mut live = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 5, "paused": false},
        "metadata": {"managedFields": [{"manager": "hpa", "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:replicas": {}}}}]}});
    rules.apply(Some(&ty), &mut target, &mut live);
    assert_eq!(target["spec"], json!({"paused": true}));
    assert_eq!(live["spec"], json!({"paused": false}));
}

#[test]
fn respected_fields_keep_their_live_values() {
    let ty = Schema::builtin("apps", "v1", "Deployment").unwrap();
    let rules = IgnoreRules::compile(&[rule(
        &["/spec/replicas", "/status"],
        &[".spec.template.spec.containers[] | select(.name == \"b\") | .image"],
        &[],
    )])
    .unwrap();
    let object = |replicas: i64, image: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas,
        "template": {"spec": {"containers": [{"name": "a", "image": image}, {"name": "b", "image": image}]}}}})
    };
    let mut live = object(5, "live");
    live["status"] = json!({"x": 1});
    let kept = rules.keep_live_values(Some(&ty), &object(1, "git"), &live);
    assert_eq!(kept["spec"]["replicas"], 5);
    assert!(kept.get("status").is_none());
    assert_eq!(
        kept["spec"]["template"]["spec"]["containers"],
        json!([{"name": "a", "image": "git"}, {"name": "b", "image": "live"}])
    );
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in "[.a\\[\\]|()\" ?,0-9:=<>/select-]{0,24}") {
        if let Ok(expression) = PathExpression::parse(&text) {
            let _ = expression.paths(&json!({"a": [{"a": 1}, null, "s"]}));
        }
    }
}

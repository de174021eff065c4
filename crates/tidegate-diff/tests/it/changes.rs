//! Changes as people read them, masked secrets, and the legacy comparison.

use serde_json::{Value, json};
use tidegate_diff::changes::{Colour, changes, render};
use tidegate_diff::ignore::IgnoreRules;
use tidegate_diff::managed::LAST_APPLIED;
use tidegate_diff::mask::{mask, mask_changes};
use tidegate_diff::normalise::Options;
use tidegate_diff::schema::{Schema, TypeRef};
use tidegate_diff::threeway::three_way;

fn deployment() -> TypeRef {
    Schema::builtin("apps", "v1", "Deployment").unwrap()
}

fn pod(containers: Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

#[test]
fn paths_and_rows() {
    let check = |ty: &TypeRef, before: Value, after: Value, expected: &str| {
        assert_eq!(
            render(&changes(ty, Some(&before), Some(&after)), Colour::Plain),
            expected
        );
    };
    check(
        &deployment(),
        json!({"spec": {"replicas": 1}}),
        json!({"spec": {"replicas": 3}}),
        "~ .spec.replicas: 1 -> 3\n",
    );
    check(
        &deployment(),
        pod(json!([{"name": "a", "image": "1"}, {"name": "b"}])),
        pod(json!([{"name": "c"}, {"name": "a", "image": "2"}])),
        "~ .spec.template.spec.containers[name=\"a\"].image: \"1\" -> \"2\"\n- .spec.template.spec.containers[name=\"b\"]: {\"name\":\"b\"}\n+ .spec.template.spec.containers[name=\"c\"]: {\"name\":\"c\"}\n",
    );
    check(
        &deployment(),
        pod(json!([{"name": "a"}, {"name": "b"}])),
        pod(json!([{"name": "b"}, {"name": "a"}])),
        "~ .spec.template.spec.containers: [\"[name=\\\"a\\\"]\",\"[name=\\\"b\\\"]\"] -> [\"[name=\\\"b\\\"]\",\"[name=\\\"a\\\"]\"]\n",
    );
    let deduced = Schema::deduced();
    check(
        &deduced,
        json!({"l": [1, 2, 3]}),
        json!({"l": [1, 9, 3]}),
        "~ .l[1]: 2 -> 9\n",
    );
    check(
        &deduced,
        json!({"l": [1, 3]}),
        json!({"l": [1, 2, 3]}),
        "+ .l[1]: 2\n",
    );
    check(
        &deduced,
        json!({"l": [1, 2, 3]}),
        json!({"l": [7]}),
        "~ .l: [1,2,3] -> [7]\n",
    );
    check(&deduced, json!({"a": 1}), json!({"a": 1.0}), "");
    check(
        &deduced,
        json!({"data": {"f": "a\nb\nc\nd\ne\nf\ng\nh\n"}}),
        json!({"data": {"f": "a\nb\nc\nd\nE\nf\ng\nh\n"}}),
        "~ .data.f:\n    @@ -2,7 +2,7 @@\n     b\n     c\n     d\n    -e\n    +E\n     f\n     g\n     h\n",
    );
}

#[test]
fn creation_and_deletion() {
    let object = json!({"kind": "X", "spec": {"a": 1}});
    let made = changes(&Schema::deduced(), None, Some(&object));
    assert_eq!(
        render(&made, Colour::Plain),
        "+ .kind: \"X\"\n+ .spec: {\"a\":1}\n"
    );
    assert!(made.iter().all(|c| c.before.is_none()));
    let gone = changes(&Schema::deduced(), Some(&object), None);
    assert_eq!(
        render(&gone, Colour::Ansi).lines().next().unwrap(),
        "\u{1b}[31m- .kind: \"X\"\u{1b}[0m"
    );
    assert_eq!(
        serde_json::to_value(&gone[0]).unwrap(),
        json!({"path": ".kind", "before": "X"})
    );
}

fn secret(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "data": data})
}

#[test]
fn masks() {
    let mut target = secret(json!({"a": "b25l", "b": "dHdv"}));
    target["stringData"] = json!({"c": "two"});
    let mut live = secret(json!({"a": "b25l", "b": "b3RoZXI=", "c": "dHdv", "d": "ZA=="}));
    live["metadata"] = json!({"annotations": {LAST_APPLIED: secret(json!({"a": "b2xk"})).to_string(), "token": "t", "plain": "p"}});
    mask(&mut [&mut target, &mut live], &["token"]);
    assert_eq!(target["data"], json!({"a": "++++++++", "b": "++++++++"}));
    assert_eq!(target["stringData"], json!({"c": "++++++++"}));
    // The value written plain and the one stored encoded are the same.
    assert_eq!(
        live["data"],
        json!({"a": "++++++++", "b": "++++++++++++", "c": "++++++++", "d": "++++++++"})
    );
    let applied: Value = serde_json::from_str(
        live["metadata"]["annotations"][LAST_APPLIED]
            .as_str()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(applied["data"]["a"], "++++++++++++");
    assert_eq!(live["metadata"]["annotations"]["token"], "++++++++");
    assert_eq!(live["metadata"]["annotations"]["plain"], "p");
    let mut odd = secret(json!("not a map"));
    odd["metadata"] = json!({"annotations": {LAST_APPLIED: "{broken secret"}});
    mask(&mut [&mut odd], &[]);
    assert!(
        !odd.to_string().contains("not a map") && !odd.to_string().contains("broken secret"),
        "{odd}"
    );
    let mut other = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "shown"}});
    mask(&mut [&mut other], &[]);
    assert_eq!(other["data"]["a"], "shown");
}

#[test]
fn masked_changes() {
    let ty = Schema::builtin("", "v1", "Secret").unwrap();
    let mut found = changes(
        &ty,
        Some(&secret(json!({"a": "eA=="}))),
        Some(&secret(json!({"a": "eQ==", "b": "eg=="}))),
    );
    mask_changes(&mut found, &[]);
    assert_eq!(
        render(&found, Colour::Plain),
        "~ .data.a: \"++++++++\" -> \"++++++++++++\"\n+ .data.b: \"++++++++\"\n"
    );
}

#[test]
fn legacy_three_way() {
    let rules = IgnoreRules::default();
    let check = |target: Value, live: Value, expected: &str| {
        let compared = three_way(
            Some(&deployment()),
            &target,
            &live,
            Options::default(),
            &rules,
        );
        assert_eq!(render(&compared.changes, Colour::Plain), expected);
    };
    let base = |spec: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}, "spec": spec});
    let target = base(
        json!({"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [{"name": "a", "image": "1:x"}]}}}),
    );
    let mut live = base(
        json!({"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
        "template": {"spec": {"containers": [{"name": "a", "image": "1:x", "imagePullPolicy": "IfNotPresent"}, {"name": "injected"}]}}}),
    );
    live["status"] = json!({"replicas": 1});
    live["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    // Without last-applied, what Git does not name is no drift.
    check(target.clone(), live.clone(), "");
    let mut changed = live.clone();
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("2:x");
    check(
        target.clone(),
        changed,
        "~ .spec.template.spec.containers[name=\"a\"].image: \"2:x\" -> \"1:x\"\n",
    );
    // With it, what was applied and is no longer wanted is.
    let mut applied = target.clone();
    applied["spec"]["paused"] = json!(true);
    live["spec"]["paused"] = json!(true);
    live["metadata"]["annotations"] = json!({LAST_APPLIED: applied.to_string()});
    check(target, live, "- .spec.paused: true\n");
}

#[test]
fn legacy_comparison_of_custom_resources() {
    let rules = IgnoreRules::default();
    let target = json!({"apiVersion": "x.dev/v1", "kind": "X", "metadata": {"name": "x"}, "spec": {"a": 1, "list": [{"n": 1}]}});
    let mut live = target.clone();
    live["spec"]["defaulted"] = json!(true);
    let compared = three_way(None, &target, &live, Options::default(), &rules);
    assert!(!compared.differs(), "{:?}", compared.changes);
    live["spec"]["a"] = json!(2);
    let compared = three_way(None, &target, &live, Options::default(), &rules);
    assert_eq!(
        render(&compared.changes, Colour::Plain),
        "~ .spec.a: 2 -> 1\n"
    );
}

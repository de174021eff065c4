//! Objects of built-in kinds: writes of every form, refusals, lists, deletion, namespaces.

use serde_json::{Value, json};

use crate::client::{APPLY, JSON_PATCH, Lab, MAPS, MERGE, STRATEGIC, map};

#[tokio::test]
async fn refusals_read_as_the_real_servers() {
    let lab = Lab::start().await;
    lab.post(MAPS, &map("c1")).await;
    let check =
        async |method: &str, path: &str, media: &str, body: Value, code: u16, message: &str| {
            let reply = lab
                .ask(method, path, &[("content-type", media)], body.to_string())
                .await;
            assert_eq!(
                (reply.code, reply.message().as_str()),
                (code, message),
                "{method} {path}"
            );
        };
    let one = format!("{MAPS}/c1");
    let json = "application/json";
    check(
        "POST",
        MAPS,
        json,
        map("c1"),
        409,
        "configmaps \"c1\" already exists",
    )
    .await;
    check(
        "GET",
        &format!("{MAPS}/no"),
        json,
        json!(null),
        404,
        "configmaps \"no\" not found",
    )
    .await;
    check("POST", MAPS, json, json!({}), 422, "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required").await;
    check(
        "POST",
        "/api/v1/namespaces/no/configmaps",
        json,
        map("x"),
        404,
        "namespaces \"no\" not found",
    )
    .await;
    check(
        "PUT",
        &one,
        json,
        map("c2"),
        400,
        "the name of the object (c2) does not match the name on the URL (c1)",
    )
    .await;
    let mut stale = map("c1");
    stale["metadata"]["resourceVersion"] = json!("1");
    check("PUT", &one, json, stale, 409, "Operation cannot be fulfilled on configmaps \"c1\": the object has been modified; please apply your changes to the latest version and try again").await;
    check("PATCH", &one, APPLY, map("c1"), 422, "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch").await;
    check("PATCH", &format!("{one}?force=true"), MERGE, json!({}), 422, "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch").await;
    check("POST", &format!("{MAPS}?dryRun=Some"), json, map("x"), 422, "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"").await;
    check(
        "PATCH",
        &one,
        JSON_PATCH,
        json!([{"op": "test", "path": "/data/a", "value": "2"}]),
        422,
        "the server rejected our request due to an error in our request",
    )
    .await;
    check(
        "DELETE",
        "/api/v1/namespaces/default",
        json,
        json!({}),
        403,
        "namespaces \"default\" is forbidden: this namespace may not be deleted",
    )
    .await;
    check("POST", MAPS, json, json!({"metadata": {"name": "x"}, "data": {"a": 1}}), 400, "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string").await;
    check("POST", &format!("{MAPS}?fieldValidation=Strict"), json, json!({"metadata": {"name": "x"}, "dat": {}}), 400, "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"dat\"").await;
}

#[tokio::test]
async fn unknown_fields_warn_and_go() {
    let lab = Lab::start().await;
    let body = r#"{"metadata": {"name": "w"}, "data": {"a": "1", "a": "2"}, "dat": 1}"#;
    let reply = lab
        .ask("POST", MAPS, &[("content-type", "application/json")], body)
        .await;
    let warnings: Vec<&str> = reply
        .headers
        .get_all("warning")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(
        warnings,
        [
            "299 - \"duplicate field \\\"data.a\\\"\"",
            "299 - \"unknown field \\\"dat\\\"\""
        ]
    );
    assert_eq!(reply.json()["data"], json!({"a": "2"}));
    assert_eq!(reply.json()["dat"], Value::Null);
}

#[tokio::test]
async fn patches_of_every_kind_change_the_object() {
    let lab = Lab::start().await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "a", "image": "x:1"}]}},
    }});
    assert_eq!(lab.post(deployments, &body).await.code, 201);
    let one = format!("{deployments}/d");
    let second =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "b", "image": "y:1"}]}}}});
    let reply = lab.patch(&one, STRATEGIC, &second).await.json();
    let names: Vec<&str> = reply["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| container["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(reply["metadata"]["generation"], 2);
    let reply = lab.patch(&one, MERGE, &second).await.json();
    assert_eq!(
        reply["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let operations = json!([{"op": "replace", "path": "/spec/replicas", "value": 3}]);
    let reply = lab.patch(&one, JSON_PATCH, &operations).await.json();
    assert_eq!(
        (&reply["spec"]["replicas"], &reply["metadata"]["generation"]),
        (&json!(3), &json!(4))
    );
    let labels = json!({"metadata": {"labels": {"x": "y"}}, "status": {"replicas": 9}});
    let reply = lab.patch(&one, MERGE, &labels).await.json();
    assert_eq!(reply["metadata"]["generation"], 4);
    assert_ne!(reply["status"]["replicas"], 9);
    let status = json!({"status": {"replicas": 9}, "spec": {"replicas": 8}});
    let reply = lab
        .patch(&format!("{one}/status"), MERGE, &status)
        .await
        .json();
    assert_eq!(
        (&reply["spec"]["replicas"], &reply["status"]["replicas"]),
        (&json!(3), &json!(9))
    );
    let scale = lab
        .patch(
            &format!("{one}/scale"),
            MERGE,
            &json!({"spec": {"replicas": 5}}),
        )
        .await
        .json();
    assert_eq!(
        (&scale["kind"], &scale["spec"]["replicas"]),
        (&json!("Scale"), &json!(5))
    );
    assert_eq!(scale["status"]["selector"], "app=d");
}

#[tokio::test]
async fn a_write_without_effect_changes_nothing() {
    let lab = Lab::start().await;
    let made = lab.post(MAPS, &map("n")).await.json();
    let one = format!("{MAPS}/n");
    for reply in [
        lab.patch(&one, MERGE, &json!({"data": {"a": "1"}})).await,
        lab.put(&one, &map("n")).await,
        lab.patch(&one, JSON_PATCH, &json!([])).await,
    ] {
        assert_eq!(
            reply.json()["metadata"]["resourceVersion"],
            made["metadata"]["resourceVersion"]
        );
    }
    let first = lab
        .patch(&format!("{one}?fieldManager=m"), APPLY, &map("n"))
        .await
        .json();
    let second = lab
        .patch(&format!("{one}?fieldManager=m"), APPLY, &map("n"))
        .await
        .json();
    assert_eq!(first, second);
}

#[tokio::test]
async fn apply_knows_owners_and_conflicts() {
    let lab = Lab::start().await;
    let one = |manager: &str| format!("{MAPS}/a?fieldManager={manager}");
    assert_eq!(lab.patch(&one("m1"), APPLY, &map("a")).await.code, 201);
    let mut other = map("a");
    other["data"]["a"] = json!("2");
    let refused = lab.patch(&one("m2"), APPLY, &other).await;
    assert_eq!(
        (refused.code, refused.message().as_str()),
        (
            409,
            "Apply failed with 1 conflict: conflict with \"m1\": .data.a"
        )
    );
    assert_eq!(
        refused.json()["details"]["causes"][0],
        json!({"reason": "FieldManagerConflict", "message": "conflict with \"m1\"", "field": ".data.a"})
    );
    let forced = lab
        .patch(&format!("{}&force=true", one("m2")), APPLY, &other)
        .await
        .json();
    assert_eq!(forced["data"]["a"], "2");
    let managers: Vec<&str> = forced["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect();
    assert_eq!(managers, ["m2"]);
    let gone = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let reply = lab.patch(&one("m2"), APPLY, &gone).await.json();
    assert_eq!(reply["data"], Value::Null);
    let typo =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}});
    let refused = lab.patch(&one("m2"), APPLY, &typo).await;
    assert_eq!(
        (refused.code, refused.message().as_str()),
        (
            500,
            "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .dat: field not declared in schema"
        )
    );
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_keeps_nothing() {
    let lab = Lab::start().await;
    let revision = lab.get(MAPS).await.json()["metadata"]["resourceVersion"].clone();
    let made = lab.post(&format!("{MAPS}?dryRun=All"), &map("d")).await;
    assert_eq!(
        (
            made.code,
            made.json()["metadata"]["resourceVersion"].clone()
        ),
        (201, Value::Null)
    );
    let applied = lab
        .patch(
            &format!("{MAPS}/d?dryRun=All&fieldManager=m"),
            APPLY,
            &map("d"),
        )
        .await;
    assert_eq!(applied.code, 201);
    assert_eq!(lab.get(&format!("{MAPS}/d")).await.code, 404);
    assert_eq!(
        lab.get(MAPS).await.json()["metadata"]["resourceVersion"],
        revision
    );
    lab.post(MAPS, &map("d")).await;
    let kept = lab
        .delete(&format!("{MAPS}/d"), Some(&json!({"dryRun": ["All"]})))
        .await;
    assert_eq!(kept.code, 200);
    assert_eq!(lab.get(&format!("{MAPS}/d")).await.code, 200);
}

#[tokio::test]
async fn lists_come_in_consistent_pages() {
    let lab = Lab::start().await;
    for name in ["a", "b", "c", "d"] {
        lab.post(MAPS, &map(name)).await;
    }
    let first = lab.get(&format!("{MAPS}?limit=2")).await.json();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    assert_eq!(first["items"][0]["kind"], Value::Null);
    lab.delete(&format!("{MAPS}/c"), None).await;
    lab.post(MAPS, &map("e")).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = lab
        .get(&format!("{MAPS}?limit=5&continue={token}"))
        .await
        .json();
    let names: Vec<&str> = second["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["c", "d"]);
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let revision = first["metadata"]["resourceVersion"].as_str().unwrap();
    let past = lab
        .get(&format!(
            "{MAPS}?resourceVersion={revision}&resourceVersionMatch=Exact"
        ))
        .await
        .json();
    assert_eq!(past["items"].as_array().unwrap().len(), 4);
    lab.server.compact();
    let expired = lab.get(&format!("{MAPS}?limit=5&continue={token}")).await;
    assert_eq!(
        (expired.code, expired.json()["reason"].clone()),
        (410, json!("Expired"))
    );
    let fresh = expired.json()["metadata"]["continue"]
        .as_str()
        .unwrap()
        .to_owned();
    let rest = lab
        .get(&format!("{MAPS}?limit=5&continue={fresh}"))
        .await
        .json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 2);
    let future = lab.get(&format!("{MAPS}?resourceVersion=999999")).await;
    assert_eq!(
        (future.code, future.headers["retry-after"].to_str().unwrap()),
        (504, "1")
    );
}

#[tokio::test]
async fn selectors_choose() {
    let lab = Lab::start().await;
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web")] {
        let mut body = map(name);
        body["metadata"]["labels"] = json!({"tier": tier});
        lab.post(MAPS, &body).await;
    }
    let count = async |query: &str| {
        let list = lab.get(&format!("{MAPS}?{query}")).await.json();
        list["items"].as_array().map_or(99, Vec::len)
    };
    assert_eq!(count("labelSelector=tier%3Dweb").await, 2);
    assert_eq!(count("labelSelector=tier+notin+(web)").await, 1);
    assert_eq!(count("fieldSelector=metadata.name%3Db").await, 1);
    assert_eq!(
        count("fieldSelector=metadata.name!%3Db,metadata.namespace%3Ddefault").await,
        2
    );
    let gone = lab
        .ask(
            "DELETE",
            &format!("{MAPS}?labelSelector=tier%3Dweb"),
            &[],
            "",
        )
        .await
        .json();
    assert_eq!(
        (
            gone["kind"].clone(),
            gone["items"].as_array().unwrap().len()
        ),
        (json!("ConfigMapList"), 2)
    );
    assert_eq!(count("").await, 1);
}

#[tokio::test]
async fn finalizers_hold_a_deleted_object() {
    let lab = Lab::start().await;
    let mut body = map("f");
    body["metadata"]["finalizers"] = json!(["example.com/hold"]);
    lab.post(MAPS, &body).await;
    let one = format!("{MAPS}/f");
    let marked = lab
        .delete(&one, Some(&json!({"propagationPolicy": "Background"})))
        .await;
    assert_eq!(marked.code, 200);
    assert!(marked.json()["metadata"]["deletionTimestamp"].is_string());
    let again = lab.delete(&one, None).await.json();
    assert_eq!(
        again["metadata"]["deletionTimestamp"],
        marked.json()["metadata"]["deletionTimestamp"]
    );
    let refused = lab
        .patch(
            &one,
            MERGE,
            &json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}),
        )
        .await;
    assert_eq!(refused.code, 422);
    let last = lab
        .patch(&one, MERGE, &json!({"metadata": {"finalizers": null}}))
        .await;
    assert_eq!(last.code, 200);
    assert_eq!(lab.get(&one).await.code, 404);
    let wrong = json!({"preconditions": {"uid": "x"}});
    lab.post(MAPS, &map("f")).await;
    assert_eq!(lab.delete(&one, Some(&wrong)).await.code, 409);
    let gone = lab.delete(&one, None).await.json();
    assert_eq!(
        (gone["status"].clone(), gone["details"]["kind"].clone()),
        (json!("Success"), json!("configmaps"))
    );
}

#[tokio::test]
async fn dependents_follow_their_owner() {
    let lab = Lab::start().await;
    let owner = lab.post(MAPS, &map("owner")).await.json();
    let mut body = map("dependent");
    body["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}]);
    lab.post(MAPS, &body).await;
    lab.delete(&format!("{MAPS}/owner"), None).await;
    lab.until(&format!("{MAPS}/dependent"), |reply| reply.code == 404)
        .await;
}

#[tokio::test]
async fn a_namespace_ends_after_its_content() {
    let lab = Lab::start().await;
    lab.post("/api/v1/namespaces", &json!({"metadata": {"name": "team"}}))
        .await;
    let mut held = map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    lab.post("/api/v1/namespaces/team/configmaps", &held).await;
    let marked = lab.delete("/api/v1/namespaces/team", None).await.json();
    assert_eq!(marked["status"]["phase"], "Terminating");
    let waiting = lab
        .until("/api/v1/namespaces/team", |reply| {
            reply.json()["status"]["conditions"].is_array()
        })
        .await
        .json();
    let messages = waiting["status"]["conditions"].to_string();
    assert!(
        messages.contains("Some resources are remaining: configmaps. has 1 resource instances"),
        "{messages}"
    );
    let refused = lab
        .post("/api/v1/namespaces/team/configmaps", &map("late"))
        .await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.json()["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    lab.patch(
        "/api/v1/namespaces/team/configmaps/held",
        MERGE,
        &json!({"metadata": {"finalizers": null}}),
    )
    .await;
    lab.until("/api/v1/namespaces/team", |reply| reply.code == 404)
        .await;
}

#[tokio::test]
async fn names_are_generated() {
    let lab = Lab::start().await;
    let body = json!({"metadata": {"generateName": "job-"}});
    let first = lab.post(MAPS, &body).await.json()["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let second = lab.post(MAPS, &body).await.json()["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(first, second);
    let tail = first.strip_prefix("job-").unwrap();
    assert!(
        tail.len() == 5
            && tail
                .chars()
                .all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c))
    );
}

#[tokio::test]
async fn events_are_the_same_in_both_groups() {
    let lab = Lab::start().await;
    let body = json!({"metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "note": "n", "type": "Normal", "reason": "R"});
    assert_eq!(
        lab.post("/apis/events.k8s.io/v1/namespaces/default/events", &body)
            .await
            .code,
        201
    );
    let core = lab
        .get("/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dp")
        .await
        .json();
    assert_eq!(core["items"][0]["message"], "n");
    assert_eq!(core["items"][0]["regarding"], Value::Null);
}

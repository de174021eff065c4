//! The rules of the built-in kinds, held against what a real API server (1.36) answered to the same bodies:
//! `data/refusals.jsonl` has one body and its refusal a line.

use serde_json::{Value, json};

use crate::client::{Lab, MERGE};

const REFUSALS: &str = include_str!("data/refusals.jsonl");

#[tokio::test]
async fn bodies_are_refused_in_the_real_servers_words() {
    let lab = Lab::start().await;
    let mut differ = Vec::new();
    for line in REFUSALS.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let path = format!("{}?dryRun=All", case["path"].as_str().unwrap());
        let reply = lab
            .ask(
                "POST",
                &path,
                &[("content-type", "application/json")],
                case["object"].to_string(),
            )
            .await;
        let same = json!(reply.code) == case["code"] && json!(reply.message()) == case["message"];
        if !same {
            differ.push(format!(
                "{}\n  real {} {}\n  ours {} {}",
                case["object"],
                case["code"],
                case["message"],
                reply.code,
                reply.message()
            ));
        }
    }
    assert!(REFUSALS.lines().count() > 200);
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

fn template() -> Value {
    json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}})
}

/// What is created, how it is changed by a merge patch, and the refusal (empty for none).
#[tokio::test]
async fn what_is_set_once_stays() {
    let lab = Lab::start().await;
    let set = json!({"selector": {"matchLabels": {"a": "b"}}, "serviceName": "s", "template": template()});
    let deployment = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template()});
    let claim =
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let stateful = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
    let cases: Vec<(&str, Value, Value, &str)> = vec![
        (
            "apps/v1/Deployment/deployments",
            json!({"spec": deployment}),
            json!({"spec": {"selector": {"matchLabels": {"c": "d"}}, "template": {"metadata": {"labels": {"c": "d"}}}}}),
            "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\",\"c\":\"d\"}}: field is immutable",
        ),
        (
            "apps/v1/Deployment/deployments",
            json!({"spec": deployment}),
            json!({"spec": {"replicas": 2}}),
            "",
        ),
        (
            "apps/v1/StatefulSet/statefulsets",
            json!({"spec": set}),
            json!({"spec": {"serviceName": "t"}}),
            stateful,
        ),
        (
            "apps/v1/StatefulSet/statefulsets",
            json!({"spec": set}),
            json!({"spec": {"replicas": 2, "minReadySeconds": 1}}),
            "",
        ),
        (
            "v1/Secret/secrets",
            json!({}),
            json!({"type": "x"}),
            "type: Invalid value: \"x\": field is immutable",
        ),
        (
            "v1/ConfigMap/configmaps",
            json!({"immutable": true}),
            json!({"data": {"a": "b"}}),
            "data: Forbidden: field is immutable when `immutable` is set",
        ),
        (
            "v1/ConfigMap/configmaps",
            json!({"immutable": true}),
            json!({"metadata": {"labels": {"a": "b"}}}),
            "",
        ),
        (
            "v1/PersistentVolumeClaim/persistentvolumeclaims",
            json!({"spec": claim}),
            json!({"spec": {"accessModes": ["ReadWriteMany"]}}),
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n",
        ),
        (
            "v1/PersistentVolumeClaim/persistentvolumeclaims",
            json!({"spec": claim}),
            json!({"spec": {"volumeName": "v"}}),
            "",
        ),
        (
            "v1/Service/services",
            json!({"spec": {"ports": [{"port": 80}]}}),
            json!({"spec": {"clusterIP": "10.96.200.200"}}),
            "spec.clusterIPs[0]: Invalid value: [\"10.96.200.200\"]: may not change once set",
        ),
        (
            "v1/Pod/pods",
            template(),
            json!({"spec": {"restartPolicy": "Never"}}),
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n",
        ),
        (
            "v1/Pod/pods",
            template(),
            json!({"spec": {"activeDeadlineSeconds": 5}}),
            "",
        ),
    ];
    for (index, (what, mut object, patch, refusal)) in cases.into_iter().enumerate() {
        let parts: Vec<&str> = what.split('/').collect();
        let (version, kind, plural) = (
            parts[..parts.len() - 2].join("/"),
            parts[parts.len() - 2],
            parts[parts.len() - 1],
        );
        let root = if version == "v1" {
            "/api/v1".to_owned()
        } else {
            format!("/apis/{version}")
        };
        let path = format!("{root}/namespaces/default/{plural}");
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        object["metadata"]["name"] = json!(format!("n{index}"));
        let made = lab
            .ask(
                "POST",
                &path,
                &[("content-type", "application/json")],
                object.to_string(),
            )
            .await;
        assert_eq!(made.code, 201, "{}", made.text);
        let reply = lab
            .ask(
                "PATCH",
                &format!("{path}/n{index}"),
                &[("content-type", MERGE)],
                patch.to_string(),
            )
            .await;
        if refusal.is_empty() {
            assert_eq!(reply.code, 200, "{}", reply.text);
        } else {
            assert_eq!(reply.code, 422, "{patch}");
            let message = reply.message();
            assert_eq!(
                message.split_once(" is invalid: ").map(|(_, why)| why),
                Some(refusal)
            );
        }
    }
}

/// Services get what their type needs, keep it, and give it back.
#[tokio::test]
async fn services_are_given_addresses_and_ports() {
    let lab = Lab::start().await;
    let path = "/api/v1/namespaces/default/services";
    let content = [("content-type", "application/json")];
    let service = |spec: Value| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec})
            .to_string()
    };
    let spec = json!({"type": "NodePort", "selector": {"a": "b"}, "ports": [{"port": 80}]});
    let made = lab
        .ask("POST", path, &content, service(spec.clone()))
        .await
        .json();
    let (address, port) = (
        made["spec"]["clusterIP"].clone(),
        made["spec"]["ports"][0]["nodePort"].clone(),
    );
    assert!(address.as_str().unwrap().starts_with("10.96."));
    assert!((30_000..=32_767).contains(&port.as_i64().unwrap()));
    assert_eq!(made["spec"]["ipFamilies"], json!(["IPv4"]));
    // None of it is the author's.
    let owned = made["metadata"]["managedFields"][0]["fieldsV1"].to_string();
    assert!(
        !owned.contains("clusterIP") && !owned.contains("nodePort"),
        "{owned}"
    );
    // A replacement that leaves it out keeps it.
    let kept = lab
        .ask("PUT", &format!("{path}/s"), &content, service(spec))
        .await
        .json();
    assert_eq!(
        (
            &kept["spec"]["clusterIP"],
            &kept["spec"]["ports"][0]["nodePort"]
        ),
        (&address, &port)
    );
    // Another type gives it back.
    let inner = lab
        .ask(
            "PATCH",
            &format!("{path}/s"),
            &[("content-type", MERGE)],
            json!({"spec": {"type": "ClusterIP"}}).to_string(),
        )
        .await
        .json();
    assert_eq!(inner["spec"]["ports"][0].get("nodePort"), None);
    assert_eq!(inner["spec"].get("externalTrafficPolicy"), None);
    let named = json!({"spec": {"type": "ExternalName", "externalName": "a.b"}});
    let outer = lab
        .ask(
            "PATCH",
            &format!("{path}/s"),
            &[("content-type", MERGE)],
            named.to_string(),
        )
        .await
        .json();
    assert_eq!(outer["spec"].get("clusterIP"), None);
}

/// Classes give pods their numbers; an unknown class refuses the pod.
#[tokio::test]
async fn priorities_come_from_classes() {
    let lab = Lab::start().await;
    let content = [("content-type", "application/json")];
    let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 7, "preemptionPolicy": "Never"});
    let made = lab
        .ask(
            "POST",
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            &content,
            class.to_string(),
        )
        .await;
    assert_eq!(made.code, 201);
    let pod = |class: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": class}, "spec": {"priorityClassName": class, "containers": [{"name": "a", "image": "b"}]}}).to_string()
    };
    let pods = "/api/v1/namespaces/default/pods";
    let high = lab.ask("POST", pods, &content, pod("high")).await.json();
    assert_eq!(
        (&high["spec"]["priority"], &high["spec"]["preemptionPolicy"]),
        (&json!(7), &json!("Never"))
    );
    let none = lab.ask("POST", pods, &content, pod("none")).await;
    assert_eq!(
        (none.code, none.message().as_str()),
        (
            403,
            "pods \"none\" is forbidden: no PriorityClass with name none was found"
        )
    );
}

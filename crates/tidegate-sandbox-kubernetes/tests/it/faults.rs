//! Faults on demand: what a client meets, and for how long.

use http_body_util::BodyExt;
use serde_json::json;
use tidegate_sandbox_kubernetes::{Fault, FaultRule};

use crate::client::{Lab, MAPS, MERGE, map};

#[tokio::test]
async fn a_fault_strikes_as_often_as_asked() {
    let lab = Lab::start().await;
    for (fault, verb, code, message) in [
        (
            json!({"type": "tooManyRequests", "retryAfterSeconds": 7}),
            "create",
            429,
            "too many requests, please try again later",
        ),
        (
            json!({"type": "unavailable"}),
            "create",
            503,
            "the server is currently unable to handle the request",
        ),
        (
            json!({"type": "internalError"}),
            "create",
            500,
            "Internal error occurred: injected by a fault rule",
        ),
        (
            json!({"type": "forbidden"}),
            "create",
            403,
            "configmaps is forbidden: User \"sandbox-admin\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"default\"",
        ),
    ] {
        let rule = json!({"verb": verb, "resource": "configmaps", "fault": fault, "times": 1});
        let added = lab.post("/sandbox/faults", &rule).await;
        assert_eq!(
            (added.code, added.json().as_array().unwrap().len()),
            (200, 1)
        );
        let reply = lab.post(MAPS, &map("x")).await;
        assert_eq!((reply.code, reply.message().as_str()), (code, message));
        if code == 429 {
            assert_eq!(reply.headers["retry-after"], "7");
        }
        assert_eq!(lab.get("/sandbox/faults").await.json(), json!([]));
    }
    assert_eq!(lab.post(MAPS, &map("x")).await.code, 201);
    let rule = FaultRule {
        verb: Some("patch".into()),
        fault: Some(Fault::Conflict),
        times: Some(1),
        ..FaultRule::default()
    };
    lab.server.faults().add(rule);
    assert_eq!(
        lab.patch(&format!("{MAPS}/x"), MERGE, &json!({}))
            .await
            .code,
        409
    );
    assert_eq!(
        lab.patch(&format!("{MAPS}/x"), MERGE, &json!({}))
            .await
            .code,
        200
    );
}

#[tokio::test]
async fn rules_stay_until_they_are_taken_away() {
    let lab = Lab::start().await;
    lab.server.faults().add(FaultRule {
        fault: Some(Fault::Unavailable),
        ..FaultRule::default()
    });
    assert_eq!(lab.get(MAPS).await.code, 503);
    assert_eq!(lab.get(MAPS).await.code, 503);
    lab.ask("DELETE", "/sandbox/faults", &[], "").await;
    assert_eq!(lab.get(MAPS).await.code, 200);
    assert_eq!(
        lab.post("/sandbox/faults", &json!({"fault": {"type": "nope"}}))
            .await
            .code,
        400
    );
}

#[tokio::test]
async fn a_watch_breaks_after_its_events() {
    let lab = Lab::start().await;
    lab.post(MAPS, &map("a")).await;
    for (fault, last) in [
        (Fault::DropWatch { after_events: 1 }, "ADDED"),
        (Fault::ExpireWatch { after_events: 1 }, "ERROR"),
    ] {
        lab.server.faults().add(FaultRule {
            verb: Some("watch".into()),
            fault: Some(fault),
            times: Some(1),
            ..FaultRule::default()
        });
        let watch = lab
            .send("GET", &format!("{MAPS}?watch=true"), &[], "")
            .await;
        let text = watch.into_body().collect().await.unwrap().to_bytes();
        let lines: Vec<serde_json::Value> = std::str::from_utf8(&text)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.last().unwrap()["type"], last);
    }
}

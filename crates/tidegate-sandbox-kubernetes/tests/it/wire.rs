//! The wire itself: who may ask, discovery, media types, limits, the end.

use serde_json::{Value, json};

use crate::client::{Lab, MAPS, map};

#[tokio::test]
async fn only_the_token_opens() {
    let lab = Lab::start().await;
    let basic = {
        use base64::Engine;
        let plain = format!("sandbox:{}", lab.server.token());
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(plain)
        )
    };
    for (header, path, code) in [
        ("Bearer wrong", MAPS, 401),
        ("Basic d3Jvbmc=", MAPS, 401),
        ("nonsense", MAPS, 401),
        (basic.as_str(), MAPS, 200),
        ("Bearer wrong", "/sandbox/faults", 401),
        ("Bearer wrong", "/readyz", 200),
        ("Bearer wrong", "/version", 200),
    ] {
        let reply = lab.ask("GET", path, &[("authorization", header)], "").await;
        assert_eq!(reply.code, code, "{header} {path}");
    }
}

#[tokio::test]
async fn it_listens_on_loopback_only() {
    let lab = Lab::start().await;
    assert!(lab.server.address().ip().is_loopback());
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

#[tokio::test]
async fn discovery_comes_in_every_form_and_says_the_same() {
    let lab = Lab::start().await;
    let reply = lab.ask("GET", "/apis", &[("accept", AGGREGATED)], "").await;
    assert_eq!(reply.headers["content-type"], AGGREGATED);
    let etag = reply.headers["etag"].to_str().unwrap().to_owned();
    let again = lab
        .ask(
            "GET",
            "/apis",
            &[("accept", AGGREGATED), ("if-none-match", &etag)],
            "",
        )
        .await;
    assert_eq!((again.code, again.text.as_str()), (304, ""));
    let document = reply.json();
    let apps = document["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|g| g["metadata"]["name"] == "apps");
    let mut aggregated: Vec<String> = Vec::new();
    for resource in apps.unwrap()["versions"][0]["resources"]
        .as_array()
        .unwrap()
    {
        let name = resource["resource"].as_str().unwrap();
        aggregated.push(name.to_owned());
        for sub in resource["subresources"].as_array().into_iter().flatten() {
            aggregated.push(format!("{name}/{}", sub["subresource"].as_str().unwrap()));
        }
    }
    let legacy = lab.get("/apis/apps/v1").await.json();
    let listed: Vec<String> = legacy["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| resource["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(aggregated, listed);
    let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    let old = lab.ask("GET", "/api", &[("accept", beta)], "").await;
    assert_eq!(old.json()["apiVersion"], "apidiscovery.k8s.io/v2beta1");
    assert_eq!(lab.get("/api").await.json()["kind"], "APIVersions");
    assert_eq!(
        lab.get("/apis/apps").await.json()["preferredVersion"]["version"],
        "v1"
    );
}

#[tokio::test]
async fn unknown_paths_are_told_apart() {
    let lab = Lab::start().await;
    for (path, code, json) in [
        ("/apis/nope/v1/things", 404, false),
        ("/apis/apps/v1/things", 404, true),
        ("/apis/apps/v9/deployments", 404, true),
        ("/nope", 404, false),
        ("/api/v1/namespaces/default/configmaps/x/nope", 404, true),
    ] {
        let reply = lab.get(path).await;
        assert_eq!(
            (reply.code, reply.json().is_object()),
            (code, json),
            "{path}"
        );
    }
    assert_eq!(lab.post("/api/v1/configmaps", &map("x")).await.code, 405);
}

#[tokio::test]
async fn media_types_are_negotiated() {
    let lab = Lab::start().await;
    let refused = lab.ask("GET", MAPS, &[("accept", "text/html")], "").await;
    assert_eq!(
        (refused.code, refused.json()["reason"].clone()),
        (406, json!("NotAcceptable"))
    );
    let body = lab
        .ask("POST", MAPS, &[("content-type", "text/plain")], "x")
        .await;
    assert_eq!(body.code, 415);
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yam}\ndata: {a: \"yes\"}\n";
    let made = lab
        .ask("POST", MAPS, &[("content-type", "application/yaml")], yaml)
        .await;
    assert_eq!(
        (made.code, made.json()["data"]["a"].clone()),
        (201, json!("yes"))
    );
    let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = lab
        .ask("GET", MAPS, &[("accept", partial)], "")
        .await
        .json();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(list["items"][0]["data"], Value::Null);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let lab = Lab::start().await;
    let mut large = map("large");
    large["data"]["a"] = json!("x".repeat(tidegate_sandbox_kubernetes::MAX_BODY));
    let reply = lab.post(MAPS, &large).await;
    assert_eq!(
        (reply.code, reply.message().as_str()),
        (413, "Request entity too large: limit is 3145728")
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let reply = lab
        .ask("POST", MAPS, &[("content-type", "application/json")], deep)
        .await;
    assert_eq!(reply.code, 400);
}

#[tokio::test]
async fn hostile_bytes_never_panic() {
    let lab = Lab::start().await;
    let bodies: [&[u8]; 6] = [
        b"\xff\xfe\x00",
        b"{\"a\":\"\\ud800\"}",
        b"k8s\x00\x0a\xff\xff",
        b"&a [*a, *a]",
        b"{\"metadata\":[]}",
        b"\"x\"",
    ];
    for media in [
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
    ] {
        for body in bodies {
            let reply = lab
                .ask("POST", MAPS, &[("content-type", media)], body)
                .await;
            assert!(
                (400..500).contains(&reply.code),
                "{media} {body:?}: {}",
                reply.text
            );
        }
    }
    for query in [
        "?limit=x",
        "?continue=%00",
        "?labelSelector=%ff(",
        "?fieldSelector=====",
        "?resourceVersion=-1",
    ] {
        let reply = lab.get(&format!("{MAPS}{query}")).await;
        assert_eq!(reply.code, 400, "{query}: {}", reply.text);
    }
    assert_eq!(lab.get("/readyz").await.text, "ok");
}

#[tokio::test]
async fn an_end_finishes_watches() {
    use http_body_util::BodyExt;
    let lab = Lab::start().await;
    let watch = lab
        .send("GET", &format!("{MAPS}?watch=true"), &[], "")
        .await;
    lab.server.shutdown().await;
    // The stream ends in order: no error, nothing more.
    let rest = watch.into_body().collect().await.unwrap().to_bytes();
    assert!(rest.is_empty());
}

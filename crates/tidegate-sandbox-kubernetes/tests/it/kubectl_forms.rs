//! The forms in which kubectl asks for objects and schemas: tables, metadata alone, OpenAPI of both versions.

use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::client::{Lab, MAPS, definition, map};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
const OLD_FORM: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

async fn accept(lab: &Lab, path: &str, accept: &str) -> crate::client::Reply {
    lab.ask("GET", path, &[("accept", accept)], "").await
}

#[tokio::test]
async fn tables_carry_what_include_object_says() {
    let lab = Lab::start().await;
    lab.post(MAPS, &map("a")).await;
    let table = accept(&lab, MAPS, TABLE).await.json();
    assert_eq!(
        (&table["kind"], &table["apiVersion"]),
        (&json!("Table"), &json!("meta.k8s.io/v1"))
    );
    assert!(table["metadata"]["resourceVersion"].is_string());
    let row = table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["cells"][0] == "a")
        .unwrap();
    assert_eq!(row["cells"][1], 1);
    assert_eq!(row["object"]["kind"], "PartialObjectMetadata");
    assert!(row["object"]["metadata"]["uid"].is_string() && row["object"].get("data").is_none());
    let check = async |include: &str, expected: Value| {
        let path = format!("{MAPS}/a?includeObject={include}");
        let table = accept(&lab, &path, TABLE).await.json();
        assert_eq!(table["rows"][0]["object"]["kind"], expected, "{include}");
    };
    check("Metadata", json!("PartialObjectMetadata")).await;
    check("None", Value::Null).await;
    check("Object", json!("ConfigMap")).await;
    let refused = accept(&lab, &format!("{MAPS}?includeObject=Half"), TABLE).await;
    assert_eq!(
        (refused.code, refused.message().as_str()),
        (400, "unrecognized includeObject value: \"Half\"")
    );
}

#[tokio::test]
async fn metadata_may_be_asked_for_alone() {
    let lab = Lab::start().await;
    lab.post(MAPS, &map("a")).await;
    let list = accept(&lab, MAPS, PARTIAL).await.json();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert!(
        list["items"][0].get("data").is_none() && list["items"][0]["metadata"]["name"].is_string()
    );
    let one = accept(
        &lab,
        &format!("{MAPS}/a"),
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    )
    .await;
    assert_eq!(one.json()["kind"], "PartialObjectMetadata");
    assert_eq!(accept(&lab, MAPS, "text/html").await.code, 406);
}

#[tokio::test]
async fn a_watch_names_its_columns_once() {
    let lab = Lab::start().await;
    lab.post(MAPS, &map("a")).await;
    lab.post(MAPS, &map("b")).await;
    let path = format!("{MAPS}?watch=true&fieldSelector=metadata.name!=kube-root-ca.crt");
    let response = lab.send("GET", &path, &[("accept", TABLE)], "").await;
    let mut text = String::new();
    let mut body = response.into_body().into_data_stream();
    while text.lines().count() < 2 {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events[0]["object"]["columnDefinitions"][0]["name"], "Name");
    assert_eq!(events[1]["object"]["columnDefinitions"], Value::Null);
    let cells: Vec<&Value> = events
        .iter()
        .map(|event| &event["object"]["rows"][0]["cells"][0])
        .collect();
    assert_eq!(cells, [&json!("a"), &json!("b")]);
}

#[tokio::test]
async fn documents_are_kept_under_their_hash() {
    let lab = Lab::start().await;
    let index = lab.get("/openapi/v3").await.json();
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap()
        .to_owned();
    let reply = lab.get(&url).await;
    assert_eq!(
        (reply.code, reply.headers["cache-control"].to_str().unwrap()),
        (200, "public, immutable")
    );
    let etag = reply.headers["etag"].to_str().unwrap().to_owned();
    assert!(url.ends_with(&format!("hash={}", etag.trim_matches('"'))));
    let again = lab.ask("GET", &url, &[("if-none-match", &etag)], "").await;
    assert_eq!((again.code, again.text.len()), (304, 0));
    let stale = lab.get("/openapi/v3/apis/apps/v1?hash=OLD").await;
    assert_eq!(
        (stale.code, stale.headers["location"].to_str().unwrap()),
        (301, url.as_str())
    );
    let plain = lab.get("/openapi/v3/apis/apps/v1").await;
    assert!(plain.code == 200 && plain.headers.get("expires").is_none());
    assert_eq!(lab.get("/openapi/v3/apis/apps/v9").await.code, 404);
    assert_eq!(
        accept(&lab, "/openapi/v3/apis/apps/v1", "text/html")
            .await
            .code,
        406
    );
}

#[tokio::test]
async fn definitions_come_and_go_in_the_documents() {
    let lab = Lab::start().await;
    let path = "/openapi/v3/apis/example.com/v1";
    let builtin = lab.get("/openapi/v3").await.json()["paths"]["api/v1"].clone();
    assert_eq!(lab.get(path).await.code, 404);
    lab.post(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        &definition(),
    )
    .await;
    let document = lab.get(path).await.json();
    let widget = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(
        widget["properties"]["spec"]["properties"]["size"]["type"],
        "integer"
    );
    assert_eq!(
        widget["properties"]["metadata"]["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
    let patch =
        &document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"];
    let types: Vec<&String> = patch["requestBody"]["content"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert!(
        types
            .iter()
            .any(|one| *one == "application/apply-patch+yaml")
    );
    assert!(
        !types.iter().any(|one| one.contains("strategic")),
        "{types:?}"
    );
    let parameters = patch["parameters"].as_array().unwrap();
    for name in ["dryRun", "fieldManager", "fieldValidation", "force"] {
        assert!(parameters.iter().any(|one| one["name"] == name), "{name}");
    }
    assert_eq!(
        lab.get("/openapi/v3").await.json()["paths"]["api/v1"],
        builtin
    );
    let old = lab.get("/openapi/v2").await.json();
    assert!(old["definitions"]["com.example.v1.Widget"]["properties"]["spec"].is_object());
    lab.delete(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com",
        None,
    )
    .await;
    lab.until(path, |reply| reply.code == 404).await;
}

#[tokio::test]
async fn the_old_document_is_there_in_both_forms() {
    let lab = Lab::start().await;
    let document = accept(&lab, "/openapi/v2", "application/json").await;
    assert_eq!(document.json()["swagger"], "2.0");
    let response = lab
        .send("GET", "/openapi/v2", &[("accept", OLD_FORM)], "")
        .await;
    assert_eq!(
        response.headers()["content-type"],
        "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    );
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    // Field 1, a string of three bytes: the version of Swagger.
    assert_eq!(bytes[..5], *b"\x0a\x032.0");
    assert_eq!(accept(&lab, "/openapi/v2", "text/html").await.code, 406);
}

//! Subjects against a registry that answers as Confluent's does: codes, shapes, normalisation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tidegate_applier::{ApplierError, ChangeOutcome, ChangePreview, DeleteOutcome, ErrorKind};
use tidegate_kafka::SchemaRegistry;
use tidegate_manifest::ResourceKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::stage::{self, Stage};

/// What the registry holds.
#[derive(Debug, Default)]
struct Held {
    subjects: BTreeMap<String, Vec<String>>,
    levels: BTreeMap<String, String>,
    requests: Vec<String>,
}

type Shared = Arc<Mutex<Held>>;

/// Starts it; a schema that drops the field `id` is not compatible.
async fn registry() -> (SchemaRegistry, Shared) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let held = Shared::default();
    let shared = Arc::clone(&held);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let held = Arc::clone(&shared);
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                loop {
                    let Some((line, body, used)) = parse(&bytes) else {
                        if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                            return;
                        }
                        continue;
                    };
                    bytes.drain(..used);
                    let (status, answer) = answer(&mut held.lock().unwrap(), &line, &body);
                    let text = answer.to_string();
                    let head = format!(
                        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{text}",
                        text.len()
                    );
                    socket.write_all(head.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (SchemaRegistry::new(&url, None).unwrap(), held)
}

/// The request line, the body, and the bytes that they take, once all is there.
fn parse(bytes: &[u8]) -> Option<(String, Value, usize)> {
    let text = String::from_utf8_lossy(bytes);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let used = head.len() + 4 + length.unwrap_or(0);
    let body = bytes.get(head.len() + 4..used)?;
    let body = serde_json::from_slice(body).unwrap_or(Value::Null);
    Some((head.lines().next()?.to_owned(), body, used))
}

fn normal(schema: &str) -> String {
    serde_json::from_str::<Value>(schema).map_or_else(|_| schema.to_owned(), |v| v.to_string())
}

fn missing(code: i64, message: &str) -> (u16, Value) {
    (404, json!({"error_code": code, "message": message}))
}

fn answer(held: &mut Held, line: &str, body: &Value) -> (u16, Value) {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    held.requests.push(format!("{method} {target}"));
    let path = target.split('?').next().unwrap();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let schema = body["schema"].as_str().unwrap_or_default();
    let whole = |subject: &str, index: usize, schema: &str| json!({"subject": subject, "id": index + 1, "version": index + 1, "schema": schema});
    match (method, parts.as_slice()) {
        ("GET", ["subjects", subject, "versions", "latest"]) => match held.subjects.get(*subject) {
            Some(all) => (200, whole(subject, all.len() - 1, &all[all.len() - 1])),
            None => missing(40401, "Subject not found."),
        },
        ("POST", ["subjects", subject]) => match held.subjects.get(*subject) {
            None => missing(40401, "Subject not found."),
            Some(all) => match all.iter().position(|one| normal(one) == normal(schema)) {
                Some(index) => (200, whole(subject, index, &all[index])),
                None => missing(40403, "Schema not found"),
            },
        },
        ("POST", ["subjects", subject, "versions"]) => {
            let all = held.subjects.entry((*subject).to_owned()).or_default();
            all.push(schema.to_owned());
            (200, json!({"id": all.len()}))
        }
        ("POST", ["compatibility", "subjects", subject, "versions", ..]) => {
            if !held.subjects.contains_key(*subject) {
                return missing(40401, "Subject not found.");
            }
            let is_compatible = schema.contains("\"id\"");
            let messages = if is_compatible {
                json!([])
            } else {
                json!(["READER_FIELD_MISSING_DEFAULT_VALUE: id"])
            };
            (
                200,
                json!({"is_compatible": is_compatible, "messages": messages}),
            )
        }
        ("GET", ["config", subject]) => match held.levels.get(*subject) {
            Some(level) => (200, json!({"compatibilityLevel": level})),
            None => missing(
                40408,
                "Subject does not have subject-level compatibility configured",
            ),
        },
        ("GET", ["config"]) => (200, json!({"compatibilityLevel": "BACKWARD"})),
        ("PUT", ["config", subject]) => {
            let level = body["compatibility"].as_str().unwrap().to_owned();
            held.levels.insert((*subject).to_owned(), level);
            (200, body.clone())
        }
        ("DELETE", ["config", subject]) => {
            held.levels.remove(*subject);
            (200, json!({}))
        }
        ("DELETE", ["subjects", subject]) => {
            held.subjects.remove(*subject);
            (200, json!([1]))
        }
        _ => (404, json!({"message": "HTTP 404 Not Found"})),
    }
}

async fn stage() -> (Stage, Shared) {
    let (registry, held) = registry().await;
    let mut stage = stage::sandbox().await;
    let bootstrap = stage.applier.client().label();
    stage.applier = stage::applier_with(&bootstrap, &stage.secret, Some(registry));
    (stage, held)
}

fn subject(stage: &Stage, annotations: &[(&str, &str)], spec: &Value) -> (ResourceKey, Value) {
    let (mut key, mut body) =
        stage.document("SchemaSubject", "orders-value", "", annotations, spec);
    key.group = "tidegate.dev".to_owned();
    body["apiVersion"] = json!("tidegate.dev/v1alpha1");
    body["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
        json!("shop:tidegate.dev/SchemaSubject:shop/orders-value");
    (key, body)
}

async fn plan(
    stage: &Stage,
    document: &(ResourceKey, Value),
) -> Result<ChangePreview, ApplierError> {
    stage.plan(document).await
}

fn record(fields: &[&str]) -> String {
    let fields: Vec<Value> = fields
        .iter()
        .map(|name| json!({"name": name, "type": "string"}))
        .collect();
    json!({"type": "record", "name": "Order", "fields": fields}).to_string()
}

#[tokio::test]
async fn a_schema_is_checked_and_registered() {
    let (stage, held) = stage().await;
    let first = subject(
        &stage,
        &[],
        &json!({"schema": record(&["id"]), "compatibility": "BACKWARD"}),
    );
    assert_eq!(
        plan(&stage, &first).await.unwrap().outcome,
        ChangeOutcome::Created
    );
    assert!(
        held.lock().unwrap().subjects.is_empty(),
        "a plan registers nothing"
    );
    let result = stage.apply(&first).await.unwrap();
    assert_eq!(result.outcome, ChangeOutcome::Created);
    assert_eq!(result.live.body["status"]["version"], json!(1));
    assert_eq!(
        stage.apply(&first).await.unwrap().outcome,
        ChangeOutcome::Unchanged
    );
    // Another layout of the text is the same schema.
    let spaced = record(&["id"]).replace(',', " , ");
    let spaced = subject(
        &stage,
        &[],
        &json!({"schema": spaced, "compatibility": "BACKWARD"}),
    );
    stage.apply(&spaced).await.unwrap();
    assert_eq!(held.lock().unwrap().subjects["orders-value"].len(), 1);
    let second = subject(
        &stage,
        &[],
        &json!({"schema": record(&["id", "price"]), "compatibility": "BACKWARD"}),
    );
    let preview = plan(&stage, &second).await.unwrap();
    assert_eq!(preview.outcome, ChangeOutcome::Updated);
    assert!(
        preview
            .warnings
            .iter()
            .any(|w| w.contains("consumers before producers")),
        "{:?}",
        preview.warnings
    );
    let result = stage.apply(&second).await.unwrap();
    assert_eq!(result.live.body["status"]["version"], json!(2));
}

#[tokio::test]
async fn an_incompatible_schema_stops_the_plan_in_the_registrys_words() {
    let (stage, held) = stage().await;
    stage
        .apply(&subject(&stage, &[], &json!({"schema": record(&["id"])})))
        .await
        .unwrap();
    let bad = subject(&stage, &[], &json!({"schema": record(&["price"])}));
    for error in [
        plan(&stage, &bad).await.unwrap_err(),
        stage.apply(&bad).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(
            error.message.contains("READER_FIELD_MISSING_DEFAULT_VALUE"),
            "{error}"
        );
        assert!(error.message.contains("orders-value"), "{error}");
    }
    assert_eq!(held.lock().unwrap().subjects["orders-value"].len(), 1);
    // All versions count when the level is transitive.
    let transitive = subject(
        &stage,
        &[],
        &json!({"schema": record(&["id", "x"]), "compatibility": "FULL_TRANSITIVE"}),
    );
    plan(&stage, &transitive).await.unwrap();
    let asked = held
        .lock()
        .unwrap()
        .requests
        .last()
        .cloned()
        .unwrap_or_default();
    assert!(
        asked.starts_with("POST /compatibility/subjects/orders-value/versions?"),
        "{asked}"
    );
    let any = subject(
        &stage,
        &[],
        &json!({"schema": record(&["price"]), "compatibility": "NONE"}),
    );
    assert_eq!(
        stage.apply(&any).await.unwrap().outcome,
        ChangeOutcome::Updated
    );
}

#[tokio::test]
async fn subjects_stay_unless_the_document_says_so() {
    let (stage, held) = stage().await;
    let kept = subject(&stage, &[], &json!({"schema": record(&["id"])}));
    stage.apply(&kept).await.unwrap();
    assert_eq!(stage.delete(&kept.0).await, Ok(DeleteOutcome::Deleted));
    assert!(held.lock().unwrap().subjects.contains_key("orders-value"));
    let marks = [(tidegate_kafka::DELETE_DATA, "true")];
    let gone = subject(&stage, &marks, &json!({"schema": record(&["id"])}));
    stage.apply(&gone).await.unwrap();
    assert_eq!(stage.delete(&gone.0).await, Ok(DeleteOutcome::Deleted));
    assert!(!held.lock().unwrap().subjects.contains_key("orders-value"));
}

#[tokio::test]
async fn without_a_registry_the_error_says_what_to_write() {
    let stage = stage::sandbox().await;
    let document = subject(&stage, &[], &json!({"schema": record(&["id"])}));
    let error = plan(&stage, &document).await.unwrap_err();
    assert!(error.help.unwrap().contains("schema.registry.url"));
    let bad = subject(&stage, &[], &json!({"schema": "{\"type\": "}));
    assert!(
        plan(&stage, &bad)
            .await
            .unwrap_err()
            .message
            .contains("is no JSON")
    );
}

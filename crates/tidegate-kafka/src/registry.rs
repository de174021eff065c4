//! A Schema Registry over HTTP: Confluent's API version 1, which Karapace and Apicurio (`ccompat`) speak too.
//!
//! Must not know: documents. Credentials never reach a message.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};
use tidegate_applier::{ApplierError, ErrorKind};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Attempts at a request: all of them may be repeated.
const ATTEMPTS: u32 = 4;
/// Bytes of an answer that are read at most.
const ANSWER_BYTES: usize = 16 << 20;
/// Settings of a registry begin so.
pub(crate) const PREFIX: &str = "schema.registry.";
const CONTENT: &str = "application/vnd.schemaregistry.v1+json";

/// A registry.
#[derive(Clone)]
pub struct SchemaRegistry {
    url: Url,
    user: Option<(String, String)>,
    http: reqwest::Client,
}

impl std::fmt::Debug for SchemaRegistry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("SchemaRegistry")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

/// A schema as the registry takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    /// `AVRO`, `PROTOBUF` or `JSON`.
    pub(crate) kind: String,
    pub(crate) text: String,
    /// Name, subject, version.
    pub(crate) references: Vec<(String, String, i64)>,
}

/// A version of a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) schema: Schema,
}

/// What the registry says of a new schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_compatible: bool,
    pub(crate) messages: Vec<String>,
}

impl Schema {
    fn body(&self) -> Value {
        let references = self.references.iter().map(|(name, subject, version)| {
            json!({"name": name, "subject": subject, "version": version})
        });
        let references: Vec<Value> = references.collect();
        let mut body = json!({"schema": self.text, "schemaType": self.kind});
        if !references.is_empty() {
            body["references"] = Value::Array(references);
        }
        body
    }

    fn read(answer: &Value) -> Self {
        let text = |value: &Value, name: &str| {
            let found = value.get(name).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let references = answer.get("references").and_then(Value::as_array);
        let references = references.into_iter().flatten().map(|entry| {
            let version = entry.get("version").and_then(Value::as_i64);
            (
                text(entry, "name"),
                text(entry, "subject"),
                version.unwrap_or_default(),
            )
        });
        let kind = text(answer, "schemaType");
        Self {
            kind: if kind.is_empty() {
                "AVRO".to_owned()
            } else {
                kind
            },
            text: text(answer, "schema"),
            references: references.collect(),
        }
    }
}

/// Why a request failed: the registry's own code, 0 when it gave none.
struct Refused {
    code: i64,
    error: ApplierError,
}

impl SchemaRegistry {
    /// The registry that client settings name (`schema.registry.url`, `schema.registry.basic.auth.user.info`
    /// as `user:password`, or the variable `schema.registry.basic.auth.user.info.env` names); None without a URL.
    ///
    /// # Errors
    /// A setting is unknown or cannot be used.
    pub fn from_settings(
        settings: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, ApplierError> {
        let mut found = BTreeMap::new();
        for (key, value) in settings {
            let Some(name) = key.strip_prefix(PREFIX) else {
                continue;
            };
            if !["url", "basic.auth.user.info", "basic.auth.user.info.env"].contains(&name) {
                return Err(wrong(&format!("{key} is no setting that Tidegate knows")));
            }
            found.insert(name, value.clone());
        }
        let Some(url) = found.get("url") else {
            return Ok(None);
        };
        let info = match found.get("basic.auth.user.info.env") {
            Some(name) => Some(std::env::var(name).map_err(|_| {
                wrong(&format!(
                    "the variable {name} of {PREFIX}basic.auth.user.info.env is not set"
                ))
            })?),
            None => found.get("basic.auth.user.info").cloned(),
        };
        let user = info.map(|info| {
            let parts = info
                .split_once(':')
                .map(|(user, password)| (user.to_owned(), password.to_owned()));
            parts.ok_or_else(|| {
                wrong(&format!(
                    "{PREFIX}basic.auth.user.info is not user:password"
                ))
            })
        });
        Self::new(url, user.transpose()?).map(Some)
    }

    /// The registry at a URL, with a user and a password.
    ///
    /// # Errors
    /// The URL is none.
    pub fn new(url: &str, user: Option<(String, String)>) -> Result<Self, ApplierError> {
        let parsed = Url::parse(url.trim_end_matches('/'));
        let parsed = parsed
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = parsed
            .ok_or_else(|| wrong(&format!("{PREFIX}url is {url:?}: write http://host:port")))?;
        let http = reqwest::Client::builder().timeout(ANSWER).build();
        let http = http.map_err(|error| wrong(&format!("HTTP: {error}")))?;
        Ok(Self { url, user, http })
    }

    /// Where it is, for people.
    pub(crate) fn label(&self) -> String {
        let mut url = self.url.clone();
        // A URL without a host cannot bear a user; ours has one.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string()
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let answer = self.once(method.clone(), path, query, body).await;
            match answer {
                Err(refused) if refused.error.retryable && attempt < ATTEMPTS => {
                    let wait = refused.error.retry_after;
                    tokio::time::sleep(crate::client::pause(attempt, wait)).await;
                }
                answer => return answer,
            }
        }
    }

    async fn once(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url).header("accept", CONTENT);
        if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(body) = body {
            request = request
                .header("content-type", CONTENT)
                .body(body.to_string());
        }
        let unreachable = |error: reqwest::Error| {
            let kind = if error.is_timeout() {
                ErrorKind::Timeout
            } else {
                ErrorKind::Unavailable
            };
            let message = format!(
                "Schema Registry {} cannot be reached: {}",
                self.label(),
                error.without_url()
            );
            Refused {
                code: 0,
                error: ApplierError::new(kind, message).help(
                    "look whether the registry runs and whether schema.registry.url of the destination is right",
                ),
            }
        };
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES {
                let message = format!(
                    "Schema Registry {} answers more than {ANSWER_BYTES} bytes",
                    self.label()
                );
                return Err(Refused {
                    code: 0,
                    error: ApplierError::new(ErrorKind::Internal, message),
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(value);
        }
        Err(refused(status, &value))
    }

    /// The newest version of a subject.
    pub(crate) async fn latest(&self, subject: &str) -> Result<Option<Version>, ApplierError> {
        let answer = self
            .call(
                Method::GET,
                &["subjects", subject, "versions", "latest"],
                &[],
                None,
            )
            .await;
        absent(answer).map(|answer| answer.map(|answer| version(&answer)))
    }

    /// The version of a subject that this schema is.
    pub(crate) async fn lookup(
        &self,
        subject: &str,
        schema: &Schema,
    ) -> Result<Option<Version>, ApplierError> {
        let query = [("normalize", "true")];
        let body = schema.body();
        let answer = self
            .call(Method::POST, &["subjects", subject], &query, Some(&body))
            .await;
        absent(answer).map(|answer| answer.map(|answer| version(&answer)))
    }

    /// Whether a schema may follow what is registered.
    pub(crate) async fn check(
        &self,
        subject: &str,
        schema: &Schema,
        is_transitive: bool,
    ) -> Result<Verdict, ApplierError> {
        let mut path = vec!["compatibility", "subjects", subject, "versions"];
        if !is_transitive {
            path.push("latest");
        }
        let query = [("verbose", "true"), ("normalize", "true")];
        let body = schema.body();
        let answer = absent(self.call(Method::POST, &path, &query, Some(&body)).await)?;
        let Some(answer) = answer else {
            // The subject is new: anything may come first.
            return Ok(Verdict {
                is_compatible: true,
                messages: Vec::new(),
            });
        };
        let messages = answer.get("messages").and_then(Value::as_array);
        let messages = messages.into_iter().flatten().filter_map(Value::as_str);
        Ok(Verdict {
            is_compatible: answer
                .get("is_compatible")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            messages: messages.map(str::to_owned).collect(),
        })
    }

    /// Registers a schema.
    pub(crate) async fn register(
        &self,
        subject: &str,
        schema: &Schema,
    ) -> Result<(), ApplierError> {
        let query = [("normalize", "true")];
        let body = schema.body();
        let answer = self
            .call(
                Method::POST,
                &["subjects", subject, "versions"],
                &query,
                Some(&body),
            )
            .await;
        answer.map(|_| ()).map_err(|refused| refused.error)
    }

    /// The level of a subject: its own, and the one in effect.
    pub(crate) async fn level(
        &self,
        subject: &str,
    ) -> Result<(Option<String>, String), ApplierError> {
        let text = |answer: &Value| {
            answer
                .get("compatibilityLevel")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let own = absent(
            self.call(Method::GET, &["config", subject], &[], None)
                .await,
        )?;
        let own = own.as_ref().and_then(text);
        if let Some(level) = &own {
            return Ok((own.clone(), level.clone()));
        }
        let global = absent(self.call(Method::GET, &["config"], &[], None).await)?;
        let global = global.as_ref().and_then(text);
        Ok((None, global.unwrap_or_else(|| "BACKWARD".to_owned())))
    }

    /// Sets the level of a subject.
    pub(crate) async fn set_level(&self, subject: &str, level: &str) -> Result<(), ApplierError> {
        let body = json!({"compatibility": level});
        let answer = self
            .call(Method::PUT, &["config", subject], &[], Some(&body))
            .await;
        answer.map(|_| ()).map_err(|refused| refused.error)
    }

    /// Takes the level of a subject away: the registry's own is in effect then.
    pub(crate) async fn unset_level(&self, subject: &str) -> Result<(), ApplierError> {
        let answer = self
            .call(Method::DELETE, &["config", subject], &[], None)
            .await;
        absent(answer).map(|_| ())
    }

    /// Deletes a subject softly: its schemas stay readable by id.
    pub(crate) async fn delete(&self, subject: &str) -> Result<(), ApplierError> {
        let answer = self
            .call(Method::DELETE, &["subjects", subject], &[], None)
            .await;
        absent(answer).map(|_| ())
    }
}

fn wrong(message: &str) -> ApplierError {
    ApplierError::new(ErrorKind::Invalid, message)
        .help("correct security of the Kafka target in the Settings")
}

fn version(answer: &Value) -> Version {
    let number = |name: &str| answer.get(name).and_then(Value::as_i64).unwrap_or_default();
    Version {
        id: number("id"),
        version: number("version"),
        schema: Schema::read(answer),
    }
}

/// None where the subject, the version, the schema or its level is not there.
fn absent(answer: Result<Value, Refused>) -> Result<Option<Value>, ApplierError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Refused {
            code: 40401 | 40402 | 40403 | 40408,
            ..
        }) => Ok(None),
        Err(refused) => Err(refused.error),
    }
}

fn refused(status: StatusCode, answer: &Value) -> Refused {
    let code = answer
        .get("error_code")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let said = answer
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or("no words");
    let kind = match status.as_u16() {
        401 | 403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        429 => ErrorKind::Throttled,
        409 | 400 | 422 => ErrorKind::Invalid,
        500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    let error = ApplierError::new(
        kind,
        format!(
            "Schema Registry: {} ({status}): {said}",
            if code == 0 {
                status.as_u16().into()
            } else {
                code
            }
        ),
    );
    let error = match kind {
        ErrorKind::Forbidden => error.help("correct schema.registry.basic.auth.user.info in the Settings, or have the user permitted"),
        ErrorKind::Invalid => error.help("correct .spec.schema; the registry's words say where"),
        ErrorKind::NotFound => error.help("look whether schema.registry.url is the registry's root"),
        _ => error,
    };
    Refused { code, error }
}

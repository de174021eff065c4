//! A sandbox for tests without clients: requests go to the services themselves, and its clock is moved by hand.
//!
//! Must not know: HTTP.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{Incoming, Neighbours, Outgoing, Scope, Service};
use tidegate_sandbox_aws::{AwsOptions, Clock, ManualClock, SandboxAws};

use crate::lambda::Lambda;
use crate::options::LambdaOptions;

/// The role that functions of tests have.
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/runs";

/// A sandbox and what is inside of it.
pub(crate) struct Bench {
    pub(crate) sandbox: SandboxAws,
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) neighbours: Neighbours,
    pub(crate) clock: ManualClock,
    services: Vec<Arc<dyn Service>>,
}

/// An archive of one file.
pub(crate) fn archive(name: &str, text: &str) -> String {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(name, zip::write::SimpleFileOptions::default())
        .unwrap();
    zip.write_all(text.as_bytes()).unwrap();
    STANDARD.encode(zip.finish().unwrap().into_inner())
}

/// Whether handlers of Python can run here; says so when they cannot.
pub(crate) fn has_python() -> bool {
    let found = std::process::Command::new("python3")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        println!("SKIPPED: python3 is not installed");
    }
    found
}

impl Bench {
    pub(crate) async fn start(options: LambdaOptions) -> Self {
        let clock = ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap());
        let aws = AwsOptions {
            clock: Clock::Manual(clock.clone()),
            delays: tidegate_sandbox_aws::Delays::none(),
            ..AwsOptions::default()
        };
        let kept = Mutex::new(None);
        let sandbox = SandboxAws::start_with(aws, |neighbours| {
            let (lambda, services) = crate::compose(neighbours, options);
            *kept.lock().unwrap() = Some((neighbours.clone(), lambda, services.clone()));
            services
        })
        .await
        .unwrap();
        let (neighbours, lambda, services) = kept.into_inner().unwrap().unwrap();
        let bench = Self {
            sandbox,
            lambda,
            neighbours,
            clock,
            services,
        };
        let trust = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22lambda.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";
        let request = Incoming {
            method: "POST".into(),
            path: "/".into(),
            body: format!("Action=CreateRole&Version=2010-05-08&RoleName=runs&AssumeRolePolicyDocument={trust}").into(),
            ..Incoming::default()
        };
        let made = bench.send("iam", request).await;
        assert_eq!(made.status, 200, "{:?}", made.body);
        bench
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope {
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            endpoint: self.neighbours.endpoint(),
            now: self.clock.now(),
        }
    }

    /// Moves the time.
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn send(&self, service: &str, request: Incoming) -> Outgoing {
        let taken = self
            .services
            .iter()
            .find(|one| one.takes(Some(service), &request))
            .unwrap();
        taken.answer(&self.scope(), &request).await
    }

    /// Asks Lambda: status and answer, which is null when it is none.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask_with(method, path, body, &[]).await
    }

    pub(crate) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let request = Incoming {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: if body.is_null() {
                bytes::Bytes::new()
            } else {
                body.to_string().into()
            },
        };
        let answer = self.send("lambda", request).await;
        let code = answer
            .headers
            .iter()
            .find(|(name, _)| name == "x-amzn-errortype");
        let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let (Some((_, code)), Some(body)) = (code, body.as_object_mut()) {
            body.insert("code".into(), json!(code));
        }
        (answer.status, body)
    }

    /// Makes a function of one Python file.
    pub(crate) async fn function(&self, name: &str, text: &str, more: &Value) -> Value {
        let mut input = json!({
            "FunctionName": name, "Runtime": "python3.12", "Role": ROLE, "Handler": "app.handler",
            "Timeout": 10, "Code": {"ZipFile": archive("app.py", text)},
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            input[field] = value.clone();
        }
        let (status, made) = self.ask("POST", "/2015-03-31/functions", &input).await;
        assert_eq!(status, 201, "{made}");
        made
    }

    /// Makes a queue and gives its ARN.
    pub(crate) fn queue(&self, name: &str) -> String {
        let input = json!({"QueueName": name});
        self.neighbours
            .call(&self.scope(), "sqs", "CreateQueue", &input)
            .unwrap();
        self.scope().arn("sqs", name)
    }

    /// The bodies of the messages of a queue, once there are some.
    pub(crate) async fn messages(&self, name: &str) -> Vec<Value> {
        let input =
            json!({"QueueUrl": name, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]});
        for _ in 0..2_000 {
            let given = self
                .neighbours
                .call(&self.scope(), "sqs", "ReceiveMessage", &input)
                .unwrap();
            if let Some(messages) = given["Messages"].as_array().filter(|all| !all.is_empty()) {
                return messages.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no message came into {name}");
    }
}

//! A sandbox with a broker, functions that run, queues and buckets; and what tests do there.

use std::io::Write as _;
use std::time::{Duration, Instant};

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tidegate_aws::{Aws, AwsOptions};
use tidegate_bridge::binding::AwsSettings;
use tidegate_bridge::{Binding, Defaults, from_value};
use tidegate_manifest::Origin;
use tidegate_sandbox_aws::SandboxAws;
use tidegate_sandbox_kafka::{KafkaOptions, SandboxKafka};
use tidegate_sandbox_lambda::LambdaOptions;

const REGION: &str = "eu-west-1";

pub(crate) struct Place {
    pub(crate) kafka: SandboxKafka,
    pub(crate) sandbox: SandboxAws,
    pub(crate) aws: Aws,
}

impl Place {
    pub(crate) async fn start() -> Self {
        let kafka = SandboxKafka::start(KafkaOptions::default()).await.unwrap();
        let lambda = LambdaOptions::immediate(true);
        let sandbox =
            tidegate_sandbox_lambda::start(tidegate_sandbox_aws::AwsOptions::default(), lambda)
                .await
                .unwrap();
        let options = AwsOptions {
            region: Some(REGION.to_owned()),
            endpoint_url: Some(sandbox.endpoint()),
            fixed_credentials: Some(("a".to_owned(), "b".to_owned())),
            role_arn: None,
        };
        let aws = Aws::connect(&options).await.unwrap();
        Self {
            kafka,
            sandbox,
            aws,
        }
    }

    pub(crate) fn defaults(&self) -> Defaults {
        Defaults {
            bootstrap_servers: Some(self.kafka.bootstrap()),
            aws: AwsSettings {
                region: Some(REGION.to_owned()),
                endpoint_url: Some(self.sandbox.endpoint()),
                role_arn: None,
                fixed_credentials: Some(("a".to_owned(), "b".to_owned())),
            },
            replaces: true,
            ..Defaults::default()
        }
    }

    /// A binding of spec fields.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "calls read best with `json!` in place"
    )]
    pub(crate) fn binding(&self, name: &str, spec: serde_json::Value) -> Binding {
        let document = serde_json::json!({
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "EventSourceBinding",
            "metadata": {"name": name},
            "spec": spec,
        });
        from_value(&document, &Origin::default(), &self.defaults(), &|_| None).unwrap()
    }

    /// A Python function whose module is `code`, with `handler(event, context)`.
    pub(crate) async fn function(&self, name: &str, code: &str) {
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
        let iam = aws_sdk_iam::Client::new(&self.aws.config);
        let role = iam
            .create_role()
            .role_name(name)
            .assume_role_policy_document(trust);
        let role = role.send().await.unwrap().role.unwrap();
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file("app.py", options).unwrap();
        archive.write_all(code.as_bytes()).unwrap();
        let bytes = archive.finish().unwrap().into_inner();
        let lambda = aws_sdk_lambda::Client::new(&self.aws.config);
        lambda
            .create_function()
            .function_name(name)
            .runtime(Runtime::Python312)
            .handler("app.handler")
            .timeout(20)
            .role(role.arn())
            .code(FunctionCode::builder().zip_file(Blob::new(bytes)).build())
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn send(&self, topic: &str, values: impl Iterator<Item = String>) {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", self.kafka.bootstrap())
            .create()
            .unwrap();
        for value in values {
            let record = FutureRecord::to(topic)
                .key("k")
                .payload(&value)
                .partition(0);
            producer
                .send(record, Duration::from_secs(20))
                .await
                .unwrap();
        }
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "not yet: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

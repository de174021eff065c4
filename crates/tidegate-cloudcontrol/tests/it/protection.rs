//! An alias never moves to code that does not work.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tidegate_applier::{ApplierError, ApplyResult, ChangeOutcome, ErrorKind};
use tidegate_aws::{Aws, Mark, MemoryArtifacts, Resource};

use crate::bench::{Bench, resources};
use crate::canned;
use crate::cases::{function, role};
use crate::servers::{package, package_of, sandbox};

/// A function, its version and an alias that is tried before it moves.
fn template(code: &str, version: &str, handler: &str) -> Value {
    let mut function = function("guarded", code);
    function["Properties"]["Handler"] = json!(handler);
    let mut template = json!({
        "Role": role("guarded-role"),
        "Function": function,
        "Live": {"Type": "AWS::Lambda::Alias", "Metadata": {"tidegate.dev/smoke-test": "{\"try\": true}"}, "Properties": {
            "Name": "live", "FunctionName": {"Ref": "Function"}, "FunctionVersion": {"Fn::GetAtt": [version, "Version"]}}},
    });
    template[version] = json!({"Type": "AWS::Lambda::Version", "DeletionPolicy": "Retain", "Properties": {
        "FunctionName": {"Ref": "Function"}}});
    template
}

async fn applied(bench: &Bench, template: &Value, id: &str) -> Result<ApplyResult, ApplierError> {
    let all = resources("guarded", template);
    let place = all.iter().position(|one| one.logical_id == id).unwrap();
    bench.apply(&all, false).await.swap_remove(place)
}

/// What a caller of the alias gets.
async fn called(aws: &Aws) -> String {
    let client = aws_sdk_lambda::Client::new(&aws.config);
    let call = client.invoke().function_name("guarded").qualifier("live");
    let answer = call.send().await.unwrap();
    assert_eq!(answer.function_error(), None);
    String::from_utf8(answer.payload().unwrap().as_ref().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_handler_is_refused_before_the_alias_moves() {
    let (server, aws) = sandbox().await;
    let artifacts = Arc::new(MemoryArtifacts::default());
    let bench = Bench::new(&aws, "it", &artifacts);
    let good = package(&artifacts, "one");
    let live = applied(&bench, &template(&good, "V1", "index.handler"), "Live").await;
    assert_eq!(live.unwrap().outcome, ChangeOutcome::Created);
    assert_eq!(called(&aws).await, "\"one\"");

    let raises = package_of(
        &artifacts,
        "def handler(event, context):\n    raise ValueError('no such order')\n",
    );
    let broken = package_of(&artifacts, "import nothing_like_it\n");
    let bad = [
        ("V2", raises.as_str(), "index.handler", "no such order"),
        ("V3", broken.as_str(), "index.handler", "nothing_like_it"),
        ("V4", good.as_str(), "index.missing", "missing"),
    ];
    for (version, code, handler, words) in bad {
        let error = applied(&bench, &template(code, version, handler), "Live").await;
        let error = error.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
        let text = error.to_string();
        assert!(text.contains("the alias stays where it is"), "{text}");
        assert!(
            text.contains("smoke test") && text.contains(words),
            "{text}"
        );
        assert_eq!(called(&aws).await, "\"one\"", "{version}");
    }

    let two = package(&artifacts, "two");
    let live = applied(&bench, &template(&two, "V5", "index.handler"), "Live").await;
    assert_eq!(live.unwrap().outcome, ChangeOutcome::Updated);
    assert_eq!(called(&aws).await, "\"two\"");
    // A part of the traffic is traffic too.
    let mut weighted = template(&raises, "V6", "index.handler");
    weighted["V5"] = template(&two, "V5", "index.handler")["V5"].clone();
    weighted["Live"]["Properties"]["FunctionVersion"] = json!({"Fn::GetAtt": ["V5", "Version"]});
    weighted["Live"]["Properties"]["RoutingConfig"] = json!({"AdditionalVersionWeights": [
        {"FunctionVersion": {"Fn::GetAtt": ["V6", "Version"]}, "FunctionWeight": 0.1}]});
    let error = applied(&bench, &weighted, "Live").await.unwrap_err();
    assert!(error.to_string().contains("no such order"), "{error}");
    assert_eq!(called(&aws).await, "\"two\"");
    server.shutdown().await;
}

/// A Lambda whose function is in a state, and the requests that it got.
async fn in_state(configuration: Value) -> (Bench, Arc<Mutex<Vec<String>>>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let answers = move |line: &str| {
        seen.lock().unwrap().push(line.to_owned());
        if line.starts_with("GET /2015-03-31/functions/") {
            return (200, json!({"Configuration": configuration}).to_string());
        }
        (200, "{}".to_owned())
    };
    let url = canned::serve(Arc::new(answers)).await;
    let config = aws_types::SdkConfig::builder()
        .behavior_version(aws_sdk_lambda::config::BehaviorVersion::latest())
        .region(aws_sdk_lambda::config::Region::new("us-east-1"))
        .endpoint_url(&url)
        .credentials_provider(
            aws_credential_types::provider::SharedCredentialsProvider::new(
                aws_credential_types::Credentials::new("test", "test", None, None, "fixed"),
            ),
        )
        .build();
    let aws = Aws {
        config,
        account_id: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        partition: "aws".to_owned(),
        endpoint_url: Some(url),
    };
    (Bench::new(&aws, "it", &Arc::default()), asked)
}

#[tokio::test]
async fn what_aws_calls_failed_is_neither_published_nor_pointed_at() {
    let failed = [
        json!({"FunctionName": "f", "State": "Failed", "StateReason": "the image went", "LastUpdateStatus": "Successful"}),
        json!({"FunctionName": "f", "State": "Active", "LastUpdateStatus": "Failed",
            "LastUpdateStatusReason": "the image went"}),
    ];
    for configuration in failed {
        let (bench, asked) = in_state(configuration).await;
        let wanted = |kind: &str, properties: Value| Resource {
            resource_type: kind.to_owned(),
            properties: properties.as_object().unwrap().clone(),
            mark: Mark::default(),
            ..Resource::default()
        };
        let version = wanted("AWS::Lambda::Version", json!({"FunctionName": "f"}));
        let error = bench.handler("AWS::Lambda::Version").create(&version).await;
        let text = error.unwrap_err().to_string();
        assert!(text.contains("the image went"), "{text}");
        let alias = wanted(
            "AWS::Lambda::Alias",
            json!({"FunctionName": "f", "Name": "live", "FunctionVersion": "2"}),
        );
        let error = bench.handler("AWS::Lambda::Alias").create(&alias).await;
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("stays where it is") && text.contains("the image went"),
            "{text}"
        );
        let asked = asked.lock().unwrap();
        assert!(
            asked.iter().all(|line| line.starts_with("GET ")),
            "{asked:?}"
        );
    }
}

//! Bad input: it ends soon, with a diagnostic or a result, never with a panic or an overflow.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fmt::Write as _;
use std::sync::Arc;

use tidegate_manifest::{Diagnostic, Origin};
use tidegate_render::{AwsEnvironment, FileTree, MemoryTree};
use tidegate_serverless::sam::{SamOptions, transform};
use tidegate_serverless::service::compose;
use tidegate_serverless::{Template, evaluate};

/// Parses, transforms and evaluates; gives the number of resources and what was told.
fn template(text: &str) -> (usize, Vec<Diagnostic>) {
    let environment = AwsEnvironment::default();
    let parsed = match Template::parse(text.as_bytes(), &Origin::default()) {
        Ok(parsed) => parsed,
        Err(told) => return (0, told),
    };
    let transformed = match transform(&parsed, &SamOptions::of(&environment)) {
        Ok((transformed, _)) => transformed,
        Err(told) => return (0, told),
    };
    let evaluated = evaluate(&transformed, &environment, "stack");
    (evaluated.resources.len(), evaluated.diagnostics)
}

/// Composes a service whose function's code is there.
fn service(text: &str) -> Vec<Diagnostic> {
    let tree = MemoryTree::default()
        .with_file("handler.py", "")
        .with_file("serverless.yml", text);
    let tree: Arc<dyn FileTree> = Arc::new(tree);
    let environment = AwsEnvironment::default();
    let bytes = text.as_bytes();
    compose(
        &tree,
        "serverless.yml",
        bytes,
        &environment,
        &Origin::default(),
    )
    .diagnostics
}

fn nested(depth: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn deep_values_are_refused() {
    for depth in [90, 400, 5_000, 100_000] {
        for (open, close) in [("{\"a\":", "}"), ("[", "]"), ("{\"Fn::Sub\":", "}")] {
            let value = nested(depth, open, "1", close);
            for kind in [
                "AWS::SQS::Queue",
                "AWS::Serverless::Function",
                "AWS::Serverless::StateMachine",
            ] {
                let text = format!(
                    "{{\"Transform\":\"AWS::Serverless-2016-10-31\",\"Resources\":{{\"R\":{{\"Type\":\"{kind}\",\"Properties\":{{\"Definition\":{value},\"Environment\":{value},\"Policies\":{value}}}}}}}}}"
                );
                let (_, told) = template(&text);
                assert!(depth < 400 || !told.is_empty(), "{depth} {open} {kind}");
            }
            let text = format!(
                "{{\"service\":\"s\",\"provider\":{{\"name\":\"aws\",\"runtime\":\"python3.12\"}},\"custom\":{value},\"functions\":{{\"f\":{{\"handler\":\"handler.run\",\"environment\":{value}}}}}}}"
            );
            assert!(!service(&text).is_empty(), "{depth} {open}");
        }
    }
}

#[test]
fn aliases_do_not_explode() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let list = vec![before; 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
    }
    let (_, told) = template(&format!(
        "Transform: AWS::Serverless-2016-10-31\n{bomb}Resources: {{R: {{Type: AWS::SQS::Queue, Properties: {{Tags: *a11}}}}}}\n"
    ));
    assert!(!told.is_empty());
    let text = format!(
        "service: s\nprovider: {{name: aws, runtime: python3.12}}\n{bomb}functions: {{f: {{handler: handler.run}}}}\n"
    );
    assert!(!service(&text).is_empty());
}

#[test]
fn variables_do_not_explode() {
    let mut text = String::from(
        "service: s\nprovider: {name: aws, runtime: python3.12}\nfunctions: {f: {handler: handler.run}}\ncustom:\n  v0: [x, x, x, x, x, x, x, x, x, x]\n",
    );
    for level in 1..12 {
        let one = format!("'${{self:custom.v{}}}'", level - 1);
        writeln!(text, "  v{level}: [{}]", vec![one; 10].join(", ")).unwrap();
    }
    assert!(service(&text).iter().any(Diagnostic::is_error));
    let circle = "service: s\nprovider: {name: aws, runtime: python3.12}\nfunctions: {f: {handler: handler.run}}\ncustom: {a: '${self:custom.b}', b: '${self:custom.c.d}', c: {d: '${self:custom.a}'}}\n";
    assert!(service(circle).iter().any(Diagnostic::is_error));
    let whole = "service: s\nprovider: {name: aws, runtime: python3.12}\nfunctions: {f: {handler: handler.run}}\ncustom: {a: '${self:}'}\n";
    let _ = service(whole);
    let opened = nested(20_000, "${self:", "x", "}");
    let text = format!(
        "service: s\nprovider: {{name: aws, runtime: python3.12}}\nfunctions: {{f: {{handler: handler.run}}}}\ncustom: {{a: '{opened}'}}\n"
    );
    assert!(service(&text).iter().any(Diagnostic::is_error));
}

#[test]
fn conditions_and_mappings_in_circles_are_told() {
    let (_, told) = template(
        "Conditions:\n  A: {Condition: B}\n  B: {'Fn::Not': [{Condition: A}]}\nResources:\n  R: {Type: AWS::SQS::Queue, Condition: A}\n",
    );
    assert!(told.iter().any(Diagnostic::is_error));
}

/// The template of a large pipeline: functions with roles, versions, mappings and queues.
fn pipeline(functions: usize) -> String {
    let mut text = String::from(
        "Transform: AWS::Serverless-2016-10-31\nGlobals: {Function: {Runtime: python3.12, Timeout: 30, AutoPublishAlias: live, Environment: {Variables: {STAGE: !Ref 'AWS::StackName'}}}}\nResources:\n",
    );
    for n in 0..functions {
        writeln!(
            text,
            "  Q{n}: {{Type: AWS::SQS::Queue, Properties: {{QueueName: !Sub '${{AWS::StackName}}-{n}'}}}}\n  F{n}:\n    Type: AWS::Serverless::Function\n    Properties:\n      Handler: app.run\n      CodeUri: s3://code/app.zip\n      Policies: [{{SQSSendMessagePolicy: {{QueueName: !GetAtt Q{n}.QueueName}}}}, AmazonS3ReadOnlyAccess]\n      Events:\n        In: {{Type: SQS, Properties: {{Queue: !GetAtt Q{n}.Arn, BatchSize: 10}}}}"
        )
        .unwrap();
    }
    text
}

#[test]
fn a_large_template_becomes_all_its_resources() {
    let (count, told) = template(&pipeline(100));
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(count, 600);
}

//! Variables against whole services.

use serde_json::{Value, json};
use tidegate_manifest::Origin;
use tidegate_render::{AwsEnvironment, MemoryTree};

use super::{Inputs, resolve};
use crate::service::load;

fn resolved(text: &str, files: &[(&str, &str)], environment: &AwsEnvironment) -> (Value, String) {
    let tree = files
        .iter()
        .fold(MemoryTree::default(), |tree, (name, text)| {
            tree.with_file(name, *text)
        });
    let origin = Origin {
        path: "app/serverless.yml".to_owned(),
        commit: "0123456789abcdef".to_owned(),
        ..Origin::default()
    };
    let root = load::parse(text.as_bytes(), &origin).unwrap();
    let inputs = Inputs {
        environment,
        tree: &tree,
        directory: "app",
        origin: &origin,
    };
    let (root, diagnostics) = resolve(root, inputs);
    let told = diagnostics
        .iter()
        .map(|found| format!("{}:{} {}", found.origin.line, found.code, found.message));
    (root.to_json(), told.collect::<Vec<_>>().join("\n"))
}

fn check(text: &str, expected: &Value) {
    let files = [
        (
            "app/c.yml",
            "a: {b: 1, c: '${self:custom.x}'}\nlist: [x, !Ref Y]\nnext: ${file(d.json)}",
        ),
        ("app/d.json", "{\"e\": {\"f\": true}}"),
        ("shared.txt", "text"),
        ("app/loop.txt", "${self:${file(loop.txt)}}"),
    ];
    let environment = AwsEnvironment {
        options: [
            ("name".to_owned(), "given".to_owned()),
            ("cf:s.Out".to_owned(), "cfv".to_owned()),
        ]
        .into(),
        variables: [("HOME_X".to_owned(), "home".to_owned())].into(),
        parameters: [("p".to_owned(), "cli".to_owned())].into(),
        ..AwsEnvironment::default()
    };
    let (value, told) = resolved(text, &files, &environment);
    let found = if told.contains("TG1503") {
        Value::from(told)
    } else {
        value["v"].clone()
    };
    assert_eq!(found, *expected, "{text}");
}

#[test]
fn sources_give_values() {
    check("custom: {x: 1}\nv: ${self:custom.x}", &json!(1));
    check(
        "custom: {x: [a, {y: z}]}\nv: ${self:custom.x.1.y}-q",
        &json!("z-q"),
    );
    check(
        "custom: {x: 1}\nv: ${file(c.yml)}",
        &json!({"a": {"b": 1, "c": 1}, "list": ["x", {"Ref": "Y"}], "next": {"e": {"f": true}}}),
    );
    check("v: ${file(./c.yml):next.e.f}", &json!(true));
    check("v: ${file(../shared.txt)}", &json!("text"));
    check("v: ${file(nope.yml), 'none'}", &json!("none"));
    check("v: ${opt:name}/${opt:other, 'o'}", &json!("given/o"));
    check("v: ${env:HOME_X}", &json!("home"));
    check("v: ${sls:stage}", &json!("dev"));
    check(
        "provider: {stage: \"${opt:stage, 'qa'}\"}\nv: ${sls:stage}",
        &json!("qa"),
    );
    check(
        "params: {default: {p: d, q: d}, dev: {q: ~, r: s}}\nv: ['${param:p}', '${param:q}', '${param:r}']",
        &json!(["cli", "d", "s"]),
    );
    check(
        "stages: {default: {params: {q: d}}, dev: {params: {q: e}}}\nv: ${param:q}",
        &json!("e"),
    );
    check(
        "v: ${aws:accountId}${aws:region}",
        &json!("123456789012us-east-1"),
    );
    check("v: ${strToBool(1)}", &json!(true));
    check("v: ${cf:s.Out}", &json!("cfv"));
    check("v: ${ssm:/a/b}", &json!("{{resolve:ssm:/a/b}}"));
    check(
        "v: ${ssm:/aws/reference/secretsmanager/db}",
        &json!("{{resolve:secretsmanager:db}}"),
    );
    check("v: ${git:sha1}", &json!("0123456"));
    check("custom: {x: [1, 2]}\nv: a${self:custom.x}", &json!("a1,2"));
    check("v: ${opt:nope, null}", &json!(null));
}

#[test]
fn text_of_other_languages_stays() {
    check(
        "v: 'arn:${AWS::Region}:\\${self:x}'",
        &json!("arn:${AWS::Region}:${self:x}"),
    );
    check(
        "v: '${AWS::AccountId}-${opt:name}'",
        &json!("${AWS::AccountId}-given"),
    );
}

#[test]
fn failures_are_told_in_the_words_of_the_framework() {
    let fail = |text: &str, message: &str| check(text, &Value::from(message));
    fail(
        "a: 1\nv: ${self:b}",
        "2:TG1503 Cannot resolve variable at \"v\": Value not found at \"self\" source",
    );
    fail(
        "v: ${self:v}",
        "1:TG1503 Cannot resolve variable at \"v\": Circular reference. \"v\" refers to itself",
    );
    fail(
        "v: ${self:w}\nw: ${self:v}",
        "1:TG1503 Cannot resolve variable at \"w\": Circular reference among \"w\" and \"v\" properties",
    );
    fail(
        "custom: {x: {a: b}}\nv: a-${self:custom.x}",
        "2:TG1503 Cannot resolve variable at \"v\": String value consist of variable which resolve with non-string value",
    );
    fail(
        "v: ${file(../../x.yml)}",
        "1:TG1503 Cannot resolve variable at \"v\": \"../../x.yml\" lies outside the repository",
    );
    fail(
        "v: ${file(x.js):a}",
        "1:TG1503 Cannot resolve variable at \"v\": \"x.js\" is a program, which is not run",
    );
    fail(
        "v: ${env:NOPE}",
        "1:TG1503 Cannot resolve variable at \"v\": Value not found at \"env\" source",
    );
    fail(
        "v: ${vault:x}",
        "1:TG1503 Cannot resolve variable at \"v\": Unrecognized configuration variable sources: \"vault\"",
    );
    fail(
        "v: ${cf:other.Out}",
        "1:TG1503 Cannot resolve variable at \"v\": \"cf:other.Out\" lives in AWS and templates are read without a network: give its value as an option of that name",
    );
    fail(
        "v: ${self:a\n  b",
        "1:TG1503 Variable syntax error at \"v\": Missing variable closing bracket in ${self:a b",
    );
    fail(
        "v: ${file(loop.txt)}",
        "1:TG1503 Cannot resolve variable at \"v\": Excessive variables nest depth",
    );
}

#[test]
fn a_fallback_of_the_environment_is_a_warning() {
    let (value, told) = resolved("v: ${env:NOPE, 'x'}", &[], &AwsEnvironment::default());
    assert_eq!(value["v"], json!("x"));
    assert_eq!(
        told,
        "1:TG1504 the environment variable NOPE is not given: its fallback is used"
    );
}

#[test]
fn parameters_of_other_stages_are_not_looked_at() {
    let text = "params: {prod: {a: '${env:SECRET}'}, default: {a: b}}\nv: ${param:a}";
    let (value, told) = resolved(text, &[], &AwsEnvironment::default());
    assert_eq!((value["v"].clone(), told), (json!("b"), String::new()));
}

#[test]
fn long_chains_and_explosions_end() {
    let chain: String = (0..2000)
        .map(|n| format!("a{n}: ${{self:a{}}}\n", n + 1))
        .collect();
    let (_, told) = resolved(&chain, &[], &AwsEnvironment::default());
    assert!(told.contains("Excessive"), "{told}");
    let text: String = (0..40)
        .map(|n| format!("a{}: ${{self:a{n}}}${{self:a{n}}}\n", n + 1))
        .collect();
    let (_, told) = resolved(
        &format!("a0: xxxxxxxxxx\n{text}"),
        &[],
        &AwsEnvironment::default(),
    );
    assert!(told.contains("too long"), "{told}");
    let text: String = (0..12)
        .map(|n| {
            format!(
                "  a{}: [{}]\n",
                n + 1,
                vec![format!("'${{self:custom.a{n}}}'"); 10].join(",")
            )
        })
        .collect();
    let (_, told) = resolved(
        &format!("custom:\n  a0: [x]\n{text}"),
        &[],
        &AwsEnvironment::default(),
    );
    assert!(
        told.contains("too large") || told.contains("Excessive"),
        "{told}"
    );
    let files = [(
        "app/f.txt",
        "${file(f.txt)}${file(f.txt)}${file(f.txt)}${file(f.txt)}${file(f.txt)}${file(f.txt)}",
    )];
    let (_, told) = resolved("v: ${file(f.txt)}", &files, &AwsEnvironment::default());
    assert!(told.contains("Excessive"), "{told}");
}

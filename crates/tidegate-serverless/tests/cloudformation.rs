//! CloudFormation's language, and what a directory with a template renders to.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_manifest::{ApplicationSource, Origin};
use tidegate_render::{
    AwsEnvironment, DirectoryRenderer, MemoryTree, RenderInput, Rendered, Renderer,
};
use tidegate_serverless::{ArchiveSpec, Template, TemplateReader, archive, evaluate};

fn environment(parameters: &[(&str, &str)]) -> AwsEnvironment {
    AwsEnvironment {
        parameters: parameters
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        ..AwsEnvironment::default()
    }
}

/// Properties of the resource `R`, then all messages.
fn properties(text: &str, parameters: &[(&str, &str)]) -> (Value, Vec<String>) {
    let template = Template::parse(text.as_bytes(), &Origin::default()).unwrap();
    let evaluated = evaluate(&template, &environment(parameters), "stack");
    let found = evaluated
        .resources
        .iter()
        .find(|(r, _)| r.logical_id == "R");
    let found = found.map(|(r, _)| Value::Object(r.properties.clone()));
    let messages = evaluated.diagnostics.into_iter().map(|d| d.message);
    (found.unwrap_or_default(), messages.collect())
}

/// One property of a resource among others.
fn check(value: &str, expected: &Value) {
    let text = format!(
        "Parameters: {{P: {{Type: String, Default: pv}}, L: {{Type: CommaDelimitedList, Default: 'a, b,c'}}}}\n\
         Mappings: {{M: {{k: {{v: 7}}}}}}\n\
         Conditions: {{Good: !Equals [!Ref P, pv], Bad: !Not [Condition: Good], Both: !And [!Condition Good, !Condition Bad]}}\n\
         Resources:\n  Other: {{Type: 'AWS::SQS::Queue'}}\n  R: {{Type: 'AWS::X::Y', Properties: {{V: {value}}}}}\n"
    );
    let (found, messages) = properties(&text, &[]);
    assert_eq!(messages, Vec::<String>::new(), "{value}");
    assert_eq!(
        found.get("V").cloned().unwrap_or_default(),
        *expected,
        "{value}"
    );
}

#[test]
fn functions_are_evaluated_as_far_as_the_template_says() {
    check("!Ref P", &json!("pv"));
    check("!Ref L", &json!(["a", "b", "c"]));
    check("!Ref AWS::Region", &json!("us-east-1"));
    check(
        "!Sub '${AWS::StackName}-${P}-${!x}'",
        &json!("stack-pv-${x}"),
    );
    check("!Sub ['${a}.${P}', {a: !Ref P}]", &json!("pv.pv"));
    check("!Ref Other", &json!({"Ref": "Other"}));
    check(
        "!GetAtt Other.Arn",
        &json!({"Fn::GetAtt": ["Other", "Arn"]}),
    );
    check(
        "!Sub '${Other.Arn}'",
        &json!({"Fn::GetAtt": ["Other", "Arn"]}),
    );
    check(
        "!Sub 'a${P}/${Other.Arn}/*'",
        &json!({"Fn::Join": ["", ["apv/", {"Fn::GetAtt": ["Other", "Arn"]}, "/*"]]}),
    );
    check("!Join ['-', [a, !Ref P, 3]]", &json!("a-pv-3"));
    check("!Join [',', !Ref L]", &json!("a,b,c"));
    check("!Select [1, !Ref L]", &json!("b"));
    check("!Select ['0', !Split ['/', 'x/y']]", &json!("x"));
    check("!FindInMap [M, k, v]", &json!(7));
    check("!If [Good, 1, 2]", &json!(1));
    check("!If [Bad, 1, !Ref AWS::NoValue]", &json!(null));
    check("!If [Both, 1, 2]", &json!(2));
    check(
        "[a, !If [Bad, b, !Ref AWS::NoValue], c]",
        &json!(["a", "c"]),
    );
    check("{Fn::Base64: hi}", &json!("aGk="));
    check(
        "!Cidr ['10.0.0.0/24', 2, 6]",
        &json!(["10.0.0.0/26", "10.0.0.64/26"]),
    );
    check("{Fn::Length: !Ref L}", &json!(3));
    check("{Fn::ToJsonString: {a: 1}}", &json!("{\"a\":1}"));
    check(
        "{Statement: [{Condition: {StringEquals: {a: b}}}]}",
        &json!({"Statement": [{"Condition": {"StringEquals": {"a": "b"}}}]}),
    );
}

#[test]
fn mistakes_are_told_in_cloudformations_words() {
    let check = |body: &str, parameters: &[(&str, &str)], words: &str| {
        let (_, messages) = properties(body, parameters);
        assert!(
            messages.iter().any(|m| m.contains(words)),
            "{body}: {messages:?}"
        );
    };
    let r = |value: &str| {
        format!("Resources: {{R: {{Type: 'AWS::X::Y', Properties: {{V: {value}}}}}}}")
    };
    check(
        &r("!Ref Nope"),
        &[],
        "Unresolved resource dependencies [Nope] in the Resources block of the template",
    );
    check(
        &r("!GetAtt Nope.Arn"),
        &[],
        "Unresolved resource dependencies [Nope]",
    );
    check(
        &r("!FindInMap [M, a, b]"),
        &[],
        "Unable to get mapping for M::a::b",
    );
    check(
        &r("!Select [5, [a]]"),
        &[],
        "Fn::Select cannot select nonexistent value at index 5",
    );
    check(&r("!ImportValue x"), &[], "No export named x found.");
    check(&r("{Fn::Transform: {Name: X}}"), &[], "macro");
    check(&r("!If [Nope, 1, 2]"), &[], "Unresolved condition Nope");
    check(
        "Parameters: {P: {Type: String}}\nResources: {R: {Type: 'A::B::C'}}",
        &[],
        "Parameters: [P] must have values",
    );
    check(
        "Parameters: {P: {Type: Number}}\nResources: {R: {Type: 'A::B::C'}}",
        &[("P", "x")],
        "must be a number",
    );
    check(
        "Parameters: {P: {Type: String, AllowedValues: [a, b]}}\nResources: {R: {Type: 'A::B::C'}}",
        &[("P", "c")],
        "must be one of AllowedValues: [a, b]",
    );
    check(
        "Conditions: {A: !Condition B, B: !Condition A}\nResources: {R: {Type: 'A::B::C', Condition: A}}",
        &[],
        "Circular dependency",
    );
}

#[test]
fn loops_are_written_out() {
    let text = "Transform: AWS::LanguageExtensions\nResources:\n  Fn::ForEach::Queues:\n    - Name\n    - [In, Out]\n    - Queue${Name}:\n        Type: AWS::SQS::Queue\n        Properties: {QueueName: !Sub 'q-${Name}'}\n";
    let template = Template::parse(text.as_bytes(), &Origin::default()).unwrap();
    let evaluated = evaluate(&template, &AwsEnvironment::default(), "s");
    let names: Vec<_> = evaluated
        .resources
        .iter()
        .map(|(r, _)| (r.logical_id.as_str(), r.physical_name.as_deref().unwrap()))
        .collect();
    assert_eq!(names, [("QueueIn", "q-In"), ("QueueOut", "q-Out")]);
}

#[test]
fn secrets_are_known_by_their_place() {
    let text = "Parameters: {S: {Type: String, NoEcho: true, Default: x}}\nResources: {R: {Type: 'A::B::C', Properties: {A: [1, !Ref S], B: !Sub 'p-${S}', C: '{{resolve:ssm:a}}', D: plain}}}";
    let template = Template::parse(text.as_bytes(), &Origin::default()).unwrap();
    let evaluated = evaluate(&template, &AwsEnvironment::default(), "s");
    assert_eq!(
        evaluated.resources[0].0.sensitive,
        ["/Properties/A/1", "/Properties/B", "/Properties/C"]
    );
}

fn render(tree: MemoryTree) -> Rendered {
    let renderer = DirectoryRenderer {
        readers: vec![Arc::new(TemplateReader)],
        ..DirectoryRenderer::default()
    };
    renderer.render(&RenderInput {
        tree: Arc::new(tree),
        source: ApplicationSource {
            path: Some("app".to_owned()),
            ..ApplicationSource::default()
        },
        application: "etl".to_owned(),
        namespace: "default".to_owned(),
        origin: Origin::default(),
        aws: Arc::default(),
    })
}

#[test]
fn a_directory_mixes_manifests_and_a_template() {
    let template = "Resources:\n  F:\n    Type: AWS::Lambda::Function\n    Metadata: {argocd.argoproj.io/sync-wave: 2, Note: x}\n    Properties: {Handler: a.h, Code: src, Role: !GetAtt Role.Arn}\n    DeletionPolicy: Retain\n  Role: {Type: 'AWS::IAM::Role'}\n";
    let tree = MemoryTree::default()
        .with_file("app/template.yaml", template)
        .with_file(
            "app/config.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
        )
        .with_file("app/package.json", "{\"name\": \"x\"}")
        .with_file("app/src/a.py", "def h(e, c): return e\n");
    let rendered = render(tree);
    assert!(
        rendered.diagnostics.is_empty(),
        "{:?}",
        rendered.diagnostics
    );
    let names: Vec<_> = rendered
        .objects
        .iter()
        .map(|o| {
            (
                o.gvk.kind.as_str(),
                o.name.as_str(),
                o.facts.wave,
                o.origin.line,
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            ("ConfigMap", "c", 0, 1),
            ("AWS::Lambda::Function", "F", 2, 2),
            ("AWS::IAM::Role", "Role", 0, 7)
        ]
    );
    let function = &rendered.objects[1].body;
    assert_eq!(rendered.artifacts.len(), 1);
    assert_eq!(
        function["Properties"]["Code"]["Artifact"]["Sha256"],
        json!(rendered.artifacts[0].sha256)
    );
    assert_eq!(function["References"]["Role"]["Type"], "AWS::IAM::Role");
    assert_eq!(function["metadata"]["namespace"], "etl");
}

#[test]
fn code_that_is_not_there_is_told_with_its_line() {
    let tree = MemoryTree::default().with_file(
        "app/template.yaml",
        "Resources:\n  F:\n    Type: AWS::Lambda::Function\n    Properties:\n      Code: ./dist/app.zip\n",
    );
    let rendered = render(tree);
    let found = &rendered.diagnostics[0];
    assert_eq!((found.code.as_str(), found.origin.line), ("TG1307", 5));
    assert!(
        found.help.as_ref().unwrap().contains("nothing is built"),
        "{found}"
    );
}

#[test]
fn six_hundred_resources_are_no_matter() {
    let mut text = String::from("Resources:\n");
    for n in 0..600 {
        text.push_str(&format!(
            "  Q{n}:\n    Type: AWS::SQS::Queue\n    Properties: {{QueueName: !Sub '${{AWS::StackName}}-{n}', RedrivePolicy: {{deadLetterTargetArn: !GetAtt Q{}.Arn}}}}\n",
            (n + 1) % 600
        ));
    }
    let rendered = render(MemoryTree::default().with_file("app/template.yaml", text));
    assert!(rendered.diagnostics.is_empty());
    assert_eq!(rendered.objects.len(), 600);
}

/// What is wrong with an application of one file beside its code: the codes, and where.
fn told(name: &str, text: &str, code: &[(&str, &str)]) -> Vec<(String, u32, String)> {
    let mut tree = MemoryTree::default().with_file(&format!("app/{name}"), text);
    for (path, text) in code {
        tree = tree.with_file(&format!("app/{path}"), *text);
    }
    let rendered = render(tree);
    let found = rendered.diagnostics.into_iter();
    found
        .map(|found| {
            (
                found.code,
                found.origin.line,
                found.object.unwrap_or_default(),
            )
        })
        .collect()
}

#[test]
fn a_handler_must_be_in_its_archive() {
    let sam = "Transform: AWS::Serverless-2016-10-31\nResources:\n  Worker:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: src\n      Handler: app.run\n      Runtime: python3.12\n";
    let missing = [("TG1308".to_owned(), 7, "Worker".to_owned())];
    assert_eq!(told("template.yaml", sam, &[("src/other.py", "")]), missing);
    assert_eq!(told("template.yaml", sam, &[("src/app.py", "")]), []);

    let plain = "Resources:\n  Worker:\n    Type: AWS::Lambda::Function\n    Properties: {Handler: index.run, Runtime: nodejs22.x, Code: src, Role: arn}\n";
    let missing = [("TG1308".to_owned(), 4, "Worker".to_owned())];
    assert_eq!(
        told("template.yaml", plain, &[("src/index.ts", "")]),
        missing
    );
    assert_eq!(told("template.yaml", plain, &[("src/index.mjs", "")]), []);

    let service = "service: reads\nprovider: {name: aws, runtime: python3.12}\nfunctions:\n  read:\n    handler: src/app.run\n";
    let missing = [("TG1308".to_owned(), 4, "ReadLambdaFunction".to_owned())];
    assert_eq!(told("serverless.yml", service, &[("app.py", "")]), missing);
    assert_eq!(told("serverless.yml", service, &[("src/app.py", "")]), []);
}

#[test]
fn a_handler_is_looked_for_in_a_ready_archive() {
    let tree = MemoryTree::default().with_file("built/app.py", "");
    let spec = ArchiveSpec {
        path: "built".to_owned(),
        ..ArchiveSpec::default()
    };
    let ready = archive(&tree, &spec).unwrap();
    let template = |handler: &str| {
        format!(
            "Transform: AWS::Serverless-2016-10-31\nResources:\n  Worker:\n    Type: AWS::Serverless::Function\n    Properties: {{CodeUri: built.zip, Runtime: python3.12, Handler: {handler}}}\n"
        )
    };
    let codes = |handler: &str| -> Vec<String> {
        let tree = MemoryTree::default()
            .with_file("app/template.yaml", template(handler))
            .with_file("app/built.zip", ready.bytes.to_vec());
        let found = render(tree).diagnostics.into_iter();
        found.map(|found| found.code).collect()
    };
    assert_eq!(codes("app.run"), Vec::<String>::new());
    assert_eq!(codes("main.run"), ["TG1308"]);
}

#[test]
fn resources_of_sam_are_transformed_without_their_transform_too() {
    let text = "Resources:\n  Worker:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: s3://code/a.zip, Handler: app.run, Runtime: python3.12}\n";
    let undeclared = [("TG1402".to_owned(), 3, "Worker".to_owned())];
    assert_eq!(told("template.yaml", text, &[]), undeclared);
    let rendered = render(MemoryTree::default().with_file("app/template.yaml", text));
    let body = &rendered.templates[0].body;
    assert_eq!(body["Resources"]["WorkerRole"]["Type"], "AWS::IAM::Role");
}

#[test]
fn all_that_is_wrong_with_a_sam_template_is_told_at_once() {
    let text = "Transform: AWS::Serverless-2016-10-31\nResources:\n  A:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: nowhere, Handler: app.run, Runtime: python3.12}\n  B:\n    Type: AWS::Serverless::LayerVersion\n    Properties:\n      ContentUri: s3://code/l.zip\n      CompatibleArchitectures: [mips]\n";
    let found = [
        ("TG1401".to_owned(), 8, "B".to_owned()),
        ("TG1307".to_owned(), 5, "A".to_owned()),
    ];
    assert_eq!(told("template.yaml", text, &[]), found);
}

#[test]
fn joined_conditions_of_sam_are_evaluated() {
    let text = "Transform: AWS::Serverless-2016-10-31\nConditions:\n  Yes1: !Equals [a, a]\n  No1: !Equals [a, b]\nResources:\n  A:\n    Type: AWS::Serverless::Function\n    Condition: Yes1\n    Properties:\n      CodeUri: s3://code/a.zip\n      Handler: app.run\n      Runtime: python3.12\n      EventInvokeConfig:\n        DestinationConfig:\n          OnSuccess: {Type: SQS, Destination: !If [Yes1, !Ref AWS::NoValue, arn]}\n          OnFailure: {Type: SQS, Destination: !If [No1, !Ref AWS::NoValue, arn]}\n";
    assert_eq!(told("template.yaml", text, &[]), []);
    let rendered = render(MemoryTree::default().with_file("app/template.yaml", text));
    let kinds = rendered
        .objects
        .iter()
        .map(|object| object.gvk.kind.as_str());
    let queues = kinds.filter(|kind| *kind == "AWS::SQS::Queue");
    assert_eq!(queues.count(), 1, "only the first queue's conditions hold");
}

//! Streams: documents, places, errors, encodings, limits.

use serde_json::json;
use tidegate_yaml::{
    DuplicateKeys, Limits, ParseOptions, ParsedStream, Resolver, YamlErrorKind, from_str,
    parse_one, parse_stream,
};

fn parse(text: &str) -> ParsedStream {
    parse_stream(text.as_bytes(), &ParseOptions::default())
}

/// The stream as a transcript: documents as JSON, errors as `line:column message`.
fn transcript(text: &str) -> String {
    let parsed = parse(text);
    let mut lines: Vec<(usize, String)> = Vec::new();
    for document in &parsed.documents {
        lines.push((document.index, document.root.to_json().to_string()));
    }
    for error in &parsed.errors {
        let place = format!("{}:{}", error.span.line, error.span.column);
        lines.push((error.document, format!("{place} {}", error.message)));
    }
    lines.sort_by_key(|(index, _)| *index);
    lines
        .into_iter()
        .map(|(_, line)| line)
        .collect::<Vec<_>>()
        .join(" | ")
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(transcript(text), expected, "{text:?}");
}

#[test]
fn documents_are_split_and_empty_ones_dropped() {
    check("", "");
    check("# only a comment\n", "");
    check(
        "---\n---\na: 1\n---\n# nothing\n---\nb: 2\n",
        r#"{"a":1} | {"b":2}"#,
    );
    check("a: 1\n...\n---\nb: 2\n...\n", r#"{"a":1} | {"b":2}"#);
    check("--- {a: 1}\n--- |\n  text\n", r#"{"a":1} | "text\n""#);
    check(
        "a: |\n  ---\n  x\n---\nb: '--- '\n",
        r#"{"a":"---\nx\n"} | {"b":"--- "}"#,
    );
    check("a: 1\r\n---\r\nb: 2\r\n", r#"{"a":1} | {"b":2}"#);
    check("%YAML 1.1\n---\na: 1\n", r#"{"a":1}"#);
    check(
        "%TAG !e! tag:example.com,2000:\n---\na: !e!x 1\n",
        r#"{"a":"1"}"#,
    );
    check("a: 1\n----\n", "2:1 could not find expected ':'");
}

#[test]
fn a_broken_document_does_not_hide_the_others() {
    check(
        "a: 1\n---\nb: [1\n---\nc: 3\n---\n\td: 4\n---\ne: 5\n",
        "{\"a\":1} | 4:1 did not find expected ',' or ']' | {\"c\":3} | 7:1 found character that cannot start any token | {\"e\":5}",
    );
    check(
        "a: \"open\n---\nb: 2\n",
        "2:1 found unexpected document indicator | {\"b\":2}",
    );
    check(
        "a: b: c\n---\nok: yes\n",
        "1:5 mapping values are not allowed in this context | {\"ok\":true}",
    );
    check(
        "%YAML 1.2\n---\na: 1\n---\nb: 2\n",
        "1:1 found incompatible YAML document | {\"b\":2}",
    );
    check(
        "a: *x\n---\nb: &x 1\nc: *x\n",
        "1:4 unknown anchor 'x' referenced | {\"b\":1,\"c\":1}",
    );
    check(
        "a: 1\u{1}\n---\nb: 2\n",
        "1:5 control characters are not allowed | {\"b\":2}",
    );
    check(
        "a: 1\0\n---\nb: 2\n",
        "1:5 control characters are not allowed | {\"b\":2}",
    );
}

#[test]
fn every_error_of_a_document_is_reported() {
    check(
        "a: .inf\nb: {{ x }}\n~: 1\nc: !!int z\n<<: 3\n",
        "1:4 unsupported value: +Inf | 2:5 invalid map key: {{ x }} | 3:1 unsupported map key of type: <nil> | 4:10 cannot decode !!str `z` as a !!int | 5:5 map merge requires map or sequence of maps as the value",
    );
}

#[test]
fn usual_mistakes_have_advice() {
    for text in [
        "\ta: 1",
        "a: b: c",
        "a: {{ x }}",
        "a: 'x",
        "a: .nan",
        "a:\n  - b\n c: d",
        "a: *x",
    ] {
        let parsed = parse(text);
        assert!(
            parsed.errors[0].help().is_some(),
            "{text:?}: {}",
            parsed.errors[0]
        );
    }
}

#[test]
fn duplicate_keys_follow_the_option() {
    let text = "a: 1\nb: {c: 1, c: 2}\na: 3\n";
    let parsed = parse(text);
    assert_eq!(
        parsed.documents[0].root.to_json(),
        json!({"a": 3, "b": {"c": 2}})
    );
    let warned: Vec<u32> = parsed.warnings.iter().map(|w| w.span.line).collect();
    assert_eq!(warned, [2, 3]);
    for options in [ParseOptions::strict(), ParseOptions::kyaml()] {
        let parsed = parse_stream(text.as_bytes(), &options);
        let messages: Vec<String> = parsed.errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                "yaml: line 2: mapping key \"c\" already defined at line 2",
                "yaml: line 3: mapping key \"a\" already defined at line 1"
            ]
        );
        assert!(parsed.documents.is_empty());
    }
    let many: String = (0..40)
        .map(|i| format!("k{i}: {i}\n"))
        .chain(["k7: x\n".into()])
        .collect();
    assert_eq!(parse(&many).warnings.len(), 1);
}

#[test]
fn merge_keys_act_where_they_stand_for_kubernetes_and_last_for_kustomize() {
    let cases = [
        (
            "<<: {a: 1, b: 2}\na: 3\n",
            json!({"a": 3, "b": 2}),
            json!({"a": 3, "b": 2}),
        ),
        (
            "a: 3\n<<: {a: 1, b: 2}\n",
            json!({"a": 1, "b": 2}),
            json!({"a": 3, "b": 2}),
        ),
        (
            "<<: [{a: 1}, {a: 2, b: 3}]\n",
            json!({"a": 1, "b": 3}),
            json!({"a": 1, "b": 3}),
        ),
        (
            "x: &x {a: 1}\nz: {<<: *x, b: 2}\n",
            json!({"x": {"a": 1}, "z": {"a": 1, "b": 2}}),
            json!({"x": {"a": 1}, "z": {"a": 1, "b": 2}}),
        ),
        (
            "'<<': {a: 1}\n",
            json!({"<<": {"a": 1}}),
            json!({"<<": {"a": 1}}),
        ),
    ];
    for (text, kubernetes, kyaml) in cases {
        for (resolver, expected) in [(Resolver::Kubernetes, kubernetes), (Resolver::Kyaml, kyaml)] {
            let options = ParseOptions {
                resolver,
                ..ParseOptions::default()
            };
            let node = parse_one(text.as_bytes(), &options).unwrap();
            assert_eq!(node.to_json(), expected, "{resolver:?} {text:?}");
        }
    }
}

#[test]
fn places_are_exact() {
    let text =
        "# head\nname: \"é\" # x\nlist:\n- one\n- {k: v}\n---\nblock: |\n  a\n  b\n\nnext: 1\n";
    let parsed = parse(text);
    let at = |document: usize, path: &[&str]| {
        let span = parsed.documents[document].root.at(path).unwrap().span;
        (
            &text[span.start as usize..span.end as usize],
            span.line,
            span.column,
        )
    };
    assert_eq!(at(0, &["name"]), ("\"é\"", 2, 7));
    assert_eq!(at(0, &["list", "0"]), ("one", 4, 3));
    assert_eq!(at(0, &["list", "1"]), ("{k: v}", 5, 3));
    assert_eq!(at(0, &["list", "1", "k"]), ("v", 5, 7));
    assert_eq!(at(0, &["list"]), ("- one\n- {k: v}", 4, 1));
    assert_eq!(at(1, &["block"]), ("|\n  a\n  b\n", 7, 8));
    let (key, _) = parsed.documents[1].root.entry("next").unwrap();
    assert_eq!((key.span.line, key.span.column), (11, 1));
    assert_eq!(parsed.documents[1].span.line, 6);
}

#[test]
fn every_encoding_reads_the_same() {
    let text = "a: é😀\n";
    let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let with = |mark: &[u8], rest: &[u8]| [mark, rest].concat();
    let variants = [
        text.as_bytes().to_vec(),
        with(b"\xEF\xBB\xBF", text.as_bytes()),
        le.clone(),
        be.clone(),
        with(b"\xFF\xFE", &le),
        with(b"\xFE\xFF", &be),
    ];
    for bytes in variants {
        let node = parse_one(&bytes, &ParseOptions::default()).unwrap();
        assert_eq!(node.to_json(), json!({"a": "é😀"}));
        assert_eq!(node.get("a").unwrap().span.start, 3);
    }
    let parsed = parse_stream(b"a: 1\n---\nb: \xFF\n---\nc: 3\n", &ParseOptions::default());
    assert_eq!(parsed.documents.len(), 2);
    assert_eq!(parsed.errors[0].kind, YamlErrorKind::Encoding);
    assert_eq!(
        (parsed.errors[0].span.line, parsed.errors[0].document),
        (3, 1)
    );
}

#[test]
fn json_is_read_too() {
    check(
        "{\"a\":{\"b\":[1,\"x\\/y\\ud83d\\ude00\"]},\n\t\"c\":\tnull}",
        r#"{"a":{"b":[1,"x/y😀"]},"c":null}"#,
    );
    check("\n\t{\n\t\"a\": 1\n\t}\n", r#"{"a":1}"#);
}

#[test]
fn limits_hold() {
    let small = Limits {
        bytes: 1000,
        depth: 5,
        nodes: 50,
        documents: 3,
    };
    let options = ParseOptions {
        limits: small,
        ..ParseOptions::default()
    };
    let kinds = |text: &str| {
        let parsed = parse_stream(text.as_bytes(), &options);
        parsed
            .errors
            .iter()
            .map(|e| (e.kind, e.message.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds("[[[[1]]]]"), []);
    for text in [
        "[".repeat(20),
        "- ".repeat(20),
        "{a: ".repeat(20),
        "x".repeat(1001),
        "- 1\n".repeat(60),
        "--- 1\n".repeat(4),
        "a: &a [1,2,3,4,5,6,7,8]\nb: [*a,*a,*a,*a,*a]\n".to_owned(),
        format!("a: &a {}\nb: [{}]\n", "x".repeat(500), "*a,".repeat(20)),
    ] {
        let found = kinds(&text);
        assert!(
            found.iter().any(|(kind, _)| *kind == YamlErrorKind::Limit),
            "{text:.40}: {found:?}"
        );
    }
}

/// Bytes of stack the deepest document may take: half of what a thread has by default.
const STACK: usize = 1 << 20;

#[test]
fn the_deepest_allowed_document_fits_a_small_stack() {
    let depth = Limits::DEPTH - 1;
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("[a: ", "]")] {
        let levels = if open == "[a: " { depth / 2 } else { depth };
        let text = format!("{}1{}\n", open.repeat(levels), close.repeat(levels));
        let work = move || {
            let parsed = parse(&text);
            assert_eq!(parsed.errors, [], "{open}");
            let json = parsed.documents[0].root.to_json();
            assert_eq!(tidegate_yaml::canonical(&json).matches('1').count(), 1);
            assert!(tidegate_yaml::to_string(&json).contains('1'));
        };
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(work)
            .unwrap()
            .join()
            .unwrap();
    }
}

#[test]
fn a_document_that_just_fits_does_not_hide_the_next() {
    // Three nodes each: the mapping, the key, the value.
    let limits = Limits {
        nodes: 3,
        ..Limits::default()
    };
    let options = ParseOptions {
        limits,
        ..ParseOptions::default()
    };
    let parsed = parse_stream(b"a: 1\n---\nb: 2\n---\nc: 3\n", &options);
    assert_eq!(parsed.documents.len(), 1);
    let kinds: Vec<_> = parsed.errors.iter().map(|e| (e.kind, e.document)).collect();
    assert_eq!(kinds, [(YamlErrorKind::Limit, 1)]);
}

#[test]
fn alias_bombs_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
    }
    let parsed = parse(&bomb);
    assert_eq!(
        parsed.errors[0].message,
        "document contains excessive aliasing"
    );
    check("a: &x [*x]\n", "1:8 anchor 'x' value contains itself");
    check("a: &x {<<: *x}\n", "1:12 anchor 'x' value contains itself");
}

#[test]
fn one_document_means_one() {
    let options = ParseOptions {
        duplicate_keys: DuplicateKeys::Error,
        ..ParseOptions::default()
    };
    assert_eq!(
        parse_one(b"# nothing\n", &options).unwrap().to_json(),
        json!(null)
    );
    let error = parse_one(b"a: 1\n---\nb: 2\n", &options).unwrap_err();
    assert_eq!(error.0[0].kind, YamlErrorKind::Documents);
    assert_eq!(error.0[0].span.line, 2);
    let error = from_str::<Vec<u8>>("a: 1\n").unwrap_err();
    assert_eq!(error.0[0].kind, YamlErrorKind::Type);
}

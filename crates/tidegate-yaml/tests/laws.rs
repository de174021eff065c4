//! Laws: what is printed reads back, and no input brings the reader down.

use proptest::prelude::*;
use serde_json::Value;
use tidegate_yaml::{Limits, Node, ParseOptions, canonical, parse_one, parse_stream, to_string};

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,24}",
        "[a-z :#?,|>&*!%@`'\"{}\\[\\]\n\t-]{0,24}",
        "(true|no|~|0777|1e3|2001-01-01|\\.inf|<<|=|12:30)",
        "([a-z]{1,12} ){10,24}[a-z]",
        "\\PC{0,12}",
        any::<String>(),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // A whole float comes back as the integer its text is.
        prop::num::f64::NORMAL
            .prop_filter("whole", |f| f.fract() != 0.0 || f.abs() >= 1e21)
            .prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            // go-yaml writes the key `<<` plain, which then merges.
            prop::collection::btree_map(
                texts().prop_filter("merge key", |t| t != "<<"),
                inner,
                0..5
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "a",
        "1",
        "- ",
        "? ",
        ": ",
        ", ",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "\n  ",
        "\t",
        " #",
        "'",
        "\"",
        "|\n",
        ">-\n ",
        "&x ",
        "*x ",
        "!!str ",
        "---\n",
        "\n---\n",
        "...\n",
        "%YAML 1.1\n",
        "<<: ",
        "k: ",
        "\r",
        "\\",
        "é",
        "\u{feff}",
        "\u{85}",
        "\u{1}",
        "\0",
    ]);
    prop::collection::vec(fragment, 0..40).prop_map(|parts| parts.concat())
}

/// Nodes of a tree, and its depth.
fn measure(node: &Node) -> (usize, usize) {
    let children: Vec<&Node> = match &node.value {
        tidegate_yaml::Value::Sequence(items) => items.iter().collect(),
        tidegate_yaml::Value::Mapping(entries) => entries.iter().map(|(_, node)| node).collect(),
        _ => Vec::new(),
    };
    children
        .into_iter()
        .map(measure)
        .fold((1, 1), |(n, d), (cn, cd)| (n + cn, d.max(cd + 1)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printed_values_read_back(value in values()) {
        let text = to_string(&value);
        let node = parse_one(text.as_bytes(), &ParseOptions::strict());
        prop_assert_eq!(node.map(|node| node.to_json()), Ok(value), "{}", text);
    }

    #[test]
    fn canonical_json_reads_back_and_is_stable(value in values()) {
        let text = canonical(&value);
        let back: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(canonical(&back), text);
        prop_assert_eq!(Node::from_json(&value).to_json(), value);
    }

    #[test]
    fn no_input_brings_the_reader_down(text in fragments(), bytes in any::<Vec<u8>>()) {
        let limits = Limits { bytes: 4096, depth: 6, nodes: 40, documents: 5 };
        for options in [ParseOptions::default(), ParseOptions::kyaml()] {
            let options = ParseOptions { limits, ..options };
            for input in [text.as_bytes(), &bytes] {
                let parsed = parse_stream(input, &options);
                prop_assert!(parsed.documents.len() <= limits.documents);
                let mut nodes = 0;
                for document in &parsed.documents {
                    let (count, depth) = measure(&document.root);
                    nodes += count;
                    prop_assert!(depth <= limits.depth + 1);
                    prop_assert!(document.span.start <= document.span.end);
                }
                prop_assert!(nodes <= limits.nodes);
            }
        }
    }
}

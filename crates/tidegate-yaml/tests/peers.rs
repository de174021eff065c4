//! Tables made with sigs.k8s.io/yaml 1.6.0 and kustomize's kyaml 0.20.1 from texts of our own:
//! what they read and write, we read and write.

use serde_json::Value;
use tidegate_yaml::{ParseOptions, parse_one, to_string};

/// `[text, value under Kubernetes' rules, value under kustomize's]`; `{"error": true}` is a refusal.
const SCALARS: &str = include_str!("scalars.json");
/// `[value, its YAML]`.
const EMITTED: &str = include_str!("emitted.json");

fn read(text: &str, options: &ParseOptions) -> Value {
    match parse_one(format!("v: {text}\n").as_bytes(), options) {
        Ok(node) => node.to_json()["v"].clone(),
        Err(_) => serde_json::json!({"error": true}),
    }
}

/// The same number in another spelling is the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            a.as_f64() == b.as_f64()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        _ => a == b,
    }
}

#[test]
fn scalars_resolve_as_in_go() {
    let rows: Vec<(String, Value, Value)> = serde_json::from_str(SCALARS).unwrap();
    assert!(rows.len() > 200, "the table is gone");
    let mut wrong = Vec::new();
    for (text, kubernetes, kyaml) in rows {
        for (options, expected) in [
            (ParseOptions::default(), kubernetes),
            (ParseOptions::kyaml(), kyaml),
        ] {
            let found = read(&text, &options);
            if !same(&found, &expected) {
                wrong.push(format!(
                    "{:?} {text:?}: {found}, not {expected}",
                    options.resolver
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn values_are_written_as_in_go() {
    let rows: Vec<(Value, String)> = serde_json::from_str(EMITTED).unwrap();
    assert!(rows.len() > 200, "the table is gone");
    for (value, expected) in rows {
        assert_eq!(to_string(&value), expected, "{value}");
    }
}

//! Equality of Kubernetes quantities: `1000m` is `1`, `1024Mi` is `1Gi`, `0.5` is `500m`.

use serde_json::Value;
use tidegate_gocompat::quantity::Quantity;

use crate::value::number;

/// Whether two values are the same quantity. Values that are no quantities are never the same.
pub fn same_quantity(a: &Value, b: &Value) -> bool {
    matches!((read(a), read(b)), (Some(a), Some(b)) if a == b)
}

fn read(value: &Value) -> Option<Quantity> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(n) => number(n),
        _ => return None,
    };
    Quantity::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::same_quantity;

    #[test]
    fn equality() {
        for (a, b, same) in [
            (json!("1000m"), json!("1"), true),
            (json!(1), json!("1"), true),
            (json!("0.5"), json!("500m"), true),
            (json!("1Gi"), json!("1024Mi"), true),
            (json!("0.5Gi"), json!("512Mi"), true),
            (json!("1e3"), json!("1k"), true),
            (json!("1E3"), json!("1000"), true),
            (json!("+1"), json!("1.0"), true),
            (json!("-0"), json!("0"), true),
            (json!(0.1), json!("100m"), true),
            (json!("1Ki"), json!("1k"), false),
            (json!("-1"), json!("1"), false),
            (json!("1"), json!("one"), false),
            (json!("1x"), json!("1x"), false),
            (json!("12E"), json!("12000P"), true),
        ] {
            assert_eq!(same_quantity(&a, &b), same, "{a} {b}");
        }
    }
}

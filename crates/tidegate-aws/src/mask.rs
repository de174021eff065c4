//! Values that are never shown: named as sensitive by the template, or secret by their name. Pure.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Environment variables whose names hold one of these words are secret.
const SECRET_WORDS: &[&str] = &[
    "PASSWORD",
    "PASSWD",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "API_KEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "CREDENTIAL",
    "DSN",
    "CONNECTION_STRING",
];

/// Hides values of a body: those that pointers name, and secret environment variables. Equal values
/// are hidden alike and different ones differently, so that a change is still seen.
pub(crate) fn mask(body: &mut Value, sensitive: &[String]) {
    for pointer in sensitive {
        if let Some(value) = body.pointer_mut(pointer) {
            hide(value);
        }
    }
    let variables = body.pointer_mut("/Properties/Environment/Variables");
    if let Some(variables) = variables.and_then(Value::as_object_mut) {
        for (name, value) in variables.iter_mut() {
            let upper = name.to_uppercase();
            if SECRET_WORDS.iter().any(|word| upper.contains(word)) {
                hide(value);
            }
        }
    }
}

fn hide(value: &mut Value) {
    let is_hidden = value
        .as_str()
        .is_some_and(|text| text.starts_with("(hidden "));
    if !is_hidden && !value.is_null() {
        // Salted by the process: the digest tells values apart and tells nothing about them.
        let digest = Sha256::new()
            .chain_update(salt())
            .chain_update(value.to_string())
            .finalize();
        let short: String = digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
        *value = Value::String(format!("(hidden {short})"));
    }
}

fn salt() -> [u8; 8] {
    use std::hash::{BuildHasher as _, RandomState};
    use std::sync::LazyLock;
    static SALT: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u8));
    SALT.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_changes_are_still_seen() {
        let body = |password: &str| {
            let mut body = json!({"Properties": {"Key": "k", "Environment": {"Variables":
                {"DB_PASSWORD": password, "STAGE": "dev"}}}});
            mask(
                &mut body,
                &["/Properties/Key".to_owned(), "/None".to_owned()],
            );
            body
        };
        let (a, b) = (body("one"), body("two"));
        assert_eq!(a, body("one"));
        assert_ne!(a, b);
        assert!(!a.to_string().contains("one") && !a.to_string().contains("\"k\""));
        assert!(a.to_string().contains("dev"));
    }
}

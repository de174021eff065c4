//! Names of functions as requests write them: name, partial ARN or ARN, with or without a qualifier.
//!
//! Must not know: functions.

use tidegate_sandbox_aws::service::{Refusal, Scope};

use crate::fault::constraint;

/// The version that is being worked on.
pub(crate) const LATEST: &str = "$LATEST";
const NAME_RULE: &str = "Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?";

/// A function and what of it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) qualifier: Option<String>,
}

/// Reads a name; `qualifier` is the request's own.
///
/// # Errors
/// It is no name.
pub(crate) fn parse(text: &str, qualifier: Option<&str>) -> Result<Named, Refusal> {
    let wrong = || constraint(text, "functionName", NAME_RULE);
    let rest = match text.split_once(":function:") {
        Some((_, rest)) => rest,
        None => text.strip_prefix("function:").unwrap_or(text),
    };
    let (name, own) = match rest.split_once(':') {
        Some((name, own)) => (name, Some(own)),
        None => (rest, None),
    };
    let is_word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if !is_word(name) || name.len() > 64 {
        return Err(wrong());
    }
    if own.is_some_and(|own| own != LATEST && !is_word(own)) {
        return Err(wrong());
    }
    Ok(Named {
        name: name.to_owned(),
        qualifier: qualifier.or(own).map(str::to_owned),
    })
}

/// The ARN of a function, or of what a qualifier names.
pub(crate) fn arn(scope: &Scope, name: &str, qualifier: Option<&str>) -> String {
    let base = scope.arn("lambda", &format!("function:{name}"));
    match qualifier {
        Some(qualifier) => format!("{base}:{qualifier}"),
        None => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_form() {
        for (text, name, qualifier) in [
            ("f", "f", None),
            ("f:live", "f", Some("live")),
            ("function:f", "f", None),
            ("123456789012:function:f:7", "f", Some("7")),
            (
                "arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST",
                "f",
                Some(LATEST),
            ),
        ] {
            let named = parse(text, None).expect(text);
            assert_eq!(
                (named.name.as_str(), named.qualifier.as_deref()),
                (name, qualifier)
            );
        }
        for text in [
            "",
            "a b",
            "f:",
            "arn:aws:lambda:x:y:layer:f",
            &"x".repeat(65),
        ] {
            assert!(parse(text, None).is_err(), "{text}");
        }
    }
}

//! Definitions of state machines checked: structure, known types, targets that exist.
//!
//! Must not know: executions.

use serde_json::Value;

/// Levels of branches within branches.
const DEPTH: usize = 16;

const TYPES: [&str; 8] = [
    "Task", "Pass", "Wait", "Choice", "Succeed", "Fail", "Parallel", "Map",
];

/// One fault of a definition: code, words, place.
pub(super) type Fault = (&'static str, String, String);

/// The faults of a definition.
pub(super) fn faults(text: &str) -> Vec<Fault> {
    let mut found = Vec::new();
    match serde_json::from_str::<Value>(text) {
        Ok(definition @ Value::Object(_)) => check(&definition, "", DEPTH, &mut found),
        Ok(_) => found.push((
            "INVALID_JSON_DESCRIPTION",
            "the definition is no object".into(),
            "/".into(),
        )),
        Err(error) => found.push(("INVALID_JSON_DESCRIPTION", error.to_string(), "/".into())),
    }
    found
}

fn check(machine: &Value, at: &str, depth: usize, found: &mut Vec<Fault>) {
    if depth == 0 {
        found.push((
            "SCHEMA_VALIDATION_FAILED",
            "states are nested too deeply".into(),
            at.to_owned(),
        ));
        return;
    }
    let Some(states) = machine["States"].as_object() else {
        found.push((
            "SCHEMA_VALIDATION_FAILED",
            "These fields are required: [States]".into(),
            format!("{at}/"),
        ));
        return;
    };
    match machine["StartAt"].as_str() {
        None => found.push((
            "SCHEMA_VALIDATION_FAILED",
            "These fields are required: [StartAt]".into(),
            format!("{at}/"),
        )),
        Some(start) if !states.contains_key(start) => {
            found.push((
                "MISSING_TRANSITION_TARGET",
                format!("Missing 'Next' target: {start}"),
                format!("{at}/StartAt"),
            ));
        }
        Some(_) => {}
    }
    for (name, state) in states {
        let place = format!("{at}/States/{name}");
        let kind = state["Type"].as_str().unwrap_or("");
        if !TYPES.contains(&kind) {
            found.push((
                "SCHEMA_VALIDATION_FAILED",
                format!("Value is not one of {TYPES:?}"),
                format!("{place}/Type"),
            ));
            continue;
        }
        let mut target = |next: &str, place: String| {
            if !states.contains_key(next) {
                found.push((
                    "MISSING_TRANSITION_TARGET",
                    format!("Missing 'Next' target: {next}"),
                    place,
                ));
            }
        };
        if let Some(next) = state["Next"].as_str() {
            target(next, format!("{place}/Next"));
        }
        if let Some(next) = state["Default"].as_str() {
            target(next, format!("{place}/Default"));
        }
        for list in ["Choices", "Catch"] {
            for (index, one) in state[list].as_array().into_iter().flatten().enumerate() {
                if let Some(next) = one["Next"].as_str() {
                    target(next, format!("{place}/{list}[{index}]/Next"));
                }
            }
        }
        let ends = state["End"] == true || state["Next"].is_string();
        match kind {
            "Task" if state["Resource"].as_str().is_none() => {
                found.push((
                    "SCHEMA_VALIDATION_FAILED",
                    "These fields are required: [Resource]".into(),
                    place,
                ));
            }
            "Choice" if state["Choices"].as_array().is_none_or(Vec::is_empty) => {
                found.push((
                    "SCHEMA_VALIDATION_FAILED",
                    "These fields are required: [Choices]".into(),
                    place,
                ));
            }
            "Task" | "Pass" | "Wait" | "Parallel" | "Map" if !ends => {
                found.push((
                    "SCHEMA_VALIDATION_FAILED",
                    "These fields are required: [Next] or [End]".into(),
                    place,
                ));
            }
            "Parallel" => {
                for (index, branch) in state["Branches"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .enumerate()
                {
                    check(
                        branch,
                        &format!("{place}/Branches[{index}]"),
                        depth - 1,
                        found,
                    );
                }
            }
            "Map" => {
                let inner = state.get("ItemProcessor").or(state.get("Iterator"));
                if let Some(inner) = inner {
                    check(inner, &format!("{place}/ItemProcessor"), depth - 1, found);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let codes: Vec<&str> = faults(text).into_iter().map(|(code, ..)| code).collect();
        assert_eq!(codes, expected, "{text}");
    }

    #[test]
    fn definitions_are_checked() {
        check(
            r#"{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}"#,
            &[],
        );
        check("{", &["INVALID_JSON_DESCRIPTION"]);
        check("[]", &["INVALID_JSON_DESCRIPTION"]);
        check(
            r#"{"StartAt": "B", "States": {"A": {"Type": "Succeed"}}}"#,
            &["MISSING_TRANSITION_TARGET"],
        );
        check(
            r#"{"StartAt": "A", "States": {"A": {"Type": "Pass"}}}"#,
            &["SCHEMA_VALIDATION_FAILED"],
        );
        check(
            r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "C"}}}"#,
            &["MISSING_TRANSITION_TARGET"],
        );
        check(
            r#"{"StartAt": "A", "States": {"A": {"Type": "What"}}}"#,
            &["SCHEMA_VALIDATION_FAILED"],
        );
    }
}

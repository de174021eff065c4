//! A table made with the Go libraries (Masterminds/semver 3.4.0, gobwas/glob 0.2.3,
//! bmatcuk/doublestar 4.9.1, k8s.io/apimachinery 0.34.1, Go's time) from inputs of our own.

use tidegate_gocompat::{Constraint, Duration, Glob, PathGlob, Quantity, Version};

/// `[operation, arguments, answer]`; the answer is null for a refusal.
const TABLE: &str = include_str!("peers.json");

fn answer(operation: &str, arguments: &[String]) -> Option<String> {
    let argument = |i: usize| arguments[i].as_str();
    match operation {
        "semver" => {
            let constraint = Constraint::parse(argument(0)).ok()?;
            Some(match Version::parse(argument(1)) {
                Ok(version) => constraint.matches(&version).to_string(),
                Err(_) => "badversion".to_owned(),
            })
        }
        "version" => Version::parse(argument(0)).ok().map(|v| v.to_string()),
        "compare" => {
            let pair = (
                Version::parse(argument(0)).ok()?,
                Version::parse(argument(1)).ok()?,
            );
            Some((pair.0.cmp(&pair.1) as i8).to_string())
        }
        "glob" => {
            let separators: Vec<char> = argument(2).chars().collect();
            let glob = Glob::new(argument(0), &separators).ok()?;
            Some(glob.matches(argument(1)).to_string())
        }
        "doublestar" => PathGlob::new(argument(0))
            .ok()
            .map(|glob| glob.matches(argument(1)).to_string()),
        "duration" => Duration::parse(argument(0))
            .ok()
            .map(|d| format!("{} {d}", d.0)),
        "quantity" => Quantity::parse(argument(0)).ok().map(|q| q.to_string()),
        "quantitycmp" => {
            let pair = (
                Quantity::parse(argument(0)).ok()?,
                Quantity::parse(argument(1)).ok()?,
            );
            Some((pair.0.cmp(&pair.1) as i8).to_string())
        }
        _ => Some(format!("unknown operation {operation}")),
    }
}

#[test]
fn answers_are_those_of_the_go_libraries() {
    let rows: Vec<(String, Vec<String>, Option<String>)> = serde_json::from_str(TABLE).unwrap();
    assert!(rows.len() > 1000, "the table is gone");
    let wrong: Vec<String> = rows
        .iter()
        .filter(|(operation, arguments, expected)| answer(operation, arguments) != *expected)
        .map(|row| format!("{row:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

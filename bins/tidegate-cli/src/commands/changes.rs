//! Field changes as people read them.

use serde_json::Value;
use tidegate::applier::FieldChange;

use crate::output::{Tone, tone};

/// Longest value that stands on one line.
const VALUE_MAX: usize = 100;

/// One line per changed field; texts of several lines are shown line by line.
pub(super) fn lines(changes: &[FieldChange], indent: &str) -> Vec<String> {
    changes
        .iter()
        .flat_map(|change| change_lines(change, indent))
        .collect()
}

fn change_lines(change: &FieldChange, indent: &str) -> Vec<String> {
    if let (Some(Value::String(before)), Some(Value::String(after))) =
        (&change.before, &change.after)
        && (before.contains('\n') || after.contains('\n'))
    {
        let mut found = vec![format!("{indent}{}", change.path)];
        found.extend(text_lines(before, after, indent));
        return found;
    }
    let shown = match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!(
            "{} {} {} {}",
            tone(Tone::Warn, "~"),
            change.path,
            tone(Tone::Dim, &format!("{} ->", short(before))),
            short(after)
        ),
        (None, Some(after)) => {
            format!("{} {} {}", tone(Tone::Good, "+"), change.path, short(after))
        }
        (Some(before), None) => format!(
            "{} {} {}",
            tone(Tone::Bad, "-"),
            change.path,
            tone(Tone::Dim, &short(before))
        ),
        (None, None) => change.path.clone(),
    };
    vec![format!("{indent}{shown}")]
}

/// Lines of a text that go and come, without those that stay at both ends.
fn text_lines(before: &str, after: &str, indent: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[same_start..], &new[same_start..]);
    let same_end = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let gone = &old[..old.len() - same_end];
    let come = &new[..new.len() - same_end];
    let minus = gone
        .iter()
        .map(|line| format!("{indent}  {}", tone(Tone::Bad, &format!("- {line}"))));
    let plus = come
        .iter()
        .map(|line| format!("{indent}  {}", tone(Tone::Good, &format!("+ {line}"))));
    minus.chain(plus).collect()
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_MAX {
        return text;
    }
    let start: String = text.chars().take(VALUE_MAX).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(before: Option<Value>, after: Option<Value>, expected: &[&str]) {
        let change = FieldChange {
            path: ".a".into(),
            before,
            after,
        };
        let found: Vec<String> = lines(&[change], "")
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn changes_read_well() {
        check(Some(json!(1)), Some(json!(2)), &["~ .a 1 -> 2"]);
        check(None, Some(json!({"b": "x"})), &["+ .a {\"b\":\"x\"}"]);
        check(Some(json!("x")), None, &["- .a \"x\""]);
        check(
            Some(json!("k: 1\nl: 2\nm: 3\n")),
            Some(json!("k: 1\nl: 5\nm: 3\n")),
            &[".a", "  - l: 2", "  + l: 5"],
        );
    }
}

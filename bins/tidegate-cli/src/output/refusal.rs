//! Refusals: `error[CODE]: what`, the place, the object, and what to do.

use serde_json::Value;
use tidegate::engine::{Event, Reason};
use tidegate::manifest::{Diagnostic, Severity};

use super::{Tone, note, tone};

/// Shows one finding on standard error.
fn refuse(finding: &Diagnostic) {
    note(&render(finding));
}

/// Shows findings, errors last, so that they stand next to the prompt.
pub(crate) fn refuse_all(findings: &[Diagnostic]) {
    for finding in findings.iter().filter(|finding| !finding.is_error()) {
        refuse(finding);
    }
    for finding in findings.iter().filter(|finding| finding.is_error()) {
        refuse(finding);
    }
}

/// Shows what events would tell.
pub(crate) fn refuse_events(failures: &[Event]) {
    for text in failures.iter().filter_map(of_event) {
        note(&text);
    }
}

/// Shows only the warnings.
pub(crate) fn warn_all(findings: &[Diagnostic]) {
    for finding in findings.iter().filter(|finding| !finding.is_error()) {
        refuse(finding);
    }
}

/// A finding that was told as an event, as a refusal; None for other events.
pub(super) fn of_event(event: &Event) -> Option<String> {
    let text = |name: &str| event.details.get(name).and_then(Value::as_str);
    let code = text("code").filter(|_| event.reason == Reason::Failed)?;
    let origin = event.origin.as_ref();
    let place = origin
        .filter(|origin| !origin.path.is_empty())
        .map(|origin| Place {
            path: &origin.path,
            line: origin.line,
            column: event.details.get("column").and_then(Value::as_u64),
            commit: &origin.commit,
        });
    let object = event
        .object
        .as_ref()
        .map(|object| match object.namespace.as_str() {
            "" => format!("{} {}", object.kind, object.name),
            namespace => format!("{} {namespace}/{}", object.kind, object.name),
        });
    Some(write(&Refusal {
        word: tone(Tone::Bad, &format!("error[{code}]")),
        message: &event.message,
        place,
        object: text("subject").or(object.as_deref()),
        field: text("field"),
        help: text("help"),
    }))
}

fn render(finding: &Diagnostic) -> String {
    let (word, colour) = match finding.severity {
        Severity::Error => ("error", Tone::Bad),
        Severity::Warning => ("warning", Tone::Warn),
    };
    let origin = &finding.origin;
    let place = Some(origin)
        .filter(|origin| !origin.path.is_empty())
        .map(|origin| Place {
            path: &origin.path,
            line: Some(origin.line).filter(|line| *line > 0),
            column: Some(u64::from(origin.column)),
            commit: &origin.commit,
        });
    write(&Refusal {
        word: tone(colour, &format!("{word}[{}]", finding.code)),
        message: &finding.message,
        place,
        object: finding.object.as_deref(),
        field: finding.field.as_deref(),
        help: finding.help.as_deref(),
    })
}

struct Refusal<'a> {
    word: String,
    message: &'a str,
    place: Option<Place<'a>>,
    object: Option<&'a str>,
    field: Option<&'a str>,
    help: Option<&'a str>,
}

struct Place<'a> {
    path: &'a str,
    line: Option<u32>,
    column: Option<u64>,
    commit: &'a str,
}

fn write(refusal: &Refusal<'_>) -> String {
    let mut text = format!("{}: {}", refusal.word, refusal.message);
    if let Some(place) = &refusal.place {
        text.push_str(&format!("\n --> {}", place.path));
        if let Some(line) = place.line {
            text.push_str(&format!(":{line}:{}", place.column.unwrap_or(1).max(1)));
        }
        if !place.commit.is_empty() {
            text.push_str(&format!(" at commit {}", place.commit));
        }
    }
    for (label, value) in [
        ("object", refusal.object),
        ("field", refusal.field),
        ("help", refusal.help),
    ] {
        if let Some(value) = value {
            text.push_str(&format!("\n{label}: {value}"));
        }
    }
    text
}

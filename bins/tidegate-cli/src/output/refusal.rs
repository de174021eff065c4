//! Refusals: `error[CODE]: what`, the place, the object, and what to do.

use std::fmt::Write as _;

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

/// Shows only the warnings.
pub(crate) fn warn_all(findings: &[Diagnostic]) {
    for finding in findings.iter().filter(|finding| !finding.is_error()) {
        refuse(finding);
    }
}

fn render(finding: &Diagnostic) -> String {
    let (word, colour) = match finding.severity {
        Severity::Error => ("error", Tone::Bad),
        Severity::Warning => ("warning", Tone::Warn),
    };
    let mut text = tone(colour, &format!("{word}[{}]", finding.code));
    let mut push = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("writing to a string does not fail");
    };
    push(format_args!(": {}", finding.message));
    let origin = &finding.origin;
    if !origin.path.is_empty() {
        push(format_args!("\n --> {}", origin.path));
        if origin.line > 0 {
            push(format_args!(":{}:{}", origin.line, origin.column.max(1)));
        }
        if !origin.commit.is_empty() {
            push(format_args!(" at commit {}", origin.commit));
        }
    }
    if let Some(object) = &finding.object {
        push(format_args!("\nobject: {object}"));
    }
    if let Some(field) = &finding.field {
        push(format_args!("\nfield: {field}"));
    }
    if let Some(help) = &finding.help {
        push(format_args!("\nhelp: {help}"));
    }
    text
}

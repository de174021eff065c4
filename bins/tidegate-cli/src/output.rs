//! What the user sees: data to standard output, words for people to standard error.

mod progress;
mod refusal;
mod style;
mod table;

pub(crate) use progress::events;
pub(crate) use refusal::{refuse_all, refuse_events, warn_all};
pub(crate) use style::{Tone, tone};
pub(crate) use table::Table;

use std::io::Write as _;

use anyhow::Result;
use serde_json::Value;

/// A line of data.
///
/// # Errors
/// When standard output is gone; a broken pipe ends the program quietly in `main`.
pub(crate) fn line(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(())
}

/// Data as it is, without a line end.
pub(crate) fn raw(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// A line for people.
pub(crate) fn note(text: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(anstream::stderr().lock(), "{text}"));
}

/// A document as indented JSON.
pub(crate) fn json(value: &Value) -> Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// A document as YAML.
pub(crate) fn yaml(value: &Value) -> Result<()> {
    raw(&tidegate::yaml::to_string(value))
}

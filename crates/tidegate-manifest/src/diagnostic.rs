//! User mistakes as data: what is wrong, where it stands, and what to do about it.

use serde::{Deserialize, Serialize};

use crate::Origin;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the work goes on.
    Warning,
    /// Stops what depends on it.
    Error,
}

/// One finding in a user's document.
///
/// Shown as `error[CODE]: message`, then ` --> PATH:LINE:COLUMN`, the object, and `help: …`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable code, for example `TG0102`; `docs/` lists them.
    pub code: String,
    /// What is wrong: lowercase, no full stop.
    pub message: String,
    /// The place.
    pub origin: Origin,
    /// The object it is about, `Kind namespace/name`, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The field it is about, `.spec.source.path`, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `origin`.
    pub fn error(code: &str, message: impl Into<String>, origin: Origin) -> Self {
        Self {
            severity: Severity::Error,
            code: code.to_owned(),
            message: message.into(),
            origin,
            object: None,
            field: None,
            help: None,
        }
    }

    /// A warning at `origin`.
    pub fn warning(code: &str, message: impl Into<String>, origin: Origin) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message, origin)
        }
    }

    /// Names the object it is about.
    #[must_use]
    pub fn object(mut self, object: impl Into<String>) -> Self {
        self.object = Some(object.into());
        self
    }

    /// Names the field it is about.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether it stops what depends on it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The form that a terminal shows, without colour.
impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{word}[{}]: {}", self.code, self.message)?;
        if !self.origin.path.is_empty() {
            write!(f, "\n --> {}", self.origin.path)?;
            if self.origin.line > 0 {
                write!(f, ":{}:{}", self.origin.line, self.origin.column.max(1))?;
            }
        }
        if !self.origin.commit.is_empty() {
            write!(f, "\ncommit: {}", self.origin.commit)?;
        }
        if let Some(object) = &self.object {
            write!(f, "\nobject: {object}")?;
        }
        if let Some(field) = &self.field {
            write!(f, "\nfield: {field}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

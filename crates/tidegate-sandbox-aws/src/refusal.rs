//! A service's refusal of a request: code, words, status and whatever else its error shape carries.
//!
//! Must not know: how a protocol writes it.

use serde_json::{Map, Value};

use crate::shape::{Flaw, Model};

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The error's code, such as `ResourceNotFoundException`.
    pub code: String,
    /// Its words.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// Further members of the error's shape.
    pub extra: Map<String, Value>,
}

/// A refusal with status 400.
pub fn refuse(code: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal {
        code: code.into(),
        message: message.into(),
        status: 400,
        extra: Map::new(),
    }
}

impl Refusal {
    /// The refusal with another member.
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.extra.insert(member.to_owned(), value);
        self
    }

    /// The refusal with another status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The answer to an operation that this sandbox does not have.
    pub fn unsupported(service: &str, operation: &str) -> Self {
        refuse(
            "UnknownOperationException",
            format!("the sandbox's {service} has no operation {operation}"),
        )
    }
}

/// Checks a request against the service's model.
///
/// # Errors
/// `SerializationException` for wrong types, `code` for broken constraints.
pub(crate) fn check_model(
    model: &Model,
    operation: &str,
    input: &Value,
    code: &str,
) -> Result<(), Refusal> {
    model.check(operation, input).map_err(|flaw| match flaw {
        Flaw::Type(words) => refuse("SerializationException", words),
        Flaw::Constraint(words) => refuse(code, words),
    })
}

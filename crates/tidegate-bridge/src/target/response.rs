//! The response of a function: which records it says have failed.

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::outcome::{Failure, Outcome};
use crate::record::Position;
use crate::target::Delivery;

/// Reads a response of a function that did not fail as a whole: its state when it has a tumbling window, which must be
/// there unless the window ends, and the records that failed when `reports_item_failures`.
pub fn answered(
    delivery: &Delivery,
    body: &[u8],
    failure: Failure,
    reports_item_failures: bool,
) -> Outcome {
    let state = match &delivery.window {
        Some(window) if !window.is_final => match state(body) {
            Some(state) => Some(state),
            None => {
                let message =
                    "the response has no state: with a tumbling window it is {\"state\": {}}";
                return Outcome::Failed(Failure {
                    message: message.to_owned(),
                    ..failure
                });
            }
        },
        _ => None,
    };
    let outcome = if reports_item_failures {
        read(delivery, body, failure)
    } else {
        Outcome::Delivered
    };
    match state {
        Some(state) => Outcome::Windowed {
            state,
            then: Box::new(outcome),
        },
        None => outcome,
    }
}

fn state(body: &[u8]) -> Option<Value> {
    match serde_json::from_slice::<Value>(body)
        .ok()?
        .get_mut("state")?
        .take()
    {
        state @ Value::Object(_) => Some(state),
        _ => None,
    }
}

/// Reads a response of a function that did not fail as a whole.
///
/// Success: nothing, `null`, `{}`, no or an empty `batchItemFailures`. A response of any other form, or one that
/// names a record which is not in the batch, fails the whole batch.
pub fn read(delivery: &Delivery, body: &[u8], failure: Failure) -> Outcome {
    let text = body.trim_ascii();
    if text.is_empty() || text == b"\"\"" || text == b"null" {
        return Outcome::Delivered;
    }
    let whole = |what: &str, mut failure: Failure| {
        what.clone_into(&mut failure.message);
        Outcome::Partial { from: 0, failure }
    };
    let Ok(response) = serde_json::from_slice::<Value>(text) else {
        return whole("the response is no JSON", failure);
    };
    let Value::Object(fields) = &response else {
        return whole("the response is no object with batchItemFailures", failure);
    };
    let items = match fields.get("batchItemFailures") {
        None | Some(Value::Null) => return Outcome::Delivered,
        Some(Value::Array(items)) if items.is_empty() => return Outcome::Delivered,
        Some(Value::Array(items)) => items,
        Some(_) => return whole("batchItemFailures is no list", failure),
    };
    let mut from = delivery.records.len();
    for item in items {
        match item
            .get("itemIdentifier")
            .and_then(|identifier| index(delivery, identifier))
        {
            Some(index) => from = from.min(index),
            None => {
                let what = "batchItemFailures names what is not in the batch";
                return whole(what, failure);
            }
        }
    }
    let message = format!(
        "{} of {} records failed",
        items.len(),
        delivery.records.len()
    );
    Outcome::Partial {
        from,
        failure: Failure { message, ..failure },
    }
}

/// The index of the record that an identifier names.
fn index(delivery: &Delivery, identifier: &Value) -> Option<usize> {
    match identifier {
        Value::String(text) => {
            let sequence = |record: &&crate::record::Record| match &record.position {
                Position::Sequence(number) => **number == **text,
                Position::Offset(offset) => *text == format!("{}-{offset}", delivery.partition),
            };
            delivery.records.iter().position(|record| sequence(&record))
        }
        Value::Object(fields) => {
            let names = ["partition", "topic-partition"];
            let partition = names.iter().find_map(|name| fields.get(*name))?;
            if *partition != Value::String(delivery.partition.to_string()) {
                return None;
            }
            let offset = match fields.get("offset")? {
                Value::Number(number) => number.as_i64()?,
                Value::String(text) => text.parse().ok()?,
                _ => return None,
            };
            let wanted = Position::Offset(offset);
            delivery
                .records
                .iter()
                .position(|record| record.position == wanted)
        }
        _ => None,
    }
}

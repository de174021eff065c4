//! What a function says of the items of its batch.
//!
//! Must not know: batches' records, retries.

use serde_json::Value;

/// Which items of a batch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// None.
    Done,
    /// All: the answer is broken, or says so.
    Failed,
    /// Those at these places of the batch, in order.
    Items(Vec<usize>),
}

/// Reads an answer; `find` tells the place of an identifier in the batch.
pub(super) fn read(answer: &[u8], find: impl Fn(&str) -> Option<usize>) -> Verdict {
    if answer.iter().all(u8::is_ascii_whitespace) {
        return Verdict::Done;
    }
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
        return Verdict::Failed;
    };
    let map = match &answer {
        Value::Null => return Verdict::Done,
        Value::String(text) if text.is_empty() => return Verdict::Done,
        Value::Array(list) if list.is_empty() => return Verdict::Done,
        Value::Object(map) => map,
        // Whatever else a function returns by habit says nothing of items.
        _ => return Verdict::Failed,
    };
    let list = match map.get("batchItemFailures") {
        None | Some(Value::Null) => return Verdict::Done,
        Some(Value::Array(list)) => list,
        Some(_) => return Verdict::Failed,
    };
    let mut places = Vec::with_capacity(list.len());
    for item in list {
        let place = item["itemIdentifier"]
            .as_str()
            .filter(|id| !id.is_empty())
            .and_then(&find);
        match place {
            Some(place) => places.push(place),
            None => return Verdict::Failed,
        }
    }
    if places.is_empty() {
        return Verdict::Done;
    }
    places.sort_unstable();
    places.dedup();
    Verdict::Items(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, expected: &Verdict) {
        let find = |id: &str| ["a", "b", "c"].iter().position(|one| *one == id);
        assert_eq!(read(answer.as_bytes(), find), *expected, "{answer}");
    }

    #[test]
    fn verdicts() {
        for answer in [
            "",
            "null",
            "{}",
            "\"\"",
            "[]",
            "{\"batchItemFailures\":[]}",
            "{\"batchItemFailures\":null}",
        ] {
            check(answer, &Verdict::Done);
        }
        for answer in [
            "{\"batchItemFailures\":[{\"itemIdentifier\":\"\"}]}",
            "{\"batchItemFailures\":[{\"itemIdentifier\":null}]}",
            "{\"batchItemFailures\":[{\"item\":\"a\"}]}",
            "{\"batchItemFailures\":[{\"itemIdentifier\":\"z\"}]}",
            "{\"batchItemFailures\":7}",
            "{",
        ] {
            check(answer, &Verdict::Failed);
        }
        check(
            "{\"batchItemFailures\":[{\"itemIdentifier\":\"c\"},{\"itemIdentifier\":\"b\"},{\"itemIdentifier\":\"c\"}]}",
            &Verdict::Items(vec![1, 2]),
        );
    }
}

//! Reading a live object without trusting its shape: what is absent or of another type reads as nothing.

use serde_json::Value;

/// A part of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a>(Option<&'a Value>);

/// One entry of `status.conditions`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Condition<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    pub(crate) observed_generation: Option<i64>,
}

impl Condition<'_> {
    pub(crate) fn is(&self, kind: &str, status: &str) -> bool {
        self.kind == kind && self.status == status
    }

    pub(crate) fn is_true(&self, kind: &str) -> bool {
        self.is(kind, "True")
    }

    pub(crate) fn is_false(&self, kind: &str) -> bool {
        self.is(kind, "False")
    }

    /// `reason: message`, or the one that is there.
    pub(crate) fn words(&self) -> String {
        match (self.reason, self.message) {
            ("", message) => message.to_owned(),
            (reason, "") => reason.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

impl<'a> View<'a> {
    pub(crate) fn new(value: &'a Value) -> Self {
        Self(Some(value))
    }

    /// The value below a dotless path of names.
    pub(crate) fn at(self, path: &[&str]) -> Self {
        Self(
            path.iter()
                .try_fold(self.0, |value, name| value.map(|value| value.get(name)))
                .flatten(),
        )
    }

    /// True when something other than null is here.
    pub(crate) fn exists(self) -> bool {
        self.0.is_some_and(|value| !value.is_null())
    }

    /// True for nothing, null, an empty list or an empty map.
    pub(crate) fn is_empty(self) -> bool {
        match self.0 {
            None | Some(Value::Null) => true,
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(_) => false,
        }
    }

    /// The text here, empty when there is none.
    pub(crate) fn text(self) -> &'a str {
        self.0.and_then(Value::as_str).unwrap_or_default()
    }

    /// The whole number here; a number written as text counts.
    pub(crate) fn number(self) -> Option<i64> {
        match self.0? {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a float beyond the range saturates, which is as good as any answer"
            )]
            Value::Number(number) => number
                .as_i64()
                .or_else(|| number.as_f64().map(|n| n as i64)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn is_true(self) -> bool {
        self.0.and_then(Value::as_bool).unwrap_or_default()
    }

    pub(crate) fn items(self) -> impl Iterator<Item = View<'a>> {
        self.0
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(View::new)
    }

    /// The values of a map, in the order of their keys.
    pub(crate) fn entries(self) -> impl Iterator<Item = (&'a str, View<'a>)> {
        let map = self.0.and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), View::new(value)))
    }

    // What every object has.

    pub(crate) fn status(self, path: &[&str]) -> Self {
        self.at(&["status"]).at(path)
    }

    pub(crate) fn spec(self, path: &[&str]) -> Self {
        self.at(&["spec"]).at(path)
    }

    pub(crate) fn name(self) -> &'a str {
        self.at(&["metadata", "name"]).text()
    }

    pub(crate) fn annotation(self, name: &str) -> Option<&'a str> {
        self.at(&["metadata", "annotations", name])
            .0
            .and_then(Value::as_str)
    }

    pub(crate) fn generation(self) -> Option<i64> {
        self.at(&["metadata", "generation"]).number()
    }

    /// A count in the status, zero when it is absent as Go's types have it.
    pub(crate) fn count(self, name: &str) -> i64 {
        self.status(&[name]).number().unwrap_or_default()
    }

    pub(crate) fn conditions(self) -> Vec<Condition<'a>> {
        self.status(&["conditions"])
            .items()
            .map(|condition| Condition {
                kind: condition.at(&["type"]).text(),
                status: condition.at(&["status"]).text(),
                reason: condition.at(&["reason"]).text(),
                message: condition.at(&["message"]).text(),
                observed_generation: condition.at(&["observedGeneration"]).number(),
            })
            .collect()
    }

    /// The newest generation that the status speaks of, when it is older than the specification.
    pub(crate) fn stale(self) -> Option<(i64, i64)> {
        let generation = self.generation()?;
        let observed = self.status(&["observedGeneration"]).number()?;
        (observed < generation).then_some((observed, generation))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::View;

    #[test]
    fn odd_shapes_read_as_nothing() {
        let object = json!({"status": {"conditions": [1, {"type": "Ready", "status": "True"}, null], "n": "7", "f": 2.0, "list": {}}, "spec": 3});
        let view = View::new(&object);
        assert_eq!(view.conditions().len(), 3);
        assert!(view.conditions()[1].is_true("Ready"));
        assert_eq!(view.count("n"), 7);
        assert_eq!(view.count("f"), 2);
        assert_eq!(view.count("list"), 0);
        assert_eq!(view.spec(&["a", "b"]).text(), "");
        assert!(view.status(&["list"]).is_empty() && view.status(&["list"]).exists());
        assert!(!view.at(&["metadata", "name"]).exists());
    }
}

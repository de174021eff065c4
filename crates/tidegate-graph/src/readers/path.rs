//! Paths into a body: written as one reads them, built only when a reference is found.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// Deepest nesting of a body that is looked into; real objects stay below 30.
pub(crate) const MAX_DEPTH: usize = 64;

/// A step on the way into a body, with the way to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
    depth: usize,
}

#[derive(Clone, Copy, Debug)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Item(usize),
}

impl<'p> Path<'p> {
    pub(crate) const ROOT: Path<'static> = Path {
        parent: None,
        step: Step::Root,
        depth: 0,
    };

    pub(crate) fn key(&'p self, key: &'p str) -> Path<'p> {
        self.step(Step::Key(key))
    }

    pub(crate) fn item(&'p self, index: usize) -> Path<'p> {
        self.step(Step::Item(index))
    }

    fn step(&'p self, step: Step<'p>) -> Path<'p> {
        Path {
            parent: Some(self),
            step,
            depth: self.depth + 1,
        }
    }

    pub(crate) fn is_too_deep(&self) -> bool {
        self.depth >= MAX_DEPTH
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// The keys on the way, the nearest first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self), |path| path.parent).filter_map(|path| match path.step {
            Step::Key(key) => Some(key),
            Step::Item(_) | Step::Root => None,
        })
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) if is_plain(key) => write!(f, ".{key}"),
            Step::Key(key) => write!(f, "[{key:?}]"),
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Every text at `path` (`spec.triggers[].authenticationRef.name`; `*` is any key), with its place.
///
/// In a step `/` stands for a dot and `~` for a slash: `metadata.annotations.example/com~name`.
pub(crate) fn texts<'a>(
    body: &'a Value,
    path: &str,
    mut each: impl FnMut(&str, &'a str, &'a Value),
) {
    let steps: Vec<&str> = path.split('.').collect();
    descend(body, body, &steps, &Path::ROOT, &mut each);
}

/// `holder` is the mapping that the last key stands in: siblings of a name tell its namespace or kind.
fn descend<'a>(
    value: &'a Value,
    holder: &'a Value,
    steps: &[&str],
    path: &Path<'_>,
    each: &mut impl FnMut(&str, &'a str, &'a Value),
) {
    let Some((step, rest)) = steps.split_first() else {
        if let Value::String(text) = value {
            each(&path.to_string(), text, holder);
        }
        return;
    };
    let (key, is_list) = match step.strip_suffix("[]") {
        Some(key) => (key, true),
        None => (*step, false),
    };
    let key = &*if key.contains(['/', '~']) {
        Cow::Owned(key.replace('/', ".").replace('~', "/"))
    } else {
        Cow::Borrowed(key)
    };
    let mut enter = |name: &str, next: &'a Value| {
        let path = path.key(name);
        if !is_list {
            return descend(next, value, rest, &path, each);
        }
        for (index, item) in next.as_array().into_iter().flatten().enumerate() {
            descend(item, value, rest, &path.item(index), each);
        }
    };
    match value {
        Value::Object(map) if key == "*" => map.iter().for_each(|(name, next)| enter(name, next)),
        Value::Object(map) => {
            if let Some(next) = map.get(key) {
                enter(key, next);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_found_with_their_places() {
        let body = json!({"spec": {"triggers": [{"a": {"name": "x"}}, {"b": 1}, {"a": {"name": "y"}}]}, "m": {"k.1": {"n": "z"}}});
        let found = |path: &str| {
            let mut all = Vec::new();
            texts(&body, path, |place, text, _| {
                all.push(format!("{place}={text}"));
            });
            all
        };
        assert_eq!(
            found("spec.triggers[].a.name"),
            [".spec.triggers[0].a.name=x", ".spec.triggers[2].a.name=y"]
        );
        assert_eq!(found("m.*.n"), [".m[\"k.1\"].n=z"]);
        assert_eq!(found("spec.nothing"), Vec::<String>::new());
        assert_eq!(found("spec.triggers.a"), Vec::<String>::new());
    }
}

//! JSON pointers and the removal of what they point at.

use serde_json::Value;

/// A parsed RFC 6901 pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    segments: Vec<String>,
}

/// One step of a concrete path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathStep {
    Index(usize),
    Key(String),
}

impl Pointer {
    /// Reads a pointer; it starts with a slash.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/')?;
        let segments = rest
            .split('/')
            .map(|s| s.replace("~1", "/").replace("~0", "~"))
            .collect();
        Some(Self { segments })
    }

    /// Removes what the pointer names; what is absent stays absent.
    pub fn remove(&self, value: &mut Value) {
        let Some((last, parents)) = self.segments.split_last() else {
            return;
        };
        let parent = parents.iter().try_fold(value, |at, segment| match at {
            Value::Object(map) => map.get_mut(segment),
            Value::Array(items) => index(segment, items.len()).and_then(|i| items.get_mut(i)),
            _ => None,
        });
        match parent {
            Some(Value::Object(map)) => {
                map.remove(last);
            }
            Some(Value::Array(items)) => {
                if let Some(at) = index(last, items.len()) {
                    items.remove(at);
                }
            }
            _ => {}
        }
    }
}

/// An array position; negative ones count from the end, as the patch library of Kubernetes allows.
fn index(segment: &str, length: usize) -> Option<usize> {
    let number: i64 = segment.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    let at = if number < 0 { number + length } else { number };
    usize::try_from(at).ok().filter(|_| at < length)
}

/// Removes all paths, the later ones first so that positions stay right.
pub(super) fn remove_all(value: &mut Value, mut paths: Vec<Vec<PathStep>>) {
    paths.sort();
    paths.dedup();
    for path in paths.iter().rev() {
        remove_path(value, path);
    }
}

fn remove_path(value: &mut Value, path: &[PathStep]) {
    let Some((last, parents)) = path.split_last() else {
        *value = Value::Null;
        return;
    };
    let parent = parents.iter().try_fold(value, |at, step| match (at, step) {
        (Value::Object(map), PathStep::Key(key)) => map.get_mut(key),
        (Value::Array(items), PathStep::Index(at)) => items.get_mut(*at),
        _ => None,
    });
    match (parent, last) {
        (Some(Value::Object(map)), PathStep::Key(key)) => {
            map.remove(key);
        }
        (Some(Value::Array(items)), PathStep::Index(at)) if *at < items.len() => {
            items.remove(*at);
        }
        _ => {}
    }
}

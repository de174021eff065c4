//! Hides secret values in everything that is shown: equal values get equal masks, so that a change stays visible.
//!
//! The masks are Argo CD's: `++++++++` for the first value of a key, four more for each further one.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::changes::FieldChange;
use crate::managed::LAST_APPLIED;
use crate::normalise::group_kind;

const FIRST: &str = "++++++++";
const MORE: &str = "++++";

/// Masks several states of one object together (desired, live, predicted): Secret data, plain or encoded, the copy of it
/// in the last-applied annotation, and the named annotations of any kind.
pub fn mask(objects: &mut [&mut Value], annotations: &[&str]) {
    for name in annotations {
        mask_key(
            objects,
            name,
            &|object| object.pointer_mut("/metadata/annotations")?.as_object_mut(),
            &plain,
        );
    }
    if !objects.iter().any(|object| is_secret(object)) {
        return;
    }
    let mut applied: Vec<Option<Value>> =
        objects.iter().map(|object| last_applied(object)).collect();
    {
        let mut all: Vec<&mut Value> = objects.iter_mut().map(|o| &mut **o).collect();
        all.extend(applied.iter_mut().flatten());
        mask_data(&mut all);
        for name in annotations {
            mask_key(
                &mut all,
                name,
                &|object| object.pointer_mut("/metadata/annotations")?.as_object_mut(),
                &plain,
            );
        }
    }
    for (object, applied) in objects.iter_mut().zip(applied) {
        let Some(map) = object
            .pointer_mut("/metadata/annotations")
            .and_then(Value::as_object_mut)
        else {
            continue;
        };
        if let Some(text) = map.get_mut(LAST_APPLIED) {
            // What cannot be read cannot be masked in part.
            *text = Value::String(applied.map_or_else(|| FIRST.to_owned(), |a| a.to_string()));
        }
    }
}

/// Whether the object is a Secret.
pub fn is_secret(object: &Value) -> bool {
    group_kind(object) == ("", "Secret")
}

fn last_applied(object: &Value) -> Option<Value> {
    let text = object["metadata"]["annotations"][LAST_APPLIED].as_str()?;
    serde_json::from_str::<Value>(text)
        .ok()
        .filter(Value::is_object)
}

type Pick<'a> = dyn Fn(&mut Value) -> Option<&mut Map<String, Value>> + 'a;

/// One set of masks per key, over `data` and `stringData` alike.
fn mask_data(objects: &mut [&mut Value]) {
    let mut keys: BTreeSet<String> = BTreeSet::new();
    for object in objects.iter() {
        for field in ["data", "stringData"] {
            keys.extend(
                object[field]
                    .as_object()
                    .into_iter()
                    .flat_map(Map::keys)
                    .cloned(),
            );
        }
    }
    for key in &keys {
        let mut masks = Masks::default();
        for object in objects.iter_mut() {
            for (field, encoded) in [("data", true), ("stringData", false)] {
                let slot = object
                    .get_mut(field)
                    .and_then(Value::as_object_mut)
                    .and_then(|m| m.get_mut(key));
                if let Some(slot) = slot {
                    let meaning = if encoded {
                        plain(slot)
                    } else {
                        STANDARD.encode(plain(slot))
                    };
                    *slot = Value::String(masks.of(&meaning));
                }
            }
        }
    }
    // Data of an unexpected shape is hidden as a whole.
    for object in objects.iter_mut() {
        for field in ["data", "stringData"] {
            if let Some(slot) = object
                .get_mut(field)
                .filter(|v| !v.is_object() && !v.is_null())
            {
                *slot = Value::String(FIRST.into());
            }
        }
    }
}

fn mask_key(
    objects: &mut [&mut Value],
    key: &str,
    pick: &Pick<'_>,
    meaning: &dyn Fn(&Value) -> String,
) {
    let mut masks = Masks::default();
    for object in objects.iter_mut() {
        if let Some(slot) = pick(object).and_then(|map| map.get_mut(key)) {
            *slot = Value::String(masks.of(&meaning(slot)));
        }
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[derive(Default)]
struct Masks {
    seen: Vec<String>,
}

impl Masks {
    fn of(&mut self, value: &str) -> String {
        let at = self
            .seen
            .iter()
            .position(|v| v == value)
            .unwrap_or_else(|| {
                self.seen.push(value.to_owned());
                self.seen.len() - 1
            });
        format!("{FIRST}{}", MORE.repeat(at))
    }
}

/// Masks the changes of one Secret that were made without [`mask`].
pub fn mask_changes(changes: &mut [FieldChange], annotations: &[&str]) {
    for change in changes {
        let annotation = change.path.strip_prefix(".metadata.annotations.");
        let data = change.path.starts_with(".data") || change.path.starts_with(".stringData");
        let whole = change.path == ".metadata.annotations"
            || change.path == ".metadata"
            || change.path.is_empty();
        let named =
            annotation.is_some_and(|name| name == LAST_APPLIED || annotations.contains(&name));
        if data || whole || named {
            let mut masks = Masks::default();
            for side in [&mut change.before, &mut change.after]
                .into_iter()
                .flatten()
            {
                *side = Value::String(masks.of(&side.to_string()));
            }
        }
    }
}

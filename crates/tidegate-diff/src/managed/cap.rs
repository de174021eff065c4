//! Keeps the number of updating managers bounded: the oldest are merged into one entry per version.

use std::collections::BTreeMap;

use super::entry::{ManagerKey, Managers, Operation};
use super::time::seconds;

/// More updaters than this are merged.
const MAX_UPDATERS: usize = 10;

/// Who owns the fields of merged updaters.
const ANCIENT: &str = "ancient-changes";

pub(super) fn cap_updaters(managers: &mut Managers) {
    let mut updaters: Vec<(i64, String, ManagerKey)> = managers
        .iter()
        .filter(|(key, _)| key.operation == Operation::Update)
        .map(|(key, state)| {
            let time = state.time.as_deref().and_then(seconds).unwrap_or_default();
            (time, key.identifier(), key.clone())
        })
        .collect();
    let mut count = updaters.len();
    if count <= MAX_UPDATERS {
        return;
    }
    updaters.sort();
    // The first updater of a version is only remembered; the second one turns it into the version's bucket.
    let mut first_of: BTreeMap<String, ManagerKey> = BTreeMap::new();
    for (_, _, key) in updaters {
        if count <= MAX_UPDATERS {
            return;
        }
        let Some(state) = managers.get(&key).cloned() else {
            continue;
        };
        let bucket = ManagerKey::new(ANCIENT, Operation::Update, &state.api_version, "");
        let Some(first) = first_of.get(&state.api_version) else {
            first_of.insert(state.api_version.clone(), key);
            continue;
        };
        if managers.get(&bucket).is_none()
            && let Some(first_state) = managers.remove(first)
        {
            managers.insert(bucket.clone(), first_state);
        }
        managers.remove(&key);
        if let Some(merged) = managers.get_mut(&bucket) {
            merged.set = merged.set.union(&state.set);
            merged.time = state.time;
        } else {
            managers.insert(bucket, state);
        }
        count -= 1;
    }
}

//! Drift without a server call: do the fields that we applied still hold what we want? Pure; the answer may be "unsure",
//! and then one dry run decides.
//!
//! The method: our Apply entry names the fields that we own. The desired object must own the same set, and the live
//! object must hold its values, in a form that means the same to the server.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::changes::FieldChange;
use crate::fieldset::{FieldPath, FieldSet, PathElement};
use crate::managed::{
    FieldFilter, ManagerKey, ManagerState, Managers, Operation, stripped_fields,
    without_managed_fields,
};
use crate::mask::is_secret;
use crate::normalise::{fill_defaults, fold_string_data, is_nothing, same_meaning};
use crate::schema::{ListRelation, ListType, MapRelation, TypeRef};
use crate::typed::{
    Duplicates, item_element, lookup, reconcile, remove_items, to_field_set, validate,
};

/// What can be said offline.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// An apply would change nothing.
    InSync,
    /// An apply would change at least these fields.
    Drifted(Vec<FieldChange>),
    /// Only the server knows; the reason is for people.
    Unsure(String),
}

/// Whose fields to look at.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    pub manager: &'a str,
    /// What the kind's endpoint lets anybody own: [`crate::managed::reset_fields`].
    pub filter: Option<&'a FieldFilter>,
}

/// Compares the fields that `owner` applied in `live` with `desired`. Both must be of the same API version.
pub fn verdict(ty: &TypeRef, live: &Value, desired: &Value, owner: Owner<'_>) -> Verdict {
    match examine(ty, live, desired, owner) {
        Ok(verdict) => verdict,
        Err(reason) => Verdict::Unsure(reason),
    }
}

fn examine(
    ty: &TypeRef,
    live: &Value,
    desired: &Value,
    owner: Owner<'_>,
) -> Result<Verdict, String> {
    if live["apiVersion"] != desired["apiVersion"] || live["kind"] != desired["kind"] {
        return Err("the live object was read at another version".into());
    }
    let managers =
        Managers::decode(&live["metadata"]["managedFields"]).map_err(|e| e.to_string())?;
    let key = ManagerKey::new(owner.manager, Operation::Apply, "", "");
    let Some(entry) = managers.get(&key) else {
        return Err(format!("{} has not applied this object", owner.manager));
    };
    if desired["apiVersion"] != entry.api_version.as_str() {
        return Err(format!("the fields were applied at {}", entry.api_version));
    }
    let live = without_managed_fields(live);
    let desired = without_managed_fields(desired);
    validate(ty, &desired, Duplicates::Refuse)
        .map_err(|e| format!("the desired object does not fit its schema: {e}"))?;
    validate(ty, &live, Duplicates::Allow)
        .map_err(|e| format!("the live object does not fit its schema: {e}"))?;
    let owned = reconcile(ty, &entry.set).unwrap_or_else(|| entry.set.clone());
    let mut wanted = to_field_set(ty, &desired).map_err(|e| e.to_string())?;
    if let Some(filter) = owner.filter {
        wanted = filter.filter(&wanted);
    }
    wanted = wanted.difference(stripped_fields());

    let mut findings = Findings::default();
    let mut folded = desired.clone();
    if is_secret(&folded) {
        fold_string_data(&mut folded);
    }
    let skipped = |path: &[PathElement]| !covers(&wanted, path) && !path.is_empty();
    Walker {
        findings: &mut findings,
        path: FieldPath::default(),
    }
    .value(ty, &folded, Some(&live), &skipped);
    let others = fields_of_others(&managers, &key);
    removals(
        ty,
        &live,
        &owned.difference(&wanted),
        &others,
        &mut findings,
    );
    if !findings.certain.is_empty() {
        let mut changes = findings.certain;
        changes.extend(findings.possible);
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        return Ok(Verdict::Drifted(changes));
    }
    if let Some(change) = findings.possible.first() {
        return Ok(Verdict::Unsure(format!(
            "{} holds more than was applied",
            change.path
        )));
    }
    if owned == wanted {
        return Ok(Verdict::InSync);
    }
    let lost = wanted.difference(&owned).paths().into_iter().next();
    let kept = owned.difference(&wanted).paths().into_iter().next();
    let path = lost.or(kept).map(|p| p.to_string()).unwrap_or_default();
    Ok(Verdict::Unsure(format!(
        "{path} has the wanted value, but its owners differ"
    )))
}

#[derive(Default)]
struct Findings {
    certain: Vec<FieldChange>,
    possible: Vec<FieldChange>,
}

fn fields_of_others(managers: &Managers, me: &ManagerKey) -> FieldSet {
    let sets = managers
        .iter()
        .filter(|(key, _)| *key != me)
        .map(|(_, state): (_, &ManagerState)| &state.set);
    sets.fold(FieldSet::new(), |all, set| all.union(set))
}

/// Whether the path is in the set, or something below it is.
fn covers(set: &FieldSet, path: &[PathElement]) -> bool {
    let mut at = set;
    for (depth, element) in path.iter().enumerate() {
        if depth + 1 == path.len() {
            return at.has_element(element) || at.below(element).is_some();
        }
        match at.below(element) {
            Some(below) => at = below,
            None => return at.has_element(element),
        }
    }
    true
}

/// Fields that we applied before and no longer want: gone after an apply, unless others own them or they are defaults.
fn removals(
    ty: &TypeRef,
    live: &Value,
    dropped: &FieldSet,
    others: &FieldSet,
    findings: &mut Findings,
) {
    let pruned = dropped.difference(others);
    if pruned.is_empty() {
        return;
    }
    let mut after = remove_items(ty, live, &pruned);
    fill_defaults(ty, &mut after);
    let mut reported: Vec<FieldPath> = Vec::new();
    for path in pruned.paths() {
        if reported.iter().any(|above| path.0.starts_with(&above.0)) {
            continue;
        }
        let Some(before) = lookup(ty, live, &path.0).filter(|v| !is_nothing(v)) else {
            continue;
        };
        let after = lookup(ty, &after, &path.0).filter(|v| !is_nothing(v));
        let same = after.is_some_and(|after| crate::value::equal(before, after));
        // A struct or item that keeps fields of others stays; its own fields follow.
        let stays = after.is_some() && before.is_object();
        if !same && !stays {
            findings.certain.push(FieldChange {
                path: path.to_string(),
                before: Some(before.clone()),
                after: after.cloned(),
            });
            reported.push(path);
        }
    }
}

struct Walker<'f> {
    findings: &'f mut Findings,
    path: FieldPath,
}

type Skip<'s> = dyn Fn(&[PathElement]) -> bool + 's;

impl Walker<'_> {
    fn value(&mut self, ty: &TypeRef, want: &Value, have: Option<&Value>, skip: &Skip<'_>) {
        let node = ty.node();
        let missing = &Value::Null;
        match (want, have.unwrap_or(missing)) {
            (Value::Object(wanted), Value::Object(held)) => match &node.map {
                Some(map) if map.relation == MapRelation::Granular => {
                    for (key, member) in wanted {
                        let Some(ty) = ty.member(key) else { continue };
                        self.path.0.push(PathElement::field(key));
                        // Folded secret data is owned as `stringData`.
                        if !skip(&self.path.0) || key == "data" || self.in_data() {
                            self.value(&ty, member, held.get(key), skip);
                        }
                        self.path.0.pop();
                    }
                }
                _ => self.leaf(ty, want, have),
            },
            (Value::Array(wanted), Value::Array(held)) => match &node.list {
                Some(list) if list.relation != ListRelation::Atomic => {
                    self.items(ty, list, wanted, held, skip);
                }
                _ => self.leaf(ty, want, have),
            },
            _ => self.leaf(ty, want, have),
        }
    }

    /// Items by key. An apply also restores the order of the items that it names.
    fn items(
        &mut self,
        ty: &TypeRef,
        list: &ListType,
        wanted: &[Value],
        held: &[Value],
        skip: &Skip<'_>,
    ) {
        let element = ty.with(list.element);
        let key_of = |item: &Value| item_element(ty.schema(), list, item).ok();
        let mut at: BTreeMap<PathElement, usize> = BTreeMap::new();
        for (place, item) in held.iter().enumerate() {
            if let Some(key) = key_of(item) {
                at.entry(key).or_insert(place);
            }
        }
        let mut places = Vec::new();
        for item in wanted {
            let Some(key) = key_of(item) else { continue };
            let place = at.get(&key).copied();
            places.extend(place);
            self.path.0.push(key);
            self.value(&element, item, place.map(|at| &held[at]), skip);
            self.path.0.pop();
        }
        if !places.is_sorted() {
            let names = |items: &[Value]| {
                let keys = items.iter().filter_map(key_of);
                Value::Array(keys.map(|k| Value::String(k.to_string())).collect())
            };
            let (before, after) = (Some(names(held)), Some(names(wanted)));
            self.findings.certain.push(FieldChange {
                path: self.path.to_string(),
                before,
                after,
            });
        }
    }

    fn in_data(&self) -> bool {
        matches!(self.path.0.first(), Some(PathElement::Field(name)) if name.as_ref() == "data")
    }

    /// A value that is owned as a whole.
    fn leaf(&mut self, ty: &TypeRef, want: &Value, have: Option<&Value>) {
        let held = have.unwrap_or(&Value::Null);
        if same_meaning(ty, want, held) {
            return;
        }
        let (mut filled, mut known) = (want.clone(), held.clone());
        fill_defaults(ty, &mut filled);
        fill_defaults(ty, &mut known);
        if same_meaning(ty, &filled, &known) {
            return;
        }
        let change = FieldChange {
            path: self.path.to_string(),
            before: have.cloned(),
            after: Some(want.clone()),
        };
        let grown = want.is_object() || want.is_array();
        if grown && holds(&filled, &known) {
            self.findings.possible.push(change);
        } else {
            self.findings.certain.push(change);
        }
    }
}

/// Whether `held` has everything of `want`, in lists of the same length.
fn holds(want: &Value, held: &Value) -> bool {
    match (want, held) {
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .all(|(key, v)| is_nothing(v) || b.get(key).is_some_and(|w| holds(v, w))),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(v, w)| holds(v, w))
        }
        _ => crate::value::equal(want, held),
    }
}

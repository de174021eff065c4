//! The merge algorithm over managers: who loses what, what is pruned, what comes back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::conflict::{Conflict, Conflicts};
use super::entry::{ManagerKey, ManagerState, Managers};
use super::{ApplyError, OnConflict, Versions};
use crate::fieldset::FieldSet;
use crate::schema::TypeRef;
use crate::typed::{Comparison, compare, merge, reconcile, remove_items, to_field_set};

pub(super) struct Updater<'a> {
    pub(super) versions: &'a dyn Versions,
}

/// A value at one version.
struct Typed<'v> {
    ty: TypeRef,
    value: Cow<'v, Value>,
}

impl Typed<'_> {
    /// Its fields, declared structs on the way included.
    fn fields(&self) -> Result<FieldSet, String> {
        let set = to_field_set(&self.ty, &self.value).map_err(|e| e.to_string())?;
        Ok(self.named(&set))
    }

    fn named(&self, set: &FieldSet) -> FieldSet {
        set.with_named_fields(self.ty.schema(), Some(self.ty.id()))
    }

    fn without(&self, items: &FieldSet) -> Value {
        remove_items(&self.ty, &self.value, items)
    }
}

impl Updater<'_> {
    /// Records the change from `live` to `new` for the manager `me`.
    pub(super) fn update(
        &self,
        live: &Value,
        new: &Value,
        version: &str,
        managers: &mut Managers,
        me: &ManagerKey,
    ) -> Result<(), String> {
        self.reconcile(managers);
        let change = self
            .take_from_others(live, new, version, managers, me, OnConflict::Force)
            .map_err(|e| match e {
                ApplyError::Conflicts(c) => c.to_string(),
                ApplyError::BadRequest(m) | ApplyError::Typed(m) => m,
            })?;
        let mine = managers.get(me).map(|s| s.set.clone()).unwrap_or_default();
        let mut set = mine
            .difference(&change.removed)
            .union(&change.modified)
            .union(&change.added);
        if let Some(filter) = self.versions.filter_at(version) {
            set = filter.filter(&set);
        }
        if set.is_empty() {
            managers.remove(me);
        } else {
            managers.insert(
                me.clone(),
                ManagerState {
                    api_version: version.to_owned(),
                    set,
                    time: None,
                },
            );
        }
        Ok(())
    }

    /// Lays `config` over `live` for the manager `me` and prunes what `me` no longer applies.
    pub(super) fn apply(
        &self,
        live: &Value,
        config: &Value,
        version: &str,
        managers: &mut Managers,
        me: &ManagerKey,
        on_conflict: OnConflict,
    ) -> Result<Value, ApplyError> {
        let failed = |what: &str, e: &dyn std::fmt::Display| {
            ApplyError::Typed(format!("failed to {what}: {e}"))
        };
        self.reconcile(managers);
        let ty = self
            .versions
            .type_at(version)
            .ok_or_else(|| ApplyError::Typed("no corresponding type".into()))?;
        let merged = merge(&ty, live, config)
            .map_err(|e| failed("merge config", &e))?
            .unwrap_or(Value::Null);
        let mut set = to_field_set(&ty, config).map_err(|e| failed("get field set", &e))?;
        if let Some(filter) = self.versions.filter_at(version) {
            set = filter.filter(&set);
        }
        let last = managers.remove(me);
        let time = last.as_ref().and_then(|s| s.time.clone());
        managers.insert(
            me.clone(),
            ManagerState {
                api_version: version.to_owned(),
                set,
                time,
            },
        );
        let new = self
            .prune(merged, managers, version, me, last.as_ref())
            .map_err(|e| failed("prune fields", &e))?;
        self.take_from_others(live, &new, version, managers, me, on_conflict)?;
        Ok(new)
    }

    /// Fits stored sets to schemas that have changed since; managers of versions that are gone are forgotten.
    fn reconcile(&self, managers: &mut Managers) {
        managers.retain(|_, state| {
            let Some(ty) = self.versions.type_at(&state.api_version) else {
                return false;
            };
            if let Some(set) = reconcile(&ty, &state.set) {
                state.set = set;
            }
            true
        });
    }

    fn at<'v>(&self, value: &'v Value, version: &str) -> Result<Option<Typed<'v>>, String> {
        let Some(ty) = self.versions.type_at(version) else {
            return Ok(None);
        };
        let same = value["apiVersion"] == version;
        let value = if same {
            Cow::Borrowed(value)
        } else {
            Cow::Owned(self.versions.convert(value, version)?)
        };
        Ok(Some(Typed { ty, value }))
    }

    /// What changed, as seen at one version, without the fields that the endpoint resets.
    fn change_at(
        &self,
        live: &Value,
        new: &Value,
        version: &str,
    ) -> Result<Option<Comparison>, String> {
        let (Some(old), Some(new)) = (self.at(live, version)?, self.at(new, version)?) else {
            return Ok(None);
        };
        let mut change = compare(&old.ty, &old.value, &new.value)
            .map_err(|e| format!("failed to compare objects: {e}"))?;
        if let Some(filter) = self.versions.filter_at(version) {
            change.added = filter.filter(&change.added);
            change.modified = filter.filter(&change.modified);
            change.removed = filter.filter(&change.removed);
        }
        Ok(Some(change))
    }

    /// Every other manager loses what changed; without force a changed field of another manager is a conflict.
    fn take_from_others(
        &self,
        live: &Value,
        new: &Value,
        version: &str,
        managers: &mut Managers,
        me: &ManagerKey,
        on_conflict: OnConflict,
    ) -> Result<Comparison, ApplyError> {
        let mut changes: BTreeMap<String, Option<Comparison>> = BTreeMap::new();
        let own = self
            .change_at(live, new, version)
            .map_err(ApplyError::Typed)?
            .unwrap_or_default();
        changes.insert(version.to_owned(), Some(own.clone()));
        for (_, state) in managers.iter() {
            if !changes.contains_key(&state.api_version) {
                let change = self
                    .change_at(live, new, &state.api_version)
                    .map_err(ApplyError::Typed)?;
                changes.insert(state.api_version.clone(), change);
            }
        }
        let touched = |state: &ManagerState| {
            let change = changes.get(&state.api_version).and_then(Option::as_ref);
            change
                .map(|c| state.set.intersection(&c.modified.union(&c.added)))
                .unwrap_or_default()
        };
        if on_conflict == OnConflict::Fail {
            let mut conflicts = Vec::new();
            for (key, state) in managers.iter().filter(|(key, _)| *key != me) {
                let paths = touched(state).paths().into_iter();
                conflicts.extend(paths.map(|path| Conflict {
                    manager: key.clone(),
                    path,
                }));
            }
            if !conflicts.is_empty() {
                return Err(ApplyError::Conflicts(Conflicts::new(conflicts)));
            }
        }
        managers.retain(|key, state| {
            if key != me {
                let Some(Some(change)) = changes.get(&state.api_version) else {
                    return false;
                };
                state.set = state
                    .set
                    .difference(&touched(state))
                    .difference(&change.removed);
            }
            !state.set.is_empty()
        });
        Ok(own)
    }

    /// Removes what the manager applied last time and nobody owns now.
    fn prune(
        &self,
        merged: Value,
        managers: &Managers,
        version: &str,
        me: &ManagerKey,
        last: Option<&ManagerState>,
    ) -> Result<Value, String> {
        let Some(last) = last.filter(|l| !l.set.is_empty()) else {
            return Ok(merged);
        };
        let kept = |now: &ManagerState| last.set.difference(&now.set).is_empty();
        if last.api_version == version && managers.get(me).is_some_and(kept) {
            // Nothing was let go: all that pruning takes away would come back.
            return Ok(merged);
        }
        let pruned = {
            let Some(at_last) = self.at(&merged, &last.api_version)? else {
                return Ok(merged);
            };
            let pruned = at_last.without(&at_last.named(&last.set));
            let pruned = self.add_back_owned(&at_last, pruned, &last.api_version, managers)?;
            self.add_back_dangling(&at_last, &pruned, last)?
        };
        let converted = self
            .at(&pruned, version)?
            .map(|typed| typed.value.into_owned());
        Ok(converted.unwrap_or(pruned))
    }

    /// What any manager owns now comes back, at that manager's version; the pruned version goes first.
    fn add_back_owned(
        &self,
        merged: &Typed<'_>,
        pruned: Value,
        pruned_version: &str,
        managers: &Managers,
    ) -> Result<Value, String> {
        let mut owned: BTreeMap<&str, FieldSet> = BTreeMap::new();
        for (_, state) in managers.iter() {
            let set = owned.entry(&state.api_version).or_default();
            *set = set.union(&state.set);
        }
        let first = owned
            .remove(pruned_version)
            .map(|set| (pruned_version, set));
        let mut merged = Cow::Borrowed(merged.value.as_ref());
        let mut pruned = pruned;
        for (version, set) in first.into_iter().chain(owned) {
            let (next, left) = {
                let (Some(m), Some(p)) = (self.at(&merged, version)?, self.at(&pruned, version)?)
                else {
                    continue;
                };
                let keep = p.fields()?.union(&m.named(&set));
                let left = m.without(&m.fields()?.difference(&keep));
                (m.value.into_owned(), left)
            };
            merged = Cow::Owned(next);
            pruned = left;
        }
        Ok(pruned)
    }

    /// What was pruned without having been the manager's comes back.
    fn add_back_dangling(
        &self,
        merged: &Typed<'_>,
        pruned: &Value,
        last: &ManagerState,
    ) -> Result<Value, String> {
        let Some(pruned) = self.at(pruned, &last.api_version)? else {
            return Ok(merged.value.as_ref().clone());
        };
        let gone = merged.fields()?.difference(&pruned.fields()?);
        Ok(merged.without(&gone.intersection(&merged.named(&last.set))))
    }
}

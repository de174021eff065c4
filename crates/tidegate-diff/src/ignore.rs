//! Rules about differences that do not count: `ignoreDifferences` of Applications and of an installation's settings.
//!
//! A rule takes fields out of both sides of a comparison. With `RespectIgnoreDifferences` the live values of those
//! fields are also kept when applying. Semantics: Argo CD's, section 6.5 of its behaviour notes.

pub mod jq;
mod pointer;

use serde_json::Value;
use tidegate_manifest::IgnoreDifference;

use crate::fieldset::FieldSet;
use crate::merge_patch::{create_merge_patch, merge_patch};
use crate::schema::TypeRef;
use crate::strategic::{create_two_way_merge_patch, strategic_merge_patch};
use crate::typed::{compare, remove_items};
use jq::PathExpression;
pub use pointer::{PathStep, Pointer};

/// More rules than this on one comparison are refused.
const MAX_RULES: usize = 10_000;

/// Why a rule cannot be used. The expression is named, so that its author finds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    #[error("jqPathExpressions: {expression:?}: {reason}")]
    Jq { expression: String, reason: String },
    #[error("jsonPointers: {pointer:?}: a pointer starts with a slash")]
    Pointer { pointer: String },
    #[error("more than {MAX_RULES} rules")]
    TooMany,
}

/// Compiled rules.
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    group: String,
    kind: String,
    name: Option<String>,
    namespace: Option<String>,
    pointers: Vec<Pointer>,
    expressions: Vec<PathExpression>,
    managers: Vec<String>,
}

impl IgnoreRules {
    /// Compiles rules, in order. Settings come first, then the Application's own.
    ///
    /// # Errors
    /// All expressions and pointers that cannot be used.
    pub fn compile(rules: &[IgnoreDifference]) -> Result<Self, Vec<IgnoreError>> {
        if rules.len() > MAX_RULES {
            return Err(vec![IgnoreError::TooMany]);
        }
        let mut errors = Vec::new();
        let mut compiled = Vec::new();
        for rule in rules {
            let mut pointers = Vec::new();
            for text in &rule.json_pointers {
                match Pointer::parse(text) {
                    Some(pointer) => pointers.push(pointer),
                    None => errors.push(IgnoreError::Pointer {
                        pointer: text.clone(),
                    }),
                }
            }
            let mut expressions = Vec::new();
            for text in &rule.jq_path_expressions {
                match PathExpression::parse(text) {
                    Ok(expression) => expressions.push(expression),
                    Err(reason) => errors.push(IgnoreError::Jq {
                        expression: text.clone(),
                        reason,
                    }),
                }
            }
            compiled.push(Rule {
                group: rule.group.clone(),
                kind: rule.kind.clone(),
                name: rule.name.clone(),
                namespace: rule.namespace.clone(),
                pointers,
                expressions,
                managers: rule.managed_fields_managers.clone(),
            });
        }
        if errors.is_empty() {
            Ok(Self { rules: compiled })
        } else {
            Err(errors)
        }
    }

    /// Whether any rule speaks of the object.
    pub fn concern(&self, object: &Value) -> bool {
        self.rules.iter().any(|rule| rule.matches(object))
    }

    /// Takes the ignored fields out of both sides. `ty` lets rules about managers tell list items apart; without it
    /// those rules go by the deduced schema.
    pub fn apply(&self, ty: Option<&TypeRef>, target: &mut Value, live: &mut Value) {
        let deduced = crate::schema::Schema::deduced();
        let ty = ty.unwrap_or(&deduced);
        let identity = if target.is_object() {
            target.clone()
        } else {
            live.clone()
        };
        for rule in self.rules.iter().filter(|rule| rule.matches(&identity)) {
            rule.apply_managers(ty, target, live);
            for side in [&mut *target, &mut *live] {
                rule.remove(side);
            }
        }
    }

    /// The target with the live values of its ignored fields, for `RespectIgnoreDifferences`: an apply then leaves them
    /// as they are. Status is never taken over.
    pub fn keep_live_values(&self, ty: Option<&TypeRef>, target: &Value, live: &Value) -> Value {
        if !self.concern(target) {
            return target.clone();
        }
        let (mut bare_target, mut bare_live) = (target.clone(), live.clone());
        self.apply(ty, &mut bare_target, &mut bare_live);
        let typed =
            ty.filter(|ty| std::ptr::eq(ty.schema(), crate::schema::Schema::builtins().as_ref()));
        let strategic = typed.and_then(|ty| {
            let mut patch = create_two_way_merge_patch(ty, &bare_live, live).ok()?;
            drop_status(&mut patch);
            strategic_merge_patch(ty, &bare_target, &patch).ok()
        });
        strategic.unwrap_or_else(|| {
            let mut patch = create_merge_patch(&bare_live, live);
            drop_status(&mut patch);
            merge_patch(&bare_target, &patch)
        })
    }
}

fn drop_status(patch: &mut Value) {
    if let Some(map) = patch.as_object_mut() {
        map.remove("status");
    }
}

impl Rule {
    fn matches(&self, object: &Value) -> bool {
        let (group, kind) = crate::normalise::group_kind(object);
        let meta = &object["metadata"];
        let exact = |wanted: &Option<String>, key: &str| {
            wanted
                .as_deref()
                .is_none_or(|w| w.is_empty() || meta[key].as_str().unwrap_or_default() == w)
        };
        glob(&self.group, group)
            && glob(&self.kind, kind)
            && exact(&self.name, "name")
            && exact(&self.namespace, "namespace")
    }

    /// Fields that a listed manager owns in live and that differ.
    fn apply_managers(&self, ty: &TypeRef, target: &mut Value, live: &mut Value) {
        if self.managers.is_empty() || !target.is_object() || !live.is_object() {
            return;
        }
        let owned = self.owned(live);
        let bare = crate::managed::without_managed_fields;
        let Ok(change) = compare(ty, &bare(target), &bare(live)) else {
            return;
        };
        let differing = change.modified.union(&change.added).union(&change.removed);
        let ignored = owned.intersection(&differing);
        if !ignored.is_empty() {
            *target = remove_items(ty, target, &ignored);
            *live = remove_items(ty, live, &ignored);
        }
    }

    fn owned(&self, live: &Value) -> FieldSet {
        let mut owned = FieldSet::new();
        for entry in live["metadata"]["managedFields"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let listed = entry["manager"]
                .as_str()
                .is_some_and(|name| self.managers.iter().any(|m| m == name));
            if let Some(set) = listed
                .then(|| FieldSet::decode(&entry["fieldsV1"]).ok())
                .flatten()
            {
                owned = owned.union(&set);
            }
        }
        owned
    }

    fn remove(&self, object: &mut Value) {
        for pointer in &self.pointers {
            pointer.remove(object);
        }
        for expression in &self.expressions {
            // An expression that does not fit this object takes nothing out, as in Argo CD.
            if let Ok(paths) = expression.paths(object) {
                pointer::remove_all(object, paths);
            }
        }
    }
}

/// `*` for any run of characters, `?` for one; an empty pattern matches only the empty text.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

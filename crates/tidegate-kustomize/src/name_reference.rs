//! References by name: what an object is called in the end is written wherever others name it.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use serde_json::Value;

use crate::config::NameReference;
use crate::field_path::{Kind, wrong_kind};
use crate::field_spec::{FieldSpec, Made, set_scalar};
use crate::id::{Gvk, ResId};
use crate::node::{Node, Tag};
use crate::read;
use crate::resource::Resource;

/// What is asked about an object that may be referred to.
#[derive(Debug)]
struct Candidate {
    id: ResId,
    original: ResId,
    previous: Vec<ResId>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
}

/// All objects, found by any of their earlier names.
#[derive(Debug)]
struct Candidates {
    all: Vec<Candidate>,
    by_name: HashMap<String, Vec<usize>>,
}

/// Writes the present names of objects into the objects that refer to them.
///
/// # Errors
/// References that could mean several objects, and fields of the wrong kind.
pub(crate) fn update(list: &mut [Resource], references: &[NameReference]) -> Result<(), String> {
    let candidates = Candidates::new(list);
    let targets: Vec<(Gvk, &[FieldSpec])> = references
        .iter()
        .map(|reference| (reference.gvk(), reference.field_specs.as_slice()))
        .collect();
    // Which fields of a kind are references, found once for each kind.
    let mut fitting: HashMap<Gvk, Rc<[(usize, usize)]>> = HashMap::new();
    for (index, resource) in list.iter_mut().enumerate() {
        let referrer = &candidates.all[index];
        let bound = bound_namespaces(&resource.node, &referrer.id)?;
        let kind = &referrer.original.gvk;
        let fields = match fitting.get(kind) {
            Some(fields) => Rc::clone(fields),
            None => {
                let fields: Rc<[_]> = fields_of(kind, &targets).into();
                fitting.insert(kind.clone(), Rc::clone(&fields));
                fields
            }
        };
        for (target, field) in fields.iter() {
            let (target, specs) = &targets[*target];
            let field = &specs[*field];
            let search = Search {
                candidates: &candidates,
                referrer,
                target,
                bound: &bound,
                role: role_of(&resource.node, field),
            };
            // The spec is chosen by the first kind; the field is found in the present one.
            field
                .apply_to_any(resource, &Made::Nothing, &mut |node| search.set(node))
                .map_err(|error| {
                    format!(
                        "updating name reference in '{}' field of '{}': {error}",
                        field.path, referrer.id
                    )
                })?;
        }
    }
    Ok(())
}

/// The references in objects of a kind: numbers of targets and of their fields, in order.
fn fields_of(kind: &Gvk, targets: &[(Gvk, &[FieldSpec])]) -> Vec<(usize, usize)> {
    let mut fields = Vec::new();
    for (target, (_, specs)) in targets.iter().enumerate() {
        for (field, spec) in specs.iter().enumerate() {
            if spec.fits(&kind.group, &kind.version, &kind.kind) {
                fields.push((target, field));
            }
        }
    }
    fields
}

impl Candidates {
    fn new(list: &[Resource]) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        let all: Vec<Candidate> = list
            .iter()
            .map(|resource| Candidate {
                id: resource.id(),
                original: resource.original_id(),
                previous: resource.previous_ids(),
                prefixes: resource.prefixes.clone(),
                suffixes: resource.suffixes.clone(),
            })
            .collect();
        for (index, candidate) in all.iter().enumerate() {
            let names: BTreeSet<&str> = candidate
                .previous
                .iter()
                .map(|id| id.name.as_str())
                .collect();
            for name in names {
                by_name.entry(name.to_owned()).or_default().push(index);
            }
        }
        Self { all, by_name }
    }
}

/// The namespaces of the service accounts that a role binding names.
fn bound_namespaces(node: &Node, id: &ResId) -> Result<BTreeSet<String>, String> {
    let mut namespaces = BTreeSet::new();
    if node.get("kind").and_then(Node::text) != Some("RoleBinding") {
        return Ok(namespaces);
    }
    // What JSON cannot hold stops the build later.
    let as_json = |node| read::to_json(node).unwrap_or_default();
    for subject in node.get("subjects").map(Node::items).unwrap_or_default() {
        if !subject.is_map() {
            return Err(format!("a subject of \"{id}\" is no object"));
        }
        let (Some(namespace), Some(kind)) = (subject.get("namespace"), subject.get("kind")) else {
            continue;
        };
        let Value::String(kind) = as_json(kind) else {
            return Err(format!("the kind of a subject of \"{id}\" is no text"));
        };
        if kind != "ServiceAccount" {
            continue;
        }
        match as_json(namespace) {
            Value::String(text) => namespaces.insert(text),
            _ => {
                return Err(format!(
                    "Invalid Input: namespace is blank for resource \"{id}\""
                ));
            }
        };
    }
    Ok(namespaces)
}

/// The kind that a role reference names.
fn role_of(node: &Node, spec: &FieldSpec) -> Option<Gvk> {
    if !spec.path.ends_with("roleRef/name") {
        return None;
    }
    let role = node.get("roleRef")?;
    Some(Gvk {
        group: role.get("apiGroup")?.text().unwrap_or_default().to_owned(),
        version: String::new(),
        kind: role.get("kind")?.text().unwrap_or_default().to_owned(),
    })
}

/// The search for what one field of one object refers to.
struct Search<'s> {
    candidates: &'s Candidates,
    referrer: &'s Candidate,
    target: &'s Gvk,
    bound: &'s BTreeSet<String>,
    role: Option<Gvk>,
}

/// What makes several possible objects one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Same {
    Name,
    NameAndNamespace,
}

impl Search<'_> {
    fn set(&self, node: &mut Node) -> Result<(), String> {
        match node {
            node if node.is_null() => Ok(()),
            Node::Scalar(_) => self.set_scalar(node),
            Node::Map(_) => self.set_map(node),
            Node::Seq(items) => items.iter_mut().try_for_each(|item| match item {
                item if item.is_null() => Ok(()),
                Node::Scalar(_) => self.set_scalar(item),
                Node::Map(_) => self.set_map(item),
                Node::Seq(_) => Err(wrong_kind(Kind::Map, item)),
            }),
        }
    }

    fn set_scalar(&self, node: &mut Node) -> Result<(), String> {
        let old = node.text().unwrap_or_default().to_owned();
        match self.find(&old, |_| true, Same::Name)? {
            Some(found) if found.id.name != old => set_scalar(node, &found.id.name, Tag::Untagged),
            _ => Ok(()),
        }
    }

    fn set_map(&self, node: &mut Node) -> Result<(), String> {
        let Some(name) = node.get("name") else {
            return Err("path config error; no 'name' field in node".to_owned());
        };
        let old = name.text().unwrap_or_default().to_owned();
        let namespace = node
            .get("namespace")
            .map(|n| n.text().unwrap_or_default().to_owned());
        let lives_in = |id: &ResId, wanted: &str| id.effective_namespace() == wanted;
        // The first namespace decides; when nothing was there, the present one.
        let by_first = namespace.as_ref().is_some_and(|wanted| {
            let mut all = self.candidates.all.iter().filter(|c| self.may_refer(c));
            all.any(|candidate| lives_in(&candidate.original, wanted))
        });
        let fits = |candidate: &Candidate| {
            namespace.as_ref().is_none_or(|wanted| {
                let id = if by_first {
                    &candidate.original
                } else {
                    &candidate.id
                };
                lives_in(id, wanted)
            })
        };
        let Some(found) = self.find(&old, fits, Same::NameAndNamespace)? else {
            return Ok(());
        };
        if found.id.name == old && found.id.namespace.is_empty() {
            return Ok(());
        }
        for (key, text) in [("name", &found.id.name), ("namespace", &found.id.namespace)] {
            if text.is_empty() {
                continue;
            }
            match node.get_mut(key) {
                Some(field) => set_scalar(field, text, Tag::Untagged)?,
                None => node.insert(key, Node::plain(text)),
            }
        }
        Ok(())
    }

    /// Whether the referrer can see an object at all.
    fn may_refer(&self, candidate: &Candidate) -> bool {
        let referrer = &self.referrer.id;
        referrer.cluster_scoped
            || candidate.id.cluster_scoped
            || candidate.id.effective_namespace() == referrer.effective_namespace()
            || self.bound.contains(&candidate.id.namespace)
    }

    fn shares_namespace(&self, candidate: &Candidate) -> bool {
        let referrer = &self.referrer.id;
        referrer.cluster_scoped
            || candidate.id.cluster_scoped
            || candidate.id.gvk.kind == "ServiceAccount"
            || candidate.id.effective_namespace() == referrer.effective_namespace()
    }

    fn find(
        &self,
        name: &str,
        fits: impl Fn(&Candidate) -> bool,
        same: Same,
    ) -> Result<Option<&Candidate>, String> {
        let Some(indexes) = self.candidates.by_name.get(name) else {
            return Ok(None);
        };
        let was = |candidate: &Candidate, gvk: &Gvk| {
            candidate
                .previous
                .iter()
                .any(|id| id.gvk.is_selected_by(gvk))
        };
        let mut found: Vec<&Candidate> = indexes
            .iter()
            .filter_map(|index| self.candidates.all.get(*index))
            .filter(|c| self.may_refer(c) && fits(c) && was(c, self.target))
            .filter(|c| self.role.as_ref().is_none_or(|role| was(c, role)))
            .filter(|c| self.shares_namespace(c))
            .collect();
        if found.len() > 1 {
            found.retain(|candidate| same_context(candidate, self.referrer, true));
        }
        if found.len() > 1 {
            found.retain(|candidate| same_context(candidate, self.referrer, false));
        }
        let Some((first, others)) = found.split_first() else {
            return Ok(None);
        };
        let is_same = |other: &&Candidate| {
            other.id.name == first.id.name
                && (same == Same::Name || other.id.namespace == first.id.namespace)
        };
        if others.iter().all(is_same) {
            return Ok(Some(first));
        }
        let ids: Vec<String> = found
            .iter()
            .map(|candidate| candidate.id.to_string())
            .collect();
        Err(format!(
            "found multiple possible referrals: {}",
            ids.join(", ")
        ))
    }
}

/// Whether two objects got the same prefixes and suffixes last; `lenient` lets none stand for any.
fn same_context(one: &Candidate, other: &Candidate, lenient: bool) -> bool {
    let same = |a: &[String], b: &[String]| {
        if lenient && (a.is_empty() || b.is_empty()) {
            return true;
        }
        let (short, long) = if a.len() > b.len() { (b, a) } else { (a, b) };
        if short.is_empty() {
            long.is_empty()
        } else {
            long.ends_with(short)
        }
    };
    same(&one.prefixes, &other.prefixes) && same(&one.suffixes, &other.suffixes)
}

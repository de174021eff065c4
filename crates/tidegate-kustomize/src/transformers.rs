//! The transformers that set one thing in many objects: labels, annotations, prefixes, namespaces,
//! images, replicas.

use std::collections::HashMap;

use crate::field_path::{Kind, wrong_kind};
use crate::field_spec::{FieldSpec, Made, set_entry, set_scalar};
use crate::go_regex;
use crate::id::{Gvk, ResId};
use crate::kustomization::{Image, Replica, Texts};
use crate::node::{Node, Tag};
use crate::resource::{FROM_HELM, Resource};

/// Sets labels or annotations at the fields of the specs.
///
/// # Errors
/// Fields that are no mappings.
pub(crate) fn set_texts(
    list: &mut [Resource],
    texts: &Texts,
    specs: &[FieldSpec],
) -> Result<(), String> {
    for resource in list {
        let (group, version, kind) = resource.kind_parts();
        let fitting: Vec<&FieldSpec> = specs
            .iter()
            .filter(|spec| spec.fits(group, version, kind))
            .collect();
        for (key, value) in texts {
            for spec in &fitting {
                spec.apply_to_any(resource, &Made::Map, &mut |node| {
                    set_entry(node, key, value)
                })?;
            }
        }
    }
    Ok(())
}

/// Which end of a name something is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    Back,
}

/// Adds a prefix or a suffix to names.
///
/// # Errors
/// Names that are no scalars.
pub(crate) fn add_to_names(
    list: &mut [Resource],
    text: &str,
    end: End,
    specs: &[FieldSpec],
) -> Result<(), String> {
    for resource in list {
        let (group, version, kind) = resource.first_kind_parts();
        let kept = match kind {
            "CustomResourceDefinition" | "Namespace" => true,
            "APIService" => group == "apiregistration.k8s.io",
            _ => false,
        };
        if kept {
            continue;
        }
        let fitting: Vec<&FieldSpec> = specs
            .iter()
            .filter(|spec| spec.fits(group, version, kind))
            .collect();
        for spec in fitting {
            if spec.path == "metadata/name" && !text.is_empty() {
                match end {
                    End::Front => resource.prefixes.push(text.to_owned()),
                    End::Back => resource.suffixes.push(text.to_owned()),
                }
                resource.store_previous_id();
            }
            spec.apply(resource, &Made::Scalar(Tag::Str), &mut |node| {
                let old = node.text().unwrap_or_default();
                let new = match end {
                    End::Front => format!("{text}{old}"),
                    End::Back => format!("{old}{text}"),
                };
                set_scalar(node, &new, Tag::Untagged)
            })?;
        }
    }
    Ok(())
}

/// Which subjects of role bindings get the namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Subjects {
    /// Those named `default`.
    #[default]
    Default,
    AllServiceAccounts,
    None,
}

impl Subjects {
    /// # Errors
    /// Words nobody knows.
    pub(crate) fn named(word: &str) -> Result<Self, String> {
        match word {
            "" | "defaultOnly" => Ok(Subjects::Default),
            "allServiceAccounts" => Ok(Subjects::AllServiceAccounts),
            "none" => Ok(Subjects::None),
            _ => Err(format!(
                "invalid value {word:?} for setRoleBindingSubjects: must be one of \"defaultOnly\", \"none\" or \"allServiceAccounts\""
            )),
        }
    }
}

/// How namespaces are set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Namespacing<'n> {
    pub(crate) namespace: &'n str,
    pub(crate) unset_only: bool,
    pub(crate) subjects: Subjects,
}

impl Namespacing<'_> {
    /// Sets the namespace of all objects that may have one.
    ///
    /// # Errors
    /// Two objects that become the same, and fields that are no scalars.
    pub(crate) fn apply(&self, list: &mut [Resource], specs: &[FieldSpec]) -> Result<(), String> {
        if self.namespace.is_empty() {
            return Ok(());
        }
        let mut count: HashMap<String, usize> = HashMap::new();
        for resource in &*list {
            *count.entry(resource.id().key()).or_default() += 1;
        }
        for resource in list {
            if resource.text_of("annotations", FROM_HELM) == Some("true") {
                continue;
            }
            let before = resource.id().key();
            resource.store_previous_id();
            self.apply_one(resource, specs)?;
            let id = resource.id();
            let after = id.key();
            if let Some(number) = count.get_mut(&before) {
                *number -= 1;
            }
            let number = count.entry(after).or_default();
            *number += 1;
            if *number != 1 {
                return Err(format!(
                    "namespace transformation produces ID conflict: {id}"
                ));
            }
        }
        Ok(())
    }

    /// As [`Namespacing::apply`], for one object and without its check.
    pub(crate) fn apply_one(
        &self,
        resource: &mut Resource,
        specs: &[FieldSpec],
    ) -> Result<(), String> {
        let id = resource.id();
        let set = |node: &mut Node| self.set(node);
        if !id.cluster_scoped {
            let spec = FieldSpec {
                path: "metadata/namespace".to_owned(),
                create: true,
                ..FieldSpec::default()
            };
            let made = Made::Scalar(Tag::Untagged);
            spec.apply(resource, &made, &mut |node| set(node))?;
        }
        let is_binding = matches!(id.gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
        if is_binding {
            self.set_subjects(&mut resource.node)?;
        }
        let api_version = id.gvk.api_version();
        for spec in specs {
            let special = spec.path == "metadata/namespace"
                || (spec.path == "metadata/name" && api_version != "v1")
                || (is_binding
                    && spec.path == "subjects/namespace"
                    && matches!(spec.kind.as_str(), "RoleBinding" | "ClusterRoleBinding"));
            if !special {
                let made = Made::Scalar(Tag::Str);
                let done = spec.apply(resource, &made, &mut |node| set(node));
                done.map_err(|error| format!("namespace transformation failed: {error}"))?;
            }
        }
        Ok(())
    }

    fn set(&self, node: &mut Node) -> Result<(), String> {
        let has_value = node.text().is_some_and(|text| !text.is_empty()) && !node.is_null();
        if self.unset_only && has_value {
            return Ok(());
        }
        set_scalar(node, self.namespace, Tag::Str)
    }

    fn set_subjects(&self, node: &mut Node) -> Result<(), String> {
        let (key, wanted) = match self.subjects {
            Subjects::None => return Ok(()),
            Subjects::Default => ("name", "default"),
            Subjects::AllServiceAccounts => ("kind", "ServiceAccount"),
        };
        let said =
            |error: String| format!("setting namespace on (cluster)role binding subjects: {error}");
        let subjects = match node.get_mut("subjects") {
            Some(Node::Seq(subjects)) => subjects,
            Some(other) if !other.is_null() => {
                return Err(said(wrong_kind(Kind::Seq, other)));
            }
            _ => return Ok(()),
        };
        for subject in subjects {
            if !subject.is_map() && !subject.is_null() {
                let error = wrong_kind(Kind::Map, subject);
                return Err(said(format!(
                    "looking up {key} on (cluster)role binding subject: {error}"
                )));
            }
            if subject.get(key).and_then(Node::text) != Some(wanted) {
                continue;
            }
            if subject.get("namespace").is_none() {
                subject.insert("namespace", Node::plain(""));
            }
            if let Some(namespace) = subject.get_mut("namespace") {
                self.set(namespace)?;
            }
        }
        Ok(())
    }
}

/// The images that a name stands for: with any tag and digest.
enum ImageName {
    /// A name in which points stand for any character.
    Word(String),
    Regex(regex::Regex),
}

impl ImageName {
    fn new(name: &str) -> Option<Self> {
        if go_regex::is_word(name) {
            return Some(ImageName::Word(name.to_owned()));
        }
        let pattern = format!("^{name}(:[a-zA-Z0-9_.{{}}-]*)?(@sha256:[a-zA-Z0-9_.{{}}-]*)?$");
        go_regex::compile(&pattern).ok().map(ImageName::Regex)
    }

    fn is_match(&self, text: &str) -> bool {
        let name = match self {
            ImageName::Word(name) => name,
            ImageName::Regex(pattern) => return pattern.is_match(text),
        };
        let Some(mut rest) = go_regex::after_word(name, text) else {
            return false;
        };
        let allowed =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '{' | '}' | '-');
        for start in [":", "@sha256:"] {
            if let Some(after) = rest.strip_prefix(start) {
                rest = after.trim_start_matches(allowed);
            }
        }
        rest.is_empty()
    }
}

/// Sets image names, tags and digests.
///
/// # Errors
/// Images that are no scalars.
pub(crate) fn set_images(
    list: &mut [Resource],
    image: &Image,
    specs: &[FieldSpec],
) -> Result<(), String> {
    // The original stops with a stack trace at a bad expression; here it matches nothing.
    let Some(pattern) = ImageName::new(&image.name) else {
        return Ok(());
    };
    let set = |node: &mut Node| -> Result<(), String> {
        let Some(text) = node.text() else {
            return Err(wrong_kind(Kind::Scalar, node));
        };
        if node.is_null() || !pattern.is_match(text) {
            return Ok(());
        }
        let new = new_image(text, image);
        set_scalar(node, &new, Tag::Untagged)
    };
    for resource in list
        .iter_mut()
        .filter(|r| r.kind() != "CustomResourceDefinition")
    {
        set_container_images(&mut resource.node, &set)?;
    }
    for resource in list
        .iter_mut()
        .filter(|r| r.kind() != "CustomResourceDefinition")
    {
        for spec in specs {
            spec.apply(resource, &Made::Nothing, &mut |node| set(node))?;
        }
    }
    Ok(())
}

/// Sets the images of what is called `containers` or `initContainers`, at any depth.
fn set_container_images(
    node: &mut Node,
    set: &dyn Fn(&mut Node) -> Result<(), String>,
) -> Result<(), String> {
    match node {
        Node::Map(entries) => entries.iter_mut().try_for_each(|(key, value)| {
            set_container_images(value, set)?;
            if !matches!(key.text(), "containers" | "initContainers") {
                return Ok(());
            }
            let Node::Seq(items) = value else {
                return Ok(());
            };
            items.iter_mut().try_for_each(|item| match item {
                Node::Map(_) => item.get_mut("image").map_or(Ok(()), set),
                item if item.is_null() => Ok(()),
                item => Err(wrong_kind(Kind::Map, item)),
            })
        }),
        Node::Seq(items) => items
            .iter_mut()
            .try_for_each(|item| set_container_images(item, set)),
        Node::Scalar(_) => Ok(()),
    }
}

fn new_image(text: &str, image: &Image) -> String {
    let (mut name, mut tag, mut digest) = split_image(text);
    if !image.new_name.is_empty() {
        name.clone_from(&image.new_name);
    }
    let has = |text: &str| !text.is_empty();
    if has(&image.new_tag) {
        tag.clone_from(&image.new_tag);
        digest.clone_from(&image.digest);
    } else if has(&image.digest) {
        tag = String::new();
        digest.clone_from(&image.digest);
    } else if has(&image.tag_suffix) {
        tag.push_str(&image.tag_suffix);
        digest = String::new();
    }
    if has(&tag) {
        name = format!("{name}:{tag}");
    }
    if has(&digest) {
        name = format!("{name}@{digest}");
    }
    name
}

/// Name, tag and digest; a colon before the first slash belongs to the host.
fn split_image(text: &str) -> (String, String, String) {
    let from = text.find('/').filter(|at| *at > 0).unwrap_or(0);
    let find = |c| text[from..].find(c).map(|at| at + from);
    let own = |text: &str| text.to_owned();
    match (find('@'), find(':')) {
        (None, None) => (own(text), String::new(), String::new()),
        (None, Some(colon)) => (own(&text[..colon]), own(&text[colon + 1..]), String::new()),
        (Some(at), Some(colon)) if colon < at => {
            let (tag, digest) = (&text[colon + 1..at], &text[at + 1..]);
            (own(&text[..colon]), own(tag), own(digest))
        }
        (Some(at), _) => (own(&text[..at]), String::new(), own(&text[at + 1..])),
    }
}

/// Sets the number of replicas.
///
/// # Errors
/// No object of that name and of a kind that has replicas.
pub(crate) fn set_replicas(
    list: &mut [Resource],
    replica: &Replica,
    specs: &[FieldSpec],
) -> Result<(), String> {
    let mut found = false;
    for spec in specs {
        let gvk = spec.gvk();
        let fits = |id: &ResId| id.name == replica.name && id.gvk.is_selected_by(&gvk);
        for resource in list.iter_mut().filter(|resource| resource.has_id(fits)) {
            found = true;
            let count = replica.count.to_string();
            let set = &mut |node: &mut Node| set_scalar(node, &count, Tag::Int);
            spec.apply(resource, &Made::Scalar(Tag::Int), set)?;
        }
    }
    if found {
        return Ok(());
    }
    let kinds: Vec<String> = specs
        .iter()
        .map(|spec| Gvk::to_string(&spec.gvk()))
        .collect();
    Err(format!(
        "resource with name {} does not match a config with the following GVK [{}]",
        replica.name,
        kinds.join(" ")
    ))
}

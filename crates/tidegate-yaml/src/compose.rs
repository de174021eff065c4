//! The raw tree to values: aliases expanded, merge keys applied, scalars resolved, keys turned to
//! strings, repeated keys found. Collects every error of a document instead of stopping at one.

use std::collections::HashMap;

use crate::error::{YamlError, YamlErrorKind};
use crate::node::{Key, Node, Span, Value};
use crate::number;
use crate::options::{DuplicateKeys, LocalTags, ParseOptions, Resolver};
use crate::parser::{Raw, RawDocument, RawId};
use crate::resolve::{self, Scalar};

/// Errors and warnings kept of one document.
const MAX_REPORTS: usize = 100;
/// Mappings with more entries than this look keys up in an index.
const INDEX_FROM: usize = 16;
/// Characters of a refused key shown in its message.
pub(crate) const EXCERPT: usize = 60;

/// A composed document and what is wrong with it. With errors the root is incomplete.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) root: Node,
    pub(crate) errors: Vec<YamlError>,
    pub(crate) warnings: Vec<YamlError>,
}

/// What aliases may still add in the whole stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) nodes: usize,
    pub(crate) bytes: usize,
}

/// Composing cannot go on in this document; the reason is already reported.
struct Stop;

type Step<T> = Result<T, Stop>;

struct Composer<'a, 't> {
    document: &'a RawDocument<'t>,
    text: &'a str,
    index: usize,
    options: &'a ParseOptions,
    budget: &'a mut Budget,
    out: Composed,
    /// Targets of the aliases being expanded.
    expanding: Vec<RawId>,
    decoded: usize,
    aliased: usize,
    depth: usize,
}

pub(crate) fn compose(
    document: &RawDocument<'_>,
    text: &str,
    index: usize,
    options: &ParseOptions,
    budget: &mut Budget,
) -> Composed {
    let mut composer = Composer {
        document,
        text,
        index,
        options,
        budget,
        out: Composed {
            root: Node::default(),
            errors: Vec::new(),
            warnings: Vec::new(),
        },
        expanding: Vec::new(),
        decoded: 0,
        aliased: 0,
        depth: 0,
    };
    if let Ok(root) = composer.node(document.root) {
        composer.out.root = root;
    }
    composer.out
}

/// A mapping being built, with the origin of each entry.
#[derive(Default)]
struct Building {
    entries: Vec<(Key, Node)>,
    /// Entries that came from a merge key, which explicit keys may replace.
    merged: Vec<bool>,
    index: HashMap<Box<str>, usize>,
}

impl Building {
    fn find(&self, key: &str) -> Option<usize> {
        if self.entries.len() <= INDEX_FROM {
            self.entries
                .iter()
                .position(|(known, _)| &*known.text == key)
        } else {
            self.index.get(key).copied()
        }
    }

    fn push(&mut self, key: Key, node: Node, merged: bool) {
        if self.entries.len() == INDEX_FROM {
            self.index = self
                .entries
                .iter()
                .enumerate()
                .map(|(i, (k, _))| (k.text.clone(), i))
                .collect();
        }
        if self.entries.len() >= INDEX_FROM {
            self.index.insert(key.text.clone(), self.entries.len());
        }
        self.entries.push((key, node));
        self.merged.push(merged);
    }
}

impl<'t> Composer<'_, 't> {
    fn report(&mut self, kind: YamlErrorKind, message: String, span: Span) {
        let error = YamlError {
            kind,
            message,
            span,
            document: self.index,
            context: None,
        };
        if self.out.errors.len() < MAX_REPORTS {
            self.out.errors.push(error);
        }
    }

    fn stop<T>(&mut self, kind: YamlErrorKind, message: impl Into<String>, span: Span) -> Step<T> {
        self.out.errors.truncate(MAX_REPORTS - 1);
        self.report(kind, message.into(), span);
        Err(Stop)
    }

    /// Counts one node against the limits and against go-yaml's ratio of aliased nodes.
    fn count(&mut self, span: Span) -> Step<()> {
        self.decoded += 1;
        if !self.expanding.is_empty() {
            self.aliased += 1;
        }
        if self.aliased > 100
            && self.decoded > 1000
            && self.aliased as f64 / self.decoded as f64 > allowed_alias_ratio(self.decoded)
        {
            return self.stop(
                YamlErrorKind::Alias,
                "document contains excessive aliasing",
                span,
            );
        }
        match self.budget.nodes.checked_sub(1) {
            Some(left) => self.budget.nodes = left,
            None => {
                let message = format!("exceeded {} nodes", self.options.limits.nodes);
                return self.stop(YamlErrorKind::Limit, message, span);
            }
        }
        Ok(())
    }

    fn count_text(&mut self, length: usize, span: Span) -> Step<()> {
        match self.budget.bytes.checked_sub(length) {
            Some(left) => self.budget.bytes = left,
            None => {
                let message = format!(
                    "exceeded {} bytes of text after alias expansion",
                    self.options.limits.bytes
                );
                return self.stop(YamlErrorKind::Limit, message, span);
            }
        }
        Ok(())
    }

    fn node(&mut self, id: RawId) -> Step<Node> {
        let raw = &self.document.nodes[id];
        let span = raw.span;
        self.count(span)?;
        if self.depth >= self.options.limits.depth {
            let message = format!("exceeded max depth of {}", self.options.limits.depth);
            return self.stop(YamlErrorKind::Limit, message, span);
        }
        self.depth += 1;
        let node = match &raw.raw {
            Raw::Alias { name, target } => self.alias(name, *target, span),
            Raw::Scalar { .. } => self.scalar(id).map(|value| Node { value, span }),
            Raw::FlowNothing => Ok(Node {
                value: self.flow_nothing(),
                span,
            }),
            Raw::Sequence(items) => {
                let items: Step<Vec<Node>> = items.iter().map(|item| self.node(*item)).collect();
                items.map(|items| Node {
                    value: Value::Sequence(items),
                    span,
                })
            }
            Raw::Mapping(_) => {
                let mut building = Building::default();
                self.mapping(id, &mut building, false).map(|()| Node {
                    value: Value::Mapping(building.entries),
                    span,
                })
            }
        };
        self.depth -= 1;
        if self.options.local_tags == LocalTags::CloudFormation
            && let Some(function) = function_of_tag(&raw.tag)
        {
            return node.map(|node| short_form(function, node));
        }
        node
    }

    fn alias(&mut self, name: &str, target: RawId, span: Span) -> Step<Node> {
        if self.expanding.contains(&target) {
            let message = format!("anchor '{name}' value contains itself");
            return self.stop(YamlErrorKind::Alias, message, span);
        }
        self.expanding.push(target);
        let node = self.node(target);
        self.expanding.pop();
        node
    }

    /// Null; but kustomize writes it back as an empty string.
    fn flow_nothing(&self) -> Value {
        match self.options.resolver {
            Resolver::Kubernetes => Value::Null,
            Resolver::Kyaml => Value::String("".into()),
        }
    }

    fn scalar(&mut self, id: RawId) -> Step<Value> {
        let raw = &self.document.nodes[id];
        let Raw::Scalar { text, plain, .. } = &raw.raw else {
            return Ok(Value::Null);
        };
        self.count_text(text.len(), raw.span)?;
        let is_function = self.options.local_tags == LocalTags::CloudFormation
            && function_of_tag(&raw.tag).is_some();
        if !plain || is_function {
            return Ok(Value::String(Box::from(&**text)));
        }
        let value = match resolve::resolve(self.options.resolver, &raw.tag, text) {
            Ok(scalar) => self.json_value(scalar, text, raw.span),
            Err(message) => {
                self.report(YamlErrorKind::Value, message, raw.span);
                Value::Null
            }
        };
        Ok(value)
    }

    fn json_value(&mut self, scalar: Scalar, text: &str, span: Span) -> Value {
        match scalar {
            Scalar::Null => Value::Null,
            Scalar::Bool(flag) => Value::Bool(flag),
            Scalar::Integer(number) => Value::Number(number),
            Scalar::Float(value) => match number::from_float(value) {
                Some(number) => Value::Number(number),
                None => {
                    let name = if value.is_nan() {
                        "NaN"
                    } else if value < 0.0 {
                        "-Inf"
                    } else {
                        "+Inf"
                    };
                    self.report(
                        YamlErrorKind::Value,
                        format!("unsupported value: {name}"),
                        span,
                    );
                    Value::Null
                }
            },
            Scalar::Timestamp(Some(rewritten)) => Value::String(rewritten.into()),
            Scalar::Binary(decoded) => Value::String(decoded.into()),
            Scalar::Timestamp(None) | Scalar::Text => Value::String(Box::from(text)),
        }
    }

    fn is_merge_key(&self, id: RawId) -> bool {
        let raw = &self.document.nodes[id];
        let Raw::Scalar { text, plain, .. } = &raw.raw else {
            return false;
        };
        text == "<<" && *plain && matches!(&*raw.tag, "" | "!" | "tag:yaml.org,2002:merge")
    }

    /// Reads the entries of a mapping into `building`. In the Kubernetes rules a merge key acts
    /// where it stands, so it overrides what stood before it; in kustomize's it comes last and
    /// overrides nothing.
    fn mapping(&mut self, id: RawId, building: &mut Building, merged: bool) -> Step<()> {
        let document = self.document;
        let Raw::Mapping(entries) = &document.nodes[id].raw else {
            return Ok(());
        };
        let mut postponed = Vec::new();
        for (key, value) in entries {
            if self.is_merge_key(*key) {
                match self.options.resolver {
                    Resolver::Kubernetes => self.merge(*value, building)?,
                    Resolver::Kyaml => postponed.push(*value),
                }
                continue;
            }
            let key = self.key(*key)?;
            let node = self.node(*value)?;
            if let Some(key) = key {
                self.count_text(key.text.len(), key.span)?;
                self.insert(building, key, node, merged);
            }
        }
        for value in postponed {
            self.merge(value, building)?;
        }
        Ok(())
    }

    fn insert(&mut self, building: &mut Building, key: Key, node: Node, merged: bool) {
        let Some(at) = building.find(&key.text) else {
            building.push(key, node, merged);
            return;
        };
        let kyaml = self.options.resolver == Resolver::Kyaml;
        if kyaml && merged {
            return;
        }
        if !(merged || (building.merged[at] && (kyaml || self.is_lenient()))) {
            self.duplicate(&building.entries[at].0, &key);
        }
        building.entries[at] = (key, node);
        building.merged[at] = merged;
    }

    fn is_lenient(&self) -> bool {
        self.options.duplicate_keys == DuplicateKeys::LastWins
    }

    fn duplicate(&mut self, earlier: &Key, key: &Key) {
        let message = format!(
            "mapping key {:?} already defined at line {}",
            key.text, earlier.span.line
        );
        if self.is_lenient() {
            if self.out.warnings.len() < MAX_REPORTS {
                self.out.warnings.push(YamlError {
                    kind: YamlErrorKind::DuplicateKey,
                    message,
                    span: key.span,
                    document: self.index,
                    context: None,
                });
            }
        } else {
            self.report(YamlErrorKind::DuplicateKey, message, key.span);
        }
    }

    /// Applies the value of a merge key. In a list the earlier mapping wins, so the last one goes
    /// in first.
    fn merge(&mut self, value: RawId, building: &mut Building) -> Step<()> {
        let document = self.document;
        let sources: Vec<RawId> = match &document.nodes[value].raw {
            Raw::Sequence(items) if self.options.resolver == Resolver::Kubernetes => {
                items.iter().rev().copied().collect()
            }
            Raw::Sequence(items) => items.clone(),
            Raw::Scalar { .. } | Raw::FlowNothing | Raw::Mapping(_) | Raw::Alias { .. } => {
                vec![value]
            }
        };
        for source in sources {
            let raw = &document.nodes[source];
            self.count(raw.span)?;
            match &raw.raw {
                Raw::Mapping(_) => self.mapping(source, building, true)?,
                Raw::Alias { name, target }
                    if matches!(document.nodes[*target].raw, Raw::Mapping(_)) =>
                {
                    if self.expanding.contains(target) {
                        let message = format!("anchor '{name}' value contains itself");
                        return self.stop(YamlErrorKind::Alias, message, raw.span);
                    }
                    self.expanding.push(*target);
                    let result = self.mapping(*target, building, true);
                    self.expanding.pop();
                    result?;
                }
                Raw::Scalar { .. } | Raw::FlowNothing | Raw::Sequence(_) | Raw::Alias { .. } => {
                    let message = "map merge requires map or sequence of maps as the value";
                    self.report(YamlErrorKind::Merge, message.to_owned(), raw.span);
                }
            }
        }
        Ok(())
    }

    /// A key as text. `None` when it is refused, which is reported.
    fn key(&mut self, id: RawId) -> Step<Option<Key>> {
        let document = self.document;
        let span = document.nodes[id].span;
        self.count(span)?;
        let id = match &document.nodes[id].raw {
            Raw::Alias { target, .. } => *target,
            Raw::Scalar { .. } | Raw::FlowNothing | Raw::Sequence(_) | Raw::Mapping(_) => id,
        };
        let raw = &document.nodes[id];
        let (text, plain) = match &raw.raw {
            Raw::Scalar { text, plain, .. } => (&**text, *plain),
            Raw::FlowNothing => ("", self.options.resolver == Resolver::Kubernetes),
            Raw::Sequence(_) | Raw::Mapping(_) | Raw::Alias { .. } => {
                let message = format!("invalid map key: {}", self.excerpt(span));
                self.report(YamlErrorKind::InvalidKey, message, span);
                return Ok(None);
            }
        };
        if !plain {
            return Ok(Some(Key {
                text: Box::from(text),
                span,
            }));
        }
        let scalar = match resolve::resolve(self.options.resolver, &raw.tag, text) {
            Ok(scalar) => scalar,
            Err(message) => {
                self.report(YamlErrorKind::Value, message, span);
                return Ok(None);
            }
        };
        let text = match self.key_text(scalar, text) {
            Ok(text) => text,
            Err(message) => {
                self.report(YamlErrorKind::InvalidKey, message, span);
                return Ok(None);
            }
        };
        Ok(Some(Key { text, span }))
    }

    fn key_text(&self, scalar: Scalar, text: &str) -> Result<Box<str>, String> {
        let typed = !matches!(scalar, Scalar::Text | Scalar::Binary(_));
        // kustomize keeps a map with any other key as one that JSON cannot hold; only the
        // outermost mapping takes the text of its keys.
        if typed && self.options.resolver == Resolver::Kyaml {
            return if self.depth <= 1 && scalar != Scalar::Null {
                Ok(Box::from(text))
            } else {
                Err(format!(
                    "unsupported type: map[interface {{}}]interface {{}} (the key `{text}` is no string)"
                ))
            };
        }
        Ok(match scalar {
            Scalar::Null => return Err("unsupported map key of type: <nil>".to_owned()),
            Scalar::Bool(flag) => if flag { "true" } else { "false" }.into(),
            Scalar::Integer(number) if number.as_i64().is_none() => {
                return Err(format!(
                    "unsupported map key of type: uint64, key: {number}"
                ));
            }
            Scalar::Integer(number) => number.to_string().into(),
            Scalar::Float(value) => float_key(value).into(),
            Scalar::Binary(decoded) => decoded.into(),
            Scalar::Timestamp(_) | Scalar::Text => Box::from(text),
        })
    }

    /// The source of a refused key, on one line and not too long.
    fn excerpt(&self, span: Span) -> String {
        let (start, end) = (span.start as usize, span.end as usize);
        let source = self.text.get(start..end).unwrap_or_default();
        // `{{ x }}`: the refused key is the inner mapping; show the braces around it too.
        let templated = source.starts_with('{') && self.text[..start].ends_with('{');
        let source = if templated {
            self.text.get(start - 1..end + 1).unwrap_or(source)
        } else {
            source
        };
        let line: Vec<&str> = source.split_whitespace().collect();
        let line = line.join(" ");
        match line.char_indices().nth(EXCERPT) {
            Some((cut, _)) => format!("{}…", &line[..cut]),
            None => line,
        }
    }
}

/// A float key: its shortest single-precision form.
fn float_key(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    let single = value as f32;
    if single.is_infinite() {
        return if single > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    number::shortest_single(single).general()
}

/// The part of all decoded nodes that may come from aliases: 99 % in small documents, falling to
/// 10 % at four million nodes (go-yaml's guard against alias bombs).
pub(crate) fn allowed_alias_ratio(decoded: usize) -> f64 {
    const LOW: f64 = 400_000.0;
    const HIGH: f64 = 4_000_000.0;
    let decoded = decoded as f64;
    if decoded <= LOW {
        0.99
    } else if decoded >= HIGH {
        0.10
    } else {
        0.99 - 0.89 * ((decoded - LOW) / (HIGH - LOW))
    }
}

/// The name behind a local tag that CloudFormation takes as a function.
fn function_of_tag(tag: &str) -> Option<&str> {
    let name = tag.strip_prefix('!')?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':');
    is_name.then_some(name)
}

/// The long form of a tagged node.
fn short_form(function: &str, node: Node) -> Node {
    let span = node.span;
    let name = match function {
        "Ref" | "Condition" => function.to_owned(),
        other => format!("Fn::{other}"),
    };
    let argument = match (function, &node.value) {
        ("GetAtt", Value::String(text)) => {
            let (id, attribute) = text.split_once('.').unwrap_or((text, ""));
            let part = |text: &str| Node {
                value: Value::String(text.into()),
                span,
            };
            let mut parts = vec![part(id)];
            if text.contains('.') {
                parts.push(part(attribute));
            }
            Node {
                value: Value::Sequence(parts),
                span,
            }
        }
        _ => node,
    };
    let key = Key {
        text: name.into(),
        span,
    };
    Node {
        value: Value::Mapping(vec![(key, argument)]),
        span,
    }
}

#[cfg(test)]
mod short_forms {
    use crate::{ParseOptions, parse_one};

    #[test]
    fn tags_become_functions_however_deep() {
        let text = "a: !Ref X\nb: !GetAtt A.B.C\nc: !Sub ['${x}', {x: !Ref Y}]\nd: !If [C, !Ref 'AWS::NoValue', 1]\ne: !Ref 012\nf: !Condition C\ng: !Join [',', [a, b]]\n";
        let node = parse_one(text.as_bytes(), &ParseOptions::cloudformation()).expect("valid");
        let expected = serde_json::json!({
            "a": {"Ref": "X"}, "b": {"Fn::GetAtt": ["A", "B.C"]},
            "c": {"Fn::Sub": ["${x}", {"x": {"Ref": "Y"}}]},
            "d": {"Fn::If": ["C", {"Ref": "AWS::NoValue"}, 1]},
            "e": {"Ref": "012"}, "f": {"Condition": "C"},
            "g": {"Fn::Join": [",", ["a", "b"]]},
        });
        assert_eq!(node.to_json(), expected);
    }
}

//! Values in the place of variables: a property is resolved when it is asked for, once.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_manifest::{Diagnostic, Origin};
use tidegate_render::{AwsEnvironment, FileTree};
use tidegate_yaml::{Node, Span, Value};

use super::parse::{Param, Piece, Source, parse, whole};
use super::sources;

/// How often a value may hold variables whose values hold variables.
const NEST_MAX: usize = 10;
/// Most properties and variables that wait for each other.
const CHAIN_MAX: usize = 60;
/// Most variables that are asked for in one service.
const ASKED_MAX: usize = 100_000;
/// Most nodes that variables may put into a service.
const NODES_MAX: usize = 100_000;
/// What is said past it.
const TOO_LARGE: &str = "variables make the service too large";
/// Longest text that variables may make.
const TEXT_MAX: usize = 4 << 20;

/// What variables are resolved against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    /// What the operator gave.
    pub(crate) environment: &'a AwsEnvironment,
    /// The files of the repository.
    pub(crate) tree: &'a dyn FileTree,
    /// The folder of the service.
    pub(crate) directory: &'a str,
    /// Repository, commit and path.
    pub(crate) origin: &'a Origin,
}

/// Keys and indexes from the root.
pub(crate) type Path = Vec<String>;

/// A step that may fail: the message, in the framework's words.
pub(crate) type Step<T> = Result<T, String>;

/// Resolves every variable of a service; what cannot be resolved is told, all at once.
pub(crate) fn resolve(root: Node, inputs: Inputs<'_>) -> (Node, Vec<Diagnostic>) {
    let mut resolver = Resolver::new(root, inputs);
    resolver.check_syntax();
    if resolver.failed.is_empty() {
        let stage = vec!["provider".to_owned(), "stage".to_owned()];
        // Its failure is told with that of all others.
        let _ = resolver.value_at(&stage);
        let deferred = resolver.stage().ok();
        let _ = resolver.settle(&Vec::new(), deferred.as_deref());
    }
    resolver.finish()
}

/// The state of one resolution.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    pub(crate) inputs: Inputs<'a>,
    pub(crate) root: Node,
    /// Files that variables name, as they are read.
    pub(crate) files: BTreeMap<String, Step<Option<Node>>>,
    /// Warnings, each once.
    pub(crate) warnings: BTreeMap<String, (Path, &'static str)>,
    done: BTreeSet<Path>,
    expanded: BTreeSet<Path>,
    active: Vec<Path>,
    failed: BTreeMap<Path, String>,
    nodes: usize,
    asked: usize,
    depth: usize,
}

impl<'a> Resolver<'a> {
    fn new(root: Node, inputs: Inputs<'a>) -> Self {
        Resolver {
            inputs,
            root,
            files: BTreeMap::new(),
            warnings: BTreeMap::new(),
            done: BTreeSet::new(),
            expanded: BTreeSet::new(),
            active: Vec::new(),
            failed: BTreeMap::new(),
            nodes: 0,
            asked: 0,
            depth: 0,
        }
    }

    /// Mistakes in the syntax of variables are told before anything is resolved.
    fn check_syntax(&mut self) {
        let mut found = Vec::new();
        texts(&self.root, &mut Vec::new(), &mut |path, text| {
            if let Err(error) = parse(text) {
                let message = format!("Variable syntax error at \"{}\": {error}", shown(path));
                found.push((path.clone(), message));
            }
        });
        self.failed.extend(found);
    }

    fn finish(self) -> (Node, Vec<Diagnostic>) {
        let place = |path: &Path| {
            let mut path: Vec<&str> = path.iter().map(String::as_str).collect();
            while !path.is_empty() && self.root.at(&path).is_none() {
                path.pop();
            }
            let span = self
                .root
                .at(&path)
                .map_or(Span::default(), |node| node.span);
            Origin {
                line: span.line,
                column: span.column,
                ..self.inputs.origin.clone()
            }
        };
        let mut told = BTreeSet::new();
        let mut diagnostics = Vec::new();
        for (path, message) in &self.failed {
            if told.insert(message) {
                let found = Diagnostic::error("TG1503", message.clone(), place(path))
                    .field(shown(path))
                    .help(sources::help(message));
                diagnostics.push(found);
            }
        }
        for (message, (path, help)) in &self.warnings {
            let found = Diagnostic::warning("TG1504", message.clone(), place(path))
                .field(shown(path))
                .help(*help);
            diagnostics.push(found);
        }
        (self.root, diagnostics)
    }

    /// The stage in force: what was given, else what the service says, else `dev`.
    pub(crate) fn stage(&mut self) -> Step<String> {
        if let Some(stage) = &self.inputs.environment.stage {
            return Ok(stage.clone());
        }
        let path = vec!["provider".to_owned(), "stage".to_owned()];
        let stage = self.value_at(&path)?.and_then(|stage| coerce(&stage));
        Ok(stage.unwrap_or_else(|| "dev".to_owned()))
    }

    fn at(&self, path: &[String]) -> Option<&Node> {
        let mut here = &self.root;
        for step in path {
            here = step_into(here, step)?;
        }
        Some(here)
    }

    /// The value of a property, with every variable in it resolved; none when nothing is there.
    ///
    /// # Errors
    /// A variable on the way or in it cannot be resolved.
    pub(crate) fn value_at(&mut self, path: &Path) -> Step<Option<Node>> {
        if self.reach(path)?.is_none() {
            return Ok(None);
        }
        self.settle(path, None)?;
        Ok(self.at(path).cloned())
    }

    /// What stands at a path, the variables on the way to it resolved but not those in it.
    ///
    /// # Errors
    /// A variable on the way cannot be resolved.
    pub(crate) fn reach(&mut self, path: &Path) -> Step<Option<Node>> {
        for end in 0..path.len() {
            self.property(&path[..end])?;
            if self.at(&path[..=end]).is_none() {
                return Ok(None);
            }
        }
        Ok(self.at(path).cloned())
    }

    /// Resolves everything at and below a path; with `stage`, parameters of other stages are left.
    fn settle(&mut self, path: &Path, stage: Option<&str>) -> Step<()> {
        if let (Some(stage), [params, other, _]) = (stage, path.as_slice())
            && params == "params"
            && other != "default"
            && other != stage
        {
            return Ok(());
        }
        if self.nodes > NODES_MAX {
            // Told once already: every further value only grows what is too large.
            let at = shown(path);
            return Err(format!("Cannot resolve variable at \"{at}\": {TOO_LARGE}"));
        }
        let mut result = self.property(path);
        let keys: Vec<String> = match self.at(path).map(|node| &node.value) {
            Some(Value::Mapping(entries)) => entries
                .iter()
                .map(|(key, _)| key.text.to_string())
                .collect(),
            Some(Value::Sequence(items)) => (0..items.len()).map(|at| at.to_string()).collect(),
            _ => return result,
        };
        let mut below = path.clone();
        for key in keys {
            below.push(key);
            let step = self.settle(&below, stage);
            result = result.and(step);
            below.pop();
        }
        result
    }

    /// Resolves the text at a path, if it holds variables.
    fn property(&mut self, path: &[String]) -> Step<()> {
        let Some(text) = self.at(path).and_then(Node::as_str) else {
            return Ok(());
        };
        if !text.contains("${") || self.done.contains(path) {
            return Ok(());
        }
        if let Some(message) = self.failed.get(path) {
            return Err(message.clone());
        }
        let text = text.to_owned();
        self.circle(path)?;
        self.active.push(path.to_vec());
        let found = self.text(&text, path, NEST_MAX);
        self.active.pop();
        match found.and_then(|value| self.put(path, value)) {
            Ok(()) => Ok(()),
            Err(message) => {
                self.failed.insert(path.to_vec(), message.clone());
                Err(message)
            }
        }
    }

    /// A property that is being resolved depends on itself.
    fn circle(&self, path: &[String]) -> Step<()> {
        let Some(last) = self.active.last() else {
            return Ok(());
        };
        let at = shown(last);
        if last == path {
            return Err(format!(
                "Cannot resolve variable at \"{at}\": Circular reference. \"{at}\" refers to itself"
            ));
        }
        if self.active.iter().any(|active| active == path) {
            return Err(format!(
                "Cannot resolve variable at \"{at}\": Circular reference among \"{at}\" and \"{}\" properties",
                shown(path)
            ));
        }
        Ok(())
    }

    /// Puts a value in the place of a text.
    fn put(&mut self, path: &[String], mut value: Node) -> Step<()> {
        let nest = (1..path.len())
            .filter(|end| self.expanded.contains(&path[..*end]))
            .count();
        let fail = |what: &str| format!("Cannot resolve variable at \"{}\": {what}", shown(path));
        if nest >= NEST_MAX {
            return Err(fail("Excessive property variables nest depth"));
        }
        self.nodes += count(&value);
        if self.nodes > NODES_MAX {
            return Err(fail(TOO_LARGE));
        }
        match &value.value {
            Value::String(_) => {
                self.done.insert(path.to_vec());
            }
            Value::Sequence(_) | Value::Mapping(_) => {
                self.expanded.insert(path.to_vec());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        let mut here = &mut self.root;
        for step in path {
            let Some(next) = step_into_mut(here, step) else {
                return Ok(());
            };
            here = next;
        }
        let span = here.span;
        respan(&mut value, span);
        *here = value;
        Ok(())
    }

    /// The value of a text.
    pub(crate) fn text(&mut self, text: &str, path: &[String], nest: usize) -> Step<Node> {
        let fail = |what: &str| format!("Cannot resolve variable at \"{}\": {what}", shown(path));
        if nest == 0 {
            return Err(fail("Excessive variables nest depth"));
        }
        let pieces = parse(text).map_err(|error| {
            fail(&format!(
                "Approached variable syntax error in resolved value ({error})"
            ))
        })?;
        self.pieces(&pieces, path, nest)
    }

    fn pieces(&mut self, pieces: &[Piece], path: &[String], nest: usize) -> Step<Node> {
        if let Some(sources) = whole(pieces) {
            let value = self.variable(sources, path)?;
            return match value.as_str() {
                Some(text) if text.contains("${") => self.text(text, path, nest - 1),
                _ => Ok(value),
            };
        }
        let fail = |what: &str| format!("Cannot resolve variable at \"{}\": {what}", shown(path));
        let no_text = "String value consist of variable which resolve with non-string value";
        let mut joined = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => joined.push_str(text),
                Piece::Variable(sources) => {
                    let value = self.variable(sources, path)?;
                    let mut text = coerce(&value).ok_or_else(|| fail(no_text))?;
                    if text.contains("${") {
                        let value = self.text(&text, path, nest - 1)?;
                        text = coerce(&value).ok_or_else(|| fail(no_text))?;
                    }
                    joined.push_str(&text);
                }
            }
            if joined.len() > TEXT_MAX {
                return Err(fail("variables make a text that is too long"));
            }
        }
        Ok(super::parse::string(&joined))
    }

    fn variable(&mut self, all: &[Source], path: &[String]) -> Step<Node> {
        self.asked += 1;
        let limit = if self.asked > ASKED_MAX {
            Some(format!("more than {ASKED_MAX} variables are asked for"))
        } else if self.depth >= CHAIN_MAX {
            Some("Excessive variables nest depth".to_owned())
        } else {
            None
        };
        if let Some(limit) = limit {
            let at = shown(path);
            return Err(format!("Cannot resolve variable at \"{at}\": {limit}"));
        }
        self.depth += 1;
        let found = self.first(all, path);
        self.depth -= 1;
        found
    }

    /// The value of a variable: of the first source that has one.
    fn first(&mut self, all: &[Source], path: &[String]) -> Step<Node> {
        let fail = |what: &str| format!("Cannot resolve variable at \"{}\": {what}", shown(path));
        let mut last = "";
        for (index, source) in all.iter().enumerate() {
            let (kind, params, address) = match source {
                Source::Literal(value) => return Ok(value.clone()),
                Source::Call {
                    kind,
                    params,
                    address,
                } => (kind, params, address),
            };
            last = kind;
            let params = match params {
                Some(params) => Some(self.params(params, path)?),
                None => None,
            };
            let address = match address {
                Some(pieces) => {
                    let value = self.pieces(pieces, path, NEST_MAX)?;
                    Some(coerce(&value).ok_or_else(|| {
                        fail(&format!(
                            "Non-string address argument in variable \"{kind}\" source"
                        ))
                    })?)
                }
                None => None,
            };
            let call = sources::Call {
                kind,
                params: params.as_deref(),
                address: address.as_deref(),
                has_fallback: index + 1 < all.len(),
                path,
            };
            let found = sources::ask(self, &call).map_err(|error| {
                if error.starts_with("Cannot resolve variable at ") {
                    error
                } else {
                    fail(&error)
                }
            })?;
            if let Some(found) = found.filter(|node| node.value != Value::Null) {
                return Ok(found);
            }
        }
        Err(fail(&format!("Value not found at \"{last}\" source")))
    }

    fn params(&mut self, params: &[Param], path: &[String]) -> Step<Vec<Node>> {
        let mut values = Vec::with_capacity(params.len());
        for param in params {
            values.push(match param {
                Param::Literal(value) => value.clone(),
                Param::Pieces(pieces) => self.pieces(pieces, path, NEST_MAX)?,
            });
        }
        Ok(values)
    }
}

/// A path as people read it.
pub(crate) fn shown(path: &[String]) -> String {
    path.join(".")
}

/// A value as text, as JavaScript makes it; none for what has no text of its own.
pub(crate) fn coerce(node: &Node) -> Option<String> {
    match &node.value {
        Value::Null | Value::Mapping(_) => None,
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.to_string()),
        Value::Sequence(items) => {
            let items = items.iter().map(|item| match &item.value {
                Value::Mapping(_) => "[object Object]".to_owned(),
                _ => coerce(item).unwrap_or_default(),
            });
            Some(items.collect::<Vec<_>>().join(","))
        }
    }
}

/// What a key or an index leads to.
pub(crate) fn step_into<'n>(node: &'n Node, step: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Mapping(_) => node.get(step),
        Value::Sequence(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

fn step_into_mut<'n>(node: &'n mut Node, step: &str) -> Option<&'n mut Node> {
    match &mut node.value {
        Value::Mapping(entries) => entries
            .iter_mut()
            .find(|(key, _)| &*key.text == step)
            .map(|(_, node)| node),
        Value::Sequence(items) => items.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Everything that a variable brought stands where the variable is written.
fn respan(node: &mut Node, span: Span) {
    node.span = span;
    match &mut node.value {
        Value::Sequence(items) => items.iter_mut().for_each(|item| respan(item, span)),
        Value::Mapping(entries) => entries.iter_mut().for_each(|(key, node)| {
            key.span = span;
            respan(node, span);
        }),
        _ => {}
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Sequence(items) => items.iter().map(count).sum(),
        Value::Mapping(entries) => entries.iter().map(|(_, node)| count(node)).sum(),
        _ => 0,
    }
}

fn texts(node: &Node, path: &mut Path, tell: &mut dyn FnMut(&Path, &str)) {
    match &node.value {
        Value::String(text) => tell(path, text),
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                texts(item, path, tell);
                path.pop();
            }
        }
        Value::Mapping(entries) => {
            for (key, node) in entries {
                path.push(key.text.to_string());
                texts(node, path, tell);
                path.pop();
            }
        }
        _ => {}
    }
}

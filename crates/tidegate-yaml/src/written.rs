//! Documents as they are written, for callers who keep the text, the tag and the style of scalars:
//! aliases are expanded and merge keys applied as kustomize does, nothing is resolved.

use crate::error::{YamlError, YamlErrorKind};
use crate::first::{budget, root_span, with_first};
use crate::node::Span;
use crate::options::Limits;
use crate::parser::{Raw, RawDocument, RawId};
use crate::scanner::Style;

/// A scalar as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenScalar<'t> {
    /// The text, quotes and escapes resolved.
    pub text: &'t str,
    /// The tag that stands before it, short (`!!int`), empty for none.
    pub tag: &'t str,
    /// How it is written.
    pub style: Style,
    /// Whether it stands in a collection in brackets.
    pub in_flow: bool,
    /// Where it stands.
    pub span: Span,
}

/// Makes a caller's own nodes.
pub trait Build {
    /// A key of a mapping.
    type Key;
    /// Any node.
    type Node;
    /// Makes a scalar.
    fn scalar(&mut self, scalar: &WrittenScalar<'_>) -> Self::Node;
    /// Makes a key.
    fn key(&mut self, scalar: &WrittenScalar<'_>) -> Self::Key;
    /// Makes a sequence.
    fn sequence(&mut self, items: Vec<Self::Node>) -> Self::Node;
    /// Makes a mapping; keys may stand twice.
    fn mapping(&mut self, entries: Vec<(Self::Key, Self::Node)>) -> Self::Node;
}

/// Reads the first document of a text, with its place; what stands after it is not looked at.
/// `None` for a text without a document.
///
/// # Errors
/// What is wrong with the document: its grammar, its aliases and merge keys, keys that are
/// collections, and limits.
pub fn read_first<B: Build>(
    bytes: &[u8],
    limits: &Limits,
    build: &mut B,
) -> Result<Option<(B::Node, Span)>, YamlError> {
    with_first(bytes, limits, |raw, text| {
        let Some(document) = raw else {
            return Ok(None);
        };
        let spent = budget(limits);
        let mut composer = Composer {
            document,
            text,
            build,
            nodes: spent.nodes,
            bytes: spent.bytes,
            max_depth: limits.depth,
            depth: 0,
            flow: 0,
            expanding: Vec::new(),
            counts: (0, 0),
        };
        let root = composer.node(document.root)?;
        Ok(Some((root, root_span(document))))
    })?
}

type Step<T> = Result<T, YamlError>;

/// A key's text, the key, and the value.
type Entry<'a, B> = (&'a str, <B as Build>::Key, <B as Build>::Node);

struct Composer<'a, 't, B: Build> {
    document: &'a RawDocument<'t>,
    text: &'a str,
    build: &'a mut B,
    nodes: usize,
    bytes: usize,
    max_depth: usize,
    depth: usize,
    /// Open collections in brackets.
    flow: usize,
    expanding: Vec<RawId>,
    /// Nodes so far, and those of aliases.
    counts: (usize, usize),
}

impl<'a, B: Build> Composer<'a, '_, B> {
    fn error<T>(&self, kind: YamlErrorKind, message: impl Into<String>, span: Span) -> Step<T> {
        Err(YamlError {
            kind,
            message: message.into(),
            span,
            document: 0,
            context: None,
        })
    }

    fn count(&mut self, span: Span, text: usize) -> Step<()> {
        let (all, aliased) = &mut self.counts;
        *all += 1;
        *aliased += usize::from(!self.expanding.is_empty());
        if *aliased > 100
            && *all > 1000
            && *aliased as f64 / *all as f64 > crate::compose::allowed_alias_ratio(*all)
        {
            let message = "document contains excessive aliasing";
            return self.error(YamlErrorKind::Alias, message, span);
        }
        match (self.nodes.checked_sub(1), self.bytes.checked_sub(text)) {
            (Some(nodes), Some(bytes)) => {
                (self.nodes, self.bytes) = (nodes, bytes);
                Ok(())
            }
            _ => self.error(
                YamlErrorKind::Limit,
                "too large after alias expansion",
                span,
            ),
        }
    }

    fn node(&mut self, id: RawId) -> Step<B::Node> {
        let document = self.document;
        let raw = &document.nodes[id];
        let span = raw.span;
        if self.depth >= self.max_depth {
            let message = format!("exceeded max depth of {}", self.max_depth);
            return self.error(YamlErrorKind::Limit, message, span);
        }
        match &raw.raw {
            Raw::Alias { name, target } => self.alias(name, *target, span, Self::node),
            Raw::Scalar { text, .. } => {
                self.count(span, text.len())?;
                let scalar = self.scalar(id);
                Ok(self.build.scalar(&scalar))
            }
            Raw::FlowNothing => {
                self.count(span, 0)?;
                let scalar = self.scalar(id);
                Ok(self.build.scalar(&scalar))
            }
            Raw::Sequence(items) => {
                self.count(span, 0)?;
                self.open(raw.flow);
                let items: Vec<B::Node> = items
                    .iter()
                    .map(|item| self.node(*item))
                    .collect::<Step<_>>()?;
                self.close(raw.flow);
                Ok(self.build.sequence(items))
            }
            Raw::Mapping(_) => {
                self.count(span, 0)?;
                self.open(raw.flow);
                let entries = self.entries(id)?;
                self.close(raw.flow);
                let entries = entries
                    .into_iter()
                    .map(|(_, key, value)| (key, value))
                    .collect();
                Ok(self.build.mapping(entries))
            }
        }
    }

    fn open(&mut self, flow: bool) {
        self.depth += 1;
        self.flow += usize::from(flow);
    }

    fn close(&mut self, flow: bool) {
        self.depth -= 1;
        self.flow -= usize::from(flow);
    }

    fn alias<T>(
        &mut self,
        name: &str,
        target: RawId,
        span: Span,
        then: impl FnOnce(&mut Self, RawId) -> Step<T>,
    ) -> Step<T> {
        if self.expanding.contains(&target) {
            let message = format!("anchor '{name}' value contains itself");
            return self.error(YamlErrorKind::Alias, message, span);
        }
        // The target keeps the style of the place it was written at.
        let flow = std::mem::take(&mut self.flow);
        self.expanding.push(target);
        let result = then(self, target);
        self.expanding.pop();
        self.flow = flow;
        result
    }

    fn scalar(&self, id: RawId) -> WrittenScalar<'a> {
        let document = self.document;
        let raw = &document.nodes[id];
        let (text, style) = match &raw.raw {
            Raw::Scalar { text, style, .. } => (&**text, *style),
            Raw::FlowNothing | Raw::Sequence(_) | Raw::Mapping(_) | Raw::Alias { .. } => {
                ("", Style::Plain)
            }
        };
        WrittenScalar {
            text,
            tag: short(&raw.tag),
            style,
            in_flow: self.flow > 0,
            span: raw.span,
        }
    }

    fn is_merge_key(&self, id: RawId) -> bool {
        let raw = &self.document.nodes[id];
        let Raw::Scalar { text, plain, .. } = &raw.raw else {
            return false;
        };
        text == "<<" && *plain && matches!(&*raw.tag, "" | "!" | "tag:yaml.org,2002:merge")
    }

    /// The entries of a mapping: its own, then those of its merge keys that it does not have.
    fn entries(&mut self, id: RawId) -> Step<Vec<Entry<'a, B>>> {
        let document = self.document;
        let Raw::Mapping(pairs) = &document.nodes[id].raw else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::with_capacity(pairs.len());
        let mut merges = Vec::new();
        for (key, value) in pairs {
            if self.is_merge_key(*key) {
                merges.push(*value);
                continue;
            }
            let (text, key) = self.key(*key)?;
            entries.push((text, key, self.node(*value)?));
        }
        let own = entries.len();
        for value in merges {
            self.merge(value, &mut entries, own)?;
        }
        Ok(entries)
    }

    fn key(&mut self, id: RawId) -> Step<(&'a str, B::Key)> {
        let document = self.document;
        let span = document.nodes[id].span;
        let id = match &document.nodes[id].raw {
            Raw::Alias { target, .. } => *target,
            Raw::Scalar { .. } | Raw::FlowNothing | Raw::Sequence(_) | Raw::Mapping(_) => id,
        };
        if let Raw::Sequence(_) | Raw::Mapping(_) = &document.nodes[id].raw {
            let message = format!("invalid map key: {}", self.excerpt(span));
            return self.error(YamlErrorKind::InvalidKey, message, span);
        }
        let scalar = self.scalar(id);
        self.count(span, scalar.text.len())?;
        Ok((scalar.text, self.build.key(&scalar)))
    }

    /// Applies the value of a merge key. Of a list the first mapping wins.
    fn merge(&mut self, value: RawId, entries: &mut Vec<Entry<'a, B>>, own: usize) -> Step<()> {
        let document = self.document;
        let sources: Vec<RawId> = match &document.nodes[value].raw {
            Raw::Sequence(items) => items.iter().rev().copied().collect(),
            Raw::Scalar { .. } | Raw::FlowNothing | Raw::Mapping(_) | Raw::Alias { .. } => {
                vec![value]
            }
        };
        for source in sources {
            let raw = &document.nodes[source];
            let is_mapping = |id: RawId| matches!(document.nodes[id].raw, Raw::Mapping(_));
            let merged = match &raw.raw {
                Raw::Mapping(_) => self.entries(source)?,
                Raw::Alias { name, target } if is_mapping(*target) => {
                    self.alias(name, *target, raw.span, Self::entries)?
                }
                Raw::Alias { .. } => {
                    let message = "invalid map merge: received alias for a non-map value";
                    return self.error(YamlErrorKind::Merge, message, raw.span);
                }
                Raw::Scalar { .. } | Raw::FlowNothing | Raw::Sequence(_) => {
                    let message = "map merge requires map or sequence of maps as the value";
                    return self.error(YamlErrorKind::Merge, message, raw.span);
                }
            };
            for entry in merged {
                match entries.iter().position(|(text, ..)| *text == entry.0) {
                    Some(at) if at < own => {}
                    Some(at) => entries[at] = entry,
                    None => entries.push(entry),
                }
            }
        }
        Ok(())
    }

    /// The source of a refused key, on one line and not too long.
    fn excerpt(&self, span: Span) -> String {
        let source = self
            .text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default();
        source
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(crate::compose::EXCERPT)
            .collect()
    }
}

/// `!!int` for the long form; other tags as they are.
fn short(tag: &str) -> &str {
    const KNOWN: &[(&str, &str)] = &[
        ("null", "!!null"),
        ("bool", "!!bool"),
        ("str", "!!str"),
        ("int", "!!int"),
        ("float", "!!float"),
        ("timestamp", "!!timestamp"),
        ("binary", "!!binary"),
        ("merge", "!!merge"),
    ];
    let Some(core) = tag.strip_prefix("tag:yaml.org,2002:") else {
        return if tag == "!" { "" } else { tag };
    };
    KNOWN
        .iter()
        .find(|(name, _)| *name == core)
        .map_or(tag, |(_, short)| short)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows nodes as text: style letter, tag, text.
    struct Show;

    fn show(scalar: &WrittenScalar<'_>) -> String {
        let style = match scalar.style {
            Style::Plain => "p",
            Style::Single => "s",
            Style::Double => "d",
            Style::Literal => "l",
            Style::Folded => "f",
        };
        let flow = if scalar.in_flow { "~" } else { "" };
        format!("{flow}{style}{}({})", scalar.tag, scalar.text)
    }

    impl Build for Show {
        type Key = String;
        type Node = String;
        fn scalar(&mut self, scalar: &WrittenScalar<'_>) -> String {
            show(scalar)
        }
        fn key(&mut self, scalar: &WrittenScalar<'_>) -> String {
            show(scalar)
        }
        fn sequence(&mut self, items: Vec<String>) -> String {
            format!("[{}]", items.join(" "))
        }
        fn mapping(&mut self, entries: Vec<(String, String)>) -> String {
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!("{{{}}}", entries.join(" "))
        }
    }

    fn check(text: &str, expected: Result<Option<&str>, &str>) {
        let read = read_first(text.as_bytes(), &Limits::default(), &mut Show)
            .map(|found| found.map(|(node, _)| node))
            .map_err(|error| error.message);
        assert_eq!(
            read,
            expected
                .map(|found| found.map(str::to_owned))
                .map_err(str::to_owned),
            "{text}"
        );
    }

    #[test]
    fn scalars_are_as_written() {
        check(
            "a: 1\nb: '1'\nc: \"x\\ny\"\nd: |\n  t\ne: >-\n  t\nf: !!int \"3\"\ng: ! 4\nh: !x y\ni:\n",
            Ok(Some(
                "{p(a)=p(1) p(b)=s(1) p(c)=d(x\ny) p(d)=l(t\n) p(e)=f(t) p(f)=d!!int(3) p(g)=p(4) p(h)=p!x(y) p(i)=p()}",
            )),
        );
        check("{a: , b: [1]}\n", Ok(Some("{~p(a)=~p() ~p(b)=[~p(1)]}")));
        check("a: 1\na: 2\n", Ok(Some("{p(a)=p(1) p(a)=p(2)}")));
        check("", Ok(None));
    }

    #[test]
    fn aliases_and_merges_are_expanded() {
        check(
            "a: &a {x: 1}\nb: *a\nc:\n  <<: *a\n  y: 2\nd:\n  x: 9\n  <<: [*a, {z: 3}]\n",
            Ok(Some(
                "{p(a)={~p(x)=~p(1)} p(b)={~p(x)=~p(1)} p(c)={p(y)=p(2) p(x)=p(1)} p(d)={p(x)=p(9) p(z)=p(3)}}",
            )),
        );
        check("a: &a [*a]\n", Err("anchor 'a' value contains itself"));
        check(
            "a:\n  <<: 1\n",
            Err("map merge requires map or sequence of maps as the value"),
        );
        check("{a: b}: c\n", Err("invalid map key: {a: b}"));
    }

    #[test]
    fn bombs_are_bounded() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = format!("*a{}", level - 1);
            text.push_str(&format!(
                "a{level}: &a{level} [{}]\n",
                vec![inner; 10].join(", ")
            ));
        }
        check(&text, Err("document contains excessive aliasing"));
        let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
        let read = read_first(deep.as_bytes(), &Limits::default(), &mut Show);
        assert!(read.is_ok());
    }
}

//! Tokens to a raw tree of one document: libyaml's grammar, by recursive descent over an arena.
//! Scalars stay unresolved text here; aliases stay links.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::node::Span;
use crate::scanner::{Mark, Problem, Scan, Scanner, Style, TokenKind};

/// Index of a raw node in its document's arena.
pub(crate) type RawId = usize;

/// What a raw node is.
#[derive(Debug)]
pub(crate) enum Raw<'t> {
    /// Text; `plain` when it may resolve to something else than a string.
    Scalar {
        text: Cow<'t, str>,
        plain: bool,
    },
    /// Nothing inside brackets: `{a: , b}`.
    FlowNothing,
    Sequence(Vec<RawId>),
    /// Keys and values in turn.
    Mapping(Vec<(RawId, RawId)>),
    Alias {
        name: &'t str,
        target: RawId,
    },
}

#[derive(Debug)]
pub(crate) struct RawNode<'t> {
    pub(crate) raw: Raw<'t>,
    /// The tag with its handle expanded (`tag:yaml.org,2002:str`), empty without one.
    pub(crate) tag: Cow<'t, str>,
    pub(crate) span: Span,
}

/// One document as written.
#[derive(Debug)]
pub(crate) struct RawDocument<'t> {
    pub(crate) nodes: Vec<RawNode<'t>>,
    pub(crate) root: RawId,
}

/// Where a node stands, which decides what may begin there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Block context.
    Block,
    /// Key or value of a block mapping: a sequence may stand there without more indentation.
    MappingEntry,
    /// Inside brackets.
    Flow,
}

/// Reads documents one after the other.
#[derive(Debug)]
pub(crate) struct Parser<'t> {
    pub(crate) scanner: Scanner<'t>,
    nodes: Vec<RawNode<'t>>,
    max_nodes: usize,
    anchors: HashMap<&'t str, RawId>,
    tags: Vec<(&'t str, Cow<'t, str>)>,
    first: bool,
    /// Directives were seen and the `---` they belong to was not.
    pub(crate) in_directives: bool,
}

/// The collection being read, for error contexts.
const BLOCK_MAPPING: &str = "while parsing a block mapping";
const BLOCK_COLLECTION: &str = "while parsing a block collection";
const FLOW_MAPPING: &str = "while parsing a flow mapping";
const FLOW_SEQUENCE: &str = "while parsing a flow sequence";

impl<'t> Parser<'t> {
    pub(crate) fn new(scanner: Scanner<'t>, max_nodes: usize) -> Self {
        Parser {
            scanner,
            nodes: Vec::new(),
            max_nodes,
            anchors: HashMap::new(),
            tags: Vec::new(),
            first: true,
            in_directives: false,
        }
    }

    /// The next document and where it begins; `None` at the end of the stream. With an `Err`, the
    /// place where the document begins is still known.
    pub(crate) fn document(&mut self) -> (Mark, Scan<Option<RawDocument<'t>>>) {
        self.nodes = Vec::new();
        self.anchors.clear();
        self.tags.clear();
        let mut start = self.scanner.mark();
        let result = self.read_document(&mut start);
        self.first = false;
        (start, result)
    }

    fn read_document(&mut self, start: &mut Mark) -> Scan<Option<RawDocument<'t>>> {
        let implicit_allowed = self.first;
        if !implicit_allowed {
            while matches!(self.scanner.peek()?.kind, TokenKind::DocumentEnd) {
                self.scanner.take()?;
            }
        }
        let token = self.scanner.peek()?;
        *start = token.start;
        let root = match token.kind {
            TokenKind::StreamEnd => return Ok(None),
            TokenKind::VersionDirective { .. }
            | TokenKind::TagDirective { .. }
            | TokenKind::DocumentStart => {
                self.in_directives = token.kind != TokenKind::DocumentStart;
                self.directives()?;
                let token = self.scanner.peek()?;
                if token.kind != TokenKind::DocumentStart {
                    let mark = token.start;
                    return Err(Problem::new("did not find expected <document start>", mark));
                }
                self.scanner.take()?;
                self.in_directives = false;
                self.document_content()?
            }
            _ if !implicit_allowed => {
                let mark = token.start;
                return Err(Problem::new("did not find expected <document start>", mark));
            }
            _ => self.node(Place::Block)?,
        };
        let token = self.scanner.peek()?;
        match token.kind {
            TokenKind::DocumentEnd => {
                self.scanner.take()?;
            }
            TokenKind::DocumentStart | TokenKind::StreamEnd => {}
            _ => {
                let mark = token.start;
                return Err(Problem::new("did not find expected <document start>", mark));
            }
        }
        Ok(Some(RawDocument {
            nodes: std::mem::take(&mut self.nodes),
            root,
        }))
    }

    fn document_content(&mut self) -> Scan<RawId> {
        let token = self.scanner.peek()?;
        match token.kind {
            TokenKind::VersionDirective { .. }
            | TokenKind::TagDirective { .. }
            | TokenKind::DocumentStart
            | TokenKind::DocumentEnd
            | TokenKind::StreamEnd => {
                let mark = token.start;
                self.empty(mark)
            }
            _ => self.node(Place::Block),
        }
    }

    fn directives(&mut self) -> Scan<()> {
        let mut version = false;
        loop {
            let start = self.scanner.peek()?.start;
            match &self.scanner.peek()?.kind {
                TokenKind::VersionDirective { major, minor } => {
                    let compatible = (*major, *minor) == (1, 1);
                    if version {
                        return Err(Problem::new("found duplicate %YAML directive", start));
                    }
                    if !compatible {
                        return Err(Problem::new("found incompatible YAML document", start));
                    }
                    version = true;
                    self.scanner.take()?;
                }
                TokenKind::TagDirective { .. } => {
                    if let TokenKind::TagDirective { handle, prefix } = self.scanner.take()?.kind {
                        if self.tags.iter().any(|(known, _)| *known == handle) {
                            return Err(Problem::new("found duplicate %TAG directive", start));
                        }
                        self.tags.push((handle, prefix));
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn add(&mut self, raw: Raw<'t>, tag: Cow<'t, str>, span: Span, at: Mark) -> Scan<RawId> {
        if self.nodes.len() >= self.max_nodes {
            return Err(Problem::limit(
                format!("exceeded {} nodes", self.max_nodes),
                at,
            ));
        }
        self.nodes.push(RawNode { raw, tag, span });
        Ok(self.nodes.len() - 1)
    }

    /// Nothing, where a node could stand: null.
    fn empty(&mut self, at: Mark) -> Scan<RawId> {
        let raw = Raw::Scalar {
            text: Cow::Borrowed(""),
            plain: true,
        };
        self.add(raw, Cow::Borrowed(""), at.to(at), at)
    }

    fn flow_empty(&mut self, at: Mark) -> Scan<RawId> {
        self.add(Raw::FlowNothing, Cow::Borrowed(""), at.to(at), at)
    }

    fn node(&mut self, place: Place) -> Scan<RawId> {
        let token = self.scanner.peek()?;
        let first = token.start;
        if let TokenKind::Alias(name) = token.kind {
            let (start, end) = (token.start, token.end);
            let Some(&target) = self.anchors.get(name) else {
                let message = format!("unknown anchor '{name}' referenced");
                let mut problem = Problem::new("", start);
                problem.message = Cow::Owned(message);
                return Err(problem);
            };
            self.scanner.take()?;
            return self.add(
                Raw::Alias { name, target },
                Cow::Borrowed(""),
                start.to(end),
                start,
            );
        }
        let (anchor, tag) = self.properties()?;
        // The place is kept in the arena before its children, so that an anchor can be seen there.
        let id = self.add(Raw::Sequence(Vec::new()), tag, first.to(first), first)?;
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, id);
        }
        let tagged = !self.nodes[id].tag.is_empty();
        let (raw, span) = self.content(place, first, anchor.is_some() || tagged, tagged)?;
        self.nodes[id].raw = raw;
        self.nodes[id].span = span;
        Ok(id)
    }

    /// An anchor and a tag, in either order.
    fn properties(&mut self) -> Scan<(Option<&'t str>, Cow<'t, str>)> {
        let mut anchor = None;
        let mut tag = None;
        loop {
            let token = self.scanner.peek()?;
            match token.kind {
                TokenKind::Anchor(name) if anchor.is_none() => {
                    self.scanner.take()?;
                    anchor = Some(name);
                }
                TokenKind::Tag { .. } if tag.is_none() => {
                    let token = self.scanner.take()?;
                    if let TokenKind::Tag { handle, suffix } = token.kind {
                        tag = Some(self.expand_tag(handle, suffix, token.start)?);
                    }
                }
                _ => return Ok((anchor, tag.unwrap_or(Cow::Borrowed("")))),
            }
        }
    }

    fn expand_tag(&self, handle: &str, suffix: Cow<'t, str>, at: Mark) -> Scan<Cow<'t, str>> {
        let declared = self.tags.iter().find(|(known, _)| *known == handle);
        let prefix = match (handle, declared) {
            ("", _) => return Ok(suffix),
            (_, Some((_, prefix))) => &**prefix,
            ("!", None) => "!",
            ("!!", None) => "tag:yaml.org,2002:",
            _ => {
                return Err(Problem::new("found undefined tag handle", at)
                    .within("while parsing a node", at));
            }
        };
        Ok(Cow::Owned(format!("{prefix}{suffix}")))
    }

    /// The node itself, after its properties.
    fn content(
        &mut self,
        place: Place,
        first: Mark,
        has_properties: bool,
        tagged: bool,
    ) -> Scan<(Raw<'t>, Span)> {
        let token = self.scanner.peek()?;
        let (start, end) = (token.start, token.end);
        match token.kind {
            TokenKind::BlockEntry if place == Place::MappingEntry => {
                self.indentless_sequence(start)
            }
            TokenKind::Scalar(..) => {
                let TokenKind::Scalar(text, style) = self.scanner.take()?.kind else {
                    return Err(Problem::new("did not find expected node content", start));
                };
                let plain = style == Style::Plain || tagged;
                Ok((Raw::Scalar { text, plain }, start.to(end)))
            }
            TokenKind::FlowSequenceStart => self.flow_sequence(start),
            TokenKind::FlowMappingStart => self.flow_mapping(start),
            TokenKind::BlockSequenceStart if place != Place::Flow => self.block_sequence(start),
            TokenKind::BlockMappingStart if place != Place::Flow => self.block_mapping(start),
            _ if has_properties => {
                let raw = Raw::Scalar {
                    text: Cow::Borrowed(""),
                    plain: true,
                };
                Ok((raw, first.to(first)))
            }
            _ => {
                let context = match place {
                    Place::Flow => "while parsing a flow node",
                    Place::Block | Place::MappingEntry => "while parsing a block node",
                };
                Err(Problem::new("did not find expected node content", start)
                    .within(context, first))
            }
        }
    }

    fn end_of(&self, id: RawId) -> u32 {
        self.nodes[id].span.end
    }

    /// The span of a block collection: to the end of its last child.
    fn block_span(&self, start: Mark, last: Option<RawId>) -> Span {
        let mut span = start.to(start);
        if let Some(last) = last {
            span.end = span.end.max(self.end_of(last));
        }
        span
    }

    fn indentless_sequence(&mut self, start: Mark) -> Scan<(Raw<'t>, Span)> {
        let mut items = Vec::new();
        while matches!(self.scanner.peek()?.kind, TokenKind::BlockEntry) {
            let end = self.scanner.take()?.end;
            let item = match self.scanner.peek()?.kind {
                TokenKind::BlockEntry | TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd => {
                    self.empty(end)?
                }
                _ => self.node(Place::Block)?,
            };
            items.push(item);
        }
        let span = self.block_span(start, items.last().copied());
        Ok((Raw::Sequence(items), span))
    }

    fn block_sequence(&mut self, start: Mark) -> Scan<(Raw<'t>, Span)> {
        self.scanner.take()?;
        let mut items = Vec::new();
        loop {
            let token = self.scanner.peek()?;
            let at = token.start;
            match token.kind {
                TokenKind::BlockEntry => {
                    let end = self.scanner.take()?.end;
                    let item = match self.scanner.peek()?.kind {
                        TokenKind::BlockEntry | TokenKind::BlockEnd => self.empty(end)?,
                        _ => self.node(Place::Block)?,
                    };
                    items.push(item);
                }
                TokenKind::BlockEnd => {
                    self.scanner.take()?;
                    let span = self.block_span(start, items.last().copied());
                    return Ok((Raw::Sequence(items), span));
                }
                _ => {
                    return Err(Problem::new("did not find expected '-' indicator", at)
                        .within(BLOCK_COLLECTION, start));
                }
            }
        }
    }

    fn block_mapping(&mut self, start: Mark) -> Scan<(Raw<'t>, Span)> {
        self.scanner.take()?;
        let mut entries = Vec::new();
        loop {
            let token = self.scanner.peek()?;
            let at = token.start;
            match token.kind {
                TokenKind::Key => {
                    let end = self.scanner.take()?.end;
                    let key = self.block_entry_node(end)?;
                    let token = self.scanner.peek()?;
                    let at = token.start;
                    let value = if token.kind == TokenKind::Value {
                        let end = self.scanner.take()?.end;
                        self.block_entry_node(end)?
                    } else {
                        self.empty(at)?
                    };
                    entries.push((key, value));
                }
                TokenKind::BlockEnd => {
                    self.scanner.take()?;
                    let span = self.block_span(start, entries.last().map(|(_, value)| *value));
                    return Ok((Raw::Mapping(entries), span));
                }
                _ => {
                    return Err(
                        Problem::new("did not find expected key", at).within(BLOCK_MAPPING, start)
                    );
                }
            }
        }
    }

    /// A key or a value of a block mapping, which may be nothing.
    fn block_entry_node(&mut self, after: Mark) -> Scan<RawId> {
        match self.scanner.peek()?.kind {
            TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd => self.empty(after),
            _ => self.node(Place::MappingEntry),
        }
    }

    /// Takes the comma before every entry but the first; says whether another entry follows.
    fn next_flow_entry(
        &mut self,
        first: bool,
        close: &TokenKind<'t>,
        refusal: &'static str,
        context: (&'static str, Mark),
    ) -> Scan<bool> {
        let token = self.scanner.peek()?;
        if token.kind == *close {
            return Ok(false);
        }
        if !first {
            if token.kind != TokenKind::FlowEntry {
                let mark = token.start;
                return Err(Problem::new(refusal, mark).within(context.0, context.1));
            }
            self.scanner.take()?;
            return Ok(self.scanner.peek()?.kind != *close);
        }
        Ok(true)
    }

    fn flow_sequence(&mut self, start: Mark) -> Scan<(Raw<'t>, Span)> {
        self.scanner.take()?;
        let mut items = Vec::new();
        let refusal = "did not find expected ',' or ']'";
        let close = TokenKind::FlowSequenceEnd;
        while self.next_flow_entry(items.is_empty(), &close, refusal, (FLOW_SEQUENCE, start))? {
            let token = self.scanner.peek()?;
            let at = token.start;
            let item = if token.kind == TokenKind::Key {
                self.scanner.take()?;
                self.single_pair(at)?
            } else {
                self.node(Place::Flow)?
            };
            items.push(item);
        }
        let end = self.scanner.take()?.end;
        Ok((Raw::Sequence(items), start.to(end)))
    }

    /// `[a: b]`: a mapping of one entry inside a sequence.
    fn single_pair(&mut self, start: Mark) -> Scan<RawId> {
        let closes = |kind: &TokenKind<'_>| {
            matches!(kind, TokenKind::FlowEntry | TokenKind::FlowSequenceEnd)
        };
        let token = self.scanner.peek()?;
        let at = token.start;
        let key = if token.kind == TokenKind::Value || closes(&token.kind) {
            self.flow_empty(at)?
        } else {
            self.node(Place::Flow)?
        };
        let value = self.flow_value(closes)?;
        let mut span = start.to(start);
        span.end = span.end.max(self.end_of(value));
        self.add(
            Raw::Mapping(vec![(key, value)]),
            Cow::Borrowed(""),
            span,
            start,
        )
    }

    fn flow_value(&mut self, closes: impl Fn(&TokenKind<'_>) -> bool) -> Scan<RawId> {
        let token = self.scanner.peek()?;
        let mut at = token.start;
        if token.kind == TokenKind::Value {
            self.scanner.take()?;
            let token = self.scanner.peek()?;
            at = token.start;
            if !closes(&token.kind) {
                return self.node(Place::Flow);
            }
        }
        self.flow_empty(at)
    }

    fn flow_mapping(&mut self, start: Mark) -> Scan<(Raw<'t>, Span)> {
        self.scanner.take()?;
        let mut entries = Vec::new();
        let refusal = "did not find expected ',' or '}'";
        let close = TokenKind::FlowMappingEnd;
        let closes =
            |kind: &TokenKind<'_>| matches!(kind, TokenKind::FlowEntry | TokenKind::FlowMappingEnd);
        while self.next_flow_entry(entries.is_empty(), &close, refusal, (FLOW_MAPPING, start))? {
            if self.scanner.peek()?.kind == TokenKind::Key {
                self.scanner.take()?;
                let token = self.scanner.peek()?;
                let at = token.start;
                let key = if token.kind == TokenKind::Value || closes(&token.kind) {
                    self.flow_empty(at)?
                } else {
                    self.node(Place::Flow)?
                };
                let value = self.flow_value(closes)?;
                entries.push((key, value));
            } else {
                let key = self.node(Place::Flow)?;
                let at = self.scanner.peek()?.start;
                let value = self.flow_empty(at)?;
                entries.push((key, value));
            }
        }
        let end = self.scanner.take()?.end;
        Ok((Raw::Mapping(entries), start.to(end)))
    }
}

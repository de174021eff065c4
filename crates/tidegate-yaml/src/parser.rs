//! Tokens to a raw tree of one document: libyaml's grammar, with an explicit stack and an arena.
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
        style: Style,
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
    /// A collection in brackets.
    pub(crate) flow: bool,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Collection {
    /// A sequence that is the value of a key and stands at the key's own column.
    IndentlessSequence,
    BlockSequence,
    BlockMapping,
    FlowSequence,
    FlowMapping,
    /// One entry without braces inside a flow sequence.
    Pair,
}

/// A collection whose end has not come yet. Keys and values of mappings stand in turn.
#[derive(Debug)]
struct Frame {
    collection: Collection,
    id: RawId,
    start: Mark,
    children: Vec<RawId>,
    /// The key at hand had no colon and no `?`: it has no value either.
    bare_key: bool,
}

impl Frame {
    fn new(collection: Collection, id: RawId, start: Mark) -> Self {
        Frame {
            collection,
            id,
            start,
            children: Vec::new(),
            bare_key: false,
        }
    }

    fn wants_value(&self) -> bool {
        !self.children.len().is_multiple_of(2)
    }

    fn into_raw<'t>(self) -> Raw<'t> {
        match self.collection {
            Collection::IndentlessSequence
            | Collection::BlockSequence
            | Collection::FlowSequence => Raw::Sequence(self.children),
            Collection::BlockMapping | Collection::FlowMapping | Collection::Pair => {
                let (pairs, _) = self.children.as_chunks::<2>();
                Raw::Mapping(pairs.iter().map(|[key, value]| (*key, *value)).collect())
            }
        }
    }
}

/// What the innermost open collection needs.
enum Step {
    /// A node of that place.
    Child(Place),
    /// A single pair, begun at the mark.
    Pair(Mark),
    /// Nothing stood where a node could.
    Nothing(RawId),
    /// It is complete.
    Done(Span),
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
    /// What stands after a document is nobody's business, as for a reader of the first one.
    pub(crate) only_first: bool,
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
            only_first: false,
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
            _ if self.only_first => {}
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
        self.nodes.push(RawNode {
            raw,
            tag,
            span,
            flow: false,
        });
        Ok(self.nodes.len() - 1)
    }

    /// Nothing, where a node could stand: null.
    fn empty(&mut self, at: Mark) -> Scan<RawId> {
        let raw = Raw::Scalar {
            text: Cow::Borrowed(""),
            plain: true,
            style: Style::Plain,
        };
        self.add(raw, Cow::Borrowed(""), at.to(at), at)
    }

    fn flow_empty(&mut self, at: Mark) -> Scan<RawId> {
        self.add(Raw::FlowNothing, Cow::Borrowed(""), at.to(at), at)
    }

    /// A node with all that is in it. Nesting costs heap, not stack.
    fn node(&mut self, place: Place) -> Scan<RawId> {
        let mut open: Vec<Frame> = Vec::new();
        let mut next = Step::Child(place);
        loop {
            let complete = match next {
                Step::Child(place) => self.begin(place, &mut open)?,
                Step::Pair(start) => {
                    let id = self.flow_empty(start)?;
                    open.push(Frame::new(Collection::Pair, id, start));
                    None
                }
                Step::Nothing(id) => Some(id),
                Step::Done(span) => open.pop().map(|frame| {
                    let id = frame.id;
                    self.nodes[id].span = span;
                    self.nodes[id].raw = frame.into_raw();
                    id
                }),
            };
            let Some(frame) = open.last_mut() else {
                return complete.ok_or_else(|| {
                    Problem::new("did not find expected node content", self.scanner.mark())
                });
            };
            frame.children.extend(complete);
            next = self.step(frame)?;
        }
    }

    /// Begins a node: a leaf is complete at once, a collection is pushed.
    fn begin(&mut self, place: Place, open: &mut Vec<Frame>) -> Scan<Option<RawId>> {
        let token = self.scanner.peek()?;
        let first = token.start;
        if let TokenKind::Alias(name) = token.kind {
            let end = token.end;
            return self.alias(name, first, end).map(Some);
        }
        let (anchor, tag) = self.properties()?;
        let properties = anchor.is_some() || !tag.is_empty();
        let tagged = !tag.is_empty();
        // The node is known by its anchor before its content is read.
        let id = self.add(Raw::FlowNothing, tag, first.to(first), first)?;
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, id);
        }
        let token = self.scanner.peek()?;
        let (start, end) = (token.start, token.end);
        let block = place != Place::Flow;
        let collection = match token.kind {
            TokenKind::Scalar(..) => {
                let TokenKind::Scalar(text, style) = self.scanner.take()?.kind else {
                    return Ok(Some(id));
                };
                self.nodes[id].raw = Raw::Scalar {
                    text,
                    plain: style == Style::Plain || tagged,
                    style,
                };
                self.nodes[id].span = start.to(end);
                return Ok(Some(id));
            }
            TokenKind::BlockEntry if place == Place::MappingEntry => {
                open.push(Frame::new(Collection::IndentlessSequence, id, start));
                return Ok(None);
            }
            TokenKind::FlowSequenceStart => Collection::FlowSequence,
            TokenKind::FlowMappingStart => Collection::FlowMapping,
            TokenKind::BlockSequenceStart if block => Collection::BlockSequence,
            TokenKind::BlockMappingStart if block => Collection::BlockMapping,
            _ if properties => {
                self.nodes[id].raw = Raw::Scalar {
                    text: Cow::Borrowed(""),
                    plain: true,
                    style: Style::Plain,
                };
                return Ok(Some(id));
            }
            _ => {
                let context = if block {
                    "while parsing a block node"
                } else {
                    "while parsing a flow node"
                };
                return Err(Problem::new("did not find expected node content", start)
                    .within(context, first));
            }
        };
        self.scanner.take()?;
        self.nodes[id].flow = matches!(
            collection,
            Collection::FlowSequence | Collection::FlowMapping
        );
        open.push(Frame::new(collection, id, start));
        Ok(None)
    }

    fn alias(&mut self, name: &'t str, start: Mark, end: Mark) -> Scan<RawId> {
        let Some(&target) = self.anchors.get(name) else {
            let mut problem = Problem::new("", start);
            problem.message = Cow::Owned(format!("unknown anchor '{name}' referenced"));
            return Err(problem);
        };
        self.scanner.take()?;
        self.add(
            Raw::Alias { name, target },
            Cow::Borrowed(""),
            start.to(end),
            start,
        )
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

    /// What an open collection needs next.
    fn step(&mut self, frame: &mut Frame) -> Scan<Step> {
        match frame.collection {
            Collection::IndentlessSequence => self.indentless_sequence(frame),
            Collection::BlockSequence => self.block_sequence(frame),
            Collection::BlockMapping => self.block_mapping(frame),
            Collection::FlowSequence => self.flow_sequence(frame),
            Collection::FlowMapping => self.flow_mapping(frame),
            Collection::Pair => self.pair(frame),
        }
    }

    /// The end of a block collection: where its last child ends.
    fn block_end(&self, frame: &Frame) -> Step {
        let mut span = frame.start.to(frame.start);
        if let Some(&last) = frame.children.last() {
            span.end = span.end.max(self.nodes[last].span.end);
        }
        Step::Done(span)
    }

    fn indentless_sequence(&mut self, frame: &Frame) -> Scan<Step> {
        if self.scanner.peek()?.kind != TokenKind::BlockEntry {
            return Ok(self.block_end(frame));
        }
        let end = self.scanner.take()?.end;
        match self.scanner.peek()?.kind {
            TokenKind::BlockEntry | TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd => {
                self.empty(end).map(Step::Nothing)
            }
            _ => Ok(Step::Child(Place::Block)),
        }
    }

    fn block_sequence(&mut self, frame: &Frame) -> Scan<Step> {
        let token = self.scanner.peek()?;
        let at = token.start;
        match token.kind {
            TokenKind::BlockEntry => {
                let end = self.scanner.take()?.end;
                match self.scanner.peek()?.kind {
                    TokenKind::BlockEntry | TokenKind::BlockEnd => {
                        self.empty(end).map(Step::Nothing)
                    }
                    _ => Ok(Step::Child(Place::Block)),
                }
            }
            TokenKind::BlockEnd => {
                self.scanner.take()?;
                Ok(self.block_end(frame))
            }
            _ => Err(Problem::new("did not find expected '-' indicator", at)
                .within(BLOCK_COLLECTION, frame.start)),
        }
    }

    fn block_mapping(&mut self, frame: &Frame) -> Scan<Step> {
        let token = self.scanner.peek()?;
        let at = token.start;
        match (&token.kind, frame.wants_value()) {
            (TokenKind::Value, true) | (TokenKind::Key, false) => {
                let end = self.scanner.take()?.end;
                match self.scanner.peek()?.kind {
                    TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd => {
                        self.empty(end).map(Step::Nothing)
                    }
                    _ => Ok(Step::Child(Place::MappingEntry)),
                }
            }
            (_, true) => self.empty(at).map(Step::Nothing),
            (TokenKind::BlockEnd, false) => {
                self.scanner.take()?;
                Ok(self.block_end(frame))
            }
            (_, false) => {
                Err(Problem::new("did not find expected key", at)
                    .within(BLOCK_MAPPING, frame.start))
            }
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

    fn flow_sequence(&mut self, frame: &Frame) -> Scan<Step> {
        let refusal = "did not find expected ',' or ']'";
        let close = TokenKind::FlowSequenceEnd;
        let first = frame.children.is_empty();
        if !self.next_flow_entry(first, &close, refusal, (FLOW_SEQUENCE, frame.start))? {
            let end = self.scanner.take()?.end;
            return Ok(Step::Done(frame.start.to(end)));
        }
        let token = self.scanner.peek()?;
        if token.kind == TokenKind::Key {
            let start = token.start;
            self.scanner.take()?;
            return Ok(Step::Pair(start));
        }
        Ok(Step::Child(Place::Flow))
    }

    /// `[a: b]`: a mapping of one entry inside a sequence.
    fn pair(&mut self, frame: &Frame) -> Scan<Step> {
        match frame.children.len() {
            0 => self.flow_key(&TokenKind::FlowSequenceEnd),
            1 => self.flow_value(&TokenKind::FlowSequenceEnd),
            _ => Ok(self.block_end(frame)),
        }
    }

    fn flow_mapping(&mut self, frame: &mut Frame) -> Scan<Step> {
        let refusal = "did not find expected ',' or '}'";
        let close = TokenKind::FlowMappingEnd;
        if frame.wants_value() {
            if frame.bare_key {
                let at = self.scanner.peek()?.start;
                return self.flow_empty(at).map(Step::Nothing);
            }
            return self.flow_value(&close);
        }
        let first = frame.children.is_empty();
        if !self.next_flow_entry(first, &close, refusal, (FLOW_MAPPING, frame.start))? {
            let end = self.scanner.take()?.end;
            return Ok(Step::Done(frame.start.to(end)));
        }
        frame.bare_key = self.scanner.peek()?.kind != TokenKind::Key;
        if frame.bare_key {
            return Ok(Step::Child(Place::Flow));
        }
        self.scanner.take()?;
        self.flow_key(&close)
    }

    /// A key in brackets, which may be nothing.
    fn flow_key(&mut self, close: &TokenKind<'t>) -> Scan<Step> {
        let token = self.scanner.peek()?;
        let at = token.start;
        if matches!(token.kind, TokenKind::Value | TokenKind::FlowEntry) || token.kind == *close {
            self.flow_empty(at).map(Step::Nothing)
        } else {
            Ok(Step::Child(Place::Flow))
        }
    }

    /// The value of a key in brackets, which may be missing with its colon.
    fn flow_value(&mut self, close: &TokenKind<'t>) -> Scan<Step> {
        let token = self.scanner.peek()?;
        let mut at = token.start;
        if token.kind == TokenKind::Value {
            self.scanner.take()?;
            let token = self.scanner.peek()?;
            at = token.start;
            if token.kind != TokenKind::FlowEntry && token.kind != *close {
                return Ok(Step::Child(Place::Flow));
            }
        }
        self.flow_empty(at).map(Step::Nothing)
    }
}

//! Text to tokens, by the rules of libyaml (YAML 1.1), which go-yaml and so every Kubernetes tool
//! shares: indentation, simple keys, indicators. Scalars and properties are in the submodules;
//! what tokens mean together is the parser's.

mod properties;
mod scalars;

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::node::Span;

/// A place in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Byte offset.
    pub(crate) position: usize,
    /// Line from 0.
    pub(crate) line: usize,
    /// Column in characters from 0.
    pub(crate) column: usize,
}

impl Mark {
    /// The span from here to `end`.
    pub(crate) fn to(self, end: Mark) -> Span {
        Span {
            start: clamp(self.position),
            end: clamp(end.position.max(self.position)),
            line: clamp(self.line + 1),
            column: clamp(self.column + 1),
        }
    }
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Style {
    /// Without quotes.
    #[default]
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// As a block after `|`.
    Literal,
    /// As a block after `>`.
    Folded,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind<'t> {
    StreamEnd,
    VersionDirective {
        major: u32,
        minor: u32,
    },
    TagDirective {
        handle: &'t str,
        prefix: Cow<'t, str>,
    },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(&'t str),
    Anchor(&'t str),
    Tag {
        handle: &'t str,
        suffix: Cow<'t, str>,
    },
    Scalar(Cow<'t, str>, Style),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token<'t> {
    pub(crate) kind: TokenKind<'t>,
    pub(crate) start: Mark,
    pub(crate) end: Mark,
}

/// Why scanning or parsing stopped.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) message: Cow<'static, str>,
    pub(crate) mark: Mark,
    pub(crate) context: Option<(&'static str, Mark)>,
    /// A limit stopped it, not the grammar.
    pub(crate) limit: bool,
}

impl Problem {
    pub(crate) fn new(message: &'static str, mark: Mark) -> Self {
        Problem {
            message: Cow::Borrowed(message),
            mark,
            context: None,
            limit: false,
        }
    }

    pub(crate) fn within(mut self, context: &'static str, mark: Mark) -> Self {
        self.context = Some((context, mark));
        self
    }

    pub(crate) fn limit(message: String, mark: Mark) -> Self {
        Problem {
            message: Cow::Owned(message),
            mark,
            context: None,
            limit: true,
        }
    }
}

pub(crate) type Scan<T> = Result<T, Problem>;

/// A token that may turn out to be a key once a `:` follows on its line.
#[derive(Clone, Copy, Debug)]
struct SimpleKey {
    token: usize,
    level: usize,
    required: bool,
    mark: Mark,
}

/// Characters a simple key may reach before its `:` (YAML 1.1, section 7.3.3; libyaml).
const SIMPLE_KEY_LENGTH: usize = 1024;

/// The scanner: pulls tokens out of a text, from an offset on.
#[derive(Debug)]
pub(crate) struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    mark: Mark,
    tokens: VecDeque<Token<'t>>,
    /// Tokens handed out so far: the number of the queue's head.
    taken: usize,
    ended: bool,
    /// Column of the innermost block collection; -1 outside all.
    indent: isize,
    indents: Vec<isize>,
    flow_level: usize,
    simple_key_allowed: bool,
    /// Undecided keys: at most one a flow level, ascending by level and by token.
    simple_keys: Vec<SimpleKey>,
    max_depth: usize,
}

impl<'t> Scanner<'t> {
    /// A scanner over `text` from `mark` on, which must be the start of a line.
    pub(crate) fn new(text: &'t str, mark: Mark, max_depth: usize) -> Self {
        Scanner {
            text,
            bytes: text.as_bytes(),
            mark,
            tokens: VecDeque::new(),
            taken: 0,
            ended: false,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            simple_key_allowed: true,
            simple_keys: Vec::new(),
            max_depth,
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    /// The next token, left in place. After the stream's end: its last token again.
    pub(crate) fn peek(&mut self) -> Scan<&Token<'t>> {
        while self.needs_more()? {
            self.fetch()?;
        }
        self.tokens.front().ok_or(Problem::new(
            "attempted to go past the end of stream",
            self.mark,
        ))
    }

    /// Takes the token that [`Scanner::peek`] showed.
    pub(crate) fn take(&mut self) -> Scan<Token<'t>> {
        self.peek()?;
        let at = self.mark;
        if self.ended && self.tokens.len() == 1 {
            return self
                .tokens
                .front()
                .cloned()
                .ok_or(Problem::new("unexpected end", at));
        }
        self.taken += 1;
        self.tokens
            .pop_front()
            .ok_or(Problem::new("unexpected end", at))
    }

    /// Whether the head of the queue is missing or may still become a key.
    fn needs_more(&mut self) -> Scan<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.tokens.is_empty() {
            return Ok(true);
        }
        match self.simple_keys.first().copied() {
            Some(key) if key.token == self.taken => {
                if self.is_stale(key)? {
                    self.simple_keys.remove(0);
                    return Ok(false);
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn fetch(&mut self) -> Scan<()> {
        self.skip_to_token();
        self.unroll_indent(self.column());
        let c = self.at(0);
        if c == 0 {
            return self.fetch_stream_end();
        }
        if self.mark.column == 0 {
            if c == b'%' {
                return self.fetch_directive();
            }
            if self.is_document_marker() {
                let kind = if c == b'-' {
                    TokenKind::DocumentStart
                } else {
                    TokenKind::DocumentEnd
                };
                return self.fetch_document_marker(kind);
            }
        }
        let flow = self.flow_level > 0;
        let blank_next = self.is_blank_or_end(1);
        match c {
            b'[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if blank_next => self.fetch_block_entry(),
            b'?' if flow || blank_next => self.fetch_key(),
            b':' if flow || blank_next => self.fetch_value(),
            b'*' | b'&' => self.fetch_anchor(),
            b'!' => self.fetch_tag(),
            b'|' | b'>' if !flow => self.fetch_block_scalar(),
            b'\'' | b'"' => self.fetch_quoted_scalar(),
            b'-' | b'?' | b':' => self.fetch_plain_scalar(),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' | b' ' | b'\t' => Err(Problem::new(
                "found character that cannot start any token",
                self.mark,
            )
            .within("while scanning for the next token", self.mark)),
            _ => self.fetch_plain_scalar(),
        }
    }

    /// Skips spaces, comments and line breaks. Tabs count as space only where no indentation and
    /// no key can stand.
    fn skip_to_token(&mut self) {
        loop {
            if self.mark.column == 0 && self.text[self.mark.position..].starts_with('\u{FEFF}') {
                self.skip();
            }
            while self.at(0) == b' '
                || (self.at(0) == b'\t' && (self.flow_level > 0 || !self.simple_key_allowed))
            {
                self.skip();
            }
            if self.at(0) == b'#' {
                self.skip_rest_of_line();
            }
            if self.break_width(0) == 0 {
                return;
            }
            self.skip_break();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    fn column(&self) -> isize {
        isize::try_from(self.mark.column).unwrap_or(isize::MAX)
    }

    fn push(&mut self, kind: TokenKind<'t>, start: Mark) {
        let end = self.mark;
        self.tokens.push_back(Token { kind, start, end });
    }

    /// Opens a block collection when the column is deeper than the current one; its token goes
    /// before token `number`, or at the end.
    fn roll_indent(&mut self, mark: Mark, number: Option<usize>, kind: TokenKind<'t>) -> Scan<()> {
        let column = isize::try_from(mark.column).unwrap_or(isize::MAX);
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        self.check_depth()?;
        let token = Token {
            kind,
            start: mark,
            end: mark,
        };
        match number {
            Some(number) => self.tokens.insert(number - self.taken, token),
            None => self.tokens.push_back(token),
        }
        Ok(())
    }

    fn unroll_indent(&mut self, column: isize) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(TokenKind::BlockEnd, self.mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn check_depth(&self) -> Scan<()> {
        if self.indents.len() + self.flow_level > self.max_depth {
            return Err(Problem::limit(
                format!("exceeded max depth of {}", self.max_depth),
                self.mark,
            ));
        }
        Ok(())
    }

    /// Whether an undecided key can no longer be one; an error when one was required there.
    fn is_stale(&self, key: SimpleKey) -> Scan<bool> {
        let stale = key.mark.line < self.mark.line
            || self.mark.column.saturating_sub(key.mark.column) > SIMPLE_KEY_LENGTH;
        if stale && key.required {
            return Err(Problem::new("could not find expected ':'", key.mark)
                .within("while scanning a simple key", key.mark));
        }
        Ok(stale)
    }

    fn save_simple_key(&mut self) -> Scan<()> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        self.remove_simple_key()?;
        self.simple_keys.push(SimpleKey {
            token: self.taken + self.tokens.len(),
            level: self.flow_level,
            required: self.flow_level == 0 && self.indent == self.column(),
            mark: self.mark,
        });
        Ok(())
    }

    /// Forgets the undecided key of this flow level.
    fn remove_simple_key(&mut self) -> Scan<()> {
        let level = self.flow_level;
        if let Some(key) = self.simple_keys.pop_if(|key| key.level == level)
            && key.required
        {
            return Err(Problem::new("could not find expected ':'", key.mark)
                .within("while scanning a simple key", key.mark));
        }
        Ok(())
    }

    fn fetch_stream_end(&mut self) -> Scan<()> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push(TokenKind::StreamEnd, self.mark);
        self.ended = true;
        Ok(())
    }

    fn fetch_document_marker(&mut self, kind: TokenKind<'t>) -> Scan<()> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.indicator(kind, 3);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: TokenKind<'t>) -> Scan<()> {
        self.save_simple_key()?;
        self.flow_level += 1;
        self.check_depth()?;
        self.simple_key_allowed = true;
        self.indicator(kind, 1);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: TokenKind<'t>) -> Scan<()> {
        self.remove_simple_key()?;
        self.flow_level = self.flow_level.saturating_sub(1);
        self.simple_key_allowed = false;
        self.indicator(kind, 1);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Scan<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.indicator(TokenKind::FlowEntry, 1);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Scan<()> {
        if self.flow_level == 0 {
            self.require_block(
                "block sequence entries are not allowed in this context",
                TokenKind::BlockSequenceStart,
            )?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.indicator(TokenKind::BlockEntry, 1);
        Ok(())
    }

    fn fetch_key(&mut self) -> Scan<()> {
        if self.flow_level == 0 {
            self.require_block(
                "mapping keys are not allowed in this context",
                TokenKind::BlockMappingStart,
            )?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.indicator(TokenKind::Key, 1);
        Ok(())
    }

    fn fetch_value(&mut self) -> Scan<()> {
        let level = self.flow_level;
        let candidate = self
            .simple_keys
            .last()
            .copied()
            .filter(|key| key.level == level);
        let key = match candidate {
            Some(key) if !self.is_stale(key)? => Some(key),
            _ => None,
        };
        if candidate.is_some() {
            self.simple_keys.pop();
        }
        if let Some(key) = key {
            let token = Token {
                kind: TokenKind::Key,
                start: key.mark,
                end: key.mark,
            };
            self.tokens.insert(key.token - self.taken, token);
            self.roll_indent(key.mark, Some(key.token), TokenKind::BlockMappingStart)?;
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                self.require_block(
                    "mapping values are not allowed in this context",
                    TokenKind::BlockMappingStart,
                )?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.indicator(TokenKind::Value, 1);
        Ok(())
    }

    /// A block collection may begin or go on here, or `refusal`.
    fn require_block(&mut self, refusal: &'static str, start: TokenKind<'t>) -> Scan<()> {
        if !self.simple_key_allowed {
            return Err(Problem::new(refusal, self.mark));
        }
        self.roll_indent(self.mark, None, start)
    }

    fn indicator(&mut self, kind: TokenKind<'t>, width: usize) {
        let start = self.mark;
        for _ in 0..width {
            self.skip();
        }
        self.push(kind, start);
    }

    // Characters.

    /// The byte `ahead` of the current one; 0 after the end (a real NUL is refused beforehand).
    fn at(&self, ahead: usize) -> u8 {
        self.bytes
            .get(self.mark.position + ahead)
            .copied()
            .unwrap_or(0)
    }

    /// Width in bytes of the line break character `ahead`, 0 when there is none.
    fn break_width(&self, ahead: usize) -> usize {
        match self.at(ahead) {
            b'\n' | b'\r' => 1,
            0xC2 if self.at(ahead + 1) == 0x85 => 2,
            0xE2 if self.at(ahead + 1) == 0x80 && matches!(self.at(ahead + 2), 0xA8 | 0xA9) => 3,
            _ => 0,
        }
    }

    fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.at(ahead), b' ' | b'\t')
    }

    fn is_break_or_end(&self, ahead: usize) -> bool {
        self.at(ahead) == 0 || self.break_width(ahead) > 0
    }

    fn is_blank_or_end(&self, ahead: usize) -> bool {
        self.is_blank(ahead) || self.is_break_or_end(ahead)
    }

    /// `---` or `...` followed by white space, at the start of a line.
    fn is_document_marker(&self) -> bool {
        let three = [self.at(0), self.at(1), self.at(2)];
        self.mark.column == 0 && (three == *b"---" || three == *b"...") && self.is_blank_or_end(3)
    }

    /// One character on, on the same line.
    fn skip(&mut self) {
        let width = match self.at(0) {
            0 => return,
            0x01..=0x7F => 1,
            0x80..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
        };
        self.mark.position += width;
        self.mark.column += 1;
    }

    /// One line break on; `\r\n` is one.
    fn skip_break(&mut self) {
        let width = if self.at(0) == b'\r' && self.at(1) == b'\n' {
            2
        } else {
            self.break_width(0)
        };
        if width > 0 {
            self.mark.position += width;
            self.mark.line += 1;
            self.mark.column = 0;
        }
    }

    fn skip_rest_of_line(&mut self) {
        while !self.is_break_or_end(0) {
            self.skip();
        }
    }

    /// Appends the line break as it is read (`\r\n`, `\r` and NEL become `\n`) and goes on.
    fn read_break(&mut self, into: &mut String) {
        match self.at(0) {
            0xE2 => into.push_str(&self.text[self.mark.position..self.mark.position + 3]),
            _ => into.push('\n'),
        }
        self.skip_break();
    }

    fn slice(&self, from: Mark) -> &'t str {
        &self.text[from.position..self.mark.position]
    }
}

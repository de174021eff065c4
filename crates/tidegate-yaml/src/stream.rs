//! Whole streams: documents one after the other, going on after a broken one.

use crate::compose::{self, Budget};
use crate::error::{YamlError, YamlErrorKind, YamlErrors};
use crate::node::{Node, Span, Value};
use crate::options::ParseOptions;
use crate::parser::{Parser, RawDocument};
use crate::scanner::{Mark, Problem, Scanner};
use crate::source::{self, Fault};

/// One document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its content, never null.
    pub root: Node,
    /// Its place among the non-empty documents, broken ones counted, from 0.
    pub index: usize,
    /// Where it stands in the stream.
    pub span: Span,
}

/// What a stream holds: the documents that could be read, and what is wrong with the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedStream {
    /// Whole documents only, in order.
    pub documents: Vec<Document>,
    /// Why documents are missing, in order.
    pub errors: Vec<YamlError>,
    /// What was read, but probably not as meant: repeated keys where the last one wins.
    pub warnings: Vec<YamlError>,
}

/// Reads every document of a stream. A broken document costs itself, not its neighbours: reading
/// goes on at the next `---`. Empty documents are dropped.
pub fn parse_stream(bytes: &[u8], options: &ParseOptions) -> ParsedStream {
    let mut parsed = ParsedStream::default();
    if bytes.len() > options.limits.bytes || u32::try_from(bytes.len()).is_err() {
        parsed.errors.push(YamlError {
            kind: YamlErrorKind::Limit,
            message: format!("{} bytes, more than {}", bytes.len(), options.limits.bytes),
            span: Span {
                start: 0,
                end: 0,
                line: 1,
                column: 1,
            },
            document: 0,
            context: None,
        });
        return parsed;
    }
    let decoded = source::decode(bytes);
    let mut reader = Reader {
        text: &decoded.text,
        faults: &decoded.faults,
        options,
        budget: Budget {
            nodes: options.limits.nodes,
            bytes: options.limits.bytes.saturating_mul(2),
        },
        index: 0,
        parsed,
    };
    let mut from = Some(json_start(&decoded.text));
    while let Some(mark) = from {
        from = reader.read_from(mark);
    }
    reader.parsed
}

/// Reads a text that holds exactly one document; nothing but comments is null.
///
/// # Errors
/// Everything that is wrong with the text, or [`YamlErrorKind::Documents`] for a second document.
pub fn parse_one(bytes: &[u8], options: &ParseOptions) -> Result<Node, YamlErrors> {
    let mut parsed = parse_stream(bytes, options);
    if let Some(second) = parsed.documents.get(1)
        && parsed.errors.is_empty()
    {
        parsed.errors.push(YamlError {
            kind: YamlErrorKind::Documents,
            message: "expected a single document".to_owned(),
            span: second.span,
            document: 1,
            context: None,
        });
    }
    if parsed.errors.is_empty() {
        Ok(parsed
            .documents
            .pop()
            .map_or_else(Node::default, |document| document.root))
    } else {
        Err(YamlErrors(parsed.errors))
    }
}

/// Why scanning or parsing stopped, for people.
pub(crate) fn as_error(problem: Problem, document: usize) -> YamlError {
    let kind = if problem.limit {
        YamlErrorKind::Limit
    } else if problem.message.starts_with("unknown anchor") {
        YamlErrorKind::Alias
    } else {
        YamlErrorKind::Syntax
    };
    YamlError {
        kind,
        message: problem.message.into_owned(),
        span: problem.mark.to(problem.mark),
        document,
        context: problem.context.map(|(what, mark)| (what, mark.to(mark))),
    }
}

/// JSON may be indented by tabs, which YAML refuses before its first bracket.
pub(crate) fn json_start(text: &str) -> Mark {
    let blank = text.len() - text.trim_start_matches([' ', '\t', '\r', '\n']).len();
    let start = Mark::default();
    if text[blank..].starts_with(['{', '[']) && text[..blank].contains('\t') {
        let before = &text[..blank];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        return Mark {
            position: blank,
            line: before.matches('\n').count(),
            column: blank - line_start,
        };
    }
    start
}

struct Reader<'a> {
    text: &'a str,
    faults: &'a [Fault],
    options: &'a ParseOptions,
    budget: Budget,
    index: usize,
    parsed: ParsedStream,
}

impl Reader<'_> {
    /// Reads documents from `mark` on until the stream ends or one is broken; then says where to
    /// go on.
    fn read_from(&mut self, mark: Mark) -> Option<Mark> {
        let scanner = Scanner::new(self.text, mark, self.options.limits.depth);
        let mut parser = Parser::new(scanner, self.budget.nodes);
        loop {
            let (start, result) = parser.document();
            let end = parser.scanner.mark();
            if self.index >= self.options.limits.documents && !matches!(result, Ok(None)) {
                let message = format!("more than {} documents", self.options.limits.documents);
                self.error(YamlErrorKind::Limit, message, start.to(start));
                return None;
            }
            // A forbidden NUL looks like the end of the stream.
            let cut_short = self.text.as_bytes().get(end.position) == Some(&0);
            match result {
                Ok(None) if self.report_fault(start, end) || cut_short => {
                    return self.resynchronise(end);
                }
                Ok(None) => return None,
                Ok(Some(_)) if self.report_fault(start, end) => {
                    if cut_short {
                        return self.resynchronise(end);
                    }
                }
                Ok(Some(raw)) => {
                    self.document(&raw, start);
                    if self.is_spent() {
                        return None;
                    }
                }
                Err(problem) => {
                    return self.after_problem(problem, start, end, parser.in_directives);
                }
            }
        }
    }

    /// A limit on the whole stream was reached, which the next document could only reach again.
    fn is_spent(&self) -> bool {
        let budget = self.budget.nodes == 0 || self.budget.bytes == 0;
        budget
            && self
                .parsed
                .errors
                .last()
                .is_some_and(|e| e.kind == YamlErrorKind::Limit)
    }

    /// Composes one document and keeps it when it is whole and not empty.
    fn document(&mut self, raw: &RawDocument<'_>, start: Mark) {
        let composed = compose::compose(raw, self.text, self.index, self.options, &mut self.budget);
        let broken = !composed.errors.is_empty();
        let empty = composed.root.value == Value::Null;
        self.parsed.errors.extend(composed.errors);
        self.parsed.warnings.extend(composed.warnings);
        if !broken && !empty {
            let end = Mark {
                position: composed.root.span.end as usize,
                ..start
            };
            self.parsed.documents.push(Document {
                root: composed.root,
                index: self.index,
                span: start.to(end),
            });
        }
        if broken || !empty {
            self.index += 1;
        }
    }

    /// Reports why a document could not be parsed, and finds the next one.
    fn after_problem(
        &mut self,
        problem: Problem,
        start: Mark,
        end: Mark,
        in_directives: bool,
    ) -> Option<Mark> {
        let stop = if problem.mark.position > end.position {
            end
        } else {
            problem.mark
        };
        if !self.report_fault(start, end) {
            self.problem(problem);
        }
        // Never the place this document began at: that would read it again.
        let from = if stop.position <= start.position {
            self.after_line(start)?
        } else {
            stop
        };
        let next = self.resynchronise(from)?;
        if in_directives {
            self.resynchronise(self.after_line(next)?)
        } else {
            Some(next)
        }
    }

    /// Reports a forbidden character between two places as the document's error.
    fn report_fault(&mut self, start: Mark, end: Mark) -> bool {
        let from = self
            .faults
            .partition_point(|fault| fault.position < start.position);
        let Some(fault) = self
            .faults
            .get(from)
            .filter(|fault| fault.position <= end.position)
        else {
            return false;
        };
        let before = &self.text[start.position..fault.position];
        let lines = before.matches('\n').count();
        let line_start = before
            .rfind('\n')
            .map_or(start.position, |at| start.position + at + 1);
        let in_line = self.text[line_start..fault.position].chars().count();
        let mark = Mark {
            position: fault.position,
            line: start.line + lines,
            column: if lines == 0 {
                start.column + in_line
            } else {
                in_line
            },
        };
        self.error(
            YamlErrorKind::Encoding,
            fault.message.to_owned(),
            mark.to(mark),
        );
        self.index += 1;
        true
    }

    fn problem(&mut self, problem: Problem) {
        self.parsed.errors.push(as_error(problem, self.index));
        self.index += 1;
    }

    fn error(&mut self, kind: YamlErrorKind, message: String, span: Span) {
        self.parsed.errors.push(YamlError {
            kind,
            message,
            span,
            document: self.index,
            context: None,
        });
    }

    /// The next `---` line at or after a place.
    fn resynchronise(&self, from: Mark) -> Option<Mark> {
        let mut mark = if from.column == 0 {
            from
        } else {
            self.after_line(from)?
        };
        loop {
            let rest = &self.text.as_bytes()[mark.position..];
            let marker = rest.starts_with(b"---")
                && rest
                    .get(3)
                    .is_none_or(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
            if marker {
                return Some(mark);
            }
            mark = self.after_line(mark)?;
        }
    }

    /// The start of the line after a place.
    fn after_line(&self, from: Mark) -> Option<Mark> {
        let rest = &self.text.as_bytes()[from.position..];
        let position = from.position + rest.iter().position(|&b| b == b'\n')? + 1;
        (position < self.text.len()).then_some(Mark {
            position,
            line: from.line + 1,
            column: 0,
        })
    }
}

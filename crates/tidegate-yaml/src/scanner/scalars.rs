//! Plain, quoted and block scalars: where they end and how their lines fold.

use std::borrow::Cow;

use super::{Mark, Problem, Scan, Scanner, Style, TokenKind};

const QUOTED: &str = "while scanning a quoted scalar";
const BLOCK: &str = "while scanning a block scalar";

/// What to do with the line breaks at the end of a block scalar.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomp {
    Strip,
    Clip,
    Keep,
}

/// White space between two pieces of a flow scalar, until it is known what follows.
#[derive(Default)]
struct Gap {
    /// Blanks on one line.
    blanks: String,
    /// The first line break.
    first: String,
    /// The line breaks after it.
    more: String,
    /// A line break was seen.
    broken: bool,
}

impl Gap {
    /// Joins the pieces around the gap: a single break folds to a space.
    fn fold(&mut self, into: &mut String) {
        if self.broken {
            if self.first.starts_with('\n') {
                if self.more.is_empty() {
                    into.push(' ');
                }
            } else {
                into.push_str(&self.first);
            }
            into.push_str(&self.more);
        } else {
            into.push_str(&self.blanks);
        }
        self.blanks.clear();
        self.first.clear();
        self.more.clear();
        self.broken = false;
    }
}

impl<'t> Scanner<'t> {
    pub(super) fn fetch_plain_scalar(&mut self) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let mut end = start;
        let mut owned: Option<String> = None;
        let mut gap = Gap::default();
        // In block context a continuation line is indented deeper than the collection it is in.
        let indent = self.indent + 1;
        loop {
            if self.is_document_marker() || self.at(0) == b'#' {
                break;
            }
            let piece = self.mark;
            self.skip_plain_word();
            if self.mark != piece {
                if piece == start {
                    // The first word stays borrowed until something must be folded.
                } else if gap.broken || owned.is_some() {
                    let text = owned
                        .get_or_insert_with(|| self.text[start.position..end.position].to_owned());
                    gap.fold(text);
                    text.push_str(&self.text[piece.position..self.mark.position]);
                } else {
                    gap.blanks.clear();
                }
                end = self.mark;
            }
            if !(self.is_blank(0) || self.break_width(0) > 0) {
                break;
            }
            self.plain_gap(&mut gap, indent, start)?;
            if self.flow_level == 0 && self.column() < indent {
                break;
            }
        }
        if gap.broken {
            self.simple_key_allowed = true;
        }
        let text = match owned {
            Some(text) => Cow::Owned(text),
            None => Cow::Borrowed(&self.text[start.position..end.position]),
        };
        self.tokens.push_back(super::Token {
            kind: TokenKind::Scalar(text, Style::Plain),
            start,
            end,
        });
        Ok(())
    }

    /// Goes to the end of a run of characters of a plain scalar.
    fn skip_plain_word(&mut self) {
        let flow = self.flow_level > 0;
        while !self.is_blank_or_end(0) {
            let c = self.at(0);
            if c == b':' && self.is_blank_or_end(1) {
                return;
            }
            if flow && matches!(c, b',' | b'?' | b'[' | b']' | b'{' | b'}') {
                return;
            }
            self.skip();
        }
    }

    fn plain_gap(&mut self, gap: &mut Gap, indent: isize, start: Mark) -> Scan<()> {
        while self.is_blank(0) || self.break_width(0) > 0 {
            if self.is_blank(0) {
                if gap.broken && self.column() < indent && self.at(0) == b'\t' {
                    let message = "found a tab character that violates indentation";
                    return Err(Problem::new(message, self.mark)
                        .within("while scanning a plain scalar", start));
                }
                if !gap.broken {
                    gap.blanks.push(char::from(self.at(0)));
                }
                self.skip();
            } else {
                self.gap_break(gap);
            }
        }
        Ok(())
    }

    fn gap_break(&mut self, gap: &mut Gap) {
        if gap.broken {
            self.read_break(&mut gap.more);
        } else {
            gap.blanks.clear();
            self.read_break(&mut gap.first);
            gap.broken = true;
        }
    }

    pub(super) fn fetch_quoted_scalar(&mut self) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let quote = self.at(0);
        self.skip();
        let text = match self.quoted_on_one_line(quote) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(self.quoted(quote, start)?),
        };
        self.skip();
        let style = if quote == b'\'' {
            Style::Single
        } else {
            Style::Double
        };
        self.push(TokenKind::Scalar(text, style), start);
        Ok(())
    }

    /// The common case: nothing to unescape, nothing to fold. Leaves the mark on the closing quote.
    fn quoted_on_one_line(&mut self, quote: u8) -> Option<&'t str> {
        let rest = &self.bytes[self.mark.position..];
        let length = rest
            .iter()
            .position(|&b| b == quote || b == b'\\' || b == b'\n' || b == b'\r' || b >= 0x80)?;
        let closes =
            rest[length] == quote && (quote == b'"' || rest.get(length + 1) != Some(&quote));
        if !closes {
            return None;
        }
        let from = self.mark;
        self.mark.position += length;
        self.mark.column += length;
        Some(self.slice(from))
    }

    fn quoted(&mut self, quote: u8, start: Mark) -> Scan<String> {
        let mut text = String::new();
        let mut gap = Gap::default();
        loop {
            if self.is_document_marker() {
                return Err(
                    Problem::new("found unexpected document indicator", self.mark)
                        .within(QUOTED, start),
                );
            }
            if self.at(0) == 0 {
                return Err(
                    Problem::new("found unexpected end of stream", self.mark).within(QUOTED, start)
                );
            }
            let mut escaped_break = false;
            while !self.is_blank_or_end(0) {
                let c = self.at(0);
                if quote == b'\'' && c == quote && self.at(1) == quote {
                    text.push('\'');
                    self.skip();
                    self.skip();
                } else if c == quote {
                    return Ok(text);
                } else if quote == b'"' && c == b'\\' && self.break_width(1) > 0 {
                    self.skip();
                    self.skip_break();
                    escaped_break = true;
                    break;
                } else if quote == b'"' && c == b'\\' {
                    text.push(self.escape(start)?);
                } else {
                    let from = self.mark;
                    self.skip();
                    text.push_str(self.slice(from));
                }
            }
            if self.at(0) == quote {
                return Ok(text);
            }
            // After an escaped break, leading blanks vanish and nothing folds to a space.
            gap.broken = escaped_break;
            while self.is_blank(0) || self.break_width(0) > 0 {
                if self.is_blank(0) {
                    if !gap.broken {
                        gap.blanks.push(char::from(self.at(0)));
                    }
                    self.skip();
                } else {
                    self.gap_break(&mut gap);
                }
            }
            if escaped_break {
                text.push_str(&gap.more);
                gap = Gap::default();
            } else {
                gap.fold(&mut text);
            }
        }
    }

    /// One escape of a double-quoted scalar. `\/` and surrogate pairs are JSON's.
    fn escape(&mut self, start: Mark) -> Scan<char> {
        let simple = match self.at(1) {
            b'0' => '\0',
            b'a' => '\u{7}',
            b'b' => '\u{8}',
            b't' | b'\t' => '\t',
            b'n' => '\n',
            b'v' => '\u{B}',
            b'f' => '\u{C}',
            b'r' => '\r',
            b'e' => '\u{1B}',
            c @ (b' ' | b'"' | b'\'' | b'\\' | b'/') => char::from(c),
            b'N' => '\u{85}',
            b'_' => '\u{A0}',
            b'L' => '\u{2028}',
            b'P' => '\u{2029}',
            b'x' => return self.numeric_escape(2, start),
            b'u' => return self.numeric_escape(4, start),
            b'U' => return self.numeric_escape(8, start),
            _ => {
                return Err(Problem::new("found unknown escape character", self.mark)
                    .within("while parsing a quoted scalar", start));
            }
        };
        self.skip();
        self.skip();
        Ok(simple)
    }

    fn numeric_escape(&mut self, digits: usize, start: Mark) -> Scan<char> {
        let context = "while parsing a quoted scalar";
        let invalid = |at| {
            Problem::new("found invalid Unicode character escape code", at).within(context, start)
        };
        self.skip();
        self.skip();
        let mut code = self.hexadecimal(0, digits).ok_or_else(|| {
            Problem::new("did not find expected hexdecimal number", self.mark)
                .within(context, start)
        })?;
        let mut width = digits;
        if digits == 4 && (0xD800..0xDC00).contains(&code) && [self.at(4), self.at(5)] == *br"\u" {
            let low = self
                .hexadecimal(6, 4)
                .filter(|low| (0xDC00..0xE000).contains(low));
            let low = low.ok_or_else(|| invalid(self.mark))?;
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            width = 10;
        }
        let c = char::from_u32(code).ok_or_else(|| invalid(self.mark))?;
        for _ in 0..width {
            self.skip();
        }
        Ok(c)
    }

    fn hexadecimal(&self, ahead: usize, digits: usize) -> Option<u32> {
        (ahead..ahead + digits).try_fold(0_u32, |code, at| {
            let digit = char::from(self.at(at)).to_digit(16)?;
            code.checked_mul(16)?.checked_add(digit)
        })
    }

    pub(super) fn fetch_block_scalar(&mut self) -> Scan<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        let start = self.mark;
        let literal = self.at(0) == b'|';
        self.skip();
        let (chomp, increment) = self.block_header(start)?;
        let mut indent = increment.map(|by| self.indent.max(0) + by);
        let mut text = String::new();
        let mut leading = String::new();
        let mut trailing = String::new();
        let mut end = self.block_breaks(&mut indent, &mut trailing, start)?;
        let mut after_blank = false;
        while Some(self.column()) == indent && self.at(0) != 0 {
            let blank = self.is_blank(0);
            let folds = !literal && leading.starts_with('\n') && !after_blank && !blank;
            if folds {
                if trailing.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(&leading);
            }
            leading.clear();
            text.push_str(&trailing);
            trailing.clear();
            after_blank = blank;
            let from = self.mark;
            self.skip_rest_of_line();
            text.push_str(self.slice(from));
            end = self.mark;
            if self.break_width(0) > 0 {
                self.read_break(&mut leading);
                if chomp != Chomp::Strip {
                    end = self.mark;
                }
            }
            let after = self.block_breaks(&mut indent, &mut trailing, start)?;
            if chomp == Chomp::Keep && !trailing.is_empty() {
                end = after;
            }
        }
        if chomp != Chomp::Strip {
            text.push_str(&leading);
        }
        if chomp == Chomp::Keep {
            text.push_str(&trailing);
        }
        let style = if literal {
            Style::Literal
        } else {
            Style::Folded
        };
        self.tokens.push_back(super::Token {
            kind: TokenKind::Scalar(Cow::Owned(text), style),
            start,
            end,
        });
        Ok(())
    }

    /// `|+2`, `>1-` and the comment after it, up to and with the line break.
    fn block_header(&mut self, start: Mark) -> Scan<(Chomp, Option<isize>)> {
        let mut chomp = None;
        let mut increment = None;
        for _ in 0..2 {
            match self.at(0) {
                sign @ (b'+' | b'-') if chomp.is_none() => {
                    chomp = Some(if sign == b'+' {
                        Chomp::Keep
                    } else {
                        Chomp::Strip
                    });
                }
                b'0' if increment.is_none() => {
                    let message = "found an indentation indicator equal to 0";
                    return Err(Problem::new(message, self.mark).within(BLOCK, start));
                }
                digit @ b'1'..=b'9' if increment.is_none() => {
                    increment = Some(isize::from(digit - b'0'));
                }
                _ => break,
            }
            self.skip();
        }
        self.skip_blanks();
        if self.at(0) == b'#' {
            self.skip_rest_of_line();
        }
        if !self.is_break_or_end(0) {
            let message = "did not find expected comment or line break";
            return Err(Problem::new(message, self.mark).within(BLOCK, start));
        }
        self.skip_break();
        Ok((chomp.unwrap_or(Chomp::Clip), increment))
    }

    /// Eats indentation and empty lines; finds out the indentation when it is not known yet.
    fn block_breaks(
        &mut self,
        indent: &mut Option<isize>,
        breaks: &mut String,
        start: Mark,
    ) -> Scan<Mark> {
        let mut end = self.mark;
        let mut deepest = 0;
        loop {
            let inside = |scanner: &Self| indent.is_none_or(|indent| scanner.column() < indent);
            while inside(self) && self.at(0) == b' ' {
                self.skip();
            }
            deepest = deepest.max(self.column());
            if inside(self) && self.at(0) == b'\t' {
                let message = "found a tab character where an indentation space is expected";
                return Err(Problem::new(message, self.mark).within(BLOCK, start));
            }
            if self.break_width(0) == 0 {
                break;
            }
            self.read_break(breaks);
            end = self.mark;
        }
        if indent.is_none() {
            *indent = Some(deepest.max(self.indent + 1).max(1));
        }
        Ok(end)
    }
}

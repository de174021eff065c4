//! One string: which style it gets, and how each style is written and folded.

use super::{BEST_WIDTH, Context, Emitter, INDENT};
use crate::resolve;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
}

/// Which styles a text allows, as libyaml's emitter finds out.
struct Analysis {
    multiline: bool,
    plain: bool,
    single_quoted: bool,
    block: bool,
}

/// Whether a key cannot stand on one line unquoted.
pub(super) fn is_multiline(text: &str) -> bool {
    text.chars().any(is_break)
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank_or_break(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\0') || is_break(c)
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{A0}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}')
        && c != '\u{FEFF}'
}

fn analyse(text: &str) -> Analysis {
    let Some(first) = text.chars().next() else {
        return Analysis {
            multiline: false,
            plain: true,
            single_quoted: true,
            block: false,
        };
    };
    let mut indicators = text.starts_with("---") || text.starts_with("...");
    let (mut breaks, mut special) = (false, false);
    let (mut space_break, mut break_space) = (false, false);
    let mut previous = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let blank_follows = chars.peek().is_none_or(|next| matches!(next, ' ' | '\t'));
        indicators |= match (previous, c) {
            (
                None,
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
                | '@' | '`',
            ) => true,
            (None, '?' | ':' | '-') | (Some(_), ':') => blank_follows,
            (Some(before), '#') => is_blank_or_break(before),
            _ => false,
        };
        special |= !is_printable(c);
        breaks |= is_break(c);
        space_break |= is_break(c) && previous == Some(' ');
        break_space |= c == ' ' && previous.is_some_and(is_break);
        previous = Some(c);
    }
    let edge = |c: char| c == ' ' || is_break(c);
    let last = previous.unwrap_or(first);
    Analysis {
        multiline: breaks,
        plain: !(indicators || breaks || special || edge(first) || edge(last)),
        single_quoted: !(special || space_break || break_space),
        block: !(special || space_break || last == ' '),
    }
}

fn style(text: &str, context: Context) -> Style {
    let analysis = analyse(text);
    let key = context == Context::Key;
    let plain_wanted = resolve::is_plain_text(text) && !is_base_60(text);
    if text.contains('\n') {
        let block = analysis.block && !key;
        return if block {
            Style::Literal
        } else {
            Style::DoubleQuoted
        };
    }
    if !plain_wanted || (key && analysis.multiline) {
        Style::DoubleQuoted
    } else if analysis.plain && !(key && text.is_empty()) {
        Style::Plain
    } else if analysis.single_quoted {
        Style::SingleQuoted
    } else {
        Style::DoubleQuoted
    }
}

/// Base 60 of YAML 1.1 (`12:30:45`), quoted for readers that still know it:
/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (places, fraction) = match unsigned.split_once('.') {
        Some((places, fraction)) => (places, fraction),
        None => (unsigned, ""),
    };
    let mut parts = places.split(':');
    let head = parts.next().unwrap_or_default();
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let place = |s: &str| match s.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [tens, digit] => (b'0'..=b'5').contains(tens) && digit.is_ascii_digit(),
        _ => false,
    };
    let mut count = 0;
    let all_places = parts.all(|part| {
        count += 1;
        place(part)
    });
    head.starts_with(|c: char| c.is_ascii_digit())
        && digits(head)
        && digits(fraction)
        && all_places
        && count > 0
}

impl Emitter {
    pub(super) fn string(&mut self, text: &str, indent: Option<usize>, context: Context) {
        let folds = context != Context::Key;
        // Lines of a scalar are indented once more than the collection it stands in.
        let indent = indent.map_or(INDENT, |indent| indent + INDENT);
        match style(text, context) {
            Style::Plain => self.plain(text, folds, indent),
            Style::SingleQuoted => self.single_quoted(text, folds, indent),
            Style::DoubleQuoted => self.double_quoted(text, folds, indent),
            Style::Literal => self.literal(text, indent),
        }
    }

    fn plain(&mut self, text: &str, folds: bool, indent: usize) {
        if !self.whitespace && self.column > 0 {
            self.put(' ');
        }
        let mut after_space = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let single = c == ' ' && !after_space && chars.peek() != Some(&' ');
            if single && folds && self.column > BEST_WIDTH {
                self.write_indent(indent);
            } else {
                self.put(c);
                self.indention = false;
            }
            after_space = c == ' ';
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn single_quoted(&mut self, text: &str, folds: bool, indent: usize) {
        self.indicator("'", true);
        let (mut after_space, mut after_break) = (false, false);
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == ' ' {
                let inside = at > 0 && at < text.len() - 1;
                let next = chars.peek().map(|(_, next)| *next);
                if folds && !after_space && self.column > BEST_WIDTH && inside && next != Some(' ')
                {
                    self.write_indent(indent);
                } else {
                    self.put(' ');
                }
                after_space = true;
            } else if is_break(c) {
                if !after_break && c == '\n' {
                    self.line_break();
                }
                self.write_break(c);
                after_break = true;
            } else {
                if after_break {
                    self.write_indent(indent);
                }
                if c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                self.indention = false;
                (after_space, after_break) = (false, false);
            }
        }
        self.indicator("'", false);
    }

    fn write_break(&mut self, c: char) {
        if c == '\n' {
            self.line_break();
        } else {
            self.put(c);
            self.column = 0;
        }
        self.indention = true;
    }

    fn double_quoted(&mut self, text: &str, folds: bool, indent: usize) {
        self.indicator("\"", true);
        let mut after_space = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                self.escape(c);
                after_space = false;
            } else if c == ' ' {
                let inside = at > 0 && at < text.len() - 1;
                if folds && !after_space && self.column > BEST_WIDTH && inside {
                    self.write_indent(indent);
                    if chars.peek().is_some_and(|(_, next)| *next == ' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(' ');
                }
                after_space = true;
            } else {
                self.put(c);
                after_space = false;
            }
        }
        self.indicator("\"", false);
    }

    fn escape(&mut self, c: char) {
        self.put('\\');
        let short = match c {
            '\0' => '0',
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\u{B}' => 'v',
            '\u{C}' => 'f',
            '\r' => 'r',
            '\u{1B}' => 'e',
            '"' => '"',
            '\\' => '\\',
            '\u{85}' => 'N',
            '\u{A0}' => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ => {
                let code = u32::from(c);
                let long = match code {
                    0..=0xFF => format!("x{code:02X}"),
                    0x100..=0xFFFF => format!("u{code:04X}"),
                    _ => format!("U{code:08X}"),
                };
                long.chars().for_each(|c| self.put(c));
                return;
            }
        };
        self.put(short);
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.indicator("|", true);
        if text.starts_with(|c: char| c == ' ' || is_break(c)) {
            self.indicator("2", false);
        }
        let mut tail = text.chars().rev();
        match (tail.next().is_some_and(is_break), tail.next()) {
            (false, _) => self.indicator("-", false),
            (true, None) => self.indicator("+", false),
            (true, Some(before)) if is_break(before) => self.indicator("+", false),
            (true, Some(_)) => {}
        }
        self.line_break();
        self.indention = true;
        self.whitespace = true;
        let mut after_break = true;
        for c in text.chars() {
            if is_break(c) {
                self.write_break(c);
                after_break = true;
            } else {
                if after_break {
                    self.write_indent(indent);
                }
                self.put(c);
                self.indention = false;
                after_break = false;
            }
        }
    }
}

//! Directives, anchors, aliases and tags.

use std::borrow::Cow;

use super::{Mark, Problem, Scan, Scanner, TokenKind};

const TAG: &str = "while scanning a tag";
const DIRECTIVE: &str = "while scanning a directive";
/// Longest number of a `%YAML` directive.
const VERSION_DIGITS: usize = 9;

impl<'t> Scanner<'t> {
    pub(super) fn fetch_directive(&mut self) -> Scan<()> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.skip();
        let name = self.word();
        if name.is_empty() {
            return Err(
                Problem::new("could not find expected directive name", self.mark)
                    .within(DIRECTIVE, start),
            );
        }
        if !self.is_blank_or_end(0) {
            return Err(
                Problem::new("found unexpected non-alphabetical character", self.mark)
                    .within(DIRECTIVE, start),
            );
        }
        let kind = match name {
            "YAML" => self.version_directive(start)?,
            "TAG" => self.tag_directive(start)?,
            _ => {
                return Err(Problem::new("found unknown directive name", self.mark)
                    .within(DIRECTIVE, start));
            }
        };
        self.push(kind, start);
        self.skip_blanks();
        if self.at(0) == b'#' {
            self.skip_rest_of_line();
        }
        if !self.is_break_or_end(0) {
            return Err(
                Problem::new("did not find expected comment or line break", self.mark)
                    .within(DIRECTIVE, start),
            );
        }
        self.skip_break();
        Ok(())
    }

    fn version_directive(&mut self, start: Mark) -> Scan<TokenKind<'t>> {
        self.skip_blanks();
        let major = self.version_number(start)?;
        if self.at(0) != b'.' {
            return Err(
                Problem::new("did not find expected digit or '.' character", self.mark)
                    .within("while scanning a %YAML directive", start),
            );
        }
        self.skip();
        let minor = self.version_number(start)?;
        Ok(TokenKind::VersionDirective { major, minor })
    }

    fn version_number(&mut self, start: Mark) -> Scan<u32> {
        let from = self.mark;
        while self.at(0).is_ascii_digit() && self.mark.column - from.column <= VERSION_DIGITS {
            self.skip();
        }
        self.slice(from).parse().map_err(|_| {
            Problem::new("did not find expected version number", self.mark)
                .within("while scanning a %YAML directive", start)
        })
    }

    fn tag_directive(&mut self, start: Mark) -> Scan<TokenKind<'t>> {
        const CONTEXT: &str = "while scanning a %TAG directive";
        let missing = |at| Problem::new("did not find expected whitespace", at);
        self.skip_blanks();
        let handle = self.tag_handle(start)?;
        if handle != "!" && !handle.ends_with('!') {
            return Err(Problem::new("did not find expected '!'", self.mark)
                .within("while parsing a %TAG directive", start));
        }
        if !self.is_blank(0) {
            return Err(missing(self.mark).within(CONTEXT, start));
        }
        self.skip_blanks();
        let prefix = self.tag_uri("", start)?;
        if !self.is_blank_or_end(0) {
            return Err(missing(self.mark).within(CONTEXT, start));
        }
        Ok(TokenKind::TagDirective { handle, prefix })
    }

    pub(super) fn fetch_anchor(&mut self) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let alias = self.at(0) == b'*';
        self.skip();
        let name = self.word();
        let closes = self.is_blank_or_end(0)
            || matches!(
                self.at(0),
                b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`'
            );
        if name.is_empty() || !closes {
            let context = if alias {
                "while scanning an alias"
            } else {
                "while scanning an anchor"
            };
            let problem = "did not find expected alphabetic or numeric character";
            return Err(Problem::new(problem, self.mark).within(context, start));
        }
        self.push(
            if alias {
                TokenKind::Alias(name)
            } else {
                TokenKind::Anchor(name)
            },
            start,
        );
        Ok(())
    }

    pub(super) fn fetch_tag(&mut self) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let (handle, suffix) = if self.at(1) == b'<' {
            self.skip();
            self.skip();
            let suffix = self.tag_uri("", start)?;
            if self.at(0) != b'>' {
                return Err(
                    Problem::new("did not find the expected '>'", self.mark).within(TAG, start)
                );
            }
            self.skip();
            ("", suffix)
        } else {
            let handle = self.tag_handle(start)?;
            if handle.len() > 1 && handle.ends_with('!') {
                (handle, self.tag_uri("", start)?)
            } else {
                // `!local`: what looked like a handle is the head of the suffix.
                let suffix = self.tag_uri(handle, start)?;
                if suffix.is_empty() {
                    ("", Cow::Borrowed("!"))
                } else {
                    ("!", suffix)
                }
            }
        };
        if !self.is_blank_or_end(0) {
            return Err(
                Problem::new("did not find expected whitespace or line break", self.mark)
                    .within(TAG, start),
            );
        }
        self.push(TokenKind::Tag { handle, suffix }, start);
        Ok(())
    }

    /// `!`, `!!`, `!name!`, or `!name` when no `!` closes it.
    fn tag_handle(&mut self, start: Mark) -> Scan<&'t str> {
        if self.at(0) != b'!' {
            return Err(Problem::new("did not find expected '!'", self.mark).within(TAG, start));
        }
        let from = self.mark;
        self.skip();
        self.word();
        if self.at(0) == b'!' {
            self.skip();
        }
        Ok(self.slice(from))
    }

    /// The rest of a tag after `head`, percent escapes decoded; `head` counts without its `!`.
    fn tag_uri(&mut self, head: &'t str, start: Mark) -> Scan<Cow<'t, str>> {
        const URI: &[u8] = b";/?:@&=+$,.!~*'()[]%-_";
        let from = self.mark;
        let mut decoded: Option<Vec<u8>> = None;
        while self.at(0).is_ascii_alphanumeric() || URI.contains(&self.at(0)) {
            let byte = self.at(0);
            if byte == b'%' {
                let octet = self.percent_escape(start)?;
                let so_far = self.slice(from).as_bytes();
                decoded.get_or_insert_with(|| so_far.to_vec()).push(octet);
                for _ in 0..3 {
                    self.skip();
                }
            } else {
                if let Some(bytes) = &mut decoded {
                    bytes.push(byte);
                }
                self.skip();
            }
        }
        let rest = match decoded {
            None => Cow::Borrowed(self.slice(from)),
            Some(bytes) => Cow::Owned(String::from_utf8(bytes).map_err(|_| {
                Problem::new("found an incorrect leading UTF-8 octet", self.mark).within(TAG, start)
            })?),
        };
        if head.is_empty() && rest.is_empty() {
            return Err(Problem::new("did not find expected tag URI", self.mark).within(TAG, start));
        }
        Ok(match head.strip_prefix('!') {
            Some(head) if !head.is_empty() => Cow::Owned(format!("{head}{rest}")),
            _ => rest,
        })
    }

    fn percent_escape(&self, start: Mark) -> Scan<u8> {
        let digit = |ahead| char::from(self.at(ahead)).to_digit(16);
        match (digit(1), digit(2)) {
            (Some(high), Some(low)) => Ok(u8::try_from(high * 16 + low).unwrap_or(0)),
            _ => Err(Problem::new("did not find URI escaped octet", self.mark).within(TAG, start)),
        }
    }

    /// Letters, digits, `_` and `-`.
    fn word(&mut self) -> &'t str {
        let from = self.mark;
        while self.at(0).is_ascii_alphanumeric() || matches!(self.at(0), b'_' | b'-') {
            self.skip();
        }
        self.slice(from)
    }

    pub(super) fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip();
        }
    }
}

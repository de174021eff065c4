//! The grammar of `${source(param, …):address, fallback}`: a text in, its pieces out.

use serde_json::Number;
use tidegate_yaml::{Node, Value};

/// Deepest nesting of variables in variables.
const DEPTH_MAX: usize = 32;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    /// Text that stays.
    Text(String),
    /// A variable: its sources in the order in which they are asked.
    Variable(Vec<Source>),
}

/// A source of a variable's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// A value that is written down.
    Literal(Node),
    /// A source that is asked.
    Call {
        /// Its name.
        kind: String,
        /// What stands in parentheses; none without them.
        params: Option<Vec<Param>>,
        /// What stands behind the colon.
        address: Option<Vec<Piece>>,
    },
}

/// A parameter of a source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Param {
    /// A value that is written down.
    Literal(Node),
    /// A text with variables in it.
    Pieces(Vec<Piece>),
}

/// The pieces of a text; one piece of text when it holds no variable and no escape.
///
/// # Errors
/// What is wrong with a variable, in the framework's words.
pub(crate) fn parse(text: &str) -> Result<Vec<Piece>, String> {
    if !text.contains("${") {
        return Ok(vec![Piece::Text(text.to_owned())]);
    }
    let mut parser = Parser {
        text,
        letters: text.char_indices().collect(),
        index: 0,
        depth: 0,
    };
    let mut pieces = Vec::new();
    while let Some(letter) = parser.peek() {
        match letter {
            '\\' => parser.backslashes(&mut pieces),
            '$' => parser.dollar(&mut pieces, Within::Text)?,
            _ => parser.keep(&mut pieces),
        }
    }
    Ok(pieces)
}

/// The only variable of a text that holds nothing else.
pub(crate) fn whole(pieces: &[Piece]) -> Option<&[Source]> {
    match pieces {
        [Piece::Variable(sources)] => Some(sources),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Text, or what is no variable of this language.
    Text,
    /// A parameter or an address.
    Variable,
}

struct Parser<'t> {
    text: &'t str,
    letters: Vec<(usize, char)>,
    index: usize,
    depth: usize,
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    if let Some(Piece::Text(last)) = pieces.last_mut() {
        last.push_str(text);
    } else {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '.' || letter == '-'
}

fn is_kind(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.letters.get(self.index).map(|(_, letter)| *letter)
    }

    fn ahead(&self, count: usize) -> Option<char> {
        self.letters
            .get(self.index + count)
            .map(|(_, letter)| *letter)
    }

    fn slice(&self, start: usize, end: usize) -> &str {
        let at = |index: usize| {
            self.letters
                .get(index)
                .map_or(self.text.len(), |(at, _)| *at)
        };
        &self.text[at(start)..at(end)]
    }

    fn keep(&mut self, pieces: &mut Vec<Piece>) {
        push(pieces, self.slice(self.index, self.index + 1));
        self.index += 1;
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(' ') {
            self.index += 1;
        }
    }

    fn wrong(&self, what: &str, index: usize) -> String {
        format!(
            "Invalid variable {what} at index {index} in \"{}\"",
            self.text
        )
    }

    fn unterminated(&self) -> String {
        format!("Missing variable closing bracket in {}", self.text)
    }

    /// Backslashes count only before `${`: two are one, and an odd one takes its meaning.
    fn backslashes(&mut self, pieces: &mut Vec<Piece>) {
        let start = self.index;
        while self.peek() == Some('\\') {
            self.index += 1;
        }
        let count = self.index - start;
        if self.peek() != Some('$') || self.ahead(1) != Some('{') {
            push(pieces, self.slice(start, self.index));
            return;
        }
        push(pieces, &"\\".repeat(count / 2));
        if count % 2 == 1 {
            push(pieces, "$");
            self.index += 1;
        }
    }

    /// At a `$`: a variable, or text.
    fn dollar(&mut self, pieces: &mut Vec<Piece>, within: Within) -> Result<(), String> {
        let start = self.index;
        let mut count = 0;
        while self.ahead(count) == Some('$') {
            count += 1;
        }
        if self.ahead(count) != Some('{') {
            self.index += count;
            push(pieces, self.slice(start, self.index));
            return Ok(());
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!(
                "Excessive variables nest depth in \"{}\"",
                self.text
            ));
        }
        // All of several dollars belong to the variable.
        self.index += count + 1;
        match self.sources(within)? {
            Some(sources) => pieces.push(Piece::Variable(sources)),
            None => {
                push(pieces, self.slice(start, self.index));
                self.foreign(pieces)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// What is no variable of this language (`${AWS::Region}`) goes on to its bracket.
    fn foreign(&mut self, pieces: &mut Vec<Piece>) -> Result<(), String> {
        while let Some(letter) = self.peek() {
            match letter {
                '}' => {
                    self.keep(pieces);
                    return Ok(());
                }
                '$' => self.dollar(pieces, Within::Text)?,
                _ => self.keep(pieces),
            }
        }
        Ok(())
    }

    /// Behind `${`: the sources up to the bracket; none when it is no variable of this language.
    fn sources(&mut self, within: Within) -> Result<Option<Vec<Source>>, String> {
        let start = self.index;
        let is_foreign = |parser: &Self, at: usize| match within {
            Within::Text => Ok(None),
            Within::Variable => Err(parser.wrong("type", at)),
        };
        if !self
            .peek()
            .is_some_and(|letter| letter.is_ascii_lowercase())
        {
            return is_foreign(self, self.index);
        }
        while self.peek().is_some_and(is_name) {
            self.index += 1;
        }
        if !matches!(self.peek(), Some(':' | '(')) {
            return is_foreign(self, start);
        }
        if within == Within::Text && self.peek() == Some(':') && self.ahead(1) == Some(':') {
            return Ok(None);
        }
        let kind = self.slice(start, self.index).to_owned();
        let mut sources = vec![self.call(kind)?];
        loop {
            match self.peek() {
                Some('}') => {
                    self.index += 1;
                    return Ok(Some(sources));
                }
                Some(',') => {
                    self.index += 1;
                    sources.push(self.fallback()?);
                }
                _ => return Err(self.unterminated()),
            }
        }
    }

    /// A source behind a comma; it ends at a comma or the bracket.
    fn fallback(&mut self) -> Result<Source, String> {
        self.skip_spaces();
        let start = self.index;
        match self.peek() {
            None => return Err(self.unterminated()),
            Some(quote @ ('"' | '\'')) => {
                let text = self.quoted(quote)?;
                self.skip_spaces();
                return match self.peek() {
                    Some('}') => Ok(Source::Literal(text)),
                    None => Err(self.unterminated()),
                    Some(_) => Err(self.wrong("source", start)),
                };
            }
            Some(letter) if !is_name(letter) => return Err(self.wrong("source", start)),
            Some(_) => {}
        }
        while self
            .peek()
            .is_some_and(|letter| is_name(letter) || letter == ' ')
        {
            self.index += 1;
        }
        let word = self.slice(start, self.index).to_owned();
        match self.peek() {
            Some(':' | '(') if is_kind(&word) => self.call(word),
            Some('}') => literal(word.trim()).map(Source::Literal).ok_or_else(|| {
                format!(
                    "Invalid literal source \"{}\" at index {start} in \"{}\"",
                    word.trim(),
                    self.text
                )
            }),
            None => Err(self.unterminated()),
            Some(_) => Err(self.wrong("source", start)),
        }
    }

    /// At the `(` or `:` behind a source's name; it ends at a comma or the bracket.
    fn call(&mut self, kind: String) -> Result<Source, String> {
        let params = if self.peek() == Some('(') {
            self.index += 1;
            Some(self.params()?)
        } else {
            None
        };
        if params.is_some() {
            self.skip_spaces();
        }
        let address = match self.peek() {
            Some(':') => {
                self.index += 1;
                self.address()?
            }
            Some('}' | ',') => None,
            None => return Err(self.unterminated()),
            Some(_) => return Err(self.wrong("address", self.index)),
        };
        Ok(Source::Call {
            kind,
            params,
            address,
        })
    }

    fn params(&mut self) -> Result<Vec<Param>, String> {
        let null = || Param::Literal(Node::default());
        let mut params = Vec::new();
        loop {
            self.skip_spaces();
            let start = self.index;
            match self.peek() {
                None => return Err(self.unterminated()),
                Some(')') => {
                    self.index += 1;
                    return Ok(params);
                }
                Some('}') => return Err(self.wrong("param", self.index)),
                Some(',') => {
                    self.index += 1;
                    params.push(null());
                    continue;
                }
                Some(quote @ ('"' | '\'')) => {
                    params.push(Param::Literal(self.quoted(quote)?));
                    self.skip_spaces();
                }
                Some(_) => {
                    let (pieces, text) = self.pieces(start, &[')', ',', '}'])?;
                    let is_plain = pieces.iter().all(|piece| matches!(piece, Piece::Text(_)));
                    if !is_plain {
                        params.push(Param::Pieces(pieces));
                    } else if !text.is_empty() {
                        params.push(Param::Literal(
                            literal(&text).unwrap_or_else(|| string(&text)),
                        ));
                    }
                }
            }
            match self.peek() {
                Some(')') => {}
                Some(',') => self.index += 1,
                None => return Err(self.unterminated()),
                Some(_) => return Err(self.wrong("param", start)),
            }
        }
    }

    fn address(&mut self) -> Result<Option<Vec<Piece>>, String> {
        self.skip_spaces();
        let start = self.index;
        match self.peek() {
            None => Err(self.unterminated()),
            Some('}' | ',') => Ok(None),
            Some(':') => Err(self.wrong("address", start)),
            Some(quote @ ('"' | '\'')) => {
                let text = self.quoted(quote)?;
                self.skip_spaces();
                let text = text.as_str().unwrap_or_default().to_owned();
                match self.peek() {
                    Some('}' | ',') => Ok(Some(vec![Piece::Text(text)])),
                    None => Err(self.unterminated()),
                    Some(_) => Err(self.wrong("address", start)),
                }
            }
            Some(_) => {
                let (pieces, _) = self.pieces(start, &['}', ','])?;
                match self.peek() {
                    Some(_) => Ok(Some(pieces)),
                    None => Err(self.unterminated()),
                }
            }
        }
    }

    /// Text with variables up to one of `stops`, spaces at its end taken off; also as it is written.
    fn pieces(&mut self, start: usize, stops: &[char]) -> Result<(Vec<Piece>, String), String> {
        let mut pieces = Vec::new();
        while let Some(letter) = self.peek() {
            match letter {
                letter if stops.contains(&letter) => break,
                '$' => self.dollar(&mut pieces, Within::Variable)?,
                _ => self.keep(&mut pieces),
            }
        }
        if let Some(Piece::Text(last)) = pieces.last_mut() {
            last.truncate(last.trim_end().len());
            if last.is_empty() {
                pieces.pop();
            }
        }
        let text = self.slice(start, self.index).trim().to_owned();
        Ok((pieces, text))
    }

    /// A text in quotes: with double ones as JSON, with single ones as it stands.
    fn quoted(&mut self, quote: char) -> Result<Node, String> {
        let start = self.index;
        self.index += 1;
        loop {
            match self.peek() {
                None => return Err(self.unterminated()),
                Some('\\') if quote == '"' => self.index += 2,
                Some(letter) if letter == quote => break,
                Some(_) => self.index += 1,
            }
        }
        self.index += 1;
        let text = self.slice(start, self.index);
        if quote == '\'' {
            return Ok(string(&text[1..text.len() - 1]));
        }
        serde_json::from_str::<String>(text)
            .map(|text| string(&text))
            .map_err(|error| {
                format!(
                    "Invalid string literal at index {start} in \"{}\": {error}",
                    self.text
                )
            })
    }
}

/// A node that holds a text.
pub(crate) fn string(text: &str) -> Node {
    Node {
        value: Value::String(text.into()),
        ..Node::default()
    }
}

/// A word that is a value: `true`, `false`, `null` or a number as JavaScript reads one.
fn literal(word: &str) -> Option<Node> {
    let value = match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        _ => Value::Number(number(word)?),
    };
    Some(Node {
        value,
        ..Node::default()
    })
}

fn number(word: &str) -> Option<Number> {
    let radix = |prefix: &str, radix: u32| {
        let rest = word.strip_prefix(prefix)?;
        i64::from_str_radix(rest, radix).ok().map(Number::from)
    };
    if let Some(found) = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0b", 2))
    {
        return Some(found);
    }
    if !word
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
    {
        return None;
    }
    let value: f64 = word.parse().ok()?;
    whole_number(value)
        .map(Number::from)
        .or_else(|| Number::from_f64(value))
}

/// A number without a fraction that both kinds of numbers hold exactly.
pub(crate) fn whole_number(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to lie within i64")]
    let whole = (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[Piece]) -> String {
        let source = |source: &Source| match source {
            Source::Literal(node) => node.to_json().to_string(),
            Source::Call {
                kind,
                params,
                address,
            } => {
                let params = params.as_ref().map(|params| {
                    let params: Vec<String> = params
                        .iter()
                        .map(|param| match param {
                            Param::Literal(node) => node.to_json().to_string(),
                            Param::Pieces(pieces) => shown(pieces),
                        })
                        .collect();
                    format!("({})", params.join(";"))
                });
                let address = address
                    .as_ref()
                    .map(|address| format!(":{}", shown(address)));
                format!(
                    "{kind}{}{}",
                    params.unwrap_or_default(),
                    address.unwrap_or_default()
                )
            }
        };
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Variable(sources) => {
                    format!(
                        "<{}>",
                        sources.iter().map(source).collect::<Vec<_>>().join("|")
                    )
                }
            })
            .collect()
    }

    fn check(text: &str, expected: &str) {
        let found = parse(text).map_or_else(|error| error, |pieces| shown(&pieces));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn variables_are_found_in_text() {
        check("a", "a");
        check("${self:a.b}", "<self:a.b>");
        check("x-${opt:stage, 'dev'}-y", "x-<opt:stage|\"dev\">-y");
        check(
            "${opt:a, self:b, env:C, 12, null}",
            "Invalid variable source at index 24 in \"${opt:a, self:b, env:C, 12, null}\"",
        );
        check("${opt:a, self:b, env:C, 12}", "<opt:a|self:b|env:C|12>");
        check(
            "${file(./a.${opt:s, 'd'}.json):K}",
            "<file(./a.<opt:s|\"d\">.json):K>",
        );
        check(
            "${ssm(eu-west-1, raw):/a/b}",
            "<ssm(\"eu-west-1\";\"raw\"):/a/b>",
        );
        check("${strToBool(${opt:x})}", "<strToBool(<opt:x>)>");
        check("${self:}", "<self>");
        check("a$${self:b}$", "a<self:b>$");
        check("${a:x, \"q\\\"\"}", "<a:x|\"q\\\"\">");
        check("${f(true, 1.50, x y)}", "<f(true;1.5;\"x y\")>");
    }

    #[test]
    fn what_is_not_of_this_language_stays() {
        check("${AWS::Region}", "${AWS::Region}");
        check("${Foo.Arn}/${foo}/${}/$x/$", "${Foo.Arn}/${foo}/${}/$x/$");
        check("${Foo${self:x}}", "${Foo<self:x>}");
        check("${a::b}", "${a::b}");
        check("${unclosed", "${unclosed");
    }

    #[test]
    fn backslashes_take_the_meaning_of_variables() {
        check("\\${self:a}", "${self:a}");
        check("\\\\${self:a}", "\\<self:a>");
        check("\\\\\\${self:a}", "\\${self:a}");
        check("a\\b", "a\\b");
    }

    #[test]
    fn mistakes_are_told() {
        check("${self:a", "Missing variable closing bracket in ${self:a");
        check(
            "${self:a, ?}",
            "Invalid variable source at index 10 in \"${self:a, ?}\"",
        );
        check(
            "${self:a, foo}",
            "Invalid literal source \"foo\" at index 10 in \"${self:a, foo}\"",
        );
        check(
            "${file(a}",
            "Invalid variable param at index 7 in \"${file(a}\"",
        );
        check(
            "${self:${Foo}}",
            "Invalid variable type at index 9 in \"${self:${Foo}}\"",
        );
        let deep = "${self:".repeat(100);
        assert!(parse(&deep).unwrap_err().starts_with("Excessive"));
    }
}

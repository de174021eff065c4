//! Text to expression.

use serde_json::{Value, json};

use super::{Comparison, Expr, FUNCTIONS};

/// Longer expressions are refused.
const MAX_LENGTH: usize = 10_000;
/// Deeper expressions are refused.
const MAX_DEPTH: usize = 64;
/// A compiled pattern may take this much memory.
const MAX_PATTERN: usize = 1 << 20;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// `.name` without a space, or `."name"`.
    Field(String),
    Dot,
    DotDot,
    Word(String),
    Text(String),
    Number(f64),
    Punct(&'static str),
}

const PUNCTUATION: [&str; 18] = [
    "==", "!=", "<=", ">=", "//", "<", ">", "|", ",", "(", ")", "[", "]", "?", ":", "-", "{", "}",
];

pub(super) fn parse(text: &str) -> Result<Expr, String> {
    if text.len() > MAX_LENGTH {
        return Err("the expression is too long".into());
    }
    let tokens = tokenize(text)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
    };
    let expression = parser.pipe()?;
    match parser.tokens.get(parser.at) {
        None => Ok(expression),
        Some(token) => Err(format!("unexpected {}", name(token))),
    }
}

fn name(token: &Token) -> String {
    match token {
        Token::Field(name) => format!("`.{name}`"),
        Token::Dot => "`.`".into(),
        Token::DotDot => "`..`".into(),
        Token::Word(word) => format!("`{word}`"),
        Token::Text(text) => format!("{text:?}"),
        Token::Number(number) => format!("`{number}`"),
        Token::Punct(p) => format!("`{p}`"),
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn tokenize(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let token = if c == '#' {
            rest = rest
                .split_once('\n')
                .map_or("", |(_, after)| after)
                .trim_start();
            continue;
        } else if let Some(after) = rest.strip_prefix("..") {
            rest = after;
            Token::DotDot
        } else if let Some(after) = rest.strip_prefix('.') {
            rest = after;
            match after.chars().next() {
                Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                    Token::Field(take_word(&mut rest))
                }
                Some('"') => Token::Field(take_string(&mut rest)?),
                _ => Token::Dot,
            }
        } else if c == '"' {
            Token::Text(take_string(&mut rest)?)
        } else if c.is_ascii_digit() {
            let end = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let number = rest[..end]
                .parse()
                .map_err(|_| format!("`{}` is no number", &rest[..end]))?;
            rest = &rest[end..];
            Token::Number(number)
        } else if c.is_ascii_alphabetic() || c == '_' {
            Token::Word(take_word(&mut rest))
        } else if let Some(p) = PUNCTUATION.into_iter().find(|p| rest.starts_with(p)) {
            rest = &rest[p.len()..];
            Token::Punct(p)
        } else {
            return Err(format!("`{c}` is not supported here"));
        };
        tokens.push(token);
        rest = rest.trim_start();
    }
    Ok(tokens)
}

fn take_word(rest: &mut &str) -> String {
    let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    word.to_owned()
}

/// A JSON string at the start of `rest`.
fn take_string(rest: &mut &str) -> Result<String, String> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => {
                if c == '(' {
                    return Err("string interpolation is not supported".into());
                }
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => {
                let text = serde_json::from_str(&rest[..=at])
                    .map_err(|_| format!("{} is no string", &rest[..=at]))?;
                *rest = &rest[at + 1..];
                return Ok(text);
            }
            _ => {}
        }
    }
    Err("a string does not end".into())
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn eat(&mut self, punct: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Punct(p)) if *p == punct);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w == wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, punct: &str) -> Result<(), String> {
        if self.eat(punct) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(token) => format!("expected `{punct}` instead of {}", name(token)),
            None => format!("`{punct}` is missing at the end"),
        })
    }

    fn pipe(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("the expression is nested too deeply".into());
        }
        let mut left = self.comma()?;
        while self.eat("|") {
            left = Expr::Pipe(Box::new(left), Box::new(self.comma()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn comma(&mut self) -> Result<Expr, String> {
        let mut left = self.alternative()?;
        while self.eat(",") {
            left = Expr::Comma(Box::new(left), Box::new(self.alternative()?));
        }
        Ok(left)
    }

    fn alternative(&mut self) -> Result<Expr, String> {
        let left = self.or()?;
        if !self.eat("//") {
            return Ok(left);
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("the expression is nested too deeply".into());
        }
        let right = self.alternative()?;
        self.depth -= 1;
        Ok(Expr::Alternative(Box::new(left), Box::new(right)))
    }

    fn or(&mut self) -> Result<Expr, String> {
        let mut left = self.and()?;
        while self.word("or") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, String> {
        let mut left = self.comparison()?;
        while self.word("and") {
            left = Expr::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expr, String> {
        let left = self.postfix()?;
        let operators = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        for (text, operator) in operators {
            if self.eat(text) {
                return Ok(Expr::Compare(
                    operator,
                    Box::new(left),
                    Box::new(self.postfix()?),
                ));
            }
        }
        Ok(left)
    }

    fn postfix(&mut self) -> Result<Expr, String> {
        let mut term = self.term()?;
        loop {
            if self.eat("?") {
                term = optional(term);
            } else if self.eat("[") {
                term = self.brackets(term)?;
            } else if let Some(Token::Field(field)) = self.peek().cloned() {
                self.at += 1;
                term = Expr::Index(
                    Box::new(term),
                    Box::new(Expr::Literal(Value::String(field))),
                );
            } else if self.peek() == Some(&Token::Dot)
                && self.tokens.get(self.at + 1) == Some(&Token::Punct("["))
            {
                self.at += 1;
            } else {
                return Ok(term);
            }
        }
    }

    /// After `[`.
    fn brackets(&mut self, term: Expr) -> Result<Expr, String> {
        let term = Box::new(term);
        if self.eat("]") {
            return Ok(Expr::Iterate(term));
        }
        if self.eat(":") {
            let end = self.integer()?;
            self.expect("]")?;
            return Ok(Expr::Slice(term, None, Some(end)));
        }
        let key = self.pipe()?;
        if self.eat(":") {
            let Expr::Literal(Value::Number(start)) = &key else {
                return Err("a slice takes plain numbers".into());
            };
            let start = start.as_i64().ok_or("a slice takes whole numbers")?;
            let end = if matches!(self.peek(), Some(Token::Punct("]"))) {
                None
            } else {
                Some(self.integer()?)
            };
            self.expect("]")?;
            return Ok(Expr::Slice(term, Some(start), end));
        }
        self.expect("]")?;
        Ok(Expr::Index(term, Box::new(key)))
    }

    fn integer(&mut self) -> Result<i64, String> {
        match self.term()? {
            Expr::Literal(Value::Number(n)) => n
                .as_i64()
                .ok_or_else(|| "a slice takes whole numbers".into()),
            _ => Err("a slice takes plain numbers".into()),
        }
    }

    fn term(&mut self) -> Result<Expr, String> {
        let Some(token) = self.peek().cloned() else {
            return Err("the expression ends too early".into());
        };
        self.at += 1;
        Ok(match token {
            Token::Field(field) => Expr::Index(
                Box::new(Expr::Identity),
                Box::new(Expr::Literal(Value::String(field))),
            ),
            Token::Dot => Expr::Identity,
            Token::DotDot => Expr::Recurse,
            Token::Text(text) => Expr::Literal(Value::String(text)),
            Token::Number(number) => Expr::Literal(whole(number)),
            Token::Punct("-") => match self.term()? {
                Expr::Literal(Value::Number(n)) => {
                    Expr::Literal(whole(-n.as_f64().unwrap_or_default()))
                }
                _ => return Err("`-` stands only before numbers".into()),
            },
            Token::Punct("(") => {
                let inner = self.pipe()?;
                self.expect(")")?;
                inner
            }
            Token::Word(word) => self.call(&word)?,
            Token::Punct("[") if self.eat("]") => Expr::Literal(json!([])),
            Token::Punct("{") if self.eat("}") => Expr::Literal(json!({})),
            Token::Punct(p) => return Err(format!("`{p}` is not supported here")),
        })
    }

    fn call(&mut self, word: &str) -> Result<Expr, String> {
        match word {
            "null" => return Ok(Expr::Literal(Value::Null)),
            "true" => return Ok(Expr::Literal(json!(true))),
            "false" => return Ok(Expr::Literal(json!(false))),
            "recurse" => return Ok(Expr::Recurse),
            _ => {}
        }
        let mut arguments = Vec::new();
        if self.eat("(") {
            arguments.push(self.pipe()?);
            if matches!(self.peek(), Some(Token::Punct(":"))) {
                return Err(format!("{word} takes one argument"));
            }
            self.expect(")")?;
        }
        if word == "test" {
            let [Expr::Literal(Value::String(pattern))] = arguments.as_slice() else {
                return Err("test takes one pattern, written as a string".into());
            };
            let regex = regex::RegexBuilder::new(pattern)
                .size_limit(MAX_PATTERN)
                .build();
            return regex
                .map(Expr::Test)
                .map_err(|_| format!("{pattern:?} is no regular expression"));
        }
        let Some((_, function, counts)) = FUNCTIONS.iter().find(|(name, _, _)| *name == word)
        else {
            return Err(format!("{word} is not supported in path expressions"));
        };
        if !counts.contains(&arguments.len()) {
            return Err(format!(
                "{word} does not take {} arguments",
                arguments.len()
            ));
        }
        Ok(Expr::Call(*function, arguments))
    }
}

/// `x.a?` and `x[]?` forgive per value of `x`; anything else as a whole.
fn optional(term: Expr) -> Expr {
    let apart = |inner: Box<Expr>, last: fn(Box<Expr>) -> Expr| {
        Expr::Pipe(
            inner,
            Box::new(Expr::Optional(Box::new(last(Box::new(Expr::Identity))))),
        )
    };
    match term {
        Expr::Iterate(inner) => apart(inner, Expr::Iterate),
        Expr::Index(inner, key) if matches!(*key, Expr::Literal(_)) => {
            let last = Expr::Index(Box::new(Expr::Identity), key);
            Expr::Pipe(inner, Box::new(Expr::Optional(Box::new(last))))
        }
        Expr::Slice(inner, start, end) => {
            let last = Expr::Slice(Box::new(Expr::Identity), start, end);
            Expr::Pipe(inner, Box::new(Expr::Optional(Box::new(last))))
        }
        other => Expr::Optional(Box::new(other)),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and in range"
)]
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        json!(number as i64)
    } else {
        json!(number)
    }
}

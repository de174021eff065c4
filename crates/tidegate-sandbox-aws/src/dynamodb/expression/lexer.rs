//! The words of an expression.
//!
//! Must not know: grammar.

use super::{EXPRESSION_BYTES, Kind};

/// One word, with its text as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A bare attribute name or a keyword.
    Word,
    /// `#name`
    Name,
    /// `:value`
    Value,
    /// Digits.
    Number,
    /// Punctuation or an operator.
    Symbol,
    /// After the last word.
    End,
}

/// Splits an expression into its words; the last one is [`TokenKind::End`].
///
/// # Errors
/// DynamoDB's own words for an empty or too long expression and for characters that start no word.
pub(super) fn tokens(kind: Kind, text: &str) -> Result<Vec<Token>, String> {
    let name = kind.name();
    if text.trim().is_empty() {
        return Err(format!(
            "1 validation error detected: Invalid {name}: The expression can not be empty;"
        ));
    }
    if text.len() > EXPRESSION_BYTES {
        return Err(format!(
            "Invalid {name}: Expression size has exceeded the maximum allowed size; expression size: {}",
            text.len()
        ));
    }
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            break;
        };
        let (kind, length) = match first {
            'A'..='Z' | 'a'..='z' | '_' => (TokenKind::Word, word_length(rest)),
            '#' | ':' => {
                let kind = if first == '#' {
                    TokenKind::Name
                } else {
                    TokenKind::Value
                };
                (kind, 1 + word_length(&rest[1..]))
            }
            '0'..='9' => (
                TokenKind::Number,
                rest.bytes().take_while(u8::is_ascii_digit).count(),
            ),
            '(' | ')' | ',' | '.' | '[' | ']' | '=' | '+' | '-' => (TokenKind::Symbol, 1),
            '<' if rest.starts_with("<>") || rest.starts_with("<=") => (TokenKind::Symbol, 2),
            '>' if rest.starts_with(">=") => (TokenKind::Symbol, 2),
            '<' | '>' => (TokenKind::Symbol, 1),
            other => {
                let before = tokens.last().map_or("", |token| token.text.as_str());
                return Err(format!(
                    "Invalid {name}: Syntax error; token: \"{other}\", near: \"{before}{}\"",
                    rest.chars().take(12).collect::<String>()
                ));
            }
        };
        let (word, after) = rest.split_at(length);
        if length == 1 && matches!(kind, TokenKind::Name | TokenKind::Value) {
            return Err(format!(
                "Invalid {name}: Syntax error; token: \"{word}\", near: \"{}\"",
                rest.chars().take(12).collect::<String>()
            ));
        }
        tokens.push(Token {
            kind,
            text: word.to_owned(),
        });
        rest = after;
    }
    tokens.push(Token {
        kind: TokenKind::End,
        text: "<EOF>".to_owned(),
    });
    Ok(tokens)
}

fn word_length(text: &str) -> usize {
    text.bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        .count()
}

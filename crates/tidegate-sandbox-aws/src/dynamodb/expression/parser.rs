//! The grammar of expressions, by recursive descent with bounded depth.
//!
//! Must not know: items.

use super::lexer::{Token, TokenKind, tokens};
use super::reserved::is_reserved;
use super::{
    Action, Comparator, Condition, DEPTH, Kind, OPERATORS, Operand, Path, Step, Substitutions,
};
use crate::dynamodb::value::Attribute;

/// Reads a condition, filter or key condition.
///
/// # Errors
/// DynamoDB's own words (a `ValidationException`).
pub(in crate::dynamodb) fn parse_condition(
    kind: Kind,
    text: &str,
    with: &Substitutions,
) -> Result<Condition, String> {
    let mut parser = Parser::new(kind, text, with)?;
    let (condition, _) = parser.or()?;
    parser.end()?;
    Ok(condition)
}

/// Reads a projection: a list of paths.
///
/// # Errors
/// DynamoDB's own words (a `ValidationException`).
pub(in crate::dynamodb) fn parse_projection(
    text: &str,
    with: &Substitutions,
) -> Result<Vec<Path>, String> {
    let mut parser = Parser::new(Kind::Projection, text, with)?;
    let mut paths = vec![parser.path()?];
    while parser.take_symbol(",") {
        paths.push(parser.path()?);
    }
    parser.end()?;
    refuse_overlap(Kind::Projection, &paths.iter().collect::<Vec<_>>())?;
    Ok(paths)
}

/// Reads an update expression: its actions in the order written.
///
/// # Errors
/// DynamoDB's own words (a `ValidationException`).
pub(in crate::dynamodb) fn parse_update(
    text: &str,
    with: &Substitutions,
) -> Result<Vec<Action>, String> {
    let mut parser = Parser::new(Kind::Update, text, with)?;
    let mut actions = Vec::new();
    let mut sections: Vec<String> = Vec::new();
    while parser.peek().kind != TokenKind::End {
        let section = parser.peek().text.to_ascii_uppercase();
        if !matches!(section.as_str(), "SET" | "REMOVE" | "ADD" | "DELETE") {
            return Err(parser.syntax_error());
        }
        if sections.contains(&section) {
            return Err(format!(
                "Invalid UpdateExpression: The \"{section}\" section can only be used once in an update expression;"
            ));
        }
        parser.next();
        parser.section(&section, &mut actions)?;
        sections.push(section);
    }
    let paths: Vec<&Path> = actions.iter().map(Action::path).collect();
    refuse_overlap(Kind::Update, &paths)?;
    Ok(actions)
}

fn refuse_overlap(kind: Kind, paths: &[&Path]) -> Result<(), String> {
    let mut sorted = paths.to_vec();
    sorted.sort();
    for pair in sorted.windows(2) {
        let shared = pair[0]
            .0
            .iter()
            .zip(&pair[1].0)
            .take_while(|(a, b)| a == b)
            .count();
        if shared == pair[0].0.len().min(pair[1].0.len()) {
            return Err(format!(
                "Invalid {}: Two document paths overlap with each other; must remove or rewrite one of these paths; \
                 path one: {}, path two: {}",
                kind.name(),
                pair[0].shown(),
                pair[1].shown()
            ));
        }
        let conflict = matches!(
            (pair[0].0.get(shared), pair[1].0.get(shared)),
            (Some(Step::Name(_)), Some(Step::Index(_)))
                | (Some(Step::Index(_)), Some(Step::Name(_)))
        );
        if conflict {
            return Err(format!(
                "Invalid {}: Two document paths conflict with each other; must remove or rewrite one of these paths; \
                 path one: {}, path two: {}",
                kind.name(),
                pair[0].shown(),
                pair[1].shown()
            ));
        }
    }
    Ok(())
}

/// Whether a condition stood in parentheses of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrapped {
    Yes,
    No,
}

struct Parser<'a> {
    kind: Kind,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    operators: usize,
    with: &'a Substitutions,
}

impl<'a> Parser<'a> {
    fn new(kind: Kind, text: &str, with: &'a Substitutions) -> Result<Self, String> {
        Ok(Self {
            kind,
            tokens: tokens(kind, text)?,
            at: 0,
            depth: DEPTH,
            operators: 0,
            with,
        })
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn syntax_error(&self) -> String {
        let at = self.at.min(self.tokens.len() - 1);
        let from = at.saturating_sub(1);
        let near: Vec<&str> = self.tokens[from..]
            .iter()
            .take(at - from + 2)
            .filter(|token| token.kind != TokenKind::End)
            .map(|token| token.text.as_str())
            .collect();
        format!(
            "Invalid {}: Syntax error; token: \"{}\", near: \"{}\"",
            self.kind.name(),
            self.tokens[at].text,
            near.join(" ")
        )
    }

    fn end(&self) -> Result<(), String> {
        match self.peek().kind {
            TokenKind::End => Ok(()),
            _ => Err(self.syntax_error()),
        }
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.peek().kind == TokenKind::Symbol && self.peek().text == symbol;
        self.at += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: &str) -> Result<(), String> {
        if self.take_symbol(symbol) {
            Ok(())
        } else {
            Err(self.syntax_error())
        }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found =
            self.peek().kind == TokenKind::Word && self.peek().text.eq_ignore_ascii_case(word);
        self.at += usize::from(found);
        found
    }

    /// Is the next word followed by an opening parenthesis: a function?
    fn function(&self) -> Option<String> {
        let token = self.peek();
        let after = self.tokens.get(self.at + 1)?;
        (token.kind == TokenKind::Word && after.text == "(").then(|| token.text.clone())
    }

    fn count_operator(&mut self) -> Result<(), String> {
        self.operators += 1;
        if self.operators > OPERATORS {
            return Err(format!(
                "Invalid {}: The expression contains too many operators; operator count: {}",
                self.kind.name(),
                self.operators
            ));
        }
        Ok(())
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| {
            format!(
                "Invalid {}: The expression is nested too deeply;",
                self.kind.name()
            )
        })?;
        Ok(())
    }

    fn or(&mut self) -> Result<(Condition, Wrapped), String> {
        let (mut left, mut wrapped) = self.and()?;
        while self.take_word("OR") {
            self.count_operator()?;
            let (right, _) = self.and()?;
            left = Condition::Or(Box::new(left), Box::new(right));
            wrapped = Wrapped::No;
        }
        Ok((left, wrapped))
    }

    fn and(&mut self) -> Result<(Condition, Wrapped), String> {
        let (mut left, mut wrapped) = self.not()?;
        while self.take_word("AND") {
            self.count_operator()?;
            let (right, _) = self.not()?;
            left = Condition::And(Box::new(left), Box::new(right));
            wrapped = Wrapped::No;
        }
        Ok((left, wrapped))
    }

    fn not(&mut self) -> Result<(Condition, Wrapped), String> {
        if self.take_word("NOT") {
            self.count_operator()?;
            self.deeper()?;
            let (inner, _) = self.not()?;
            self.depth += 1;
            return Ok((Condition::Not(Box::new(inner)), Wrapped::No));
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<(Condition, Wrapped), String> {
        if self.take_symbol("(") {
            self.deeper()?;
            let (inner, wrapped) = self.or()?;
            self.symbol(")")?;
            self.depth += 1;
            if wrapped == Wrapped::Yes {
                return Err(format!(
                    "Invalid {}: The expression has redundant parentheses;",
                    self.kind.name()
                ));
            }
            return Ok((inner, Wrapped::Yes));
        }
        if let Some(function) = self.function()
            && function != "size"
        {
            return Ok((self.predicate(&function)?, Wrapped::No));
        }
        let left = self.operand()?;
        Ok((self.comparison(left)?, Wrapped::No))
    }

    fn comparison(&mut self, left: Operand) -> Result<Condition, String> {
        self.count_operator()?;
        if self.take_word("BETWEEN") {
            let low = self.operand()?;
            if !self.take_word("AND") {
                return Err(self.syntax_error());
            }
            let high = self.operand()?;
            return self.between(left, low, high);
        }
        if self.take_word("IN") {
            self.symbol("(")?;
            let mut choices = vec![self.operand()?];
            while self.take_symbol(",") {
                choices.push(self.operand()?);
            }
            self.symbol(")")?;
            if choices.len() > 100 {
                return Err(format!(
                    "Invalid {}: The IN operator is provided with too many operands; number of operands: {}",
                    self.kind.name(),
                    choices.len()
                ));
            }
            return Ok(Condition::In(left, choices));
        }
        let comparator = match (self.peek().kind, self.peek().text.as_str()) {
            (TokenKind::Symbol, "=") => Comparator::Equal,
            (TokenKind::Symbol, "<>") => Comparator::NotEqual,
            (TokenKind::Symbol, "<") => Comparator::Less,
            (TokenKind::Symbol, "<=") => Comparator::LessOrEqual,
            (TokenKind::Symbol, ">") => Comparator::Greater,
            (TokenKind::Symbol, ">=") => Comparator::GreaterOrEqual,
            _ => return Err(self.syntax_error()),
        };
        let operator = self.next().text;
        let right = self.operand()?;
        if let (Operand::Path(a), Operand::Path(b)) = (&left, &right)
            && a == b
        {
            return Err(format!(
                "Invalid {}: The first operand must be distinct from the remaining operands for this operator or function; \
                 operator: {operator}, first operand: {}",
                self.kind.name(),
                a.shown()
            ));
        }
        if !matches!(comparator, Comparator::Equal | Comparator::NotEqual) {
            for operand in [&left, &right] {
                self.refuse_type(&operator, operand, &["S", "N", "B"])?;
            }
        }
        Ok(Condition::Compare(comparator, left, right))
    }

    fn between(&self, operand: Operand, low: Operand, high: Operand) -> Result<Condition, String> {
        for bound in [&low, &high] {
            self.refuse_type("BETWEEN", bound, &["S", "N", "B"])?;
        }
        if let (Operand::Value(a), Operand::Value(b)) = (&low, &high) {
            if a.kind() != b.kind() {
                return Err(format!(
                    "Invalid {}: The BETWEEN operator requires same data type for lower and upper bounds; \
                     lower bound operand: AttributeValue: {{{}:{}}}, upper bound operand: AttributeValue: {{{}:{}}}",
                    self.kind.name(),
                    a.kind(),
                    plain(a),
                    b.kind(),
                    plain(b)
                ));
            }
            if a.compare(b) == Some(std::cmp::Ordering::Greater) {
                return Err(format!(
                    "Invalid {}: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; \
                     lower bound operand: AttributeValue: {{{}:{}}}, upper bound operand: AttributeValue: {{{}:{}}}",
                    self.kind.name(),
                    a.kind(),
                    plain(a),
                    b.kind(),
                    plain(b)
                ));
            }
        }
        Ok(Condition::Between(operand, low, high))
    }

    fn refuse_type(
        &self,
        operator: &str,
        operand: &Operand,
        allowed: &[&str],
    ) -> Result<(), String> {
        match operand {
            Operand::Value(value) if !allowed.contains(&value.kind()) => Err(format!(
                "Invalid {}: Incorrect operand type for operator or function; operator or function: {operator}, \
                 operand type: {}",
                self.kind.name(),
                value.kind()
            )),
            _ => Ok(()),
        }
    }

    fn predicate(&mut self, function: &str) -> Result<Condition, String> {
        self.count_operator()?;
        let unknown = || {
            format!(
                "Invalid {}: Invalid function name; function: {function}",
                self.kind.name()
            )
        };
        let wanted = match function {
            "attribute_exists" | "attribute_not_exists" => 1,
            "attribute_type" | "begins_with" | "contains" => 2,
            "if_not_exists" | "list_append" => {
                return Err(format!(
                    "Invalid {}: The function is not allowed in a condition expression; function: {function}",
                    self.kind.name()
                ));
            }
            _ => return Err(unknown()),
        };
        self.next();
        self.symbol("(")?;
        let mut operands = vec![self.operand()?];
        while self.take_symbol(",") {
            operands.push(self.operand()?);
        }
        self.symbol(")")?;
        if operands.len() != wanted {
            return Err(format!(
                "Invalid {}: Incorrect number of operands for operator or function; operator or function: {function}, \
                 number of operands: {}",
                self.kind.name(),
                operands.len()
            ));
        }
        let second = if wanted == 2 { operands.pop() } else { None };
        let first = operands.pop();
        match (function, first, second) {
            ("attribute_exists", Some(Operand::Path(path)), None) => Ok(Condition::Exists(path)),
            ("attribute_not_exists", Some(Operand::Path(path)), None) => {
                Ok(Condition::NotExists(path))
            }
            ("begins_with", Some(a), Some(b)) => {
                self.refuse_type(function, &a, &["S", "B"])?;
                self.refuse_type(function, &b, &["S", "B"])?;
                Ok(Condition::BeginsWith(a, b))
            }
            ("contains", Some(a), Some(b)) => Ok(Condition::Contains(a, b)),
            (
                "attribute_type",
                Some(Operand::Path(path)),
                Some(Operand::Value(Attribute::Text(kind))),
            ) => {
                const KINDS: [&str; 10] =
                    ["B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"];
                if !KINDS.contains(&kind.as_str()) {
                    return Err(format!(
                        "Invalid {}: Invalid attribute type name found; type: {kind}, valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}",
                        self.kind.name()
                    ));
                }
                Ok(Condition::Type(path, kind))
            }
            ("attribute_exists" | "attribute_not_exists", ..) => Err(self.path_required(function)),
            _ => Err(format!(
                "Invalid {}: Incorrect operand type for operator or function; operator or function: {function}",
                self.kind.name()
            )),
        }
    }

    fn path_required(&self, function: &str) -> String {
        format!(
            "Invalid {}: Operator or function requires a document path; operator or function: {function}",
            self.kind.name()
        )
    }

    fn operand(&mut self) -> Result<Operand, String> {
        if let Some(function) = self.function() {
            return self.function_operand(&function);
        }
        if self.peek().kind == TokenKind::Value {
            let placeholder = self.next().text;
            return Ok(Operand::Value(self.with.value(self.kind, &placeholder)?));
        }
        Ok(Operand::Path(self.path()?))
    }

    fn function_operand(&mut self, function: &str) -> Result<Operand, String> {
        self.count_operator()?;
        self.next();
        self.symbol("(")?;
        self.deeper()?;
        let operand = match (function, self.kind) {
            ("size", Kind::Condition | Kind::Filter) => {
                if self.peek().kind == TokenKind::Value {
                    return Err(self.path_required("size"));
                }
                Operand::Size(self.path()?)
            }
            ("if_not_exists", Kind::Update) => {
                if self.peek().kind == TokenKind::Value {
                    return Err(self.path_required("if_not_exists"));
                }
                let path = self.path()?;
                self.symbol(",")?;
                Operand::IfNotExists(path, Box::new(self.sum()?))
            }
            ("list_append", Kind::Update) => {
                let first = self.sum()?;
                self.symbol(",")?;
                let second = self.sum()?;
                for operand in [&first, &second] {
                    self.refuse_type("list_append", operand, &["L"])?;
                }
                Operand::ListAppend(Box::new(first), Box::new(second))
            }
            _ => {
                return Err(format!(
                    "Invalid {}: Invalid function name; function: {function}",
                    self.kind.name()
                ));
            }
        };
        self.symbol(")")?;
        self.depth += 1;
        Ok(operand)
    }

    /// `operand`, `operand + operand` or `operand - operand`.
    fn sum(&mut self) -> Result<Operand, String> {
        if self.take_symbol("(") {
            self.deeper()?;
            let inner = self.sum()?;
            self.symbol(")")?;
            self.depth += 1;
            return Ok(inner);
        }
        let left = self.operand()?;
        let minus = match (self.peek().kind, self.peek().text.as_str()) {
            (TokenKind::Symbol, "+") => false,
            (TokenKind::Symbol, "-") => true,
            _ => return Ok(left),
        };
        self.count_operator()?;
        let operator = self.next().text;
        let right = self.operand()?;
        for operand in [&left, &right] {
            self.refuse_type(&operator, operand, &["N"])?;
        }
        Ok(if minus {
            Operand::Minus(Box::new(left), Box::new(right))
        } else {
            Operand::Plus(Box::new(left), Box::new(right))
        })
    }

    fn path(&mut self) -> Result<Path, String> {
        let mut steps = vec![self.path_name()?];
        loop {
            if self.take_symbol(".") {
                steps.push(self.path_name()?);
            } else if self.take_symbol("[") {
                let token = self.next();
                let index = token
                    .text
                    .parse()
                    .ok()
                    .filter(|_| token.kind == TokenKind::Number);
                let Some(index) = index else {
                    self.at -= 1;
                    return Err(self.syntax_error());
                };
                self.symbol("]")?;
                steps.push(Step::Index(index));
            } else {
                break;
            }
            if steps.len() > 32 {
                return Err(format!(
                    "Invalid {}: The document path has too many nesting elements; nesting levels: {}",
                    self.kind.name(),
                    steps.len()
                ));
            }
        }
        Ok(Path(steps))
    }

    fn path_name(&mut self) -> Result<Step, String> {
        let token = self.peek().clone();
        match token.kind {
            TokenKind::Word if is_reserved(&token.text) => {
                if matches!(
                    token.text.to_ascii_uppercase().as_str(),
                    "AND" | "OR" | "NOT" | "BETWEEN" | "IN" | "SET"
                ) {
                    return Err(self.syntax_error());
                }
                Err(format!(
                    "Invalid {}: Attribute name is a reserved keyword; reserved keyword: {}",
                    self.kind.name(),
                    token.text
                ))
            }
            TokenKind::Word => {
                self.next();
                Ok(Step::Name(token.text))
            }
            TokenKind::Name => {
                self.next();
                Ok(Step::Name(self.with.name(self.kind, &token.text)?))
            }
            TokenKind::Value | TokenKind::Number | TokenKind::Symbol | TokenKind::End => {
                Err(self.syntax_error())
            }
        }
    }

    fn section(&mut self, section: &str, actions: &mut Vec<Action>) -> Result<(), String> {
        loop {
            let path = self.path()?;
            let action = match section {
                "SET" => {
                    self.symbol("=")?;
                    self.count_operator()?;
                    Action::Set(path, self.sum()?)
                }
                "REMOVE" => Action::Remove(path),
                _ => {
                    let Operand::Value(value) = self.operand()? else {
                        return Err(self.syntax_error());
                    };
                    let allowed: &[&str] = if section == "ADD" {
                        &["N", "SS", "NS", "BS"]
                    } else {
                        &["SS", "NS", "BS"]
                    };
                    if !allowed.contains(&value.kind()) {
                        return Err(format!(
                            "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: {section}, \
                             operand type: {}, typeSet: ALLOWED_FOR_{section}_OPERAND",
                            long_kind(&value)
                        ));
                    }
                    if section == "ADD" {
                        Action::Add(path, value)
                    } else {
                        Action::Delete(path, value)
                    }
                }
            };
            actions.push(action);
            if !self.take_symbol(",") {
                return Ok(());
            }
        }
    }
}

fn plain(value: &Attribute) -> String {
    match value {
        Attribute::Text(text) => text.clone(),
        Attribute::Number(number) => number.to_string(),
        other => other.to_json().to_string(),
    }
}

fn long_kind(value: &Attribute) -> &'static str {
    match value {
        Attribute::Text(_) => "STRING",
        Attribute::Number(_) => "NUMBER",
        Attribute::Binary(_) => "BINARY",
        Attribute::Bool(_) => "BOOLEAN",
        Attribute::Null => "NULL",
        Attribute::List(_) => "LIST",
        Attribute::Map(_) => "MAP",
        Attribute::Texts(_) => "STRING_SET",
        Attribute::Numbers(_) => "NUMBER_SET",
        Attribute::Binaries(_) => "BINARY_SET",
    }
}

//! Dotted paths into objects (`spec.containers.[name=main].image`): how they split, what they find,
//! what they make. Two readers, as in the original: [`lookup`] finds one value, [`visit`] all that
//! match, and can create.

use crate::go_regex;
use crate::node::{MAX_PATH, Node, Scalar, Style, Tag};

/// What a path makes when it leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar,
    Seq,
    Map,
}

impl Kind {
    pub(crate) fn of(node: &Node) -> Kind {
        match node {
            Node::Scalar(_) => Kind::Scalar,
            Node::Seq(_) => Kind::Seq,
            Node::Map(_) => Kind::Map,
        }
    }

    fn empty(self) -> Node {
        match self {
            Kind::Scalar => Node::plain(""),
            Kind::Seq => Node::Seq(Vec::new()),
            Kind::Map => Node::Map(Vec::new()),
        }
    }
}

/// Splits at a delimiter; a backslash before it makes it a character. A leading one is skipped.
pub(crate) fn split(path: &str, delimiter: char) -> Vec<String> {
    let mut parts = path.split(delimiter).peekable();
    if path.contains(delimiter) && parts.peek().is_some_and(|first| first.is_empty()) {
        parts.next();
    }
    let mut result: Vec<String> = Vec::new();
    for part in parts {
        match result.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(delimiter);
                last.push_str(part);
            }
            _ => result.push(part.to_owned()),
        }
    }
    result
}

/// As [`split`] at dots, keeping what stands in brackets together: `[name=a.b]` stays one part with
/// its brackets, `[a.b/c]` is the key `a.b/c`.
pub(crate) fn split_smart(path: &str) -> Vec<String> {
    let parts = split(path, '.');
    let mut result = Vec::new();
    let mut parts = parts.into_iter();
    while let Some(part) = parts.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            result.push(part);
            continue;
        }
        let mut whole = part;
        for next in parts.by_ref() {
            whole.push('.');
            whole.push_str(&next);
            if next.ends_with(']') {
                break;
            }
        }
        if whole.contains('=') {
            result.push(whole);
        } else {
            result.push(whole.trim_matches(['[', ']']).to_owned());
        }
    }
    result
}

/// Parts with an index behind a name, `ports[0]`, become two.
pub(crate) fn with_indexes(parts: Vec<String>) -> Vec<String> {
    let mut result = Vec::with_capacity(parts.len());
    for part in parts {
        let indexed = part
            .strip_suffix(']')
            .and_then(|rest| rest.rsplit_once('['));
        match indexed {
            Some((name, index))
                if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) =>
            {
                if !name.is_empty() {
                    result.push(name.to_owned());
                }
                result.push(index.to_owned());
            }
            _ => result.push(part),
        }
    }
    result
}

/// A non-negative index as Go's `Atoi` reads it.
fn index(part: &str) -> Option<usize> {
    let digits = part.strip_prefix('+').unwrap_or(part);
    if digits.starts_with(['+', '-']) {
        return (part == "-0").then_some(0);
    }
    digits.parse().ok()
}

/// The inside of `[…]`.
fn bracketed(part: &str) -> Option<&str> {
    (part.starts_with('[') && part.ends_with(']')).then(|| {
        let inside = part.strip_suffix(']').unwrap_or(part);
        inside.strip_prefix('[').unwrap_or(inside)
    })
}

fn name_and_value(inside: &str) -> Result<(&str, &str), String> {
    inside.split_once('=').ok_or_else(|| {
        "list path element must contain fieldName=fieldValue for element to match".to_owned()
    })
}

pub(crate) fn wrong_kind(expected: Kind, node: &Node) -> String {
    let name = |kind| match kind {
        Kind::Scalar => "ScalarNode",
        Kind::Seq => "SequenceNode",
        Kind::Map => "MappingNode",
    };
    let (expected, found) = (name(expected), name(Kind::of(node)));
    format!("wrong node kind: expected {expected} but got {found}")
}

fn elements(node: &Node) -> Result<&[Node], String> {
    match node {
        Node::Seq(items) => Ok(items),
        node if node.is_null() => Ok(&[]),
        node => Err(wrong_kind(Kind::Seq, node)),
    }
}

/// The one value a path leads to, if any.
///
/// # Errors
/// Parts that do not fit the value they meet, and `*`.
pub(crate) fn lookup<'n, S: AsRef<str>>(
    node: &'n Node,
    path: &[S],
) -> Result<Option<&'n Node>, String> {
    let mut at = node;
    for part in path {
        let part = part.as_ref().trim();
        if part.is_empty() {
            continue;
        }
        let next = if is_number(part) {
            let Some(index) = index(part) else {
                return Err(format!("array index {part} cannot be negative"));
            };
            elements(at)?.get(index)
        } else if part == "-" {
            elements(at)?.last()
        } else if part == "*" {
            return Err("wildcard is not supported in PathGetter".into());
        } else if let Some(inside) = bracketed(part) {
            let (name, value) = name_and_value(inside)?;
            elements(at)?.iter().find(|item| {
                let field = if name.is_empty() {
                    Some(*item)
                } else {
                    item.get(name)
                };
                field.is_some_and(|field| field.text().unwrap_or_default() == value)
            })
        } else if at.is_null() {
            None
        } else if at.is_map() {
            at.get(part)
        } else {
            return Err(wrong_kind(Kind::Map, at));
        };
        match next {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

fn is_number(part: &str) -> bool {
    let digits = part.strip_prefix(['+', '-']).unwrap_or(part);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// As [`lookup`], to change the value.
///
/// # Errors
/// As [`lookup`].
pub(crate) fn lookup_mut<'n, S: AsRef<str>>(
    node: &'n mut Node,
    path: &[S],
) -> Result<Option<&'n mut Node>, String> {
    if lookup(node, path)?.is_none() {
        return Ok(None);
    }
    let mut at = node;
    for part in path {
        let part = part.as_ref().trim();
        if part.is_empty() {
            continue;
        }
        let next = match at {
            Node::Map(_) => at.get_mut(part),
            Node::Seq(items) => {
                let position = if part == "-" {
                    items.len().checked_sub(1)
                } else if let Some((name, value)) =
                    bracketed(part).and_then(|inside| inside.split_once('='))
                {
                    items.iter().position(|item| {
                        let field = if name.is_empty() {
                            Some(item)
                        } else {
                            item.get(name)
                        };
                        field.is_some_and(|field| field.text().unwrap_or_default() == value)
                    })
                } else {
                    index(part)
                };
                position.and_then(|position| items.get_mut(position))
            }
            Node::Scalar(_) => None,
        };
        match next {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// What [`visit`] does with each value.
pub(crate) type Setter<'f> = dyn FnMut(&mut Node) -> Result<(), String> + 'f;

/// Calls `set` on every value that matches, and says how many there were. `create` makes what is
/// missing on the way, and a value of that kind at the end. List elements are matched by regular
/// expressions on their text.
///
/// # Errors
/// Parts that do not fit the value they meet, bad expressions, what `set` says.
pub(crate) fn visit(
    node: &mut Node,
    path: &[String],
    create: Option<Kind>,
    set: &mut Setter<'_>,
) -> Result<usize, String> {
    if path.len() > MAX_PATH {
        return Err(format!("a path has more than {MAX_PATH} parts"));
    }
    let Some((part, rest)) = path.split_first() else {
        set(node)?;
        return Ok(1);
    };
    if let Some(position) = index(part).filter(|_| is_number(part)) {
        visit_index(node, position, rest, create, set)
    } else if let Some(inside) = bracketed(part) {
        visit_matching(node, inside, rest, create, set)
    } else if part == "*" {
        elements(node)?;
        let Node::Seq(items) = node else {
            return Ok(0);
        };
        items.iter_mut().try_fold(0, |count, item| {
            visit(item, rest, create, set).map(|more| count + more)
        })
    } else {
        visit_field(node, part, rest, create, set)
    }
}

/// What a part makes: a list when the next part is an index or a match.
fn kind_before(rest: &[String], last: Kind) -> Kind {
    match rest.first() {
        None => last,
        Some(next) if next.is_empty() => last,
        Some(next) if bracketed(next).is_some() || (is_number(next) && index(next).is_some()) => {
            Kind::Seq
        }
        Some(_) => Kind::Map,
    }
}

fn visit_field(
    node: &mut Node,
    name: &str,
    rest: &[String],
    create: Option<Kind>,
    set: &mut Setter<'_>,
) -> Result<usize, String> {
    if node.is_null() && create.is_none() {
        return Ok(0);
    }
    if !node.is_null() && !node.is_map() {
        return Err(wrong_kind(Kind::Map, node));
    }
    if node.get(name).is_none() {
        let Some(kind) = create else {
            return Ok(0);
        };
        node.insert(name, kind_before(rest, kind).empty());
    }
    match node.get_mut(name) {
        Some(field @ Node::Scalar(_)) if !rest.is_empty() => {
            // Text that holds YAML can be looked into here, but what is set in it is lost.
            let text = field.text().unwrap_or_default();
            let mut inner = crate::read::text_as_node(text)?;
            visit(&mut inner, rest, create, set)
        }
        Some(field) => visit(field, rest, create, set),
        // A field cannot be put into null: what is set is lost.
        None => {
            let mut lost = create.map_or(Node::plain(""), Kind::empty);
            visit(&mut lost, rest, create, set)
        }
    }
}

fn visit_index(
    node: &mut Node,
    position: usize,
    rest: &[String],
    create: Option<Kind>,
    set: &mut Setter<'_>,
) -> Result<usize, String> {
    let count = elements(node)?.len();
    if let (Some(kind), Node::Seq(items)) = (create, &mut *node)
        && count == position
    {
        items.push(kind_before(rest, kind).empty());
    }
    let Node::Seq(items) = node else {
        return Err(out_of_range(position, count));
    };
    let Some(item) = items.get_mut(position) else {
        return Err(out_of_range(position, count));
    };
    visit(item, rest, create, set)
}

fn out_of_range(position: usize, count: usize) -> String {
    format!("index {position} specified but only {count} elements found")
}

fn visit_matching(
    node: &mut Node,
    inside: &str,
    rest: &[String],
    create: Option<Kind>,
    set: &mut Setter<'_>,
) -> Result<usize, String> {
    let (name, pattern) = name_and_value(inside)?;
    elements(node)?;
    let Node::Seq(items) = node else {
        return Ok(0);
    };
    let mut count = visit_items(items, name, pattern, rest, create, set)?;
    let Some(_) = create.filter(|_| count == 0) else {
        return Ok(count);
    };
    let mut element = Node::plain(pattern);
    if !name.is_empty() {
        let value = std::mem::replace(&mut element, Node::Map(Vec::new()));
        element.insert(name, value);
    }
    items.push(element);
    count = visit_items(items, name, pattern, rest, create, set)?;
    Ok(count)
}

fn visit_items(
    items: &mut [Node],
    name: &str,
    pattern: &str,
    rest: &[String],
    create: Option<Kind>,
    set: &mut Setter<'_>,
) -> Result<usize, String> {
    if items.is_empty() {
        return Ok(0);
    }
    let pattern = go_regex::Anywhere::new(pattern)?;
    let mut count = 0;
    for item in items {
        if name.is_empty() {
            // The rest of the path is not looked at behind a scalar.
            if pattern.is_match(&written(item)) {
                set(item)?;
                count += 1;
            }
        } else if item
            .get(name)
            .is_some_and(|value| pattern.is_match(&written(value)))
        {
            count += visit(item, rest, create, set)?;
        }
    }
    Ok(count)
}

/// A value as YAML writes it: quoted when it was quoted, or when it would be read as another type.
fn written(node: &Node) -> String {
    match node {
        Node::Scalar(Scalar {
            text, tag, style, ..
        }) => match style {
            Style::Single => format!("'{}'", text.replace('\'', "''")),
            Style::Double => format!("{text:?}"),
            Style::Block => format!("|-\n  {text}"),
            Style::Plain | Style::Flow
                if *tag == Tag::Str && !crate::read::is_plain_string(text) =>
            {
                format!("{text:?}")
            }
            Style::Plain | Style::Flow => text.to_string(),
        },
        Node::Seq(items) => items
            .iter()
            .map(|item| format!("- {}", written(item)))
            .collect::<Vec<_>>()
            .join("\n"),
        Node::Map(entries) => entries
            .iter()
            .map(|(key, value)| format!("{}: {}", key.text(), written(value)))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split() {
        for (path, expected) in [
            ("a.b", vec!["a", "b"]),
            ("a\\.b.c", vec!["a.b", "c"]),
            ("a.[b.c/d].e", vec!["a", "b.c/d", "e"]),
            ("a.[name=x.y].e", vec!["a", "[name=x.y]", "e"]),
            ("[=-jar]", vec!["[=-jar]"]),
            (".a", vec!["a"]),
            ("a.[b", vec!["a", "b"]),
            ("a.[x]", vec!["a", "[x]"]),
            ("", vec![""]),
        ] {
            assert_eq!(split_smart(path), expected, "{path}");
        }
        assert_eq!(split("/a/b\\/c", '/'), ["a", "b/c"]);
    }
}

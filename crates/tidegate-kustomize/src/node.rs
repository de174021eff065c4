//! The tree of one document as Kustomize holds it: scalars keep their text, their tag and whether
//! they were quoted, because patches and replacements mix these of two scalars.

/// The text of a scalar; copies of an object share it.
pub(crate) type Text = std::rc::Rc<str>;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A text with its type.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Node>),
    /// A mapping in the order of its entries; of a key that stands twice the first counts.
    Map(Vec<(Key, Node)>),
}

/// A scalar or null.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scalar {
    /// The text as it stood, quotes and escapes resolved.
    pub(crate) text: Text,
    /// The type it was read with.
    pub(crate) tag: Tag,
    /// How it was written.
    pub(crate) style: Style,
    /// Whether its tag was written too.
    pub(crate) tagged: bool,
    /// The line it stood on, from 1; 0 for what was made.
    pub(crate) line: u32,
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.tag == other.tag && self.style == other.style
    }
}

impl Eq for Scalar {}

/// The type of a scalar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tag {
    /// None: the text decides when it is written.
    #[default]
    Untagged,
    Null,
    Bool,
    Int,
    Float,
    Str,
    Timestamp,
    Binary,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    #[default]
    Plain,
    /// Plain, between brackets.
    Flow,
    Single,
    Double,
    /// A block, literal or folded.
    Block,
}

impl Style {
    pub(crate) fn is_plain(self) -> bool {
        matches!(self, Style::Plain | Style::Flow)
    }
}

/// The key of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) Scalar);

impl Key {
    /// A key that is text.
    pub(crate) fn new(text: &str) -> Self {
        Self(Scalar {
            text: text.into(),
            ..Scalar::default()
        })
    }

    /// The key's text.
    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }
}

/// Most parts of a path into an object: deeper than any document that is read.
pub(crate) const MAX_PATH: usize = 128;
/// Deepest value that a build puts into an object.
pub(crate) const MAX_DEPTH: usize = 512;

impl Node {
    /// About how many bytes it takes, and how deep it is. Does not recurse.
    pub(crate) fn weight(&self) -> (usize, usize) {
        let (mut bytes, mut deepest) = (0, 0);
        let mut pending = vec![(self, 1)];
        while let Some((node, depth)) = pending.pop() {
            deepest = deepest.max(depth);
            bytes += size_of::<Node>();
            match node {
                Node::Scalar(scalar) => bytes += scalar.text.len(),
                Node::Seq(items) => pending.extend(items.iter().map(|item| (item, depth + 1))),
                Node::Map(entries) => pending.extend(entries.iter().map(|(key, value)| {
                    bytes += key.0.text.len();
                    (value, depth + 1)
                })),
            }
        }
        (bytes, deepest)
    }

    /// A scalar whose text decides its type.
    pub(crate) fn plain(text: &str) -> Self {
        Node::Scalar(Scalar {
            text: text.into(),
            ..Scalar::default()
        })
    }

    /// A text.
    pub(crate) fn string(text: &str) -> Self {
        Node::Scalar(Scalar {
            text: text.into(),
            tag: Tag::Str,
            style: if text.contains('\n') {
                Style::Block
            } else {
                Style::Plain
            },
            ..Scalar::default()
        })
    }

    /// A list.
    pub(crate) fn seq(items: Vec<Node>) -> Self {
        Node::Seq(items)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Node::Scalar(scalar) if scalar.tag == Tag::Null)
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self, Node::Map(_))
    }

    pub(crate) fn is_seq(&self) -> bool {
        matches!(self, Node::Seq(_))
    }

    /// The entries of a mapping.
    pub(crate) fn as_map(&self) -> Option<&[(Key, Node)]> {
        match self {
            Node::Map(entries) => Some(entries),
            Node::Scalar(_) | Node::Seq(_) => None,
        }
    }

    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Vec<(Key, Node)>> {
        match self {
            Node::Map(entries) => Some(entries),
            Node::Scalar(_) | Node::Seq(_) => None,
        }
    }

    /// The elements of a list, none for anything else.
    pub(crate) fn items(&self) -> &[Node] {
        match self {
            Node::Seq(items) => items,
            Node::Scalar(_) | Node::Map(_) => &[],
        }
    }

    pub(crate) fn into_items(self) -> Vec<Node> {
        match self {
            Node::Seq(items) => items,
            Node::Scalar(_) | Node::Map(_) => Vec::new(),
        }
    }

    /// The value under a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let (_, value) = self.as_map()?.iter().find(|(k, _)| k.text() == key)?;
        Some(value)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let (_, value) = self
            .as_map_mut()?
            .iter_mut()
            .find(|(k, _)| k.text() == key)?;
        Some(value)
    }

    /// Appends an entry to a mapping.
    pub(crate) fn insert(&mut self, key: &str, value: Node) {
        if let Some(entries) = self.as_map_mut() {
            entries.push((Key::new(key), value));
        }
    }

    /// The line of its first scalar.
    pub(crate) fn line(&self) -> Option<u32> {
        match self {
            Node::Scalar(scalar) => Some(scalar.line),
            Node::Seq(items) => items.first()?.line(),
            Node::Map(entries) => entries.first().map(|(key, _)| key.0.line),
        }
    }

    /// The text of a scalar, null included.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Node::Scalar(scalar) => Some(&scalar.text),
            Node::Seq(_) | Node::Map(_) => None,
        }
    }

    /// How a scalar is written; plain for anything else.
    pub(crate) fn style(&self) -> Style {
        match self {
            Node::Scalar(scalar) => scalar.style,
            Node::Seq(_) | Node::Map(_) => Style::Plain,
        }
    }

    pub(crate) fn set_style(&mut self, style: Style) {
        if let Node::Scalar(scalar) = self {
            scalar.style = style;
        }
    }
}

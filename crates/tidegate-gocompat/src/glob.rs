//! Two glob dialects: [`Glob`] is `gobwas/glob` as Argo CD's projects, directories and RBAC use it,
//! [`PathGlob`] is `bmatcuk/doublestar` as path generators use it.
//!
//! Both run as a set of states over the text, so no pattern is slow on any text.

mod doublestar;
mod gobwas;
mod states;

pub use doublestar::PathGlob;
pub use gobwas::Glob;

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// A `[` without its `]`, or nothing between them.
    #[error("syntax error in pattern: `[` without a class and its `]`")]
    Class,
    /// More than one range in a class, or a range mixed with characters; gobwas has no such form.
    #[error("syntax error in pattern: a class holds one range or a list of characters")]
    Range,
    /// A range whose end comes before its start.
    #[error("syntax error in pattern: `{hi}` should come after `{lo}` in a range")]
    Order {
        /// Start of the range.
        lo: char,
        /// End of the range.
        hi: char,
    },
    /// A `{` without its `}`, or the other way round.
    #[error("syntax error in pattern: unbalanced braces")]
    Braces,
    /// A backslash at the end.
    #[error("syntax error in pattern: a backslash at the end escapes nothing")]
    Escape,
    /// The pattern is longer than [`MAX_PATTERN`] or its braces expand to more than
    /// [`MAX_ALTERNATIVES`].
    #[error("pattern too complex")]
    TooComplex,
}

/// Longest accepted pattern in bytes.
pub const MAX_PATTERN: usize = 16 << 10;
/// Most patterns that the braces of one path pattern may stand for.
pub const MAX_ALTERNATIVES: usize = 1 << 10;
/// Deepest nesting of braces.
pub const MAX_NESTING: usize = 32;

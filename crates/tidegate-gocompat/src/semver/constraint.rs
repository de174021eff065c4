//! Constraints: `>=1.2 <2 || ~3.1`, hyphen ranges, wildcards.

use super::{Scan, Version, VersionError};

/// A constraint: groups of comparisons, one group of which must hold in full.
#[derive(Clone, Debug)]
pub struct Constraint {
    any: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    all: Vec<Comparison>,
    /// A comparison names a pre-release, so pre-releases are looked at.
    pre: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

/// How much of the version was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    /// `*`
    Nothing,
    /// `1`, `1.x`
    Major,
    /// `1.2`, `1.2.x`
    Minor,
    Full,
}

#[derive(Clone, Debug)]
struct Comparison {
    operator: Operator,
    version: Version,
    precision: Precision,
}

/// Longer spellings first.
const OPERATORS: &[(&str, Operator)] = &[
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterEqual),
    ("=>", Operator::GreaterEqual),
    ("<=", Operator::LessEqual),
    ("=<", Operator::LessEqual),
    ("~>", Operator::Tilde),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("=", Operator::Equal),
    ("", Operator::Equal),
];

impl Constraint {
    /// Reads a constraint.
    ///
    /// ```
    /// use tidegate_gocompat::semver::{Constraint, Version};
    /// let constraint = Constraint::parse(">=1.2, <2 || 3.x")?;
    /// assert!(constraint.matches(&Version::parse("v1.9")?));
    /// assert!(!constraint.matches(&Version::parse("1.9.0-rc1")?));
    /// # Ok::<(), tidegate_gocompat::VersionError>(())
    /// ```
    ///
    /// # Errors
    /// [`VersionError::Constraint`] with the part that is none.
    pub fn parse(text: &str) -> Result<Constraint, VersionError> {
        let rewritten = rewrite_ranges(text);
        let any: Result<Vec<Group>, VersionError> = rewritten.split("||").map(group).collect();
        any.map(|any| Constraint { any })
    }

    /// Whether a version satisfies the constraint.
    pub fn matches(&self, version: &Version) -> bool {
        self.any.iter().any(|group| {
            (version.pre().is_empty() || group.pre)
                && group
                    .all
                    .iter()
                    .all(|comparison| comparison.matches(version))
        })
    }
}

/// Comparisons separated by commas or white space.
fn group(text: &str) -> Result<Group, VersionError> {
    let refusal = || VersionError::Constraint(text.to_owned());
    let mut scan = Scan(text);
    scan.white_space();
    let mut all = Vec::new();
    loop {
        all.push(comparison(&mut scan).ok_or_else(refusal)?);
        let space = scan.white_space();
        if scan.0.is_empty() {
            break;
        }
        if scan.literal(",") {
            scan.white_space();
        } else if space == 0 {
            return Err(refusal());
        }
    }
    let pre = all
        .iter()
        .any(|comparison| !comparison.version.pre().is_empty());
    Ok(Group { all, pre })
}

fn comparison(scan: &mut Scan<'_>) -> Option<Comparison> {
    let (_, operator) = OPERATORS
        .iter()
        .find(|(spelling, _)| scan.literal(spelling))?;
    scan.white_space();
    let parts = scan.parts(is_number)?;
    let [major, minor, patch] = parts
        .numbers
        .map(|part| part.filter(|text| !is_wildcard(text)));
    let (precision, numbers) = match (major, minor, patch) {
        (None, _, _) => (Precision::Nothing, "0.0.0".to_owned()),
        (Some(major), None, _) => (Precision::Major, format!("{major}.0.0")),
        (Some(major), Some(minor), None) => (Precision::Minor, format!("{major}.{minor}.0")),
        (Some(major), Some(minor), Some(patch)) => {
            (Precision::Full, format!("{major}.{minor}.{patch}"))
        }
    };
    // Metadata of a fully written version is kept by the original, and never compared.
    let version = match parts.pre {
        Some(pre) => Version::parse(&format!("{numbers}-{pre}")),
        None => Version::parse(&numbers),
    };
    Some(Comparison {
        operator: *operator,
        version: version.ok()?,
        precision,
    })
}

/// What may stand for a number. The bar is an accident of Masterminds' pattern: it makes
/// `1||2 - 3` improper while `1 || 2 - 3` is fine.
fn is_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'x' | b'X' | b'*' | b'|')
}

fn is_wildcard(part: &str) -> bool {
    matches!(part, "x" | "X" | "*")
}

impl Comparison {
    fn matches(&self, version: &Version) -> bool {
        let full = self.precision == Precision::Full;
        match self.operator {
            Operator::Equal if full => *version == self.version,
            Operator::Equal | Operator::Tilde => self.tilde(version),
            Operator::NotEqual => self.not_equal(version),
            Operator::Greater => self.greater(version),
            Operator::Less => *version < self.version,
            Operator::GreaterEqual => *version >= self.version,
            Operator::LessEqual if full => *version <= self.version,
            Operator::LessEqual => self.less_equal(version),
            Operator::Caret => self.caret(version),
        }
    }

    /// `~1.2.3` is `>=1.2.3 <1.3`, `~1` is `>=1 <2`, `~0.0.0` and `~*` are anything.
    fn tilde(&self, version: &Version) -> bool {
        let wanted = &self.version;
        let zero = (wanted.major, wanted.minor, wanted.patch) == (0, 0, 0)
            && matches!(self.precision, Precision::Nothing | Precision::Full);
        version >= wanted
            && (zero
                || (version.major == wanted.major
                    && (version.minor == wanted.minor || self.precision == Precision::Major)))
    }

    fn not_equal(&self, version: &Version) -> bool {
        let wanted = &self.version;
        match self.precision {
            Precision::Full => version != wanted,
            Precision::Major => version.major != wanted.major,
            Precision::Minor => {
                (version.major, version.minor) != (wanted.major, wanted.minor)
                    || super::compare_pre(version.pre(), wanted.pre()).is_ne()
            }
            Precision::Nothing => version != wanted,
        }
    }

    /// `>1` means from 2 on, `>1.2` from 1.3 on.
    fn greater(&self, version: &Version) -> bool {
        let wanted = &self.version;
        match self.precision {
            Precision::Full => version > wanted,
            Precision::Major => version.major > wanted.major,
            Precision::Minor => (version.major, version.minor) > (wanted.major, wanted.minor),
            Precision::Nothing => version.major > wanted.major || version > wanted,
        }
    }

    /// `<=1` includes all of 1, `<=1.2` all of 1.2.
    fn less_equal(&self, version: &Version) -> bool {
        let wanted = &self.version;
        match self.precision {
            Precision::Major => version.major <= wanted.major,
            Precision::Nothing | Precision::Minor | Precision::Full => {
                (version.major, version.minor) <= (wanted.major, wanted.minor)
            }
        }
    }

    /// `^1.2.3` is `>=1.2.3 <2`, `^0.2.3` is `>=0.2.3 <0.3`, `^0.0.3` is that patch only.
    fn caret(&self, version: &Version) -> bool {
        let wanted = &self.version;
        if version < wanted {
            return false;
        }
        if wanted.major > 0 || self.precision == Precision::Major {
            return version.major == wanted.major;
        }
        if version.major > 0 {
            return false;
        }
        if wanted.minor > 0 || self.precision == Precision::Minor {
            return version.minor == wanted.minor;
        }
        version.minor == 0 && version.patch == wanted.patch
    }
}

/// `1.2 - 1.4` becomes `>= 1.2, <= 1.4 `.
fn rewrite_ranges(text: &str) -> String {
    let mut rewritten = text.to_owned();
    let mut rest = Scan(text);
    while !rest.0.is_empty() {
        let mut ahead = Scan(rest.0);
        if let Some((low, high)) = range(&mut ahead) {
            let found = &rest.0[..rest.0.len() - ahead.0.len()];
            rewritten = rewritten.replacen(found, &format!(">= {low}, <= {high} "), 1);
            rest = ahead;
        } else {
            let mut chars = rest.0.chars();
            chars.next();
            rest = Scan(chars.as_str());
        }
    }
    rewritten
}

fn range<'t>(scan: &mut Scan<'t>) -> Option<(&'t str, &'t str)> {
    scan.white_space();
    let start = scan.0;
    scan.parts(is_number)?;
    let low = &start[..start.len() - scan.0.len()];
    if scan.white_space() == 0 || !scan.literal("-") || scan.white_space() == 0 {
        return None;
    }
    let start = scan.0;
    scan.parts(is_number)?;
    let high = &start[..start.len() - scan.0.len()];
    scan.white_space();
    Some((low, high))
}

//! Versions and constraints as `Masterminds/semver` v3 reads them, the dialect of Argo CD and Helm.
//!
//! Versions are lenient (`v1`, `1.2`); a bare constraint `1.2` means `1.2.x`; pre-releases match
//! only where the constraint names one. Cargo's dialect differs in all three.

mod constraint;

use std::cmp::Ordering;
use std::fmt;

pub use constraint::Constraint;

/// Why a text is no version or no constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// Not `[v]major[.minor[.patch]][-pre][+metadata]`.
    #[error("invalid semantic version")]
    Version,
    /// A numeric pre-release part begins with a zero, which semver forbids.
    #[error("version segment starts with 0")]
    LeadingZero,
    /// A number beyond 64 bits.
    #[error("error parsing version segment: value out of range")]
    Range,
    /// Not a constraint.
    #[error("improper constraint: {0}")]
    Constraint(String),
}

/// A version, ordered by precedence; build metadata does not count.
#[derive(Clone, Debug)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number, 0 when missing.
    pub minor: u64,
    /// Third number, 0 when missing.
    pub patch: u64,
    pre: String,
    metadata: String,
    original: String,
}

impl Version {
    /// Reads a version leniently: `v` prefix, missing parts and leading zeros are fine.
    ///
    /// # Errors
    /// [`VersionError::Version`], [`VersionError::LeadingZero`] or [`VersionError::Range`].
    pub fn parse(text: &str) -> Result<Version, VersionError> {
        let mut scan = Scan(text);
        let parts = scan
            .parts(|b| b.is_ascii_digit())
            .ok_or(VersionError::Version)?;
        if !scan.0.is_empty() {
            return Err(VersionError::Version);
        }
        let number = |part: Option<&str>| match part {
            None => Ok(0),
            Some(digits) => digits.parse::<u64>().map_err(|_| VersionError::Range),
        };
        let [major, minor, patch] = parts.numbers;
        let version = Version {
            major: number(major)?,
            minor: number(minor)?,
            patch: number(patch)?,
            pre: parts.pre.unwrap_or_default().to_owned(),
            metadata: parts.metadata.unwrap_or_default().to_owned(),
            original: text.to_owned(),
        };
        let leading_zero = |part: &str| {
            part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit())
        };
        if version.pre.split('.').any(leading_zero) {
            return Err(VersionError::LeadingZero);
        }
        Ok(version)
    }

    /// The pre-release part without its dash, empty for none.
    pub fn pre(&self) -> &str {
        &self.pre
    }

    /// The build metadata without its plus, empty for none.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// The text as it was given.
    pub fn original(&self) -> &str {
        &self.original
    }
}

/// `major.minor.patch[-pre][+metadata]`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| compare_pre(&self.pre, &other.pre))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// A release comes after its pre-releases; their parts compare as numbers where both are.
fn compare_pre(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// What a revision or chart version asks for.
#[derive(Clone, Debug)]
pub enum Requested {
    /// A version: a pin, to be looked up as it is spelled.
    Version(Version),
    /// A constraint: the greatest match wins.
    Constraint(Constraint),
    /// Neither; a branch, a tag of another form, a commit.
    Other,
}

/// Tells versions from constraints as Argo CD does: what reads as a version is never a constraint.
pub fn classify(text: &str) -> Requested {
    if let Ok(version) = Version::parse(text) {
        return Requested::Version(version);
    }
    match Constraint::parse(text) {
        Ok(constraint) => Requested::Constraint(constraint),
        Err(_) => Requested::Other,
    }
}

/// The greatest of `tags` that `constraint` matches, in its own spelling; of equal ones the first.
/// Tags that are no versions are passed over.
pub fn max_matching<'t>(
    constraint: &Constraint,
    tags: impl IntoIterator<Item = &'t str>,
) -> Option<&'t str> {
    let mut best: Option<(Version, &'t str)> = None;
    for tag in tags {
        let Ok(version) = Version::parse(tag) else {
            continue;
        };
        if constraint.matches(&version) && best.as_ref().is_none_or(|(known, _)| version > *known) {
            best = Some((version, tag));
        }
    }
    best.map(|(_, tag)| tag)
}

/// The pieces of `[v]a[.b[.c]][-pre][+metadata]`.
struct Parts<'t> {
    numbers: [Option<&'t str>; 3],
    pre: Option<&'t str>,
    metadata: Option<&'t str>,
}

/// What is left of a text.
struct Scan<'t>(&'t str);

impl<'t> Scan<'t> {
    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'t str {
        let length = self.0.bytes().take_while(|b| accept(*b)).count();
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn literal(&mut self, literal: &str) -> bool {
        match self.0.strip_prefix(literal) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn white_space(&mut self) -> usize {
        self.take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0C))
            .len()
    }

    /// A version whose numbers consist of the accepted characters. Takes as much as fits.
    fn parts(&mut self, accept: impl Fn(u8) -> bool) -> Option<Parts<'t>> {
        self.literal("v");
        let first = self.take_while(&accept);
        if first.is_empty() {
            return None;
        }
        let mut numbers = [Some(first), None, None];
        for number in &mut numbers[1..] {
            let before = self.0;
            if !self.literal(".") {
                break;
            }
            let digits = self.take_while(&accept);
            if digits.is_empty() {
                self.0 = before;
                break;
            }
            *number = Some(digits);
        }
        let pre = self.identifiers("-");
        let metadata = self.identifiers("+");
        Some(Parts {
            numbers,
            pre,
            metadata,
        })
    }

    /// `-alpha.1` or `+build.5`: dot-separated identifiers behind a sign.
    fn identifiers(&mut self, sign: &str) -> Option<&'t str> {
        let identifier = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let before = self.0;
        if !self.literal(sign) {
            return None;
        }
        let start = self.0;
        if self.take_while(identifier).is_empty() {
            self.0 = before;
            return None;
        }
        loop {
            let part = self.0;
            if !self.literal(".") || self.take_while(identifier).is_empty() {
                self.0 = part;
                break;
            }
        }
        Some(&start[..start.len() - self.0.len()])
    }
}

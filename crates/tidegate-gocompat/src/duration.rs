//! Durations as Go's `time.ParseDuration` reads and `Duration.String` writes them: no days, no
//! spaces, nanoseconds in 64 bits.

use std::fmt;
use std::str::FromStr;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// Not numbers with units, or too long for 64 bits of nanoseconds.
    #[error("time: invalid duration {}", quote(.0))]
    Invalid(String),
    /// A number without a unit; only `0` may stand alone.
    #[error("time: missing unit in duration {}", quote(.0))]
    MissingUnit(String),
    /// A unit Go does not know; `d` is one.
    #[error("time: unknown unit {} in duration {}", quote(unit), quote(text))]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Quotes as Go's `time` does: other bytes than printable ASCII in hexadecimal.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

/// A signed span of time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// Magnitude of the most negative duration.
const LIMIT: u64 = 1 << 63;

const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", MINUTE),
    ("h", HOUR),
];

impl Duration {
    /// Reads `1h30m`, `1.5s`, `-300ms`, `0`.
    ///
    /// ```
    /// use tidegate_gocompat::Duration;
    /// assert_eq!(Duration::parse("1.5h")?.to_string(), "1h30m0s");
    /// # Ok::<(), tidegate_gocompat::DurationError>(())
    /// ```
    ///
    /// # Errors
    /// In Go's words.
    pub fn parse(text: &str) -> Result<Duration, DurationError> {
        let invalid = || DurationError::Invalid(text.to_owned());
        let negative = text.starts_with('-');
        let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
        if rest == "0" {
            return Ok(Duration(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total = 0_u64;
        while !rest.is_empty() {
            let (value, after) = component(rest, text)?;
            total = total
                .checked_add(value)
                .filter(|t| *t <= LIMIT)
                .ok_or_else(invalid)?;
            rest = after;
        }
        let nanoseconds = if negative {
            0_i64.checked_sub_unsigned(total)
        } else {
            i64::try_from(total).ok()
        };
        nanoseconds.map(Duration).ok_or_else(invalid)
    }

    /// The same span for the standard library; `None` when negative.
    pub fn to_std(self) -> Option<std::time::Duration> {
        u64::try_from(self.0)
            .ok()
            .map(std::time::Duration::from_nanos)
    }

    /// Whole seconds, rounded towards zero.
    pub fn as_secs(self) -> i64 {
        self.0 / 1_000_000_000
    }
}

/// One number with its unit, in nanoseconds, and the rest.
fn component<'t>(rest: &'t str, text: &str) -> Result<(u64, &'t str), DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, after) = rest.split_at(digits(rest));
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => after.split_at(digits(after)),
        None => ("", after),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let units: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| invalid())?
    };
    let unit_length = after
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(after.len());
    let (unit, after) = after.split_at(unit_length);
    if unit.is_empty() {
        return Err(DurationError::MissingUnit(text.to_owned()));
    }
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(DurationError::UnknownUnit {
            unit: unit.to_owned(),
            text: text.to_owned(),
        });
    };
    let mut value = units
        .checked_mul(*scale)
        .filter(|v| *v <= LIMIT)
        .ok_or_else(invalid)?;
    if !fraction.is_empty() {
        value = value
            .checked_add(fraction_of(fraction, *scale))
            .ok_or_else(invalid)?;
    }
    if value > LIMIT {
        return Err(invalid());
    }
    Ok((value, after))
}

/// `0.fraction` of a unit. As in Go: digits that overflow are dropped, then floating point.
fn fraction_of(fraction: &str, scale: u64) -> u64 {
    let mut digits = 0_u64;
    let mut divisor = 1_f64;
    for digit in fraction.bytes().map(|b| u64::from(b - b'0')) {
        if digits > (LIMIT - 1) / 10 {
            break;
        }
        let next = digits * 10 + digit;
        if next > LIMIT {
            break;
        }
        digits = next;
        divisor *= 10.0;
    }
    (digits as f64 * (scale as f64 / divisor)) as u64
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Duration::parse(text)
    }
}

/// `1h0m0s`, `1.5s`, `300ms`, `0s`.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match magnitude {
            0 => return f.write_str("0s"),
            1..1_000 => return write!(f, "{magnitude}ns"),
            1_000..1_000_000 => return write!(f, "{}µs", Decimal(magnitude, 3)),
            1_000_000..SECOND => return write!(f, "{}ms", Decimal(magnitude, 6)),
            _ => {}
        }
        if magnitude >= HOUR {
            write!(f, "{}h", magnitude / HOUR)?;
        }
        if magnitude >= MINUTE {
            write!(f, "{}m", magnitude % HOUR / MINUTE)?;
        }
        write!(f, "{}s", Decimal(magnitude % MINUTE, 9))
    }
}

/// A number with so many decimal places, without trailing zeros.
struct Decimal(u64, u32);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decimal(value, places) = *self;
        let unit = 10_u64.pow(places);
        write!(f, "{}", value / unit)?;
        if value % unit > 0 {
            let width = places as usize;
            let fraction = format!("{:0width$}", value % unit);
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

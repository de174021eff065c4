//! Kubernetes quantities (`500m`, `1.5Gi`, `1e3`): exact decimals with a preferred suffix, as
//! `k8s.io/apimachinery/pkg/api/resource` reads, compares and prints them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// Not a number with a suffix. (A suffix alone is zero to Kubernetes.)
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    /// More digits than 38 significant ones.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// A suffix that does not exist.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// The family of suffixes a quantity was written with, which it is printed in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `1e3`
    DecimalExponent,
    /// `1Ki`
    BinarySi,
    /// `1k`
    DecimalSi,
}

/// A quantity. Equality and order are those of the number; format and spelling do not count.
#[derive(Clone, Debug)]
pub struct Quantity {
    /// The value is `mantissa * 10^exponent`; no trailing zeros in the mantissa.
    mantissa: i128,
    exponent: i32,
    format: Format,
    /// The spelling, when Kubernetes keeps it as it is.
    kept: Option<Box<str>>,
}

/// Smallest step: values in between are rounded up, away from zero.
const NANO: i32 = -9;
/// Digits that Kubernetes' fast path holds in 64 bits.
const FAST_DIGITS: usize = 18;
/// Digits that always fit the mantissa.
const MAX_DIGITS: usize = 38;
/// Longest exponent accepted behind `e`.
const MAX_EXPONENT: i32 = 10_000;
/// Largest binary quantity.
const MAX_BINARY: i128 = i64::MAX as i128;

const DECIMAL: &[(&str, i32)] = &[
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];
const BINARY: &[&str] = &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    /// Reads a quantity.
    ///
    /// ```
    /// use tidegate_gocompat::Quantity;
    /// assert_eq!(Quantity::parse("0.5")?, Quantity::parse("500m")?);
    /// assert_eq!(Quantity::parse("1024Mi")?.to_string(), "1Gi");
    /// # Ok::<(), tidegate_gocompat::QuantityError>(())
    /// ```
    ///
    /// # Errors
    /// In Kubernetes' words; [`QuantityError::Numeric`] also beyond 38 significant digits.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        let written = Written::split(text)?;
        let (format, power) = suffix(written.suffix)?;
        let digits = format!("{}{}", written.whole, written.fraction);
        let significant = digits.trim_start_matches('0').trim_end_matches('0').len();
        if significant > MAX_DIGITS {
            return Err(QuantityError::Numeric);
        }
        let trailing = digits.len() - digits.trim_end_matches('0').len();
        let trailing = if significant == 0 { 0 } else { trailing };
        let magnitude: i128 = match digits[..digits.len() - trailing].trim_start_matches('0') {
            "" => 0,
            digits => digits.parse().map_err(|_| QuantityError::Numeric)?,
        };
        let scale = |n: usize| i32::try_from(n).map_err(|_| QuantityError::Numeric);
        let mut exponent = scale(trailing)? - scale(written.fraction.len())?;
        let mut mantissa = magnitude;
        let mut format = format;
        match format {
            Format::DecimalSi | Format::DecimalExponent => exponent += power,
            Format::BinarySi => {
                (mantissa, exponent) = binary_value(magnitude, exponent, power);
            }
        }
        (mantissa, exponent) = round_up(mantissa, exponent);
        if format == Format::BinarySi
            && mantissa > 0
            && exponent < 0
            && is_below_one(mantissa, exponent)
        {
            format = Format::DecimalSi;
        }
        if written.negative {
            mantissa = -mantissa;
        }
        let kept = written.is_kept(format, power).then(|| Box::from(text));
        let (mantissa, exponent) = normalise(mantissa, exponent);
        Ok(Quantity {
            mantissa,
            exponent,
            format,
            kept,
        })
    }

    /// The suffix family.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether the number is zero.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// The nearest float.
    pub fn as_f64(&self) -> f64 {
        format!("{}e{}", self.mantissa, self.exponent)
            .parse()
            .unwrap_or(f64::NAN)
    }

    /// The number rounded up (away from zero) to an integer, when it fits.
    pub fn as_i64_rounded_up(&self) -> Option<i64> {
        let divisor = 10_i128.checked_pow(self.exponent.unsigned_abs());
        let rounded = if self.exponent >= 0 {
            self.mantissa.checked_mul(divisor?)?
        } else {
            divisor.map_or(self.mantissa.signum(), |d| {
                self.mantissa / d
                    + if self.mantissa % d == 0 {
                        0
                    } else {
                        self.mantissa.signum()
                    }
            })
        };
        i64::try_from(rounded).ok()
    }

    /// The canonical form: the greatest suffix that needs no fraction. Printing a parsed quantity
    /// may keep its spelling instead, as Kubernetes does.
    pub fn canonical(&self) -> String {
        if self.mantissa == 0 {
            return "0".to_owned();
        }
        if self.format == Format::BinarySi
            && self.exponent >= 0
            && let Some(mut value) = 10_i128
                .checked_pow(self.exponent.unsigned_abs())
                .and_then(|factor| self.mantissa.checked_mul(factor))
            && value.abs() >= 1024
        {
            let mut suffix = 0;
            while value % 1024 == 0 && suffix + 1 < BINARY.len() {
                value /= 1024;
                suffix += 1;
            }
            return format!("{value}{}", BINARY[suffix]);
        }
        self.decimal()
    }

    fn decimal(&self) -> String {
        let greatest = if self.format == Format::DecimalExponent {
            i32::MAX
        } else {
            18
        };
        let power = (self.exponent - self.exponent.rem_euclid(3)).min(greatest);
        let zeros = usize::try_from(self.exponent - power).unwrap_or(0);
        let number = format!("{}{}", self.mantissa, "0".repeat(zeros));
        if self.format == Format::DecimalExponent {
            return if power == 0 {
                number
            } else {
                format!("{number}e{power}")
            };
        }
        let suffix = DECIMAL
            .iter()
            .find(|(_, p)| *p == power)
            .map_or("", |(name, _)| *name);
        format!("{number}{suffix}")
    }
}

/// A text in its parts.
struct Written<'t> {
    negative: bool,
    /// Without leading zeros.
    whole: &'t str,
    fraction: &'t str,
    suffix: &'t str,
}

impl<'t> Written<'t> {
    fn split(text: &'t str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let negative = text.starts_with('-');
        let rest = text
            .strip_prefix(['-', '+'])
            .unwrap_or(text)
            .trim_start_matches('0');
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = rest.split_at(digits(rest));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        let letters = suffix
            .bytes()
            .take_while(|b| b"eEinumkKMGTP".contains(b))
            .count();
        let exponent = &suffix[letters..];
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if !exponent.bytes().all(|b| b.is_ascii_digit()) {
            return Err(QuantityError::Format);
        }
        Ok(Written {
            negative,
            whole,
            fraction,
            suffix,
        })
    }

    /// Whether Kubernetes takes the spelling for canonical and keeps it (its fast path).
    fn is_kept(&self, format: Format, power: i32) -> bool {
        let whole = if self.whole.is_empty() {
            "0"
        } else {
            self.whole
        };
        let shifted = format!("{whole}{}", self.fraction);
        let places = i32::try_from(self.fraction.len()).unwrap_or(i32::MAX);
        if shifted.len() > FAST_DIGITS {
            return false;
        }
        match format {
            Format::BinarySi => {
                let precision =
                    15.0 - whole.len() as f32 - (power as f32 * 3.0 / 10.0).floor() - 1.0;
                let value: u64 = shifted.parse().unwrap_or(0);
                self.fraction.is_empty() && precision >= 0.0 && value & 7 != 0
            }
            Format::DecimalSi | Format::DecimalExponent => {
                let scale = power - places;
                scale >= NANO
                    && scale % 3 == 0
                    && !shifted.ends_with("000")
                    && !shifted.starts_with('0')
            }
        }
    }
}

/// The family of a suffix and its power, of 10 or of 2.
fn suffix(text: &str) -> Result<(Format, i32), QuantityError> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == text) {
        return Ok((Format::DecimalSi, *power));
    }
    if let Some(index) = BINARY.iter().position(|name| *name == text) {
        let power = i32::try_from(index * 10).map_err(|_| QuantityError::Suffix)?;
        return Ok((Format::BinarySi, power));
    }
    let exponent = text.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let power: i32 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
    if power.abs() > MAX_EXPONENT {
        return Err(QuantityError::Suffix);
    }
    Ok((Format::DecimalExponent, power))
}

/// A magnitude times a power of two, capped at 2^63 - 1.
fn binary_value(magnitude: i128, exponent: i32, power: i32) -> (i128, i32) {
    let factor = 1_i128 << power;
    let Some(product) = magnitude.checked_mul(factor) else {
        return (MAX_BINARY, 0);
    };
    let capped = match 10_i128.checked_pow(exponent.unsigned_abs()) {
        Some(ten) if exponent >= 0 => product.checked_mul(ten).is_none_or(|v| v > MAX_BINARY),
        Some(ten) => {
            product / ten > MAX_BINARY || (product / ten == MAX_BINARY && product % ten > 0)
        }
        None => exponent > 0 && magnitude > 0,
    };
    if capped {
        (MAX_BINARY, 0)
    } else {
        (product, exponent)
    }
}

/// Rounds a magnitude up to whole nanos.
fn round_up(magnitude: i128, exponent: i32) -> (i128, i32) {
    if exponent >= NANO {
        return (magnitude, exponent);
    }
    let divisor = 10_i128.checked_pow((NANO - exponent).unsigned_abs());
    let rounded = divisor.map_or(i128::from(magnitude > 0), |divisor| {
        magnitude / divisor + i128::from(magnitude % divisor > 0)
    });
    (rounded, NANO)
}

fn is_below_one(magnitude: i128, exponent: i32) -> bool {
    10_i128
        .checked_pow(exponent.unsigned_abs())
        .is_none_or(|one| magnitude < one)
}

/// Moves trailing zeros from the mantissa into the exponent.
fn normalise(mut mantissa: i128, mut exponent: i32) -> (i128, i32) {
    if mantissa == 0 {
        return (0, 0);
    }
    while mantissa % 10 == 0 {
        mantissa /= 10;
        exponent += 1;
    }
    (mantissa, exponent)
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = self.mantissa.signum();
        let by_sign = sign.cmp(&other.mantissa.signum());
        if by_sign.is_ne() || sign == 0 {
            return by_sign;
        }
        // Same sign: the place of the first digit, then the digits.
        let (a, b) = (
            self.mantissa.unsigned_abs().to_string(),
            other.mantissa.unsigned_abs().to_string(),
        );
        let place = |digits: &str, exponent: i32| {
            i64::try_from(digits.len()).unwrap_or(0) + i64::from(exponent)
        };
        let by_size = place(&a, self.exponent)
            .cmp(&place(&b, other.exponent))
            .then_with(|| a.cmp(&b));
        if sign < 0 { by_size.reverse() } else { by_size }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Quantity::parse(text)
    }
}

/// As Kubernetes prints it: its spelling where that counts as canonical, else the canonical form.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kept {
            Some(kept) => f.write_str(kept),
            None => f.write_str(&self.canonical()),
        }
    }
}

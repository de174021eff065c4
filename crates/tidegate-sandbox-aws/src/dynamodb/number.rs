//! DynamoDB's numbers: decimals of up to 38 significant digits between 1E-130 and 9.99E+125, compared and added exactly.
//!
//! Must not know: attribute values, JSON.

use std::cmp::Ordering;
use std::fmt;

/// Significant digits that a number may have.
const DIGITS: usize = 38;
/// The exponent of the largest magnitude.
const LARGEST: i64 = 125;
/// The exponent of the smallest magnitude.
const SMALLEST: i64 = -130;
/// Characters of a number's text that are looked at.
const TEXT: usize = 512;

/// An exact decimal, normalised: no leading or trailing zero among its digits, zero has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Number {
    negative: bool,
    /// Most significant first, each 0-9.
    digits: Vec<u8>,
    /// The power of ten of the last digit.
    exponent: i64,
}

impl Number {
    /// Reads a decimal such as `-12.50` or `1e3`.
    ///
    /// # Errors
    /// DynamoDB's own words for text that is no number or exceeds the range or precision.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("The parameter cannot be converted to a numeric value: {text}");
        if text.is_empty() || text.len() > TEXT {
            return Err(bad());
        }
        let (negative, rest) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (
                &rest[..at],
                rest[at + 1..].parse::<i32>().map_err(|_| bad())?,
            ),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = whole.bytes().chain(fraction.bytes());
        if whole.len() + fraction.len() == 0 || !all.clone().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let digits = all.map(|byte| byte - b'0').collect();
        let fraction = i64::try_from(fraction.len()).unwrap_or(0);
        Self::normal(negative, digits, i64::from(exponent) - fraction)
    }

    fn normal(negative: bool, mut digits: Vec<u8>, mut exponent: i64) -> Result<Self, String> {
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..leading);
        while digits.last() == Some(&0) {
            digits.pop();
            exponent += 1;
        }
        if digits.is_empty() {
            return Ok(Self {
                negative: false,
                digits,
                exponent: 0,
            });
        }
        if digits.len() > DIGITS {
            return Err("Attempting to store more than 38 significant digits in a Number".into());
        }
        let number = Self {
            negative,
            digits,
            exponent,
        };
        match number.magnitude() {
            magnitude if magnitude > LARGEST => Err(
                "Number overflow. Attempting to store a number with magnitude larger than supported range"
                    .into(),
            ),
            magnitude if magnitude < SMALLEST => Err(
                "Number underflow. Attempting to store a number with magnitude smaller than supported range"
                    .into(),
            ),
            _ => Ok(number),
        }
    }

    /// The power of ten of the first digit.
    fn magnitude(&self) -> i64 {
        self.exponent + i64::try_from(self.digits.len()).unwrap_or(0) - 1
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The number with its sign turned.
    pub(crate) fn negated(&self) -> Self {
        Self {
            negative: !self.negative && !self.is_zero(),
            ..self.clone()
        }
    }

    /// The exact sum.
    ///
    /// # Errors
    /// When the sum needs more digits or a larger magnitude than DynamoDB has.
    pub(crate) fn plus(&self, other: &Self) -> Result<Self, String> {
        if self.is_zero() {
            return Ok(other.clone());
        }
        if other.is_zero() {
            return Ok(self.clone());
        }
        let exponent = self.exponent.min(other.exponent);
        let left = self.aligned(exponent);
        let right = other.aligned(exponent);
        if self.negative == other.negative {
            return Self::normal(self.negative, add(&left, &right), exponent);
        }
        match self.by_magnitude(other) {
            Ordering::Equal => Self::normal(false, Vec::new(), 0),
            Ordering::Greater => Self::normal(self.negative, subtract(&left, &right), exponent),
            Ordering::Less => Self::normal(other.negative, subtract(&right, &left), exponent),
        }
    }

    /// The digits down to the power `exponent`, at most some 300 of them by the range of numbers.
    fn aligned(&self, exponent: i64) -> Vec<u8> {
        let zeros = usize::try_from(self.exponent - exponent).unwrap_or(0);
        let mut digits = self.digits.clone();
        digits.resize(digits.len() + zeros, 0);
        digits
    }

    fn by_magnitude(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        self.magnitude()
            .cmp(&other.magnitude())
            .then_with(|| self.digits.cmp(&other.digits))
    }

    /// Bytes it counts for in an item's size.
    pub(crate) fn size(&self) -> usize {
        self.digits.len().div_ceil(2) + 1 + usize::from(self.negative)
    }
}

fn add(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut sum = Vec::with_capacity(left.len().max(right.len()) + 1);
    let mut carry = 0;
    let (mut left, mut right) = (left.iter().rev(), right.iter().rev());
    loop {
        let (a, b) = (left.next(), right.next());
        if a.is_none() && b.is_none() && carry == 0 {
            break;
        }
        let digit = a.copied().unwrap_or(0) + b.copied().unwrap_or(0) + carry;
        sum.push(digit % 10);
        carry = digit / 10;
    }
    sum.reverse();
    sum
}

/// `left - right`, where `left` is the larger.
fn subtract(left: &[u8], right: &[u8]) -> Vec<u8> {
    let mut difference = Vec::with_capacity(left.len());
    let mut borrow = 0;
    let mut right = right.iter().rev();
    for a in left.iter().rev() {
        let b = right.next().copied().unwrap_or(0) + borrow;
        borrow = u8::from(*a < b);
        difference.push(*a + 10 * borrow - b);
    }
    difference.reverse();
    difference
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.by_magnitude(other),
            (true, true) => other.by_magnitude(self),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let digits: String = self
            .digits
            .iter()
            .map(|digit| char::from(b'0' + digit))
            .collect();
        if self.exponent >= 0 {
            let zeros = usize::try_from(self.exponent).unwrap_or(0);
            return write!(f, "{digits}{}", "0".repeat(zeros));
        }
        let places = usize::try_from(-self.exponent).unwrap_or(0);
        match digits.len().checked_sub(places) {
            Some(whole) if whole > 0 => write!(f, "{}.{}", &digits[..whole], &digits[whole..]),
            _ => write!(f, "0.{}{digits}", "0".repeat(places - digits.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Number::parse(text).unwrap().to_string(), expected);
    }

    #[test]
    fn numbers_are_printed_plainly() {
        check("0012.500", "12.5");
        check("-0", "0");
        check("1e3", "1000");
        check("-1.5E-3", "-0.0015");
        check(".5", "0.5");
        check("10", "10");
        assert!(Number::parse("1.2.3").is_err());
        assert!(Number::parse("").is_err());
        assert!(Number::parse("NaN").is_err());
        assert!(Number::parse("1e126").unwrap_err().contains("overflow"));
        assert!(Number::parse("1e-131").unwrap_err().contains("underflow"));
        assert!(Number::parse(&"1".repeat(39)).unwrap_err().contains("38"));
    }

    #[test]
    fn sums_and_order_are_exact() {
        for a in ["-100", "-1.5", "-0.001", "0", "0.1", "2", "99.99", "1e20"] {
            for b in ["-100", "-1.5", "-0.001", "0", "0.1", "2", "99.99", "1e20"] {
                let (x, y) = (Number::parse(a).unwrap(), Number::parse(b).unwrap());
                let (fx, fy): (f64, f64) = (a.parse().unwrap(), b.parse().unwrap());
                assert_eq!(x.cmp(&y), fx.partial_cmp(&fy).unwrap(), "{a} {b}");
                let sum = x.plus(&y).unwrap();
                assert_eq!(sum.plus(&y.negated()).unwrap(), x, "{a} + {b}");
            }
        }
        let tenth = Number::parse("0.1").unwrap();
        assert_eq!(
            tenth
                .plus(&Number::parse("0.2").unwrap())
                .unwrap()
                .to_string(),
            "0.3"
        );
    }
}

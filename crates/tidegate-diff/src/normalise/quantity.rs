//! Equality of Kubernetes quantities: `1000m` is `1`, `1024Mi` is `1Gi`, `0.5` is `500m`. No formatting here.

use std::cmp::Ordering;

use serde_json::Value;

use crate::value::number;

/// Digits beyond this are not compared: a quantity has at most 19 before and 9 after the point.
const MAX_DIGITS: usize = 40;

/// Whether two values are the same quantity. Values that are no quantities are never the same.
pub fn same_quantity(a: &Value, b: &Value) -> bool {
    match (Quantity::read(a), Quantity::read(b)) {
        (Some(a), Some(b)) => a.compare(&b) == Ordering::Equal,
        _ => false,
    }
}

/// digits × 10^ten × 2^two
#[derive(Debug, Clone, Copy)]
struct Quantity {
    negative: bool,
    digits: u128,
    ten: i32,
    two: u32,
}

impl Quantity {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text.trim()),
            Value::Number(n) => Self::parse(&number(n)),
            _ => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (mantissa, suffix) = rest.split_at(end);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.len() + fraction.len() == 0 || whole.len() + fraction.len() > MAX_DIGITS || fraction.contains('.') {
            return None;
        }
        let digits = format!("{whole}{fraction}").trim_start_matches('0').to_owned();
        let digits = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let (ten, two) = suffix_scale(suffix)?;
        let ten = ten - i32::try_from(fraction.len()).ok()?;
        Some(Self { negative, digits, ten, two }.reduced())
    }

    /// Without trailing zeros, with the factors of two in place of ten where they are whole.
    fn reduced(mut self) -> Self {
        while self.digits != 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.ten += 1;
        }
        if self.digits == 0 {
            return Self { negative: false, digits: 0, ten: 0, two: 0 };
        }
        self
    }

    fn compare(&self, other: &Self) -> Ordering {
        if self.negative != other.negative {
            return other.negative.cmp(&self.negative);
        }
        // Bring both to one scale; what overflows is not equal to what does not.
        let ten = self.ten.min(other.ten);
        let (a, b) = (self.scaled(ten), other.scaled(ten));
        match (a, b) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => (self.digits, self.ten, self.two).cmp(&(other.digits, other.ten, other.two)),
        }
    }

    fn scaled(&self, ten: i32) -> Option<u128> {
        let factor = 10u128.checked_pow(u32::try_from(self.ten - ten).ok()?)?;
        self.digits.checked_mul(factor)?.checked_mul(1u128.checked_shl(self.two)?)
    }
}

fn suffix_scale(suffix: &str) -> Option<(i32, u32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let exponent: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
            if exponent.abs() > 30 {
                return None;
            }
            (exponent, 0)
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::same_quantity;

    #[test]
    fn equality() {
        for (a, b, same) in [
            (json!("1000m"), json!("1"), true),
            (json!(1), json!("1"), true),
            (json!("0.5"), json!("500m"), true),
            (json!("1Gi"), json!("1024Mi"), true),
            (json!("0.5Gi"), json!("512Mi"), true),
            (json!("1e3"), json!("1k"), true),
            (json!("1E3"), json!("1000"), true),
            (json!("+1"), json!("1.0"), true),
            (json!("-0"), json!("0"), true),
            (json!(0.1), json!("100m"), true),
            (json!("1Ki"), json!("1k"), false),
            (json!("-1"), json!("1"), false),
            (json!("1"), json!("one"), false),
            (json!("1x"), json!("1x"), false),
            (json!("12E"), json!("12000P"), true),
        ] {
            assert_eq!(same_quantity(&a, &b), same, "{a} {b}");
        }
    }
}

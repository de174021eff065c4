//! Numbers as Go reads and prints them: `strconv.ParseInt` with base 0, the float grammar of
//! go-yaml, and the shortest form `%g`.

use serde_json::Number;

/// An integer of Go's `strconv.ParseInt(text, 0, 64)` or `ParseUint`: decimal, `0x`, `0b`, `0o`,
/// and a leading zero for octal.
pub(crate) fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // A second sign is no digit; Rust would accept it.
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    match (negative, text.starts_with('+')) {
        (true, _) => 0_i64.checked_sub_unsigned(magnitude).map(Number::from),
        // ParseUint takes no sign.
        (false, true) => i64::try_from(magnitude).ok().map(Number::from),
        (false, false) => Some(Number::from(magnitude)),
    }
}

/// A finite float written as `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
pub(crate) fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        None => all_digits(mantissa),
        Some(("", fraction)) => all_digits(fraction),
        Some((whole, fraction)) => {
            all_digits(whole) && (fraction.is_empty() || all_digits(fraction))
        }
    };
    let exponent_fits =
        exponent.is_none_or(|e| all_digits(e.strip_prefix(['-', '+']).unwrap_or(e)));
    if !mantissa_fits || !exponent_fits {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// A float as the number it becomes on its way through JSON: a whole one that fits 64 bits is an
/// integer, because its JSON text has neither point nor exponent.
pub(crate) fn from_float(value: f64) -> Option<Number> {
    /// From here on JSON text has an exponent.
    const EXPONENT_FROM: f64 = 1e21;
    if value.fract() == 0.0 && value.abs() < EXPONENT_FROM {
        let digits = shortest(value).plain();
        if let Ok(integer) = digits.parse::<i64>() {
            return Some(Number::from(integer));
        }
        if let Ok(integer) = digits.parse::<u64>() {
            return Some(Number::from(integer));
        }
    }
    Number::from_f64(value)
}

/// The shortest decimal digits that read back as the same float.
#[derive(Debug)]
pub(crate) struct Shortest {
    negative: bool,
    digits: String,
    /// The value is `0.digits` times ten to this power, so the first digit has weight
    /// `10^(point - 1)`.
    point: i32,
}

/// The shortest digits of a finite `f64`.
pub(crate) fn shortest(value: f64) -> Shortest {
    Shortest::parse(&format!("{value:e}"))
}

/// The shortest digits of a finite `f32`.
pub(crate) fn shortest_single(value: f32) -> Shortest {
    Shortest::parse(&format!("{value:e}"))
}

impl Shortest {
    fn parse(scientific: &str) -> Self {
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
        let negative = mantissa.starts_with('-');
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let exponent: i32 = exponent.parse().unwrap_or(0);
        Shortest {
            negative,
            digits,
            point: exponent + 1,
        }
    }

    fn sign(&self) -> &'static str {
        if self.negative { "-" } else { "" }
    }

    /// Decimal notation.
    pub(crate) fn plain(&self) -> String {
        let length = i32::try_from(self.digits.len()).unwrap_or(i32::MAX);
        let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or(0));
        let body = if self.point <= 0 {
            format!("0.{}{}", zeros(-self.point), self.digits)
        } else if self.point >= length {
            format!("{}{}", self.digits, zeros(self.point - length))
        } else {
            let (whole, fraction) = self
                .digits
                .split_at(usize::try_from(self.point).unwrap_or(0));
            format!("{whole}.{fraction}")
        };
        format!("{}{body}", self.sign())
    }

    /// Scientific notation; the exponent has at least `width` digits.
    pub(crate) fn scientific(&self, width: usize) -> String {
        let exponent = self.point - 1;
        let (first, rest) = self.digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        format!(
            "{}{first}{point}{rest}e{sign}{:0width$}",
            self.sign(),
            exponent.unsigned_abs()
        )
    }

    /// Go's shortest `%g` (`strconv.FormatFloat(value, 'g', -1, bits)`): scientific when the
    /// exponent is under -4 or at least 6.
    pub(crate) fn general(&self) -> String {
        let exponent = self.point - 1;
        if (-4..6).contains(&exponent) {
            self.plain()
        } else {
            self.scientific(2)
        }
    }

    /// ECMAScript's and Go's JSON form: scientific when the value is under 1e-6 or at least 1e21.
    pub(crate) fn json(&self) -> String {
        if (-5..=21).contains(&self.point) {
            self.plain()
        } else {
            self.scientific(1)
        }
    }
}

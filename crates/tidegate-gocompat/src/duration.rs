//! Durations as Go's `time` package reads and writes them.

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("time: invalid duration {0:?}")]
pub struct DurationError(pub String);

const NANOSECOND: i128 = 1;
const MICROSECOND: i128 = 1_000;
const MILLISECOND: i128 = 1_000_000;
const SECOND: i128 = 1_000_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;

/// Most digits of a fraction that still count.
const FRACTION_DIGITS_MAX: usize = 18;

/// Nanoseconds of a Go duration: `300ms`, `-1.5h`, `1h30m`, a bare `0`.
///
/// # Errors
/// Anything that `time.ParseDuration` refuses, overflow included.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    let error = || DurationError(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(error());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let whole_end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (whole, after) = rest.split_at(whole_end);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => {
                let end = after
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(after.len());
                after.split_at(end)
            }
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(error());
        }
        let unit_end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit = unit_of(unit).ok_or_else(error)?;
        let whole: i128 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| error())?
        };
        let mut value = whole.checked_mul(unit).ok_or_else(error)?;
        let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS_MAX)];
        if !fraction.is_empty() {
            let digits: i128 = fraction.parse().map_err(|_| error())?;
            let scale = 10_i128.pow(u32::try_from(fraction.len()).expect("at most 18 digits"));
            value += digits * unit / scale;
        }
        total = total.checked_add(value).ok_or_else(error)?;
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| error())
}

fn unit_of(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => NANOSECOND,
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

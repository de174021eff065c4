//! The order of keys: go-yaml's natural order, digits compared as numbers.

use std::cmp::Ordering;

/// The keys in go-yaml's order.
pub(super) fn natural<'k>(keys: impl Iterator<Item = &'k str>) -> Vec<&'k str> {
    let mut keys: Vec<&str> = keys.collect();
    // The comparison is no total order for every set of keys (numbers overflow, letters meet
    // digits), which the standard sort may answer with a panic.
    merge_sort(&mut keys);
    keys
}

fn merge_sort(keys: &mut [&str]) {
    const INSERTION: usize = 12;
    if keys.len() <= INSERTION {
        for i in 1..keys.len() {
            let mut j = i;
            while j > 0 && less(keys[j], keys[j - 1]) {
                keys.swap(j, j - 1);
                j -= 1;
            }
        }
        return;
    }
    let middle = keys.len() / 2;
    merge_sort(&mut keys[..middle]);
    merge_sort(&mut keys[middle..]);
    let merged: Vec<&str> = {
        let (mut left, mut right) = (
            keys[..middle].iter().peekable(),
            keys[middle..].iter().peekable(),
        );
        let mut merged = Vec::with_capacity(keys.len());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            merged.push(
                if less(b, a) {
                    right.next()
                } else {
                    left.next()
                }
                .copied()
                .unwrap_or(""),
            );
        }
        merged.extend(left.copied());
        merged.extend(right.copied());
        merged
    };
    keys.copy_from_slice(&merged);
}

fn less(a: &str, b: &str) -> bool {
    compare(a, b) == Ordering::Less
}

/// Letters after everything else, digit runs by value, the rest by code point.
fn compare(a: &str, b: &str) -> Ordering {
    if let Some(order) = compare_ascii_letters(a, b) {
        return order;
    }
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let Some(at) = a.iter().zip(&b).position(|(x, y)| x != y) else {
        return a.len().cmp(&b.len());
    };
    let (x, y) = (a[at], b[at]);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero inside a longer run of digits counts: `100` and `10`.
    let inside_number = (x == '0' || y == '0')
        && a[..at]
            .iter()
            .rev()
            .take_while(|c| is_digit(**c))
            .any(|c| *c != '0');
    let start = i64::from(inside_number);
    let (x_value, x_end) = digits(&a, at, start);
    let (y_value, y_end) = digits(&b, at, start);
    x_value
        .cmp(&y_value)
        .then(x_end.cmp(&y_end))
        .then(x.cmp(&y))
}

/// The common case without allocation: the first difference is between two ASCII letters.
fn compare_ascii_letters(a: &str, b: &str) -> Option<Ordering> {
    let at = a.bytes().zip(b.bytes()).position(|(x, y)| x != y)?;
    let (x, y) = (a.as_bytes()[at], b.as_bytes()[at]);
    (x.is_ascii_alphabetic() && y.is_ascii_alphabetic()).then(|| x.cmp(&y))
}

fn digits(text: &[char], from: usize, start: i64) -> (i64, usize) {
    let mut value = start;
    let mut at = from;
    while let Some(c) = text.get(at).filter(|c| is_digit(**c)) {
        let digit = i64::from(u32::from(*c)) - i64::from(u32::from('0'));
        value = value.wrapping_mul(10).wrapping_add(digit);
        at += 1;
    }
    (value, at)
}

/// Decimal digits of any script, as Go's `unicode.IsDigit`.
fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && c.is_numeric() && is_decimal(c))
}

/// The blocks of ten decimal digits outside ASCII begin at these code points (Unicode, category
/// Nd, basic plane).
fn is_decimal(c: char) -> bool {
    const BLOCKS: &[u32] = &[
        0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6,
        0xE50, 0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
        0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
        0xFF10,
    ];
    BLOCKS
        .iter()
        .any(|block| (*block..block + 10).contains(&u32::from(c)))
}

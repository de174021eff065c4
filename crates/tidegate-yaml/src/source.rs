//! Bytes to text: byte order marks, UTF-16, and the characters YAML forbids. Knows no grammar.

use std::borrow::Cow;

/// A character that must not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Byte offset in the decoded text.
    pub(crate) position: usize,
    /// What is wrong with it.
    pub(crate) message: &'static str,
}

/// The text of a stream and what is wrong with its characters, in order.
#[derive(Debug)]
pub(crate) struct Decoded<'b> {
    /// Valid UTF-8; the byte order mark is cut off.
    pub(crate) text: Cow<'b, str>,
    /// At most [`MAX_FAULTS`].
    pub(crate) faults: Vec<Fault>,
}

/// Faults remembered per stream; documents after that many are reported by the last one.
const MAX_FAULTS: usize = 1_000;

/// Decodes a stream. Without a byte order mark, UTF-16 is recognised by the zero half of its first
/// character (YAML 1.1, section 5.2).
pub(crate) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let (text, mut faults) = match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest),
        [first, 0, ..] if *first != 0 => utf16(bytes, u16::from_le_bytes),
        [0, second, ..] if *second != 0 => utf16(bytes, u16::from_be_bytes),
        _ => utf8(bytes),
    };
    forbidden_characters(&text, &mut faults);
    faults.sort_by_key(|fault| fault.position);
    Decoded { text, faults }
}

fn utf8(bytes: &[u8]) -> (Cow<'_, str>, Vec<Fault>) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (Cow::Borrowed(text), Vec::new());
    }
    let mut text = String::with_capacity(bytes.len());
    let mut faults = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            note(&mut faults, text.len(), "invalid UTF-8");
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    (Cow::Owned(text), faults)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> (Cow<'static, str>, Vec<Fault>) {
    let mut text = String::with_capacity(bytes.len());
    let mut faults = Vec::new();
    let (pairs, rest) = bytes.as_chunks::<2>();
    for decoded in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        text.push(decoded.unwrap_or_else(|_| {
            note(
                &mut faults,
                text.len(),
                "invalid UTF-16: half a surrogate pair",
            );
            char::REPLACEMENT_CHARACTER
        }));
    }
    if !rest.is_empty() {
        note(
            &mut faults,
            text.len(),
            "invalid UTF-16: half a character at the end",
        );
        text.push(char::REPLACEMENT_CHARACTER);
    }
    (Cow::Owned(text), faults)
}

/// The characters go-yaml's reader refuses.
fn forbidden_characters(text: &str, faults: &mut Vec<Fault>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(offset) = bytes[from..]
        .iter()
        .position(|b| !(0x20..=0x7E).contains(b))
    {
        let at = from + offset;
        let Some(c) = text[at..].chars().next() else {
            return;
        };
        let fine = matches!(c,
            '\t' | '\n' | '\r' | '\u{85}' | '\u{A0}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}');
        if !fine {
            note(faults, at, "control characters are not allowed");
        }
        from = at + c.len_utf8();
    }
}

fn note(faults: &mut Vec<Fault>, position: usize, message: &'static str) {
    if faults.len() < MAX_FAULTS {
        faults.push(Fault { position, message });
    }
}

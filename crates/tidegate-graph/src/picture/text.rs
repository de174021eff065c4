//! Escaping and shortening of text for pictures. Text in pictures is foreign: nothing of it is trusted.

/// Escapes for XML text and attributes; characters that XML does not permit become a replacement character.
pub(crate) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Escapes for a quoted string of DOT.
pub(crate) fn dot(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Escapes for a quoted label of Mermaid, which knows entities but no backslashes.
pub(crate) fn mermaid(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '&' | '<' | '>' | '#' | ';' | '`' | '|' | '\\' | '{' | '}' | '%' => {
                out.push_str(&format!("#{};", u32::from(c)));
            }
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// About how wide a text is, in units of the font size, in a proportional sans-serif face.
fn width_of(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | 'I' => 0.30,
        'f' | 't' | 'r' | '-' | '(' | ')' | '[' | ']' | '/' | ' ' => 0.40,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.90,
        c if c.is_ascii_uppercase() => 0.70,
        c if c.is_ascii() => 0.58,
        // East Asian and other wide scripts, emoji.
        c if u32::from(c) >= 0x1100 => 1.05,
        _ => 0.65,
    }
}

/// About how wide a text is in pixels.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(width_of).sum::<f64>() * size
}

/// Takes the middle out of a text that is too wide: names differ at both ends.
pub(crate) fn shorten(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let room = room - width("…", size);
    let (mut head, mut tail) = (0, 0);
    let mut used = 0.0;
    while head + tail < chars.len() {
        let from_head = head <= tail;
        let c = if from_head {
            chars[head]
        } else {
            chars[chars.len() - 1 - tail]
        };
        used += width_of(c) * size;
        if used > room {
            break;
        }
        if from_head {
            head += 1;
        } else {
            tail += 1;
        }
    }
    let mut short: String = chars[..head].iter().collect();
    short.push('…');
    short.extend(&chars[chars.len() - tail..]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(
            xml("a<b>&\"'\u{1}\n"),
            "a&lt;b&gt;&amp;&quot;&#39;\u{fffd} "
        );
        assert_eq!(dot("a\"b\\c\nd"), "\"a\\\"b\\\\c\\nd\"");
        assert_eq!(mermaid("a\"b|c"), "a#34;b#124;c");
    }

    #[test]
    fn long_texts_lose_their_middle() {
        let short = shorten("streaming-analytics-orders-enrichment-dev", 12.0, 150.0);
        assert!(
            short.starts_with("streaming") && short.ends_with("dev") && short.contains('…'),
            "{short}"
        );
        assert!(width(&short, 12.0) <= 150.0);
        assert_eq!(shorten("web", 12.0, 150.0), "web");
        assert_eq!(shorten("web", 12.0, 0.0), "…");
    }
}

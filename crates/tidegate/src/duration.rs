//! Durations as flags take them: Go's form, or bare seconds.

use std::time::Duration;

/// Reads `90s`, `5m`, `1h30m`, or a bare number of seconds; None for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    tidegate_gocompat::duration::Duration::parse(text)
        .ok()?
        .to_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_take_go_durations_and_seconds() {
        assert_eq!(parse_duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("-1s"), None);
        assert_eq!(parse_duration("soon"), None);
    }
}

//! Spans of time as people read them (apimachinery's `HumanDuration`). Pure: the present is an argument.

use jiff::{SignedDuration, Timestamp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// A span with two or three significant figures: `5s`, `3m12s`, `2d4h`, `<invalid>` for the future.
pub(super) fn human(span: SignedDuration) -> String {
    let seconds = span.as_secs();
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    if seconds < 0 {
        return "0s".to_owned();
    }
    let (minutes, hours) = (seconds / MINUTE, seconds / HOUR);
    let days = hours / 24;
    let two = |big: i64, unit: char, small: i64, rest: char| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit}{small}{rest}"),
    };
    match () {
        () if seconds < 2 * MINUTE => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        () if minutes < 3 * 60 => format!("{minutes}m"),
        () if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(days, 'd', hours % 24, 'h'),
        () if days < 365 * 2 => format!("{days}d"),
        () if days < 365 * 8 => two(days / 365, 'y', days % 365, 'd'),
        () => format!("{}y", days / 365),
    }
}

/// The time since an RFC 3339 stamp; `<unknown>` without one.
pub(super) fn since(stamp: &str, now: Timestamp) -> String {
    match parse(stamp) {
        Some(time) => human(now.duration_since(time)),
        None => "<unknown>".to_owned(),
    }
}

/// An RFC 3339 stamp.
pub(super) fn parse(stamp: &str) -> Option<Timestamp> {
    stamp.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_kubectl_shows_them() {
        let check = |seconds: i64, expected: &str| {
            assert_eq!(
                human(SignedDuration::from_secs(seconds)),
                expected,
                "{seconds}"
            );
        };
        let day = 24 * HOUR;
        check(-2, "<invalid>");
        check(-1, "0s");
        check(0, "0s");
        check(119, "119s");
        check(120, "2m");
        check(121, "2m1s");
        check(599, "9m59s");
        check(600, "10m");
        check(3 * HOUR - 1, "179m");
        check(3 * HOUR, "3h");
        check(3 * HOUR + 61, "3h1m");
        check(8 * HOUR + 600, "8h");
        check(48 * HOUR - 1, "47h");
        check(48 * HOUR, "2d");
        check(50 * HOUR, "2d2h");
        check(8 * day, "8d");
        check(730 * day - 1, "729d");
        check(730 * day, "2y");
        check(731 * day, "2y1d");
        check(8 * 365 * day + day, "8y");
    }

    #[test]
    fn ages_need_a_stamp() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        assert_eq!(since("2026-01-01T00:00:00Z", now), "60s");
        assert_eq!(since("2026-01-01T00:00:59.999999Z", now), "0s");
        assert_eq!(since("", now), "<unknown>");
    }
}

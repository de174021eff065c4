//! Cron schedules of five fields, as CronJobs and ScheduledSparkApplications write them
//! (`robfig/cron/v3`'s standard parser). Pure: the clock is an argument.

use crate::fault::parse_duration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::time::Duration;

/// How far ahead a schedule is searched: past the rarest day, 29 February.
const MAX_YEARS: i16 = 8;

/// When something is to happen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Schedule {
    /// At the matching minutes.
    Fields(Fields),
    /// `@every DURATION`.
    Every(Duration),
}

/// The five fields as bit sets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fields {
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    any_day: bool,
    any_weekday: bool,
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(every) = text.strip_prefix("@every ") {
            let every = parse_duration(every).filter(|every| *every >= Duration::from_secs(1));
            return every
                .map(Self::Every)
                .ok_or_else(|| format!("failed to parse duration {text}"));
        }
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            text => text,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!(
                "expected exactly 5 fields, found {}: [{text}]",
                fields.len()
            ));
        };
        const MONTHS: [&str; 12] = [
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ];
        const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
        let starred = |field: &str| field.starts_with('*') || field.starts_with('?');
        Ok(Self::Fields(Fields {
            minute: bits(minute, 0, 59, &[])?,
            hour: bits(hour, 0, 23, &[])?,
            day: bits(day, 1, 31, &[])?,
            month: bits(month, 1, 12, &MONTHS)?,
            weekday: bits(weekday, 0, 6, &DAYS)?,
            any_day: starred(day),
            any_weekday: starred(weekday),
        }))
    }

    /// The first moment after `after`, in a time zone.
    pub(crate) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every(every) => Some(crate::value::later(after, *every)),
            Self::Fields(fields) => fields.next(after, zone),
        }
    }
}

impl Fields {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = zone.to_datetime(after);
        let mut time = local
            .with()
            .second(0)
            .subsec_nanosecond(0)
            .build()
            .ok()?
            .checked_add(1.minute())
            .ok()?;
        let last = local.year().saturating_add(MAX_YEARS);
        while time.year() <= last {
            if !has(self.month, time.month()) {
                time = first_of_next_month(time)?;
            } else if !self.day_matches(time) {
                time = midnight(time)?.checked_add(1.day()).ok()?;
            } else if !has(self.hour, time.hour()) {
                time = time
                    .with()
                    .minute(0)
                    .build()
                    .ok()?
                    .checked_add(1.hour())
                    .ok()?;
            } else if !has(self.minute, time.minute()) {
                time = time.checked_add(1.minute()).ok()?;
            } else {
                let found = zone.to_timestamp(time).ok()?;
                if found > after {
                    return Some(found);
                }
                time = time.checked_add(1.minute()).ok()?;
            }
        }
        None
    }

    /// With both the day of the month and the weekday restricted, either will do.
    fn day_matches(&self, time: DateTime) -> bool {
        let day = has(self.day, time.day());
        let weekday = has(self.weekday, time.weekday().to_sunday_zero_offset());
        if self.any_day || self.any_weekday {
            day && weekday
        } else {
            day || weekday
        }
    }
}

fn has(bits: u64, value: i8) -> bool {
    bits & (1 << value.max(0)) != 0
}

fn midnight(time: DateTime) -> Option<DateTime> {
    time.with().hour(0).minute(0).build().ok()
}

fn first_of_next_month(time: DateTime) -> Option<DateTime> {
    midnight(time)?
        .with()
        .day(1)
        .build()
        .ok()?
        .checked_add(1.month())
        .ok()
}

/// One field: lists, ranges, steps and names.
fn bits(field: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let number = |text: &str| -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        if let Some(at) = names.iter().position(|name| *name == lower) {
            return Ok(low + u32::try_from(at).unwrap_or(0));
        }
        text.parse()
            .map_err(|_| format!("failed to parse int from {text}"))
    };
    let mut all = 0;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?)),
            None => (part, None),
        };
        let (from, to) = match range {
            "*" | "?" => (low, high),
            range => match range.split_once('-') {
                Some((from, to)) => (number(from)?, number(to)?),
                None if step.is_some() => (number(range)?, high),
                None => (number(range)?, number(range)?),
            },
        };
        let step = step.unwrap_or(1);
        if from < low {
            return Err(format!(
                "beginning of range ({from}) below minimum ({low}): {field}"
            ));
        }
        if to > high {
            return Err(format!(
                "end of range ({to}) above maximum ({high}): {field}"
            ));
        }
        if from > to {
            return Err(format!(
                "beginning of range ({from}) beyond end of range ({to}): {field}"
            ));
        }
        if step == 0 {
            return Err(format!(
                "step of range should be a positive number: {field}"
            ));
        }
        let mut value = from;
        while value <= to {
            all |= 1_u64 << value;
            value += step;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_the_first_match_after_now() {
        for (schedule, after, expected) in [
            ("* * * * *", "2026-03-01T10:00:30Z", "2026-03-01T10:01:00Z"),
            (
                "*/15 * * * *",
                "2026-03-01T10:15:00Z",
                "2026-03-01T10:30:00Z",
            ),
            ("0 3 * * *", "2026-03-01T10:00:00Z", "2026-03-02T03:00:00Z"),
            ("0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            (
                "30 9 * * mon-fri",
                "2026-02-27T09:30:00Z",
                "2026-03-02T09:30:00Z",
            ),
            (
                "0 0 13 * fri",
                "2026-03-01T00:00:00Z",
                "2026-03-06T00:00:00Z",
            ),
            (
                "5/20 * * * *",
                "2026-03-01T10:00:00Z",
                "2026-03-01T10:05:00Z",
            ),
            ("@daily", "2026-12-31T12:00:00Z", "2027-01-01T00:00:00Z"),
            ("@every 90s", "2026-03-01T10:00:00Z", "2026-03-01T10:01:30Z"),
            (
                "0 0 1 JAN *",
                "2026-03-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
        ] {
            let next = Schedule::parse(schedule)
                .unwrap()
                .next(after.parse().unwrap(), &TimeZone::UTC);
            assert_eq!(next.unwrap().to_string(), expected, "{schedule}");
        }
    }

    #[test]
    fn bad_schedules_are_refused_with_a_reason() {
        for (schedule, part) in [
            ("", "expected exactly 5 fields, found 0"),
            ("* * * *", "found 4"),
            ("60 * * * *", "above maximum (59)"),
            ("* * 0 * *", "below minimum (1)"),
            ("5-1 * * * *", "beyond end of range"),
            ("*/0 * * * *", "positive number"),
            ("x * * * *", "failed to parse int from x"),
            ("@every 0s", "failed to parse duration"),
        ] {
            let error = Schedule::parse(schedule).unwrap_err();
            assert!(error.contains(part), "{schedule}: {error}");
        }
    }

    #[test]
    fn a_day_that_never_comes_ends_the_search() {
        let schedule = Schedule::parse("0 0 31 2 *").unwrap();
        assert_eq!(
            schedule.next("2026-01-01T00:00:00Z".parse().unwrap(), &TimeZone::UTC),
            None
        );
    }
}

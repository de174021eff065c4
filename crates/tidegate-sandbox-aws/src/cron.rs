//! Schedule expressions of EventBridge and its Scheduler: `rate(…)`, `cron(…)` with six fields, `at(…)`.
//!
//! Must not know: rules, clocks. Every search for the next moment is bounded.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

/// Days that are looked through for the next moment.
const DAYS: usize = 366 * 6;

/// When something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// Every so often.
    Rate(SignedDuration),
    /// At the minutes that the fields allow.
    Cron(Box<Cron>),
    /// Once, in local time.
    At(DateTime),
}

/// The fields of a cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cron {
    minutes: BTreeSet<i64>,
    hours: BTreeSet<i64>,
    months: BTreeSet<i64>,
    years: BTreeSet<i64>,
    day: Day,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Day {
    OfMonth(BTreeSet<i64>),
    LastOfMonth,
    Workday(i64),
    /// 1 is Sunday.
    OfWeek(BTreeSet<i64>),
    LastOfWeek(i64),
    Nth(i64, i64),
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Schedule {
    /// Reads an expression; `None` when it is none. `strict` wants `minute` with 1 and `minutes` with more, as rules do.
    pub(crate) fn parse(text: &str, strict: bool) -> Option<Self> {
        let (kind, rest) = text.split_once('(')?;
        let inner = rest.strip_suffix(')')?;
        match kind {
            "rate" => rate(inner, strict),
            "cron" => cron(inner).map(|cron| Self::Cron(Box::new(cron))),
            "at" => inner.parse().ok().map(Self::At),
            _ => None,
        }
    }

    /// The first moment after `after`; rates count from `start`.
    pub(crate) fn next(
        &self,
        after: Timestamp,
        start: Timestamp,
        zone: &TimeZone,
    ) -> Option<Timestamp> {
        match self {
            Self::Rate(every) => {
                let passed = after.duration_since(start).as_secs().max(0);
                let steps = passed / every.as_secs() + 1;
                let seconds = every.as_secs().checked_mul(steps)?;
                start.checked_add(SignedDuration::from_secs(seconds)).ok()
            }
            Self::At(moment) => {
                let at = zone.to_timestamp(*moment).ok()?;
                (at > after).then_some(at)
            }
            Self::Cron(cron) => cron.next(after, zone),
        }
    }

    /// Does it happen only once?
    pub(crate) fn is_once(&self) -> bool {
        matches!(self, Self::At(_))
    }
}

fn rate(text: &str, strict: bool) -> Option<Schedule> {
    let (value, unit) = text.split_once(' ')?;
    let value: i64 = value
        .parse()
        .ok()
        .filter(|value| (1..=525_600 * 10).contains(value))?;
    let (singular, seconds) = match unit {
        "minute" => (true, 60),
        "minutes" => (false, 60),
        "hour" => (true, 3_600),
        "hours" => (false, 3_600),
        "day" => (true, 86_400),
        "days" => (false, 86_400),
        _ => return None,
    };
    if strict && singular != (value == 1) {
        return None;
    }
    Some(Schedule::Rate(SignedDuration::from_secs(value * seconds)))
}

fn cron(text: &str) -> Option<Cron> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday, year] = fields[..] else {
        return None;
    };
    let day = match (day, weekday) {
        ("?", weekday) if weekday != "?" => week_field(weekday)?,
        (day, "?") if day != "?" => month_field(day)?,
        _ => return None,
    };
    Some(Cron {
        minutes: field(minute, 0, 59, &[])?,
        hours: field(hour, 0, 23, &[])?,
        months: field(month, 1, 12, &MONTHS)?,
        years: field(year, 1970, 2199, &[])?,
        day,
    })
}

fn month_field(text: &str) -> Option<Day> {
    if text == "L" {
        return Some(Day::LastOfMonth);
    }
    if let Some(day) = text.strip_suffix('W') {
        return day
            .parse()
            .ok()
            .filter(|day| (1..=31).contains(day))
            .map(Day::Workday);
    }
    field(text, 1, 31, &[]).map(Day::OfMonth)
}

fn week_field(text: &str) -> Option<Day> {
    if text == "L" {
        return Some(Day::OfWeek(BTreeSet::from([7])));
    }
    if let Some(day) = text.strip_suffix('L') {
        return value(day, 1, 7, &WEEKDAYS).map(Day::LastOfWeek);
    }
    if let Some((day, nth)) = text.split_once('#') {
        let nth = nth.parse().ok().filter(|nth| (1..=5).contains(nth))?;
        return Some(Day::Nth(value(day, 1, 7, &WEEKDAYS)?, nth));
    }
    field(text, 1, 7, &WEEKDAYS).map(Day::OfWeek)
}

fn value(text: &str, min: i64, max: i64, names: &[&str]) -> Option<i64> {
    let named = names
        .iter()
        .position(|name| name.eq_ignore_ascii_case(text));
    let value = match named {
        Some(index) => i64::try_from(index).ok()? + 1,
        None => text.parse().ok()?,
    };
    (min..=max).contains(&value).then_some(value)
}

fn field(text: &str, min: i64, max: i64, names: &[&str]) -> Option<BTreeSet<i64>> {
    let mut all = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (
                range,
                Some(step.parse::<i64>().ok().filter(|step| *step > 0)?),
            ),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (value(from, min, max, names)?, value(to, min, max, names)?),
            None if range == "*" => (min, max),
            None => {
                let from = value(range, min, max, names)?;
                (from, if step.is_some() { max } else { from })
            }
        };
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        if from <= to {
            all.extend((from..=to).step_by(step));
        } else {
            // A range such as FRI-MON goes around the end.
            all.extend((from..=max).chain(min..=to).step_by(step));
        }
    }
    Some(all)
}

impl Cron {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = zone.to_datetime(after);
        let mut date = local.date();
        for _ in 0..DAYS {
            if i64::from(date.year()) > *self.years.last()? {
                return None;
            }
            if self.allows(date) {
                for hour in &self.hours {
                    for minute in &self.minutes {
                        let (hour, minute) =
                            (i8::try_from(*hour).ok()?, i8::try_from(*minute).ok()?);
                        let at = zone.to_timestamp(date.at(hour, minute, 0, 0)).ok()?;
                        if at > after {
                            return Some(at);
                        }
                    }
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn allows(&self, date: Date) -> bool {
        self.months.contains(&i64::from(date.month()))
            && self.years.contains(&i64::from(date.year()))
            && self.day.allows(date)
    }
}

/// 1 for Sunday to 7 for Saturday.
fn weekday(date: Date) -> i64 {
    i64::from(date.weekday().to_sunday_one_offset())
}

impl Day {
    fn allows(&self, date: Date) -> bool {
        let day = i64::from(date.day());
        let last = i64::from(date.days_in_month());
        match self {
            Self::OfMonth(days) => days.contains(&day),
            Self::LastOfMonth => day == last,
            Self::OfWeek(days) => days.contains(&weekday(date)),
            Self::LastOfWeek(wanted) => weekday(date) == *wanted && day + 7 > last,
            Self::Nth(wanted, nth) => weekday(date) == *wanted && (day - 1) / 7 + 1 == *nth,
            Self::Workday(wanted) => nearest_workday(date, (*wanted).min(last)) == Some(date),
        }
    }
}

/// The weekday nearest to a day of a date's month, within the month.
fn nearest_workday(date: Date, day: i64) -> Option<Date> {
    let target = Date::new(date.year(), date.month(), i8::try_from(day).ok()?).ok()?;
    match weekday(target) {
        7 if day == 1 => target.checked_add(2.days()).ok(),
        7 => target.yesterday().ok(),
        1 if day == i64::from(date.days_in_month()) => target.checked_sub(2.days()).ok(),
        1 => target.tomorrow().ok(),
        _ => Some(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expression: &str, after: &str, expected: Option<&str>) {
        let schedule = Schedule::parse(expression, true).unwrap();
        let after: Timestamp = after.parse().unwrap();
        let next = schedule.next(after, Timestamp::UNIX_EPOCH, &TimeZone::UTC);
        assert_eq!(
            next,
            expected.map(|text| text.parse().unwrap()),
            "{expression}"
        );
    }

    #[test]
    fn next_moments() {
        let now = "2026-01-30T10:07:30Z"; // a Friday
        check("rate(5 minutes)", now, Some("2026-01-30T10:10:00Z"));
        check("rate(1 day)", now, Some("2026-01-31T00:00:00Z"));
        check("cron(0 12 * * ? *)", now, Some("2026-01-30T12:00:00Z"));
        check("cron(0/15 * * * ? *)", now, Some("2026-01-30T10:15:00Z"));
        check("cron(0 8 L * ? *)", now, Some("2026-01-31T08:00:00Z"));
        check("cron(0 8 ? * MON-FRI *)", now, Some("2026-02-02T08:00:00Z"));
        check("cron(0 8 ? * 6L *)", now, Some("2026-02-27T08:00:00Z"));
        check("cron(0 8 ? * 2#1 *)", now, Some("2026-02-02T08:00:00Z"));
        check("cron(0 8 31W 1 ? *)", now, Some("2027-01-29T08:00:00Z"));
        check("cron(0 8 1 1 ? 2025)", now, None);
        check("at(2026-02-01T00:00:00)", now, Some("2026-02-01T00:00:00Z"));
        check("at(2026-01-01T00:00:00)", now, None);
    }

    #[test]
    fn bad_expressions_are_refused() {
        for text in [
            "",
            "rate(5 minute)",
            "rate(1 minutes)",
            "rate(0 minutes)",
            "rate(-1 day)",
            "rate(5 weeks)",
            "cron(* * * * * *)",
            "cron(0 12 * * *)",
            "cron(61 * * * ? *)",
            "cron(0 0 ? * ? *)",
            "cron(x * * * ? *)",
            "at(tomorrow)",
            "every(5 minutes)",
            "rate(5 minutes",
            "cron(0/0 * * * ? *)",
        ] {
            assert_eq!(Schedule::parse(text, true), None, "{text}");
        }
        assert!(Schedule::parse("rate(5 minute)", false).is_some());
    }
}

//! The four timestamp forms that go-yaml recognises, by the rules of Go's `time.Parse`.

/// A recognised timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    date: [u32; 3],
    time: [u32; 3],
    nanoseconds: u32,
    /// Minutes east of UTC.
    offset: i32,
}

/// Reads `2006-1-2`, `2006-1-2 15:4:5.9`, or `2006-1-2T15:4:5.9Z07:00` with either case of `T`.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let mut rest = Rest(text.as_bytes());
    let year = rest.exactly(4)?;
    rest.byte(b'-')?;
    let month = rest.one_or_two()?;
    rest.byte(b'-')?;
    let day = rest.one_or_two()?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let date = [year, month, day];
    let separator = match rest.0 {
        [] => {
            return Some(Timestamp {
                date,
                time: [0; 3],
                nanoseconds: 0,
                offset: 0,
            });
        }
        [separator, ..] => *separator,
    };
    rest.byte(separator)?;
    let hour = rest.one_or_two()?;
    rest.byte(b':')?;
    let minute = rest.one_or_two()?;
    rest.byte(b':')?;
    let second = rest.one_or_two()?;
    if hour >= 24 || minute >= 60 || second >= 60 {
        return None;
    }
    let nanoseconds = rest.fraction();
    let offset = match separator {
        b'T' | b't' => rest.offset()?,
        b' ' => 0,
        _ => return None,
    };
    rest.0.is_empty().then_some(Timestamp {
        date,
        time: [hour, minute, second],
        nanoseconds,
        offset,
    })
}

impl Timestamp {
    /// As Go writes a time into JSON: RFC 3339 with as many fraction digits as needed.
    pub(crate) fn to_rfc3339(self) -> String {
        let [year, month, day] = self.date;
        let [hour, minute, second] = self.time;
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if self.nanoseconds > 0 {
            let fraction = format!(".{:09}", self.nanoseconds);
            text.push_str(fraction.trim_end_matches('0'));
        }
        if self.offset == 0 {
            text.push('Z');
        } else {
            let sign = if self.offset < 0 { '-' } else { '+' };
            let minutes = self.offset.unsigned_abs();
            text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
        text
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What is left to read.
struct Rest<'t>(&'t [u8]);

impl Rest<'_> {
    fn byte(&mut self, expected: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        (*first == expected).then(|| self.0 = rest)
    }

    fn digit(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first()?;
        first.is_ascii_digit().then(|| {
            self.0 = rest;
            u32::from(first - b'0')
        })
    }

    fn exactly(&mut self, digits: usize) -> Option<u32> {
        (0..digits).try_fold(0, |value, _| Some(value * 10 + self.digit()?))
    }

    fn one_or_two(&mut self) -> Option<u32> {
        let first = self.digit()?;
        Some(self.digit().map_or(first, |second| first * 10 + second))
    }

    /// A point or comma and up to nine digits, as nanoseconds.
    fn fraction(&mut self) -> u32 {
        let [b'.' | b',', digit, ..] = self.0 else {
            return 0;
        };
        if !digit.is_ascii_digit() {
            return 0;
        }
        self.0 = &self.0[1..];
        let mut nanoseconds = 0;
        let mut weight = 100_000_000;
        while weight > 0 {
            let Some(digit) = self.digit() else { break };
            nanoseconds += digit * weight;
            weight /= 10;
        }
        nanoseconds
    }

    /// `Z`, or a sign and `hh:mm`.
    fn offset(&mut self) -> Option<i32> {
        if self.byte(b'Z').is_some() {
            return Some(0);
        }
        let sign = match self.0.first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.0 = &self.0[1..];
        let hours = self.exactly(2)?;
        self.byte(b':')?;
        let minutes = self.exactly(2)?;
        // Go accepts 24 hours and 60 minutes here.
        if hours > 24 || minutes > 60 {
            return None;
        }
        i32::try_from(hours * 60 + minutes)
            .ok()
            .map(|offset| sign * offset)
    }
}

//! Sequence numbers and shard iterators: decimal texts that sort as they were given out.
//!
//! Must not know: streams.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

/// A sequence number: as long as AWS's (56 digits), growing within a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(String);

impl Sequence {
    /// The `count`th number of a stream that was born at `epoch_millis`, in `shard`.
    pub(super) fn new(epoch_millis: i64, count: u64, shard: u64) -> Self {
        Self(format!(
            "49{:013}{count:020}{shard:012}000000002",
            epoch_millis.clamp(0, 9_999_999_999_999)
        ))
    }

    /// Reads a caller's number: up to 56 digits, shorter ones are smaller.
    pub(super) fn read(text: &str) -> Option<Self> {
        let digits =
            text.len() <= 56 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| Self(format!("{text:0>56}")))
    }

    /// The smallest.
    pub(crate) fn zero() -> Self {
        Self("0".repeat(56))
    }

    /// As the services print it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a reader stands in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// At the record with this number, or the first one after it.
    At(Sequence),
    /// Behind the record with this number.
    After(Sequence),
}

impl Position {
    pub(super) fn admits(&self, sequence: &Sequence) -> bool {
        match self {
            Self::At(at) => sequence >= at,
            Self::After(after) => sequence > after,
        }
    }
}

/// What a shard iterator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Iterator {
    pub(super) stream: String,
    /// The stream's birth, so that an iterator does not outlive its stream.
    pub(super) born: i64,
    pub(super) shard: u64,
    pub(super) position: Position,
    pub(super) made: i64,
}

impl Iterator {
    pub(super) fn write(&self) -> String {
        let (mode, sequence) = match &self.position {
            Position::At(sequence) => ("at", sequence),
            Position::After(sequence) => ("after", sequence),
        };
        let text = format!(
            "1/{}/{}/{}/{}/{mode}/{}",
            self.stream,
            self.born,
            self.shard,
            self.made,
            sequence.as_str()
        );
        URL_SAFE_NO_PAD.encode(text)
    }

    pub(super) fn read(token: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let parts: Vec<&str> = text.split('/').collect();
        let ["1", stream, born, shard, made, mode, sequence] = parts[..] else {
            return None;
        };
        let sequence = Sequence::read(sequence)?;
        Some(Self {
            stream: stream.to_owned(),
            born: born.parse().ok()?,
            shard: shard.parse().ok()?,
            made: made.parse().ok()?,
            position: match mode {
                "at" => Position::At(sequence),
                "after" => Position::After(sequence),
                _ => return None,
            },
        })
    }
}

/// Seconds with a fraction, as the JSON protocols write times.
pub(super) fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_and_iterators_survive_their_text() {
        let a = Sequence::new(1_700_000_000_000, 1, 3);
        let b = Sequence::new(1_700_000_000_000, 2, 0);
        assert!(a < b);
        assert_eq!(a.as_str().len(), 56);
        assert_eq!(Sequence::read(a.as_str()), Some(a.clone()));
        assert!(Sequence::read("12").unwrap() < a);
        assert_eq!(Sequence::read("x"), None);
        let iterator = Iterator {
            stream: "s".into(),
            born: 5,
            shard: 2,
            position: Position::After(a),
            made: 9,
        };
        assert_eq!(Iterator::read(&iterator.write()), Some(iterator));
        assert_eq!(Iterator::read("AAAA"), None);
    }
}

//! The name of a Git object. Nothing here reads a repository.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The SHA-1 name of a commit, tree, blob or tag; shown as 40 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub(crate) gix::ObjectId);

impl ObjectId {
    /// The first seven digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.to_hex_with_len(7).to_string()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The text is not a full object name.
#[derive(Debug, thiserror::Error)]
#[error("not a full object name: 40 hex digits are needed")]
pub struct NotAnObjectId;

impl FromStr for ObjectId {
    type Err = NotAnObjectId;

    fn from_str(text: &str) -> Result<Self, NotAnObjectId> {
        if text.len() != 40 {
            return Err(NotAnObjectId);
        }
        gix::ObjectId::from_hex(text.as_bytes())
            .map(Self)
            .map_err(|_| NotAnObjectId)
    }
}

impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::ObjectId;

    #[test]
    fn only_forty_digits_are_a_name() {
        let check = |text: &str, expected: Option<&str>| {
            let got = text.parse::<ObjectId>().ok().map(|id| id.to_string());
            assert_eq!(got.as_deref(), expected, "{text}");
        };
        check(
            "0123456789abcdef0123456789abcdef01234567",
            Some("0123456789abcdef0123456789abcdef01234567"),
        );
        check(
            "0123456789ABCDEF0123456789abcdef01234567",
            Some("0123456789abcdef0123456789abcdef01234567"),
        );
        check("0123456", None);
        check("", None);
        check("g123456789abcdef0123456789abcdef01234567", None);
        check("0123456789abcdef0123456789abcdef0123456é", None);
    }
}

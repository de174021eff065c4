//! Where and when a request happens, and state held by region.
//!
//! Must not know: services.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

/// Regions that hold state at once.
const REGIONS: usize = 40;

/// The account, region and moment of a request.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Twelve digits.
    pub account: String,
    /// `eu-west-1`
    pub region: String,
    /// `http://127.0.0.1:4566`, as the caller reached the sandbox.
    pub endpoint: String,
    /// The present moment of the sandbox's clock.
    pub now: Timestamp,
}

impl Scope {
    /// The moment `delay` from now.
    pub fn after(&self, delay: SignedDuration) -> Timestamp {
        self.now.saturating_add(delay).unwrap_or(Timestamp::MAX)
    }

    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub fn partition(&self) -> &'static str {
        if self.region.starts_with("cn-") {
            "aws-cn"
        } else if self.region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
    }

    /// An ARN in this account and region.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:{}:{service}:{}:{}:{resource}",
            self.partition(),
            self.region,
            self.account
        )
    }

    /// Lowercase letters and digits that depend on `seed` and the present moment.
    pub fn stable_id(&self, seed: &str, length: usize) -> String {
        const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        self.digest(seed)
            .iter()
            .cycle()
            .take(length)
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
            .collect()
    }

    /// An identifier in the form of a UUID that depends on `seed` and the present moment.
    pub fn uuid(&self, seed: &str) -> String {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.digest(seed)[..16]);
        uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string()
    }

    fn digest(&self, seed: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.account.as_bytes());
        digest.update(self.region.as_bytes());
        digest.update(self.now.as_nanosecond().to_be_bytes());
        digest.update(seed.as_bytes());
        digest.finalize().into()
    }
}

/// State of a service by region.
#[derive(Debug, Default)]
pub(crate) struct Regions<T> {
    by_name: BTreeMap<String, T>,
}

impl<T: Default> Regions<T> {
    /// The state of a region; the first one's when there are too many regions.
    pub(crate) fn get(&mut self, region: &str) -> &mut T {
        let known = self.by_name.contains_key(region) || self.by_name.len() < REGIONS;
        let name = if known {
            region.to_owned()
        } else {
            self.by_name.keys().next().cloned().unwrap_or_default()
        };
        self.by_name.entry(name).or_default()
    }

    /// Every region's state.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut T)> {
        self.by_name.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_bounded() {
        let mut regions: Regions<u32> = Regions::default();
        for index in 0..REGIONS + 10 {
            *regions.get(&format!("r{index:03}")) += 1;
        }
        assert_eq!(regions.iter_mut().count(), REGIONS);
        assert_eq!(*regions.get("r000"), 11);
    }
}

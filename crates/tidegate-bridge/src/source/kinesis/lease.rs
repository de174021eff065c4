//! Leases of shards, and which of them a replica is to take, ask for or give away. Pure: no clock, no table.
//!
//! A lease says who reads a shard and how far it is done. Replicas renew theirs by raising a counter; a counter that
//! stands still for the length of a lease means that its owner is gone. A replica with too few shards asks the one
//! with the most, which hands over when its deliveries are done.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Leases that are taken or asked for at once: renewing must not wait for longer.
const STEPS_MAX: usize = 100;

/// How far a shard is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// Nothing yet: begin with the oldest record.
    TrimHorizon,
    /// Nothing yet: begin with the first record at or after this time, in milliseconds since 1970.
    At(i64),
    /// Done up to the record with this sequence number.
    After(Arc<str>),
    /// All of it, and the shard takes no more.
    Ended,
}

impl Checkpoint {
    /// Reads what [`fmt::Display`] writes.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "TRIM_HORIZON" => Some(Self::TrimHorizon),
            "SHARD_END" => Some(Self::Ended),
            _ => {
                if let Some(time) = text.strip_prefix("AT_TIMESTAMP:") {
                    return time.parse().ok().map(Self::At);
                }
                let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                is_number.then(|| Self::After(text.into()))
            }
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("TRIM_HORIZON"),
            Self::At(time) => write!(f, "AT_TIMESTAMP:{time}"),
            Self::After(number) => f.write_str(number),
            Self::Ended => f.write_str("SHARD_END"),
        }
    }
}

/// Who reads a shard, and how far it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The shard.
    pub shard: Arc<str>,
    /// The replica that reads it.
    pub owner: Option<Arc<str>>,
    /// Raised by every write of its owner.
    pub counter: u64,
    /// How far it is done.
    pub checkpoint: Checkpoint,
    /// Shards that must be finished before this one begins.
    pub parents: Vec<Arc<str>>,
    /// The replica that asks for it.
    pub wanted_by: Option<Arc<str>>,
}

/// Leases by shard.
pub type Leases = BTreeMap<Arc<str>, Lease>;

/// What a replica is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Take a lease that nobody has, or whose owner is gone.
    Take(Arc<str>),
    /// Ask the owner of a lease for it.
    Ask(Arc<str>),
}

/// Whether a shard may be read: it is not finished, and its parents are (or are not known any more).
pub fn is_ready(leases: &Leases, lease: &Lease) -> bool {
    lease.checkpoint != Checkpoint::Ended
        && lease.parents.iter().all(|parent| {
            leases
                .get(parent)
                .is_none_or(|parent| parent.checkpoint == Checkpoint::Ended)
        })
}

/// What replica `own` is to do, when the owners of `stale` leases are gone.
pub fn steps(own: &str, leases: &Leases, stale: &BTreeSet<Arc<str>>) -> Vec<Step> {
    let ready: Vec<&Lease> = leases
        .values()
        .filter(|lease| is_ready(leases, lease))
        .collect();
    let owner = |lease: &Lease| {
        let owner = lease.owner.clone();
        owner.filter(|owner| **owner == *own || !stale.contains(&lease.shard))
    };
    let mut counts: BTreeMap<Arc<str>, usize> = BTreeMap::from([(own.into(), 0)]);
    for lease in &ready {
        if let Some(owner) = owner(lease) {
            *counts.entry(owner).or_default() += 1;
        }
    }
    let target = ready.len().div_ceil(counts.len());
    let mine = counts.get(own).copied().unwrap_or(0);
    let mut free: Vec<&Lease> = ready
        .iter()
        .copied()
        .filter(|lease| owner(lease).is_none())
        .collect();
    if !free.is_empty() {
        // Replicas that look at the same time begin at different places.
        let turn = own.bytes().map(usize::from).sum::<usize>() % free.len();
        free.rotate_left(turn);
        let count = target.saturating_sub(mine).min(STEPS_MAX);
        let free = free.into_iter().take(count);
        return free
            .map(|lease| Step::Take(Arc::clone(&lease.shard)))
            .collect();
    }
    let asks = leases
        .values()
        .any(|lease| lease.wanted_by.as_deref() == Some(own));
    let Some((richest, most)) = counts.iter().max_by_key(|(_, count)| **count) else {
        return Vec::new();
    };
    if asks || *most < mine + 2 {
        return Vec::new();
    }
    let theirs = ready.iter().filter(|lease| {
        lease.owner.as_ref() == Some(richest)
            && lease.wanted_by.is_none()
            && !stale.contains(&lease.shard)
    });
    theirs
        .take(((most - mine) / 2).min(STEPS_MAX))
        .map(|lease| Step::Ask(Arc::clone(&lease.shard)))
        .collect()
}

/// Leases of finished shards that the stream does not list any more: nobody needs them.
pub fn forgotten(leases: &Leases, listed: &BTreeSet<Arc<str>>) -> Vec<Arc<str>> {
    leases
        .values()
        .filter(|lease| lease.checkpoint == Checkpoint::Ended && !listed.contains(&lease.shard))
        .map(|lease| Arc::clone(&lease.shard))
        .collect()
}

//! Verdicts that need not be asked for again: this request against this very state changes nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidegate_manifest::ResourceKey;
use tokio::time::Instant;

/// Verdicts that are kept; about 200 bytes each.
const MAX_VERDICTS: usize = 100_000;
/// A verdict holds for this time: schemas and webhooks, which no resourceVersion shows, may change.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The memory of verdicts.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    verdicts: Mutex<HashMap<ResourceKey, Verdict>>,
}

#[derive(Debug)]
struct Verdict {
    request: [u8; 32],
    uid: String,
    version: String,
    at: Instant,
}

impl Memo {
    /// Whether this request was found to change nothing in this very state.
    pub(crate) fn is_unchanged(
        &self,
        key: &ResourceKey,
        request: &[u8; 32],
        uid: &str,
        version: &str,
    ) -> bool {
        let verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(key).is_some_and(|verdict| {
            verdict.request == *request
                && verdict.uid == uid
                && verdict.version == version
                && verdict.at.elapsed() < MAX_AGE
        })
    }

    /// Remembers that this request changes nothing in this very state.
    pub(crate) fn unchanged(&self, key: &ResourceKey, request: [u8; 32], uid: &str, version: &str) {
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        if verdicts.len() >= MAX_VERDICTS {
            verdicts.clear();
        }
        verdicts.insert(
            key.clone(),
            Verdict {
                request,
                uid: uid.to_owned(),
                version: version.to_owned(),
                at: Instant::now(),
            },
        );
    }
}

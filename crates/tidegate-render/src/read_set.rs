//! What a render read: paths with digests of what stood there, so that its result can be kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that a render read of its tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSet {
    /// Digest of each file by its path; None for a path at which nothing stood.
    pub files: BTreeMap<String, Option<String>>,
    /// Digest of each directory's names and kinds by its path.
    pub directories: BTreeMap<String, String>,
}

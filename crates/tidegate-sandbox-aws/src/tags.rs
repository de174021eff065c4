//! Tags of a resource, bounded.
//!
//! Must not know: services.

use std::collections::BTreeMap;

use crate::refusal::{Refusal, refuse};

/// Tags of one resource, for services that say no number of their own.
const TAGS: usize = 200;

/// Adds tags to those of a resource.
///
/// # Errors
/// `TooManyTagsException` when there would be too many; nothing is changed then.
pub(crate) fn merge(
    tags: &mut BTreeMap<String, String>,
    more: BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let fresh = more.keys().filter(|key| !tags.contains_key(*key)).count();
    if tags.len() + fresh > TAGS {
        return Err(refuse(
            "TooManyTagsException",
            format!("a resource of the sandbox has at most {TAGS} tags"),
        ));
    }
    tags.extend(more);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_kept() {
        let many = |from: usize, count: usize| {
            (from..from + count)
                .map(|n| (n.to_string(), String::new()))
                .collect()
        };
        let mut tags = BTreeMap::new();
        assert!(merge(&mut tags, many(0, TAGS)).is_ok());
        assert!(merge(&mut tags, many(0, 5)).is_ok());
        assert!(merge(&mut tags, many(TAGS, 1)).is_err());
        assert_eq!(tags.len(), TAGS);
    }
}

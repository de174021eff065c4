//! Which tag a version constraint means. Source: Argo CD's `util/versions/tags.go`.

use tidegate_gocompat::semver::{Requested, classify, max_matching};

/// The tag that `revision` means among `tags`: itself when it is a version, the greatest that satisfies it when it is a constraint.
///
/// Only tags that begin with `prefix` count, compared without it. `None` when it is neither or nothing satisfies it.
pub(crate) fn max_version<'a>(
    revision: &str,
    tags: impl Iterator<Item = &'a str>,
    prefix: &str,
) -> Option<String> {
    match classify(revision) {
        // A version is a pin, although it would be a constraint too: `v1.0` means the tag `v1.0`, not the highest `1.0.x`.
        Requested::Version(_) => Some(format!("{prefix}{revision}")),
        Requested::Constraint(constraint) => {
            let stripped = tags.filter_map(|tag| tag.strip_prefix(prefix));
            max_matching(&constraint, stripped).map(|tag| format!("{prefix}{tag}"))
        }
        Requested::Other => None,
    }
}

//! Which tag a version constraint means. Source: Argo CD's `util/versions/tags.go`.

mod shim;

use shim::{Constraints, Version};

/// The tag that `revision` means among `tags`: itself when it is a version, the greatest that satisfies it when it is a constraint.
///
/// Only tags that begin with `prefix` count, compared without it. `None` when it is neither or nothing satisfies it.
pub(crate) fn max_version<'a>(
    revision: &str,
    tags: impl Iterator<Item = &'a str>,
    prefix: &str,
) -> Option<String> {
    // A version is a pin, although it would be a constraint too: `v1.0` means the tag `v1.0`, not the highest `1.0.x`.
    if Version::parse(revision).is_ok() {
        return Some(format!("{prefix}{revision}"));
    }
    let constraints = Constraints::parse(revision).ok()?;
    let mut best: Option<(Version, &str)> = None;
    for tag in tags {
        let Some(Ok(version)) = tag.strip_prefix(prefix).map(Version::parse) else {
            continue;
        };
        if constraints.check(&version)
            && best
                .as_ref()
                .is_none_or(|(greatest, _)| version > *greatest)
        {
            best = Some((version, tag));
        }
    }
    best.map(|(_, tag)| tag.to_owned())
}

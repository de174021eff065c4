//! The health of an application from that of its objects. Source of the rule: Argo CD's `controller/health.go`.

use tidegate_manifest::{Health, HealthStatus};

/// How many causes a message names.
pub const MAX_CAUSES: usize = 3;

/// One object that an application manages directly. Hooks, skipped objects and those with `ignore-healthcheck` are left out by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// How people know it, such as `Deployment shop/web`.
    pub object: String,
    /// What is known of it.
    pub state: MemberState,
}

/// What is known of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It is wanted and not there. It counts only when nothing is there.
    Missing,
    /// It is there, and its kind has no check.
    Unchecked,
    /// It is there.
    Checked(Health),
    /// It is an Application itself: Missing or Unknown ones do not count.
    Application(Health),
}

/// The health of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppHealth {
    /// The worst of what counts.
    pub status: HealthStatus,
    /// Up to [`MAX_CAUSES`] objects that made it so, and how many more there are; empty for Healthy.
    pub message: String,
    /// The objects that made it so, in the order they came.
    pub causes: Vec<Cause>,
}

/// An object that made an application what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The object.
    pub object: String,
    /// Why, in the words of its own verdict.
    pub message: String,
}

/// The worst health among members; Missing when there are some and none is live, Healthy when there are none.
#[must_use]
pub fn aggregate(members: impl IntoIterator<Item = Member>) -> AppHealth {
    let (mut status, mut causes) = (HealthStatus::Healthy, Vec::new());
    let mut absent = Vec::new();
    let mut any_live = false;
    for Member { object, state } in members {
        let (health, is_application) = match state {
            MemberState::Missing => {
                absent.push(Cause {
                    object,
                    message: "not there".to_owned(),
                });
                continue;
            }
            MemberState::Unchecked => {
                any_live = true;
                continue;
            }
            MemberState::Checked(health) => (health, false),
            MemberState::Application(health) => (health, true),
        };
        any_live = true;
        if is_application && matches!(health.status, HealthStatus::Missing | HealthStatus::Unknown)
        {
            continue;
        }
        if health.status > status {
            status = health.status;
            causes.clear();
        }
        if health.status == status && status != HealthStatus::Healthy {
            causes.push(Cause {
                object,
                message: health.message,
            });
        }
    }
    if !any_live && !absent.is_empty() {
        (status, causes) = (HealthStatus::Missing, absent);
    }
    AppHealth {
        status,
        message: sentence(&causes),
        causes,
    }
}

fn sentence(causes: &[Cause]) -> String {
    let mut parts: Vec<String> = causes
        .iter()
        .take(MAX_CAUSES)
        .map(|cause| {
            if cause.message.is_empty() {
                cause.object.clone()
            } else {
                format!("{}: {}", cause.object, cause.message)
            }
        })
        .collect();
    if causes.len() > MAX_CAUSES {
        parts.push(format!("and {} more", causes.len() - MAX_CAUSES));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use tidegate_manifest::{Health, HealthStatus};

    use super::{Member, MemberState, aggregate};

    /// Members as `name=Status message`, `name=missing`, `name=unchecked` or `name=app:Status`.
    fn check(members: &[&str], expected: &str) {
        let status = |word: &str| {
            let all = [
                HealthStatus::Healthy,
                HealthStatus::Suspended,
                HealthStatus::Progressing,
                HealthStatus::Missing,
                HealthStatus::Degraded,
                HealthStatus::Unknown,
            ];
            all.into_iter()
                .find(|status| status.as_str() == word)
                .expect(word)
        };
        let members = members.iter().map(|text| {
            let (object, state) = text.split_once('=').expect("name=state");
            let (word, message) = state.split_once(' ').unwrap_or((state, ""));
            let state = match word.strip_prefix("app:") {
                Some(word) => MemberState::Application(Health::new(status(word), message)),
                None if word == "missing" => MemberState::Missing,
                None if word == "unchecked" => MemberState::Unchecked,
                None => MemberState::Checked(Health::new(status(word), message)),
            };
            Member {
                object: object.to_owned(),
                state,
            }
        });
        let got = aggregate(members);
        assert_eq!(
            format!("{} {}", got.status, got.message).trim_end(),
            expected
        );
    }

    #[test]
    fn the_worst_counts() {
        check(&[], "Healthy");
        check(&["a=unchecked"], "Healthy");
        check(&["a=Healthy fine", "b=Healthy"], "Healthy");
        check(&["a=Healthy", "b=Suspended paused"], "Suspended b: paused");
        check(
            &["a=Progressing one", "b=Suspended", "c=Progressing"],
            "Progressing a: one; c",
        );
        check(&["a=Progressing x", "b=Degraded y"], "Degraded b: y");
        check(
            &["a=Degraded x", "b=Unknown y", "c=Missing"],
            "Unknown b: y",
        );
    }

    #[test]
    fn what_is_missing_counts_only_when_nothing_is_there() {
        check(&["a=missing", "b=Healthy"], "Healthy");
        check(&["a=missing", "b=unchecked"], "Healthy");
        check(
            &["a=missing", "b=missing"],
            "Missing a: not there; b: not there",
        );
    }

    #[test]
    fn applications_that_are_missing_or_unknown_do_not_count() {
        check(&["a=app:Unknown x", "b=Healthy"], "Healthy");
        check(&["a=app:Missing"], "Healthy");
        check(&["a=app:Degraded x"], "Degraded a: x");
    }

    #[test]
    fn three_causes_are_named() {
        check(
            &[
                "a=Degraded 1",
                "b=Degraded 2",
                "c=Degraded 3",
                "d=Degraded 4",
                "e=Degraded 5",
            ],
            "Degraded a: 1; b: 2; c: 3; and 2 more",
        );
    }
}

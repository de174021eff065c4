//! Waits that explain themselves: for which object, until what holds, what is the case now, who can change it.

use serde::{Deserialize, Serialize};
use tidegate_manifest::{Health, HealthStatus, ResourceKey};

/// One thing that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// The object.
    pub object: ResourceKey,
    /// What must hold: `health is Healthy`, `the hook has ended`, `the object is gone`.
    pub predicate: String,
    /// What is the case: `Progressing: 1 of 3 replicas are available`.
    pub now: String,
    /// Who can change it: `the controller of Deployment`, `whoever removes the finalizer x`.
    pub by: String,
}

impl Wait {
    /// A plain object that must become healthy.
    pub fn healthy(object: &ResourceKey, health: Option<&Health>) -> Self {
        Self {
            object: object.clone(),
            predicate: "health is Healthy".to_owned(),
            now: describe(health),
            by: who(object, health),
        }
    }

    /// A hook that must end.
    pub fn hook(object: &ResourceKey, health: Option<&Health>) -> Self {
        Self {
            predicate: "the hook has ended".to_owned(),
            ..Self::healthy(object, health)
        }
    }

    /// An object that must go.
    pub fn gone(object: &ResourceKey, finalizers: &[String]) -> Self {
        let (now, by) = if finalizers.is_empty() {
            (
                "it is being deleted".to_owned(),
                "the target's garbage collector".to_owned(),
            )
        } else {
            let list = finalizers.join(", ");
            (
                format!("it is being deleted and held by {list}"),
                format!("the controller that removes {list}"),
            )
        };
        Self {
            object: object.clone(),
            predicate: "the object is gone".to_owned(),
            now,
            by,
        }
    }

    /// A deletion that a person must approve.
    pub fn approval(object: &ResourceKey, what: &str) -> Self {
        Self {
            object: object.clone(),
            predicate: format!("{what} is approved"),
            now: "not approved since the operation began".to_owned(),
            by: format!(
                "a person who sets {} on the Application",
                tidegate_manifest::annotation::DELETION_APPROVED
            ),
        }
    }
}

fn describe(health: Option<&Health>) -> String {
    match health {
        Some(health) if health.message.is_empty() => health.status.to_string(),
        Some(health) => format!("{}: {}", health.status, health.message),
        None => "not seen yet".to_owned(),
    }
}

fn who(object: &ResourceKey, health: Option<&Health>) -> String {
    match health.map(|health| health.status) {
        Some(HealthStatus::Suspended) => format!("whoever paused {}", object.short()),
        Some(_) | None => format!("the controller of {}", object.kind),
    }
}

/// `Kind ns/name: predicate; now …; can be changed by …`.
impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let object = self.object.short();
        let Self {
            predicate, now, by, ..
        } = self;
        write!(
            f,
            "{object}: waiting until {predicate}; now: {now}; changed by {by}"
        )
    }
}

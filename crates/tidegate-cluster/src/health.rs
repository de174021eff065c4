//! The door to the health rules.

use std::time::SystemTime;

use serde_json::Value;
use tidegate_health::{HealthOptions, Mode, assess};
use tidegate_manifest::Health;

/// How health is assessed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Assess {
    mode: Mode,
}

impl Assess {
    pub(crate) fn new(compatible: bool) -> Self {
        let mode = if compatible {
            Mode::Compatible
        } else {
            Mode::Precise
        };
        Self { mode }
    }

    /// Health of a live object now; None when its kind has no check.
    pub(crate) fn of(&self, body: &Value) -> Option<Health> {
        let mut options = HealthOptions::default();
        options.mode = self.mode;
        options.now = Some(SystemTime::now());
        assess(body, &options)
    }
}

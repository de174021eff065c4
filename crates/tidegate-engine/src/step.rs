//! The step function of a sync (Argo CD section 7.4, with the corrections of section 0). Pure.

use std::time::Duration;

/// Where Tidegate offers something else than Argo CD; every default is Argo CD's behaviour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepOptions {
    /// Wait for the health of the last wave too. Argo CD: the sync succeeds once it is applied.
    pub await_last_wave: bool,
    /// What a Suspended object of a wave that is waited for means. Argo CD: waits, without end.
    pub suspended: OnSuspended,
    /// Fail a task that is not healthy this long after it was applied. Argo CD: waits, without end.
    pub health_timeout: Option<Duration>,
    /// Reproduce Argo CD's defects too: a hook that ran to its end and was not deleted by its
    /// policy does not run again (section 0.5). Otherwise it is deleted and runs again.
    pub strict_compatibility: bool,
}

/// What a Suspended object of a wave that is waited for means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSuspended {
    /// Wait (Argo CD).
    #[default]
    Wait,
    /// Go on.
    Succeed,
    /// Fail.
    Fail,
}

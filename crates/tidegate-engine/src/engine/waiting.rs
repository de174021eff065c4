//! Waiting until an application is as asked.

use std::time::Duration;

use jiff::SignedDuration;
use tidegate_applier::ReadOptions;
use tidegate_manifest::{HealthStatus, ResourceKey, SyncStatus};

use super::{Engine, WaitFor};
use crate::difference;
use crate::{Comparison, Control, Desired, Destination, EngineError, Event, Reason, Wait, observe};

/// Most objects that one look tells of.
const WAITS_TOLD_MAX: usize = 10;

impl Engine {
    /// Waits until the application is as asked; tells what it waits for by events.
    ///
    /// # Errors
    /// [`EngineError::TimedOut`] after `timeout`, [`EngineError::Cancelled`].
    pub async fn wait(
        &self,
        destination: &Destination,
        desired: &Desired,
        wanted: WaitFor,
        timeout: Duration,
        control: &Control,
    ) -> Result<Comparison, EngineError> {
        let timeout = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
        let deadline = self.context.clock.now().checked_add(timeout);
        let deadline = deadline.unwrap_or(jiff::Timestamp::MAX);
        let mut poll = self.options.poll_min;
        let mut told: Vec<String> = Vec::new();
        let mut control = control.clone();
        let (rules, rule_errors) = difference::ignore_rules(desired);
        let (mut comparison, mut observation) = self.compare_observed(destination, desired).await?;
        loop {
            let signals = control.signals();
            if signals.is_cancelled {
                let application = desired.application_name().to_owned();
                return Err(EngineError::Cancelled { application });
            }
            let is_synced = !wanted.sync || comparison.sync == SyncStatus::Synced;
            let status = comparison.health.status;
            let is_healthy = !wanted.health || status == HealthStatus::Healthy;
            if is_synced && is_healthy {
                return Ok(comparison);
            }
            let is_lost = wanted.fail_on_degraded && status == HealthStatus::Degraded;
            if is_lost || self.context.clock.now() >= deadline {
                return Err(timed_out(desired, wanted, &comparison));
            }
            self.tell_unhealthy(desired, &comparison, &mut told);
            let left = deadline.duration_since(self.context.clock.now());
            let left = Duration::try_from(left).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(poll.min(left).max(Duration::from_millis(1))) => {}
                () = control.changed(&signals) => {}
            }
            poll = (poll * 3 / 2).min(self.options.poll_max);
            if is_synced {
                // Only health is missing: the desired state was compared already.
                let keys: Vec<ResourceKey> = observation.live.objects.keys().cloned().collect();
                let read = observe::read(destination, keys, ReadOptions::default()).await;
                for (key, answer) in read {
                    observation.live.set(&key, answer);
                }
                comparison = self
                    .judge(desired, &observation, &rules, &rule_errors)
                    .await?;
                if comparison.health.status != HealthStatus::Healthy {
                    continue;
                }
            }
            (comparison, observation) = self.compare_observed(destination, desired).await?;
        }
    }

    fn tell_unhealthy(&self, desired: &Desired, comparison: &Comparison, told: &mut Vec<String>) {
        let unhealthy = comparison.resources.iter().filter(|row| {
            let status = row.health.as_ref().map(|health| health.status);
            row.status.is_some() && status.is_some_and(|status| status != HealthStatus::Healthy)
        });
        let mut now = Vec::new();
        for row in unhealthy.take(WAITS_TOLD_MAX) {
            let text = Wait::healthy(&row.key, row.health.as_ref()).to_string();
            if !told.contains(&text) {
                let mut event = Event::new(Reason::Waiting, desired.application_name());
                event = event.object(&row.key).message(text.clone());
                if let Some(origin) = &row.origin {
                    event = event.origin(origin);
                }
                self.emit(event);
            }
            now.push(text);
        }
        *told = now;
    }
}

fn timed_out(desired: &Desired, wanted: WaitFor, comparison: &Comparison) -> EngineError {
    let wanted = match (wanted.sync, wanted.health) {
        (true, true) => "Synced and Healthy",
        (true, false) => "Synced",
        (false, _) => "Healthy",
    };
    let mut now = format!("{} and {}", comparison.sync, comparison.health.status);
    if !comparison.health.message.is_empty() {
        now = format!("{now} ({})", comparison.health.message);
    }
    EngineError::TimedOut {
        application: desired.application_name().to_owned(),
        wanted: wanted.to_owned(),
        now,
    }
}

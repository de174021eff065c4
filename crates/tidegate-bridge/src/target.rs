//! Where batches go, behind a trait, and the reading of responses that name failed records.

pub mod cloudevents;
pub mod http;
pub mod lambda;
pub mod response;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::event::{EventShape, WindowPart, event_json};
use crate::outcome::Outcome;
use crate::record::{Partition, Record};

/// A batch on its way.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What the binding says about its events.
    pub shape: Arc<EventShape>,
    /// Where the records come from.
    pub partition: Partition,
    /// The records in order; none for the end of a tumbling window only.
    pub records: Vec<Record>,
    /// The tumbling window, when the binding has them.
    pub window: Option<WindowPart>,
}

impl Delivery {
    /// The event JSON.
    pub fn event(&self) -> String {
        event_json(
            &self.shape,
            &self.partition,
            &self.records,
            self.window.as_ref(),
        )
    }
}

/// Takes batches.
#[async_trait]
pub trait Target: Debug + Send + Sync {
    /// Delivers a batch; never hangs: every request has a deadline.
    async fn deliver(&self, delivery: &Delivery) -> Outcome;
}

/// Takes everything, for measurements.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

#[async_trait]
impl Target for Discard {
    async fn deliver(&self, _delivery: &Delivery) -> Outcome {
        Outcome::Delivered
    }
}

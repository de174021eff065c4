//! Handlers of a pipeline's neighbours: queues, topics, tables, buckets, log groups, rules.
//!
//! Each service behind a feature of its own. Must not know: the engine.

#[cfg(feature = "s3")]
mod bucket;
#[cfg(feature = "logs")]
mod logs;
#[cfg(feature = "sqs")]
mod queue;
#[cfg(feature = "events")]
mod rule;
mod shapes;
#[cfg(feature = "dynamodb")]
mod table;
#[cfg(feature = "sns")]
mod topic;

use std::sync::Arc;

use tidegate_aws::{Aws, Handler};

/// The handlers of all services that this build has.
pub fn handlers(aws: &Aws) -> Vec<Arc<dyn Handler>> {
    let _ = aws;
    vec![
        #[cfg(feature = "sqs")]
        Arc::new(queue::Queues::new(&aws.config)),
        #[cfg(feature = "sns")]
        Arc::new(topic::Topics::new(aws)),
        #[cfg(feature = "dynamodb")]
        Arc::new(table::Tables::new(&aws.config)),
        #[cfg(feature = "s3")]
        Arc::new(bucket::Buckets::new(aws)),
        #[cfg(feature = "logs")]
        Arc::new(logs::Logs::new(&aws.config)),
        #[cfg(feature = "events")]
        Arc::new(rule::Rules::new(&aws.config)),
    ]
}

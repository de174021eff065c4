//! Handlers of Kinesis streams and consumers, and of event-source mappings.
//!
//! Must not know: the engine.

mod consumer;
mod mapping;
mod stream;

use std::sync::Arc;

use tidegate_aws::{Aws, Handler};

/// All handlers of this crate.
pub fn handlers(aws: &Aws) -> Vec<Arc<dyn Handler>> {
    let lambda = aws_sdk_lambda::Client::new(&aws.config);
    let kinesis = aws_sdk_kinesis::Client::new(&aws.config);
    vec![
        Arc::new(mapping::Mappings::new(lambda)),
        Arc::new(stream::Streams::new(kinesis.clone())),
        Arc::new(consumer::Consumers::new(kinesis)),
    ]
}
